"""The half without a key. It imports neither keys nor encryptors."""

from ricsk._publish import publish
from ricsk.cloud._half import CloudHalf

__all__ = ["CloudHalf"]

publish(globals())

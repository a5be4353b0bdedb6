"""Secret keys, and everything random that is made of them."""

from ricsk._publish import publish
from ricsk.keys._secret_key import Keystream, SecretKey, fresh_bytes

__all__ = ["Keystream", "SecretKey", "fresh_bytes"]

publish(globals())

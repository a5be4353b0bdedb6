"""An image to bytes and back."""

from ricsk._publish import publish
from ricsk.codecs._jpeg import JPEGCodec

__all__ = ["JPEGCodec"]

publish(globals())

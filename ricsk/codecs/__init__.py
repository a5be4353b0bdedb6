"""An image to bytes and back."""

from ricsk.codecs._jpeg import JPEGCodec

__all__ = ["JPEGCodec"]

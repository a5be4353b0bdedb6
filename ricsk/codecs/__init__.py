"""An image to bytes and back."""

from ricsk._publish import publish
from ricsk.codecs._jpeg import JPEGCodec
from ricsk.codecs._read import IMAGE_SUFFIXES, MAX_PIXELS, read_image

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "JPEGCodec", "read_image"]

publish(globals())

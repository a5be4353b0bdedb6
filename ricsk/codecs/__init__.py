"""An image to bytes and back."""

from ricsk._publish import publish
from ricsk.codecs._jpeg import JPEGCodec
from ricsk.codecs._lossless import LOSSLESS, compress, decompress
from ricsk.codecs._read import IMAGE_SUFFIXES, MAX_PIXELS, read_image, read_size

__all__ = [
    "IMAGE_SUFFIXES",
    "LOSSLESS",
    "MAX_PIXELS",
    "JPEGCodec",
    "compress",
    "decompress",
    "read_image",
    "read_size",
]

publish(globals())

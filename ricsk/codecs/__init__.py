"""An image to bytes and back."""

from ricsk._publish import publish
from ricsk.codecs._jpeg import JPEGCodec
from ricsk.codecs._lossless import LOSSLESS, compress, decompress
from ricsk.codecs._read import IMAGE_SUFFIXES, MAX_PIXELS, read_image, read_size
from ricsk.codecs._resize import crop_and_resize, fit_to_shape

__all__ = [
    "IMAGE_SUFFIXES",
    "LOSSLESS",
    "MAX_PIXELS",
    "JPEGCodec",
    "compress",
    "crop_and_resize",
    "decompress",
    "fit_to_shape",
    "read_image",
    "read_size",
]

publish(globals())

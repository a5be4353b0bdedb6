"""An image to bytes and back."""

from ricsk._publish import publish
from ricsk.codecs._jpeg import JPEGCodec
from ricsk.codecs._lossless import LOSSLESS, compress, decompress

__all__ = ["LOSSLESS", "JPEGCodec", "compress", "decompress"]

publish(globals())

"""Lossless compression of one image, without what a file puts around it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ricsk.images import ImageShape, describe

__all__ = ["LOSSLESS", "compress", "decompress"]

_WEBP_MAX_SIDE = 16383
# More pixels Pillow takes for an attack, and does not read.
_WEBP_MAX_PIXELS = 178_956_970
_WEBP_HEADER_BYTES = 20


def compress(image: NDArray[np.uint8], codec: str) -> tuple[str, bytes]:
    """Compress an image without loss, or leave it as it is where that is not longer.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels), uint8
        With 1 or 3 channels.
    codec : {"raw", "webp", "jpegxl"}
        "raw" leaves the values as they are; "webp" is lossless WebP; "jpegxl" is lossless JPEG XL,
        smaller and slower, which needs `imagecodecs`.

    Returns
    -------
    codec : str
        `codec`, or "raw" where it would not have made the image smaller.
    data : bytes

    Raises
    ------
    ValueError
        If the image is too large for the codec.
    ImportError
        If the codec needs a package that is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.codecs import compress, decompress
    >>> image = np.zeros((32, 32, 3), np.uint8)
    >>> codec, data = compress(image, "webp")
    >>> len(data) < 32
    True
    >>> np.array_equal(decompress(data, codec, image.shape), image)
    True
    """
    encode, _ = LOSSLESS[codec]
    data = encode(image)
    return (codec, data) if len(data) < image.size else ("raw", image.tobytes())


def decompress(data: bytes, codec: str, shape: ImageShape) -> NDArray[np.uint8]:
    """Undo `compress`.

    Parameters
    ----------
    data : bytes
        What `compress` returned, or anything else.
    codec : {"raw", "webp", "jpegxl"}
        With which codec.
    shape : (int, int, int)
        Height, width and channels of the image. One of another size is refused before memory is
        taken for it.

    Returns
    -------
    ndarray of that shape, uint8

    Raises
    ------
    ValueError
        If `data` does not hold an image of this shape.
    ImportError
        If the codec needs a package that is not installed.
    """
    _, decode = LOSSLESS[codec]
    try:
        return decode(data, shape)
    except (ValueError, OSError, RuntimeError, EOFError) as error:
        raise ValueError(f"the data is not an image of {describe(shape)} in {codec}") from error


def _encode_raw(image: NDArray[np.uint8]) -> bytes:
    return image.tobytes()


def _decode_raw(data: bytes, shape: ImageShape) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8).reshape(shape)


def _encode_webp(image: NDArray[np.uint8]) -> bytes:
    height, width, channels = image.shape
    if max(height, width) > _WEBP_MAX_SIDE or height * width > _WEBP_MAX_PIXELS:
        raise ValueError(
            f"images of {describe((height, width, channels))} are too large for WebP, which has "
            f"sides of up to {_WEBP_MAX_SIDE:,} pixels, and up to {_WEBP_MAX_PIXELS:,} pixels "
            'here. Take codec="jpegxl", or tiles.'
        )
    buffer = io.BytesIO()
    # Of the settings, the one that is smallest on photographs of 32 to 128 pixels, and quick.
    _to_pillow(image).save(buffer, "WEBP", lossless=True, method=2)
    return buffer.getvalue()[_WEBP_HEADER_BYTES:]  # the header follows from the length


def _decode_webp(data: bytes, shape: ImageShape) -> NDArray[np.uint8]:
    # After a signature: width and height less one, in 14 bits each. Pillow makes room for as large
    # an image as it is told.
    size = int.from_bytes(data[1:5], "little")
    if (size & 0x3FFF, size >> 14 & 0x3FFF) != (shape[1] - 1, shape[0] - 1):
        raise ValueError("an image of another size")
    container = b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBPVP8L"
    file = io.BytesIO(container + struct.pack("<I", len(data)) + data)
    with Image.open(file, formats=["WEBP"]) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    return pixels[..., : shape[2]]


def _encode_jpegxl(image: NDArray[np.uint8]) -> bytes:
    return bytes(_import_imagecodecs().jpegxl_encode(image, lossless=True, effort=5))


def _decode_jpegxl(data: bytes, shape: ImageShape) -> NDArray[np.uint8]:
    # With room of its own it refuses images of another size before it decodes them.
    room = np.empty(shape if shape[2] == 3 else shape[:2], np.uint8)
    return _import_imagecodecs().jpegxl_decode(data, out=room).reshape(shape)


def _import_imagecodecs() -> ModuleType:
    try:
        import imagecodecs
    except ImportError as error:
        raise ImportError(
            'JPEG XL needs imagecodecs: pip install "ricsk[codecs]", or take codec="webp".'
        ) from error
    return imagecodecs


def _to_pillow(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image if image.shape[2] == 3 else image[..., 0])


_Encode = Callable[[NDArray[np.uint8]], bytes]
_Decode = Callable[[bytes, ImageShape], NDArray[np.uint8]]

LOSSLESS: dict[str, tuple[_Encode, _Decode]] = {
    "raw": (_encode_raw, _decode_raw),
    "webp": (_encode_webp, _decode_webp),
    "jpegxl": (_encode_jpegxl, _decode_jpegxl),
}
"""Codecs by name: from an image to bytes, and, with its shape, back."""

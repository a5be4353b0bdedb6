"""The sealed format: an image, compressed and encrypted, in the low bit planes of another.

`docs/guide/sealed.rst` specifies it byte by byte.
"""

from __future__ import annotations

import hmac
import io
import struct
from collections.abc import Callable
from types import ModuleType

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from numpy.typing import NDArray
from PIL import Image

from ricsk.exceptions import NewerFormatError, NotSealedError, TooLargeError
from ricsk.images import ImageShape, describe
from ricsk.keys import SecretKey, fresh_bytes

__all__ = [
    "CODECS",
    "LEAST_VALUES",
    "NONCE_BYTES",
    "OVERHEAD",
    "Sealer",
    "compress",
    "unseal_image",
]

_VERSION = 1
_TAG_BYTES = 16
_SIV_BYTES = 16
_NONCE_FLAG = 0x08
_WEBP_SIDE = 16383
_REFUSED = "wrong key, damaged, or not sealed with ricsk"

NONCE_BYTES = 16
"""Bytes of the random nonce, where there is one."""

OVERHEAD = _TAG_BYTES + _SIV_BYTES + 3
"""Bytes of a sealed image besides the compressed one: tags, two bytes of header, one of padding."""

LEAST_VALUES = -(-8 * OVERHEAD // 7)
"""Of how many values a sealed image is at least: no fewer hold that many bytes in 7 planes."""


def _encode_webp(image: NDArray[np.uint8]) -> bytes:
    if max(image.shape) > _WEBP_SIDE:
        raise ValueError(
            f"images of {describe(image.shape)} are too large for WebP, which has sides of up to "
            f'{_WEBP_SIDE} pixels. Take codec="jpegxl", or tiles.'
        )
    buffer = io.BytesIO()
    # Of the settings, the one that is smallest on photographs of 32 to 128 pixels, and quick.
    _to_pillow(image).save(buffer, "WEBP", lossless=True, method=2)
    return buffer.getvalue()[20:]  # the container's header follows from the length


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


def _imagecodecs() -> ModuleType:
    try:
        import imagecodecs
    except ImportError as error:
        raise ImportError(
            'JPEG XL needs imagecodecs: pip install "ricsk[codecs]", or take codec="webp".'
        ) from error
    return imagecodecs


def _encode_jpegxl(image: NDArray[np.uint8]) -> bytes:
    return bytes(_imagecodecs().jpegxl_encode(image, lossless=True, effort=5))


def _decode_jpegxl(data: bytes, shape: ImageShape) -> NDArray[np.uint8]:
    # With room of its own it refuses images of another size before it decodes them.
    room = np.empty(shape if shape[2] == 3 else shape[:2], np.uint8)
    return _imagecodecs().jpegxl_decode(data, out=room).reshape(shape)


def _encode_raw(image: NDArray[np.uint8]) -> bytes:
    return image.tobytes()


def _decode_raw(data: bytes, shape: ImageShape) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8).reshape(shape)


CODECS: dict[str, tuple[int, Callable[[NDArray[np.uint8]], bytes]]] = {
    "raw": (0, _encode_raw),
    "webp": (1, _encode_webp),
    "jpegxl": (2, _encode_jpegxl),
}
_DECODERS = {0: _decode_raw, 1: _decode_webp, 2: _decode_jpegxl}


def compress(image: NDArray[np.uint8], codec: str) -> tuple[int, bytes]:
    """Compress an image without loss, or leave it as it is where that is no longer.

    Returns
    -------
    int
        The number of the codec.
    bytes
        The compressed image.
    """
    number, encode = CODECS[codec]
    compressed = encode(image)
    return (0, image.tobytes()) if len(compressed) >= image.size else (number, compressed)


class Sealer:
    """Writes compressed images into low bit planes, and authenticates whole ciphertexts.

    Parameters
    ----------
    key : SecretKey
        The secret.
    shape : (int, int, int)
        Height, width and channels of ciphertexts.
    bit_planes : int
        How many low planes to write, from 1 to 7.
    """

    def __init__(self, key: SecretKey, shape: ImageShape, bit_planes: int) -> None:
        self.shape, self.bit_planes = shape, bit_planes
        self.n_values = int(np.prod(shape))
        self.context = struct.pack("<4IB", *shape, self.n_values, bit_planes)
        self.cipher = AESSIV(key.derive("sealed/siv", length=64))
        self.tag_key = key.derive("sealed/tag")
        self.key = key
        # One bit of each plane, and all bits but those of the tag.
        self._planes = (1 << np.arange(bit_planes, dtype=np.uint8))[:, np.newaxis]
        tagged = np.zeros(min(8 * _TAG_BYTES, self.n_values * bit_planes), np.uint8)
        self._untagged = self._with_bits(np.full(shape, 255, np.uint8), tagged)

    @property
    def capacity(self) -> int:
        """How many bytes a compressed image may have."""
        return self.n_values * self.bit_planes // 8 - OVERHEAD

    def encrypt(self, codec: int, compressed: bytes, scale: int, *, fresh: bool) -> bytes:
        """Encrypt a compressed image to as many bytes as the low planes hold, without the tag."""
        head = bytes([_VERSION << 4 | codec | (_NONCE_FLAG if fresh else 0), scale])
        if fresh:
            head += fresh_bytes(NONCE_BYTES)
        message = head + compressed + b"\x80"
        room = self.n_values * self.bit_planes // 8 - _TAG_BYTES - _SIV_BYTES
        if len(message) > room:
            raise TooLargeError(f"{len(message)} bytes do not fit into the room for {room}")
        return self.cipher.encrypt(message.ljust(room, b"\0"), [self.context])

    def noise(self, body: bytes, attempt: int) -> NDArray[np.uint8]:
        """Make the noise image of a ciphertext, with the encrypted image in its low planes."""
        context = body[:_SIV_BYTES] + bytes([attempt])
        noise = self.key.keystream("sealed/noise", context).uint8(self.shape)
        bits = np.unpackbits(np.frombuffer(bytes(_TAG_BYTES) + body, np.uint8))
        return self._with_bits(noise, bits)

    def sign(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write the tag of a ciphertext into the places that are for it."""
        tag = np.unpackbits(np.frombuffer(self._tag(pixels), np.uint8))
        return self._with_bits(pixels, tag)

    def decrypt(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Authenticate a ciphertext and bring its image back.

        Raises
        ------
        NotSealedError
            If it was not made with this key, or was changed.
        NewerFormatError
            If it was, by a newer version.
        """
        stored = self.stored(pixels)
        if len(stored) < OVERHEAD:
            raise NotSealedError(_REFUSED)
        if not hmac.compare_digest(self._tag(pixels), stored[:_TAG_BYTES]):
            raise NotSealedError(_REFUSED)
        try:
            message = self.cipher.decrypt(stored[_TAG_BYTES:], [self.context])
        except InvalidTag:
            raise NotSealedError(_REFUSED) from None
        # From here on the bytes are those of somebody who has the key.
        head, scale = message[0], message[1]
        if head >> 4 != _VERSION or head & 0x07 not in _DECODERS:
            raise NewerFormatError(
                f"this ciphertext is authentic, but of format {head >> 4}, codec {head & 0x07}; "
                f"this version of ricsk reads format {_VERSION}. Update ricsk."
            )
        start = 2 + (NONCE_BYTES if head & _NONCE_FLAG else 0)
        compressed = message[start:].rstrip(b"\0")[:-1]
        height, width, channels = self.shape
        try:
            if scale == 0 or height % scale or width % scale:
                raise ValueError("a scale that does not divide the size")
            shape = (height // scale, width // scale, channels)
            return _DECODERS[head & 0x07](compressed, shape)
        except (ValueError, OSError, RuntimeError) as error:
            raise NotSealedError(f"{_REFUSED}: what is in it is no image of this size") from error

    def stored(self, pixels: NDArray[np.uint8]) -> bytes:
        """Read the low planes, the lowest first, each in the order of the values."""
        bits = (pixels.reshape(-1) & self._planes).reshape(-1)
        return np.packbits(bits[: len(bits) // 8 * 8]).tobytes()

    def _tag(self, pixels: NDArray[np.uint8]) -> bytes:
        untagged = self.context + (pixels & self._untagged).tobytes()
        return hmac.digest(self.tag_key, untagged, "sha256")[:_TAG_BYTES]

    def _with_bits(self, pixels: NDArray[np.uint8], bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write bits into the first places of the low planes."""
        result = pixels.copy()
        flat = result.reshape(-1)
        for plane in range(-(-len(bits) // self.n_values)):
            part = bits[plane * self.n_values :][: self.n_values]
            places = flat[: len(part)]
            places &= 255 ^ (1 << plane)
            places |= part << plane
        return result


def unseal_image(pixels: NDArray[np.uint8], key: SecretKey) -> NDArray[np.uint8]:
    """Open one ciphertext, whatever its number of bit planes."""
    for bit_planes in range(1, 8):
        try:
            return Sealer(key, pixels.shape, bit_planes).decrypt(pixels)
        except NotSealedError:
            continue
    raise NotSealedError(_REFUSED)


def _to_pillow(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image if image.shape[2] == 3 else image[..., 0])

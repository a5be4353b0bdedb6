"""The sealed format: an image, compressed and encrypted, in the low bit planes of another.

`docs/guide/sealed.rst` specifies it byte by byte.
"""

from __future__ import annotations

import hmac
import struct

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from numpy.typing import NDArray

from ricsk.codecs import decompress
from ricsk.exceptions import NewerFormatError, NotSealedError, TooLargeError
from ricsk.images import ImageShape
from ricsk.keys import SecretKey

__all__ = [
    "CODEC_NUMBERS",
    "MIN_VALUES",
    "NONCE_BYTES",
    "OVERHEAD",
    "REFUSED",
    "VERSION",
    "Sealer",
    "Subkeys",
    "capacity",
    "count_planes",
]

_TAG_BYTES = 16
_SIV_BYTES = 16
_HEADER_BYTES = 2
_MARK = b"\x80"

VERSION = 2
"""Version of the format, in every header."""

NONCE_BYTES = 16
"""Bytes of the nonce: random ones, or a digest of the settings."""

OVERHEAD = _TAG_BYTES + _SIV_BYTES + _HEADER_BYTES + NONCE_BYTES + 1
"""Bytes of a sealed image besides the compressed one: tags, header, nonce, and one of padding."""

MIN_VALUES = -(-8 * OVERHEAD // 7)
"""How many values a sealed image has at least: fewer do not hold that many bytes in 7 planes."""

CODEC_NUMBERS = {"raw": 0, "webp": 1, "jpegxl": 2}
"""Numbers of the codecs of `ricsk.codecs` in the header."""

REFUSED = "wrong key, damaged, or not sealed with ricsk"
"""What is said of all that does not open, so that nothing more is learnt from an error."""


def capacity(n_values: int, bit_planes: int) -> int:
    """Count the bytes that a compressed image may have.

    Parameters
    ----------
    n_values : int
        Height × width × channels of ciphertexts.
    bit_planes : int
        How many low planes are written.

    Returns
    -------
    int
        Below 0 if not even the tags fit.
    """
    return n_values * bit_planes // 8 - OVERHEAD


def count_planes(n_values: int, n_bytes: int) -> int:
    """Count the bit planes that it takes to hold a compressed image, be they more than there are.

    Parameters
    ----------
    n_values : int
        See `capacity`.
    n_bytes : int
        How long the compressed image is.

    Returns
    -------
    int
    """
    return -(-8 * (n_bytes + OVERHEAD) // n_values)


class Subkeys:
    """What sealing and opening need of a key, derived once for any number of images.

    Parameters
    ----------
    key : SecretKey
        The secret.
    """

    def __init__(self, key: SecretKey) -> None:
        self.cipher = AESSIV(key.derive("sealed/siv", length=64))
        self.tag = key.derive("sealed/tag")
        self.key = key


class Sealer:
    """Writes compressed images into low bit planes, and authenticates whole ciphertexts.

    Parameters
    ----------
    subkeys : Subkeys
        Of the secret key.
    shape : (int, int, int)
        Height, width and channels of ciphertexts.
    bit_planes : int
        How many low planes to write, from 1 to 7.
    """

    def __init__(self, subkeys: Subkeys, shape: ImageShape, bit_planes: int) -> None:
        self.subkeys, self.shape, self.bit_planes = subkeys, shape, bit_planes
        self.n_values = int(np.prod(shape))
        self._n_bytes = self.n_values * bit_planes // 8
        # Tag and cipher cover it: no ciphertext opens in another shape, or with other planes.
        self._context = struct.pack("<4IB", *shape, self.n_values, bit_planes)
        # All bits but the places of the tag, which cannot be part of what it is computed of.
        self._untagged = self._write(np.full(shape, 255, np.uint8), bytes(_TAG_BYTES))

    def encrypt(self, codec: str, data: bytes, nonce: bytes, scale: int = 1) -> bytes:
        """Encrypt a compressed image to as many bytes as the low planes hold, without the tag.

        Parameters
        ----------
        codec : str
            A key of `CODEC_NUMBERS`.
        data : bytes
            The compressed image.
        nonce : bytes
            16 bytes. Equal images under equal nonces have equal ciphertexts.
        scale : int
            How many times as high and as wide as the image the ciphertext is.

        Returns
        -------
        bytes

        Raises
        ------
        TooLargeError
            If the image does not fit.
        """
        head = VERSION << 4 | CODEC_NUMBERS[codec]
        message = bytes([head, scale]) + nonce + data + _MARK
        room = self._n_bytes - _TAG_BYTES - _SIV_BYTES
        if len(message) > room:
            raise TooLargeError(f"{len(message)} bytes do not fit into the room for {room}")
        return self.subkeys.cipher.encrypt(message.ljust(room, b"\0"), [self._context])

    def embed(self, body: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write what `encrypt` returned into the low planes of an image, the tag's places cleared.

        Parameters
        ----------
        body : bytes
            What `encrypt` returned.
        pixels : ndarray of shape `shape`, uint8
            It gives the other bits.

        Returns
        -------
        ndarray of that shape, uint8
        """
        return self._write(pixels, bytes(_TAG_BYTES) + body)

    def sign(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write the tag of a ciphertext into its places.

        Parameters
        ----------
        pixels : ndarray of shape `shape`, uint8
            A finished ciphertext but for the tag.

        Returns
        -------
        ndarray of that shape, uint8
        """
        return self._write(pixels, self._compute_tag(pixels))

    def authenticate(self, pixels: NDArray[np.uint8]) -> bytes:
        """Check a ciphertext, and decrypt it.

        Parameters
        ----------
        pixels : ndarray of shape `shape`, uint8
            A ciphertext.

        Returns
        -------
        bytes
            The message, which `decode` reads.

        Raises
        ------
        NotSealedError
            If it was not made with this key, shape and number of planes, or was changed.
        """
        stored = self._read(pixels)
        if len(stored) < OVERHEAD:
            raise NotSealedError(REFUSED)
        if not hmac.compare_digest(self._compute_tag(pixels), stored[:_TAG_BYTES]):
            raise NotSealedError(REFUSED)
        try:
            return self.subkeys.cipher.decrypt(stored[_TAG_BYTES:], [self._context])
        except InvalidTag:
            raise NotSealedError(REFUSED) from None

    def decode(self, message: bytes) -> NDArray[np.uint8]:
        """Bring back the image of an authentic message.

        Parameters
        ----------
        message : bytes
            What `authenticate` returned: so it comes from somebody who has the key.

        Returns
        -------
        ndarray of shape (height, width, channels), uint8

        Raises
        ------
        NewerFormatError
            If a newer version made it.
        NotSealedError
            If an older version made it, or it does not hold an image of this size.
        """
        version, codec, scale = message[0] >> 4, message[0] & 0x0F, message[1]
        names = {number: name for name, number in CODEC_NUMBERS.items()}
        if version < VERSION:
            raise NotSealedError(
                f"authentic, but of format {version}, from before the first release; this version "
                f"of ricsk reads format {VERSION}. Open it with the code that sealed it, and seal "
                "the image again"
            )
        if version > VERSION or codec not in names:
            raise NewerFormatError(
                f"this ciphertext is authentic, but of format {version}, codec {codec}; this "
                f"version of ricsk reads format {VERSION}. Update ricsk."
            )
        data = message[_HEADER_BYTES + NONCE_BYTES :].rstrip(b"\0")
        height, width, channels = self.shape
        try:
            if not data.endswith(_MARK):
                raise ValueError("no end of the data")
            if scale == 0 or height % scale or width % scale:
                raise ValueError("a scale that does not divide the size")
            size = height // scale, width // scale, channels
            return decompress(data.removesuffix(_MARK), names[codec], size)
        except ValueError as error:
            raise NotSealedError(f"{REFUSED}: it does not hold an image of this size") from error

    def decrypt(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Authenticate a ciphertext and bring its image back.

        Parameters
        ----------
        pixels : ndarray of shape `shape`, uint8
            A ciphertext.

        Returns
        -------
        ndarray of shape (height, width, channels), uint8

        Raises
        ------
        NotSealedError, NewerFormatError
            As `authenticate` and `decode` do.
        """
        return self.decode(self.authenticate(pixels))

    def _compute_tag(self, pixels: NDArray[np.uint8]) -> bytes:
        # It covers the high planes, too, or an adversary could change what the classifier reads.
        covered = self._context + (pixels & self._untagged).tobytes()
        return hmac.digest(self.subkeys.tag, covered, "sha256")[:_TAG_BYTES]

    def _read(self, pixels: NDArray[np.uint8]) -> bytes:
        """Read the low planes, the lowest first, each in the order of the values."""
        flat, bits = pixels.reshape(-1), np.empty(8 * self._n_bytes, np.bool_)
        for plane in range(self.bit_planes):
            part = bits[plane * self.n_values :][: self.n_values]
            part[:] = flat[: len(part)] & (1 << plane)
        return np.packbits(bits).tobytes()

    def _write(self, pixels: NDArray[np.uint8], data: bytes) -> NDArray[np.uint8]:
        """Write bytes into the first places of the low planes, as many as there are."""
        packed, n_bits = np.frombuffer(data, np.uint8), 8 * len(data)
        result = pixels.copy()
        flat = result.reshape(-1)
        for plane in range(min(self.bit_planes, -(-n_bits // self.n_values))):
            first = plane * self.n_values
            last = min(first + self.n_values, n_bits)
            part = np.unpackbits(packed[first // 8 : -(-last // 8)])[first % 8 :][: last - first]
            places = flat[: len(part)]
            places &= 255 ^ (1 << plane)
            places |= part << plane
        return result

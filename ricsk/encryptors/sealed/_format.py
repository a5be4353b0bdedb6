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

from ricsk.encryptors.sealed._message import (
    MESSAGE_OVERHEAD,
    REFUSED,
    pack_message,
    read_message,
)
from ricsk.encryptors.sealed._planes import BitPlanes
from ricsk.exceptions import NotSealedError
from ricsk.images import ImageShape
from ricsk.keys import SecretKey

__all__ = [
    "MIN_VALUES",
    "OVERHEAD",
    "SIV_BYTES",
    "VERSION",
    "Sealer",
    "Subkeys",
    "capacity",
    "count_planes",
]

_TAG_BYTES = 16

VERSION = 2
"""Version of the format, in every header."""

SIV_BYTES = 16
"""By how much AES-SIV makes a message longer."""

OVERHEAD = _TAG_BYTES + SIV_BYTES + MESSAGE_OVERHEAD
"""Bytes of a sealed image besides the compressed one: tags, header, nonce, and one of padding."""

MIN_VALUES = -(-8 * OVERHEAD // 7)
"""How many values a sealed image has at least: fewer do not hold that many bytes in 7 planes."""


def capacity(n_values: int, bit_planes: int, overhead: int = OVERHEAD) -> int:
    """Count the bytes that a compressed image may have.

    Parameters
    ----------
    n_values : int
        Height × width × channels of ciphertexts.
    bit_planes : int
        How many low planes are written.
    overhead : int
        What stands there besides the image.

    Returns
    -------
    int
        Below 0 if not even the tags fit.
    """
    return n_values * bit_planes // 8 - overhead


def count_planes(n_values: int, n_bytes: int, overhead: int = OVERHEAD) -> int:
    """Count the bit planes that it takes to hold a compressed image, be they more than there are.

    Parameters
    ----------
    n_values : int
        See `capacity`.
    n_bytes : int
        How long the compressed image is.
    overhead : int
        See `capacity`.

    Returns
    -------
    int
    """
    return -(-8 * (n_bytes + overhead) // n_values)


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
        self._sealers: dict[tuple[ImageShape, int], Sealer] = {}

    @property
    def overhead(self) -> int:
        """Bytes of a sealed image besides the compressed one."""
        return OVERHEAD

    def make_sealer(self, shape: ImageShape, bit_planes: int) -> Sealer:
        """Make what seals and opens images of a shape.

        Parameters
        ----------
        shape : (int, int, int)
            Height, width and channels of ciphertexts.
        bit_planes : int
            How many low planes to write, from 1 to 7.

        Returns
        -------
        Sealer
            The same one for the same arguments.
        """
        parameters = shape, bit_planes
        if parameters not in self._sealers:
            self._sealers[parameters] = Sealer(self, *parameters)
        return self._sealers[parameters]


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
        self._planes = BitPlanes(shape, bit_planes)
        # Tag and cipher cover it: no ciphertext opens in another shape, or with other planes.
        self._context = struct.pack("<4IB", *shape, self._planes.n_values, bit_planes)
        # All bits but the places of the tag, which cannot be part of what it is computed of.
        self._untagged = self._planes.mask((0, _TAG_BYTES))

    @property
    def content_key(self) -> SecretKey:
        """The key of an image: that of all."""
        return self.subkeys.key

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
        room = self._planes.n_bytes - _TAG_BYTES - SIV_BYTES
        message = pack_message(VERSION, codec, data, nonce, scale, room)
        return self.subkeys.cipher.encrypt(message, [self._context])

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
        return self._planes.write(pixels, bytes(_TAG_BYTES) + body)

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
        return self._planes.write(pixels, self._compute_tag(pixels))

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
        stored = self._planes.read(pixels)
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
        return read_message(message, self.shape, VERSION).decompress()

    def open(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
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

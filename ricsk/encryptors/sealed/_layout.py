"""Where things lie in an image that is sealed for recipients, and what its tag and signature cover.

`docs/guide/formats.rst` specifies it byte by byte.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from numpy.typing import NDArray

from ricsk.encryptors.sealed._format import SIV_BYTES
from ricsk.encryptors.sealed._message import MESSAGE_OVERHEAD
from ricsk.encryptors.sealed._planes import BitPlanes
from ricsk.images import ImageShape
from ricsk.keys import SecretKey

__all__ = [
    "CONTENT_KEY_BYTES",
    "HEAD_BYTES",
    "INFO",
    "MAX_RECIPIENTS",
    "TAG_BYTES",
    "VERIFYING_KEY_BYTES",
    "VERSION",
    "ContentKey",
    "Layout",
]

VERSION = 3
"""Version of the format, in every header."""

INFO = b"ricsk/sealed/3"
"""What slots and signatures are for."""

MAX_RECIPIENTS = 16

CONTENT_KEY_BYTES = 32

HEAD_BYTES = 3
"""Bytes behind the content key in a slot: bit planes, recipients, and whether it is signed."""

TAG_BYTES = 32

VERIFYING_KEY_BYTES = 32
"""Bytes of the key before a signature."""

_SIGNATURE_BYTES = SIV_BYTES + VERIFYING_KEY_BYTES + 64


@dataclass(frozen=True)
class Layout:
    """What is where in the stored bytes.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels of the ciphertext.
    bit_planes : int
        How many low planes are written, from 1 to 7.
    n_recipients : int
        How many slots there are.
    signed : bool
        Whether there is a signature.
    slot_bytes : int
        How long a slot is.
    """

    shape: ImageShape
    bit_planes: int
    n_recipients: int
    signed: bool
    slot_bytes: int

    @property
    def head(self) -> bytes:
        """What slots tell besides the content key."""
        return bytes([self.bit_planes, self.n_recipients, self.signed])

    @property
    def signature_start(self) -> int:
        """Where the signature begins, if there is one."""
        return TAG_BYTES + self.n_recipients * self.slot_bytes

    @property
    def body_start(self) -> int:
        """Where AES-SIV begins."""
        return self.signature_start + _SIGNATURE_BYTES * self.signed

    @property
    def overhead(self) -> int:
        """Bytes besides the compressed image."""
        return self.body_start + SIV_BYTES + MESSAGE_OVERHEAD

    @property
    def room(self) -> int:
        """How long the message is."""
        return self.planes.n_bytes - self.body_start - SIV_BYTES

    @cached_property
    def planes(self) -> BitPlanes:
        """Reads and writes the bytes."""
        return BitPlanes(self.shape, self.bit_planes)

    @cached_property
    def context(self) -> bytes:
        """What ciphers, tag and signature cover: no ciphertext is read in another way."""
        return struct.pack("<4I", *self.shape, self.planes.n_values) + self.head

    @cached_property
    def _untagged(self) -> NDArray[np.uint8]:
        return self.planes.mask((0, TAG_BYTES))

    @cached_property
    def _unsigned(self) -> NDArray[np.uint8]:
        signature = self.signature_start, _SIGNATURE_BYTES
        return self.planes.mask((0, TAG_BYTES), signature)

    def list_tagged(self, pixels: NDArray[np.uint8]) -> bytes:
        """List what the tag covers.

        Parameters
        ----------
        pixels : ndarray of shape `shape`, uint8
            A ciphertext.

        Returns
        -------
        bytes
        """
        return self.context + (pixels & self._untagged).tobytes()

    def list_signed(self, pixels: NDArray[np.uint8]) -> bytes:
        """List what the signature covers.

        Parameters
        ----------
        pixels : ndarray of shape `shape`, uint8
            A ciphertext.

        Returns
        -------
        bytes
        """
        return INFO + b"\0" + self.context + (pixels & self._unsigned).tobytes()


class ContentKey:
    """What follows from the key of one image.

    Parameters
    ----------
    key : SecretKey
        Fresh for each image.
    """

    def __init__(self, key: SecretKey) -> None:
        self.key = key
        self.cipher = AESSIV(key.derive("recipients/siv", length=64))

    @property
    def signature_cipher(self) -> AESSIV:
        """Encrypts the signature."""
        return AESSIV(self.key.derive("recipients/signature", length=64))

    def compute_tag(self, covered: bytes) -> bytes:
        """Compute the tag, which also commits to this key and to all that is covered.

        Parameters
        ----------
        covered : bytes
            What `Layout.list_tagged` lists.

        Returns
        -------
        bytes
        """
        return hmac.digest(self.key.derive("recipients/tag"), covered, "sha256")

"""Opening one sealed image, under a secret key or a private one."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from numpy.typing import NDArray

from ricsk.encryptors.sealed._format import VERSION as SECRET_VERSION
from ricsk.encryptors.sealed._format import Subkeys
from ricsk.encryptors.sealed._layout import (
    CONTENT_KEY_BYTES,
    HEAD_BYTES,
    INFO,
    MAX_RECIPIENTS,
    TAG_BYTES,
    VERIFYING_KEY_BYTES,
    VERSION,
    ContentKey,
    Layout,
)
from ricsk.encryptors.sealed._message import MESSAGE_OVERHEAD, REFUSED, Compressed, read_message
from ricsk.encryptors.sealed._planes import BitPlanes
from ricsk.exceptions import NotSealedError
from ricsk.images import ImageShape
from ricsk.keys import PrivateKey, SecretKey, VerifyingKey

__all__ = ["Opener", "Reader", "RecipientOpener", "SecretOpener", "Unsealed", "make_opener"]

_MAX_PLANES = 7


@dataclass(frozen=True)
class Unsealed:
    """What an authentic ciphertext says; nothing of it is decoded yet.

    Parameters
    ----------
    content_key : SecretKey
        The key of the image.
    bit_planes : int
        How many low planes are written.
    compressed : Compressed
        The image.
    signer : VerifyingKey, optional
        Who signed it.
    """

    content_key: SecretKey
    bit_planes: int
    compressed: Compressed
    signer: VerifyingKey | None = None


class Opener(Protocol):
    """Opens ciphertexts of any size and number of bit planes."""

    def open(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Authenticate a ciphertext and bring its image back."""


class Reader(Opener, Protocol):
    """Also tells what else is in a ciphertext."""

    def read(self, pixels: NDArray[np.uint8]) -> Unsealed:
        """Authenticate a ciphertext, and decode nothing."""


class SecretOpener:
    """Opens ciphertexts of any size and number of bit planes under one secret key.

    Parameters
    ----------
    key : SecretKey
        The secret.
    """

    def __init__(self, key: SecretKey) -> None:
        self._key = key
        self._planes = list(range(_MAX_PLANES, 0, -1))

    def open(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Authenticate a ciphertext and bring its image back.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, channels), uint8
            A ciphertext.

        Returns
        -------
        ndarray of shape (height, width, channels), uint8

        Raises
        ------
        NotSealedError, NewerFormatError
            As `read`, or if it does not hold an image of this size.
        """
        return self.read(pixels).compressed.decompress()

    def read(self, pixels: NDArray[np.uint8]) -> Unsealed:
        """Authenticate a ciphertext, and decode nothing.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, channels), uint8
            A ciphertext.

        Returns
        -------
        Unsealed

        Raises
        ------
        NotSealedError
            If it was not made with this key, or was changed.
        NewerFormatError
            If a newer version made it.
        """
        height, width, channels = pixels.shape
        shape = height, width, channels
        for bit_planes in self._planes:
            sealer = self._subkeys.make_sealer(shape, bit_planes)
            try:
                message = sealer.authenticate(pixels)
            except NotSealedError:
                continue
            # The next image probably has as many planes.
            self._planes.sort(key=bit_planes.__ne__)
            return Unsealed(self._key, bit_planes, read_message(message, shape, SECRET_VERSION))
        raise NotSealedError(REFUSED)

    @cached_property
    def _subkeys(self) -> Subkeys:
        return Subkeys(self._key)


class RecipientOpener:
    """Opens ciphertexts that were sealed to the public key of a private one.

    Parameters
    ----------
    key : PrivateKey
        The private key.
    signers : collection of VerifyingKey, optional
        Who may have sealed them. By default anybody may, and it need not be signed.
    """

    def __init__(self, key: PrivateKey, signers: Collection[VerifyingKey] | None = None) -> None:
        self._key, self._signers = key, signers
        self._slot_bytes = CONTENT_KEY_BYTES + HEAD_BYTES + key.public_key.overhead
        self._layout: Layout | None = None

    def open(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Authenticate a ciphertext and bring its image back.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, channels), uint8
            A ciphertext.

        Returns
        -------
        ndarray of shape (height, width, channels), uint8

        Raises
        ------
        NotSealedError
            If it was not made for this key, was changed, or was not signed as it should be.
        NewerFormatError
            If a newer version made it.
        """
        return self.read(pixels).compressed.decompress()

    def read(self, pixels: NDArray[np.uint8]) -> Unsealed:
        """Authenticate a ciphertext, and decode nothing.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, channels), uint8
            A ciphertext.

        Returns
        -------
        Unsealed

        Raises
        ------
        NotSealedError, NewerFormatError
            As `open`.
        """
        height, width, channels = pixels.shape
        shape = height, width, channels
        stored = BitPlanes(shape, _MAX_PLANES).read(pixels)
        found = self._unwrap(stored)
        if found is None:
            raise NotSealedError(REFUSED)
        key, layout = found[0], self._get_layout(shape, found[1])
        content = ContentKey(key)
        covered = layout.list_tagged(pixels)
        if not hmac.compare_digest(content.compute_tag(covered), stored[:TAG_BYTES]):
            raise NotSealedError(REFUSED)
        signer = self._find_signer(content, layout, stored, pixels)
        end = layout.planes.n_bytes
        message = _decrypt(content.cipher, stored[layout.body_start : end], layout)
        compressed = read_message(message, shape, VERSION)
        return Unsealed(key, layout.bit_planes, compressed, signer)

    def _unwrap(self, stored: bytes) -> tuple[SecretKey, bytes] | None:
        """Find the slot of this key; nothing is raised where its content could be seen."""
        for i in range(MAX_RECIPIENTS):
            slot = stored[TAG_BYTES + i * self._slot_bytes :][: self._slot_bytes]
            opened = self._key.unwrap(slot, INFO) if len(slot) == self._slot_bytes else None
            if opened is None:
                continue
            raw, head = opened[:CONTENT_KEY_BYTES], opened[CONTENT_KEY_BYTES:]
            is_head = len(head) == HEAD_BYTES and 1 <= head[0] <= _MAX_PLANES
            if is_head and i < head[1] <= MAX_RECIPIENTS and head[2] in (0, 1):
                return SecretKey(raw), head
            return None
        return None

    def _get_layout(self, shape: ImageShape, head: bytes) -> Layout:
        """Return the layout of the image before where this one has the same, as is likely."""
        bit_planes, n_recipients, signed = head
        layout = Layout(shape, bit_planes, n_recipients, bool(signed), self._slot_bytes)
        if layout != self._layout:
            if layout.room < MESSAGE_OVERHEAD:
                raise NotSealedError(REFUSED)
            self._layout = layout
        return self._layout

    def _find_signer(
        self, content: ContentKey, layout: Layout, stored: bytes, pixels: NDArray[np.uint8]
    ) -> VerifyingKey | None:
        signer = None
        if layout.signed:
            encrypted = stored[layout.signature_start : layout.body_start]
            signed = _decrypt(content.signature_cipher, encrypted, layout)
            signer = VerifyingKey(signed[:VERIFYING_KEY_BYTES])
            signature = signed[VERIFYING_KEY_BYTES:]
            if not signer.verify(signature, layout.list_signed(pixels)):
                raise NotSealedError(REFUSED)
        if self._signers is not None and signer not in self._signers:
            by = "not signed" if signer is None else f"signed by {signer.fingerprint}"
            raise NotSealedError(f"{by}, which is none of the signers given")
        return signer


def make_opener(
    key: SecretKey | PrivateKey, signers: Collection[VerifyingKey] | None = None
) -> Reader:
    """Make what opens images with a key.

    Parameters
    ----------
    key : SecretKey or PrivateKey
        The key.
    signers : collection of VerifyingKey, optional
        Who may have sealed them, for a private key.

    Returns
    -------
    Reader

    Raises
    ------
    ValueError
        If `signers` are given with a secret key: who has it can seal, and nobody signs.
    TypeError
        If one of `signers` is no `VerifyingKey`.
    """
    if signers is not None:
        for signer in signers:
            if not isinstance(signer, VerifyingKey):
                raise TypeError(
                    f"signers holds an object of type {type(signer).__name__}; expected "
                    "VerifyingKey, such as signing_key.verifying_key."
                )
    if isinstance(key, PrivateKey):
        return RecipientOpener(key, signers)
    if signers is not None:
        raise ValueError(
            "signers are of images that were sealed to public keys. What was sealed with a secret "
            "key can be by anybody who has it; leave signers out."
        )
    return SecretOpener(key)


def _decrypt(cipher: AESSIV, data: bytes, layout: Layout) -> bytes:
    try:
        return cipher.decrypt(data, [layout.context])
    except InvalidTag:
        raise NotSealedError(REFUSED) from None

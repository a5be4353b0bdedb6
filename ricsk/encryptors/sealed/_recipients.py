"""Sealing images for recipients: a fresh content key for each, wrapped to every public key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk._secrets import show_object
from ricsk.encryptors.sealed._layout import (
    CONTENT_KEY_BYTES,
    HEAD_BYTES,
    INFO,
    MAX_RECIPIENTS,
    TAG_BYTES,
    VERSION,
    ContentKey,
    Layout,
)
from ricsk.encryptors.sealed._message import pack_message
from ricsk.images import ImageShape
from ricsk.keys import PublicKey, SecretKey, SigningKey, UnusableKey, fresh_bytes

__all__ = ["RecipientSealer", "Recipients", "check_recipients"]


class Recipients:
    """For whom images are sealed, and who signs them.

    Parameters
    ----------
    public_keys : tuple of PublicKey
        What `check_recipients` returned.
    signing_key : SigningKey, optional
        Without it, nobody can tell who sealed an image.
    """

    def __init__(
        self, public_keys: tuple[PublicKey, ...], signing_key: SigningKey | None = None
    ) -> None:
        self.public_keys, self.signing_key = public_keys, signing_key
        self._layouts: dict[tuple[ImageShape, int], Layout] = {}

    @property
    def overhead(self) -> int:
        """Bytes of a sealed image besides the compressed one."""
        return self._get_layout((1, 1, 1), 1).overhead

    def make_sealer(self, shape: ImageShape, bit_planes: int) -> RecipientSealer:
        """Draw a content key, and make what seals one image with it.

        Parameters
        ----------
        shape : (int, int, int)
            Height, width and channels of the ciphertext.
        bit_planes : int
            How many low planes to write, from 1 to 7.

        Returns
        -------
        RecipientSealer
        """
        layout, raw = self._get_layout(shape, bit_planes), fresh_bytes(CONTENT_KEY_BYTES)
        slots = b"".join(key.wrap(raw + layout.head, INFO) for key in self.public_keys)
        return RecipientSealer(layout, SecretKey(raw), slots, self.signing_key)

    def _get_layout(self, shape: ImageShape, bit_planes: int) -> Layout:
        if (shape, bit_planes) not in self._layouts:
            slot_bytes = CONTENT_KEY_BYTES + HEAD_BYTES + self.public_keys[0].overhead
            self._layouts[shape, bit_planes] = Layout(
                shape, bit_planes, len(self.public_keys), self.signing_key is not None, slot_bytes
            )
        return self._layouts[shape, bit_planes]


class RecipientSealer:
    """Writes one compressed image into low bit planes, under a content key of its own.

    Parameters
    ----------
    layout : Layout
        Where things lie.
    content_key : SecretKey
        Used for this image alone.
    slots : bytes
        The content key, encrypted for all recipients.
    signing_key : SigningKey, optional
        Signs the ciphertext.
    """

    def __init__(
        self,
        layout: Layout,
        content_key: SecretKey,
        slots: bytes,
        signing_key: SigningKey | None,
    ) -> None:
        self.content_key = content_key
        self._layout, self._slots, self._signing_key = layout, slots, signing_key
        self._content = ContentKey(content_key)

    def encrypt(self, codec: str, data: bytes, nonce: bytes, scale: int = 1) -> bytes:
        """Encrypt a compressed image, to as many bytes as are left for it.

        Parameters
        ----------
        codec, data, nonce, scale
            As for `Sealer.encrypt`.

        Returns
        -------
        bytes

        Raises
        ------
        TooLargeError
            If the image does not fit.
        """
        layout = self._layout
        message = pack_message(VERSION, codec, data, nonce, scale, layout.room)
        return self._content.cipher.encrypt(message, [layout.context])

    def embed(self, body: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write slots and body into the low planes of an image; tag and signature are cleared.

        Parameters
        ----------
        body : bytes
            What `encrypt` returned.
        pixels : ndarray of shape (height, width, channels), uint8
            It gives the other bits.

        Returns
        -------
        ndarray of that shape, uint8
        """
        layout = self._layout
        cleared = bytes(layout.body_start - layout.signature_start)
        return layout.planes.write(pixels, bytes(TAG_BYTES) + self._slots + cleared + body)

    def sign(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write signature and tag of a ciphertext into their places.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, channels), uint8
            A finished ciphertext but for these.

        Returns
        -------
        ndarray of that shape, uint8
        """
        layout = self._layout
        if self._signing_key is not None:
            signature = self._signing_key.sign(layout.list_signed(pixels))
            signed = self._signing_key.verifying_key.raw + signature
            encrypted = self._content.signature_cipher.encrypt(signed, [layout.context])
            pixels = layout.planes.write(pixels, encrypted, layout.signature_start)
        tag = self._content.compute_tag(layout.list_tagged(pixels))
        return layout.planes.write(pixels, tag)


def check_recipients(recipients: Any) -> tuple[PublicKey, ...]:
    """Refuse what cannot be sealed to.

    Parameters
    ----------
    recipients : iterable of PublicKey
        One to sixteen, all of one kind.

    Returns
    -------
    tuple of PublicKey

    Raises
    ------
    TypeError
        If one is no public key.
    ValueError
        If there is none, or too many, or one twice; or if they are of different kinds.
    """
    if isinstance(recipients, UnusableKey):
        raise recipients.make_fault()
    if isinstance(recipients, PublicKey) or not isinstance(recipients, Iterable):
        raise TypeError(
            f"recipients is {show_object(recipients)}; expected a list of PublicKey, such as "
            "[private_key.public_key]."
        )
    keys = tuple(recipients)
    for key in keys:
        if not isinstance(key, PublicKey):
            raise TypeError(
                f"recipients holds an object of type {type(key).__name__}; expected PublicKey. "
                "Read texts and files of public keys with PublicKey.from_text and "
                "PublicKey.from_file."
            )
    if not 1 <= len(set(keys)) == len(keys) <= MAX_RECIPIENTS:
        raise ValueError(
            f"recipients has {len(keys)} keys, {len(set(keys))} of them different; expected 1 to "
            f"{MAX_RECIPIENTS}, each once."
        )
    kinds = sorted({key.kind for key in keys})
    if len(kinds) > 1:
        raise ValueError(
            f"recipients has keys of the kinds {' and '.join(kinds)}. Together they would protect "
            "as little as the weaker one. Take keys of one kind."
        )
    return keys

"""With what images are sealed: a secret key, or the public keys of recipients."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ricsk.encryptors.sealed._format import Subkeys
from ricsk.encryptors.sealed._recipients import Recipients, check_recipients
from ricsk.images import ImageShape
from ricsk.keys import PublicKey, SecretKey, SigningKey

__all__ = ["ImageSealer", "Sealing", "make_sealing"]


class ImageSealer(Protocol):
    """Seals one image."""

    @property
    def content_key(self) -> SecretKey:
        """The key of the image."""

    def encrypt(self, codec: str, data: bytes, nonce: bytes, scale: int = 1) -> bytes:
        """Encrypt a compressed image to what `embed` writes."""

    def embed(self, body: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write what `encrypt` returned into the low planes of an image."""

    def sign(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write the tag of a ciphertext, and the signature, if there is one."""


class Sealing(Protocol):
    """Makes what seals images."""

    @property
    def overhead(self) -> int:
        """Bytes of a sealed image besides the compressed one."""

    def make_sealer(self, shape: ImageShape, bit_planes: int) -> ImageSealer:
        """Make what seals one image of a shape into so many bit planes."""


def make_sealing(
    key: SecretKey | bytes | str | PathLike[str] | None,
    recipients: Iterable[PublicKey] | None,
    signing_key: SigningKey | str | PathLike[str] | None = None,
) -> Sealing:
    """Choose with what to seal.

    Parameters
    ----------
    key : SecretKey, bytes or path, optional
        One key that also opens.
    recipients : iterable of PublicKey, optional
        For whom to seal, in the place of a key.
    signing_key : SigningKey or path, optional
        Who seals, for recipients.

    Returns
    -------
    Sealing

    Raises
    ------
    ValueError, TypeError
        If there is not either a key or recipients, or they are none; or if there is a signing key
        without recipients.
    """
    if (key is None) == (recipients is None):
        given = "neither" if key is None else "both"
        del key
        raise ValueError(
            f"{given} key and recipients are given. Give key, one secret key that seals and opens, "
            "or recipients, a list of public keys."
        )
    if recipients is None:
        if signing_key is not None:
            raise ValueError(
                "signing_key signs what is sealed for recipients. Whoever has the secret key can "
                "make what it made; leave signing_key out, or give recipients."
            )
        return Subkeys(SecretKey.coerce(key))
    signer = None if signing_key is None else SigningKey.coerce(signing_key)
    return Recipients(check_recipients(recipients), signer)

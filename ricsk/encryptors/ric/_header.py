"""What a ciphertext says of how it was made: a header in its lowest bits.

The header has 16 bytes: a nonce of 12, then four that are XORed with the first four bytes of the
keystream ``ric/header``: the number of the label in two bytes, little-endian; the version of the
format, and 128 more if the image was encoded; and the first byte of the SHA-256 of the label's
template. It is written by matrix embedding
(`embed`) at places in the order of a permutation from the keystream ``ric/places``. The context of
``ric/places`` is that of the settings, which the nonce follows in all other streams.

There is no authentication: a ciphertext that was changed, or another key, gives some other header,
and then some other image. The version, which is then another in 127 of 128 cases, tells.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ricsk.encryptors.ric._embedding import embed, extract, fits
from ricsk.images import ImageShape
from ricsk.keys import SecretKey

__all__ = [
    "HEADER_BYTES",
    "NONCE_BYTES",
    "VERSION",
    "Header",
    "Recipe",
    "find_scale",
    "fingerprint",
]

VERSION = 2
"""Version of the format, in every header."""

NONCE_BYTES = 12
"""Bytes of the nonce."""

HEADER_BYTES = NONCE_BYTES + 4
"""How many bytes a ciphertext carries. Each of their bits needs a value of its own."""

# Labels have two bytes.
_MAX_CLASSES = 1 << 16
_CODED = 128


@dataclass(frozen=True)
class Recipe:
    """What some ciphertexts are made of, but for the key and the image.

    Parameters
    ----------
    nonces : list of bytes
        What the pads are drawn for.
    labels : ndarray of shape (n,), int64
        The classes of the templates: positions in the classifier's `classes_`.
    fingerprints : ndarray of shape (n,), int64
        A byte of each template; see `fingerprint`.
    coded : ndarray of shape (n,), bool
        Whether the image was encoded; see `Mixing.prepare`.
    known : ndarray of shape (n,), bool
        Whether this is a header of this format and key. Where it is not, the rest means nothing.
    """

    nonces: list[bytes]
    labels: NDArray[np.int64]
    fingerprints: NDArray[np.int64]
    coded: NDArray[np.bool_]
    known: NDArray[np.bool_]


def find_scale(shape: ImageShape) -> int:
    """Find how many times higher and wider images must be to hold a header.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels of the images.

    Returns
    -------
    int
        1 for all that have 128 values.
    """
    scale = 1
    while not fits(int(np.prod(shape)) * scale**2, HEADER_BYTES):
        scale += 1
    return scale


def fingerprint(templates: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return a byte of each template that tells it from others of its class, mostly.

    Parameters
    ----------
    templates : ndarray of shape (n, height, width, channels), uint8
        Templates.

    Returns
    -------
    ndarray of shape (n,), int64
        From 0 to 255: the first byte of each template's SHA-256.
    """
    return np.array([hashlib.sha256(one.tobytes()).digest()[0] for one in templates], np.int64)


class Header:
    """The nonce, the label and what tells its template, in the lowest bits of ciphertexts.

    Parameters
    ----------
    key : SecretKey
        The key.
    settings : bytes
        All that changes the scheme, as `ricsk.keys.encode_context` encodes it.
    image_shape : (int, int, int)
        Height, width and channels.
    n_classes : int
        How many classes there are.

    Raises
    ------
    ValueError
        If there are more classes than a header can tell apart.
    """

    def __init__(
        self, key: SecretKey, settings: bytes, image_shape: ImageShape, n_classes: int
    ) -> None:
        if n_classes > _MAX_CLASSES:
            raise ValueError(
                f"the classifier has {n_classes} classes, but a ciphertext tells at most "
                f"{_MAX_CLASSES} apart. Use a classifier with fewer."
            )
        self.key = key
        self.settings = settings
        self.n_classes = n_classes
        places = key.keystream("ric/places", settings).permutation(int(np.prod(image_shape)))
        self.places = places.astype(np.uint32) if len(places) < 1 << 32 else places

    def derive_nonce(
        self, image: NDArray[np.int16], template: NDArray[np.uint8], label: int, attempt: int
    ) -> bytes:
        """Derive the nonce of an image, as in SIV modes: a keyed hash of all that a pad is for.

        So there is no state to keep and no randomness to draw, and equal images have equal
        ciphertexts.

        Parameters
        ----------
        image : ndarray of shape (height, width, channels), int16
            The image, as `Mixing.prepare` made it.
        template : ndarray of the same shape, uint8
            The mask that it will be mixed with.
        label : int
            Its label, as a position in the classifier's `classes_`.
        attempt : int
            How many nonces were tried before.

        Returns
        -------
        bytes
        """
        digest = hashlib.sha256(struct.pack("<II", attempt, label))
        # The hash keeps what the key derivation reads short.
        for pixels in (template, image.astype("<u2")):
            digest.update(pixels.tobytes())
        return self.key.derive("ric/nonce", self.settings + digest.digest(), NONCE_BYTES)

    def write(
        self,
        exact: NDArray[np.float64],
        nonces: Sequence[bytes],
        labels: NDArray[np.int64],
        templates: NDArray[np.uint8],
        coded: NDArray[np.bool_],
    ) -> NDArray[np.uint8]:
        """Round images to 8 bits so that they carry their headers.

        Parameters
        ----------
        exact : ndarray of shape (n, height, width, channels), float64
            Levels on 0..255, before rounding.
        nonces, labels, coded
            See `Recipe`.
        templates : ndarray of the same shape as `exact`, uint8
            What the images were mixed with.

        Returns
        -------
        ndarray of the same shape, uint8
        """
        told = np.empty((len(exact), 4), np.uint8)
        told[:, :2] = labels.astype("<u2").view(np.uint8).reshape(-1, 2)
        told[:, 2], told[:, 3] = VERSION + _CODED * coded, fingerprint(templates)
        clear = np.stack([np.frombuffer(nonce, np.uint8) for nonce in nonces])
        header = np.concatenate([clear, told ^ self._draw_covers(nonces)], axis=1)
        return embed(exact.reshape(len(exact), -1), header, self.places).reshape(exact.shape)

    def read(self, levels: NDArray[np.uint8]) -> Recipe:
        """Read what `write` wrote; under another key, anything.

        Parameters
        ----------
        levels : ndarray of shape (n, height, width, channels), uint8
            Ciphertexts.

        Returns
        -------
        Recipe
        """
        header = extract(levels.reshape(len(levels), -1), HEADER_BYTES, self.places)
        nonces = [row.tobytes() for row in header[:, :NONCE_BYTES]]
        told = header[:, NONCE_BYTES:] ^ self._draw_covers(nonces)
        labels = told[:, 0] + 256 * told[:, 1].astype(np.int64)
        known = (told[:, 2] % _CODED == VERSION) & (labels < self.n_classes)
        return Recipe(nonces, labels, told[:, 3].astype(np.int64), told[:, 2] >= _CODED, known)

    def _draw_covers(self, nonces: Sequence[bytes]) -> NDArray[np.uint8]:
        streams = (self.key.keystream("ric/header", self.settings + nonce) for nonce in nonces)
        return np.stack([stream.uint8(4) for stream in streams])

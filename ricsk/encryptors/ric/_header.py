"""What a ciphertext says of how its mask was made: a header in its lowest bits, or nothing.

The header has 16 bytes: a nonce of 12, then the number of the label and the number of passes of the
search, two bytes each, little-endian, XORed with the first four bytes of the keystream
``ric/header`` of that nonce. It is written by matrix embedding (`embed`) at places in the order of
a permutation from the keystream ``ric/places``, whose context is height, width and channels in four
bytes each. There is no checksum: a ciphertext that was changed, or the wrong key, gives some other
header, and then some other image.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ricsk.encryptors.ric._embedding import embed, extract, fits
from ricsk.images import ImageShape
from ricsk.keys import SecretKey

__all__ = ["FIXED_NONCE", "HEADER_BYTES", "Header", "NoHeader", "Recipe", "has_room"]

_NONCE_BYTES = 12
# Labels and passes have two bytes.
_MAX_CLASSES = 1 << 16

HEADER_BYTES = _NONCE_BYTES + 4
"""How many bytes a ciphertext carries. Each of their bits needs a value of its own."""

FIXED_NONCE = bytes(_NONCE_BYTES)
"""The nonce of all images, where there is one mask for each class."""


@dataclass(frozen=True)
class Recipe:
    """What the masks of some ciphertexts are made of, but for the key.

    Parameters
    ----------
    nonces : list of bytes
        What the noise is drawn for.
    labels : ndarray of shape (n,), int64
        What the masks are read as: positions in the classifier's `classes_`.
    passes : ndarray of shape (n,), int64
        How many passes through the classifier the search took; 0 if there was none.
    """

    nonces: list[bytes]
    labels: NDArray[np.int64]
    passes: NDArray[np.int64]


def has_room(shape: ImageShape) -> bool:
    """Say whether images are large enough for a header.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels of the images.

    Returns
    -------
    bool
    """
    return fits(int(np.prod(shape)), HEADER_BYTES)


class Header:
    """Nonces that are derived from the images, and travel in the lowest bits of ciphertexts.

    As in SIV modes of encryption the nonce is a keyed hash of all that a mask must not be shared
    between. So there is no state to keep and no randomness to draw, and equal images have equal
    ciphertexts.

    Parameters
    ----------
    key : SecretKey
        The key.
    image_shape : (int, int, int)
        Height, width and channels.
    alpha : float
        The weight of the mask: two mixtures of one image and one mask, with two weights, would give
        the image away.
    n_classes : int
        How many classes there are.
    max_passes : int
        The largest number of passes that a search takes.

    Raises
    ------
    ValueError
        If there are more classes than a header can tell apart.
    """

    def __init__(
        self,
        key: SecretKey,
        image_shape: ImageShape,
        alpha: float,
        n_classes: int,
        max_passes: int,
    ) -> None:
        if n_classes > _MAX_CLASSES:
            raise ValueError(
                f"the classifier has {n_classes} classes, but a ciphertext tells at most "
                f"{_MAX_CLASSES} apart. Use nonce='fixed', one mask for all images of a class."
            )
        self.key = key
        self.alpha = alpha
        self.n_classes = n_classes
        self.max_passes = max_passes
        stream = key.keystream("ric/places", np.array(image_shape, "<u4").tobytes())
        self.places = stream.permutation(int(np.prod(image_shape)))

    def make_nonces(
        self, levels: NDArray[np.uint8], labels: NDArray[np.int64], attempt: int
    ) -> list[bytes]:
        """Derive the nonces of images.

        Parameters
        ----------
        levels : ndarray of shape (n, height, width, channels), uint8
            The images.
        labels : ndarray of shape (n,), int64
            Their labels, as positions in the classifier's `classes_`.
        attempt : int
            How many nonces were tried before.

        Returns
        -------
        list of bytes
        """
        return [self._derive(*pair, attempt) for pair in zip(levels, labels, strict=True)]

    def write(self, exact: NDArray[np.float64], recipe: Recipe) -> NDArray[np.uint8]:
        """Round images to 8 bits so that they carry what their masks are made of.

        Parameters
        ----------
        exact : ndarray of shape (n, height, width, channels), float64
            Levels on 0..255, before rounding.
        recipe : Recipe
            What to write.

        Returns
        -------
        ndarray of the same shape, uint8
        """
        numbers = np.stack([recipe.labels, recipe.passes], axis=1).astype("<u2").view(np.uint8)
        clear = np.stack([np.frombuffer(nonce, np.uint8) for nonce in recipe.nonces])
        header = np.concatenate([clear, numbers ^ self._draw_masks(recipe.nonces)], axis=1)
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
        nonces = [row.tobytes() for row in header[:, :_NONCE_BYTES]]
        numbers = np.ascontiguousarray(header[:, _NONCE_BYTES:]) ^ self._draw_masks(nonces)
        labels, passes = numbers.view("<u2").astype(np.int64).T
        # Under a wrong key the numbers mean nothing: keep them from naming a class that does not
        # exist, and from asking for more work than any ciphertext does.
        passes = np.where(passes <= self.max_passes, passes, 0)
        return Recipe(nonces, labels % self.n_classes, passes)

    def _derive(self, image: NDArray[np.uint8], label: np.int64, attempt: int) -> bytes:
        context = struct.pack("<4sIHd", b"ric1", attempt, label, self.alpha)
        context += np.array(image.shape, "<u4").tobytes() + image.tobytes()
        # The hash keeps what the key derivation reads short.
        digest = hashlib.sha256(context).digest()
        return self.key.derive("ric/nonce", digest, _NONCE_BYTES)

    def _draw_masks(self, nonces: list[bytes]) -> NDArray[np.uint8]:
        return np.stack([self.key.keystream("ric/header", nonce).uint8(4) for nonce in nonces])


class NoHeader:
    """One nonce for all images, as published: nothing has to travel, as the label says the mask.

    Parameters
    ----------
    passes : ndarray of shape (n_classes,), int64
        How many passes the search for each class's mask took.
    predict : callable
        From ciphertexts to what the classifier reads them as: positions in its `classes_`.
    """

    def __init__(
        self,
        passes: NDArray[np.int64],
        predict: Callable[[NDArray[np.uint8]], NDArray[np.int64]],
    ) -> None:
        self.passes = passes
        self.predict = predict

    def make_nonces(
        self, levels: NDArray[np.uint8], labels: NDArray[np.int64], attempt: int
    ) -> list[bytes]:
        """Repeat the nonce; see `Header.make_nonces`."""
        return len(levels) * [FIXED_NONCE]

    def write(self, exact: NDArray[np.float64], recipe: Recipe) -> NDArray[np.uint8]:
        """Round images to 8 bits; see `Header.write`."""
        return np.rint(exact).astype(np.uint8)

    def read(self, levels: NDArray[np.uint8]) -> Recipe:
        """Ask the classifier for the labels; see `Header.read`."""
        labels = self.predict(levels)
        return Recipe(len(levels) * [FIXED_NONCE], labels, self.passes[labels])

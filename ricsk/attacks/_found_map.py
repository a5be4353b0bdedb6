"""A permutation with masks, read off pairs of images and ciphertexts."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["FoundMap"]


class FoundMap(NamedTuple):
    r"""Where each unit of an image is found in its ciphertext, as far as the pairs show.

    If unit j of the ciphertext is unit i of the image XOR a mask, then over any number of pairs
    :math:`c_j^{(k)} \oplus c_j^{(0)} = x_i^{(k)} \oplus x_i^{(0)}`, whatever the mask is: so equal
    series identify a unit, and the mask follows.

    Parameters
    ----------
    places : ndarray of int, shape (n_units,)
        The unit of the ciphertext for each unit of the image; -1 where there is none.
    masks : ndarray of uint8, shape (n_units,)
        What it is XORed with.
    ambiguous : ndarray of bool, shape (n_units,)
        Where another unit of the image has the same series, so that the place is a guess.
    nibbles : bool
        Whether the units are nibbles, ordered as in `ricsk.pixelmap.PixelMap`, or bytes.
    """

    places: NDArray[np.intp]
    masks: NDArray[np.uint8]
    ambiguous: NDArray[np.bool_]
    nibbles: bool

    @classmethod
    def of(cls, images: NDArray[np.uint8], ciphertexts: NDArray[np.uint8]) -> Self:
        """Find the map of bytes, or that of nibbles if more bytes are found so.

        Parameters
        ----------
        images, ciphertexts : ndarray of uint8, shape (n_samples, ...)
            Pairs.

        Returns
        -------
        FoundMap

        Examples
        --------
        >>> import numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (5, 3), np.uint8)
        >>> FoundMap.of(images, images[:, [1, 2, 0]] ^ np.uint8(255)).places.tolist()
        [2, 0, 1]
        """
        whole = cls._match(images, ciphertexts, nibbles=False)
        if whole.found.all():
            return whole
        return max(
            whole, cls._match(images, ciphertexts, nibbles=True), key=lambda m: m.found.sum()
        )

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whether each byte of the image is found, in an array."""
        return np.logical_and.reduce(self._group_by_byte(self.places >= 0))

    @property
    def n_ambiguous(self) -> int:
        """Number of bytes of the image whose place is a guess."""
        return int((self._group_by_byte(self.ambiguous).any(axis=0) & self.found).sum())

    def undo(self, ciphertexts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Read images off ciphertexts.

        Parameters
        ----------
        ciphertexts : ndarray of uint8, shape (n_samples, ...)
            Of the size that the map was found for.

        Returns
        -------
        ndarray of uint8, shape (n_samples, n_bytes)
            Bytes that are not `found` mean nothing.
        """
        units = _split_units(ciphertexts, self.nibbles)[:, self.places] ^ self.masks
        if not self.nibbles:
            return units
        low, high = np.split(units, 2, axis=1)
        return high << 4 | low

    def _group_by_byte(self, units: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return units.reshape(2 if self.nibbles else 1, -1)

    @classmethod
    def _match(
        cls, images: NDArray[np.uint8], ciphertexts: NDArray[np.uint8], nibbles: bool
    ) -> Self:
        plain, cipher = _split_units(images, nibbles), _split_units(ciphertexts, nibbles)
        n_plain = plain.shape[1]
        series = np.concatenate([plain ^ plain[:1], cipher ^ cipher[:1]], axis=1)
        rows = np.ascontiguousarray(series.T).view(f"V{len(series)}").ravel()
        _, group = np.unique(rows, return_inverse=True)
        plain_group, cipher_group = group[:n_plain], group[n_plain:]
        n_groups = group.max() + 1
        # Where several units of the ciphertext have one series, any of them is as good a guess.
        place_of = np.full(n_groups, -1, np.intp)
        place_of[cipher_group] = np.arange(len(cipher_group))
        places = place_of[plain_group]
        n_alike = np.bincount(plain_group, minlength=n_groups)
        masks = plain[0] ^ cipher[0, places]
        return cls(places, masks, n_alike[plain_group] > 1, nibbles)


def _split_units(images: NDArray[np.uint8], nibbles: bool) -> NDArray[np.uint8]:
    flat = images.reshape(len(images), -1)
    return np.concatenate([flat & 15, flat >> 4], axis=1) if nibbles else flat

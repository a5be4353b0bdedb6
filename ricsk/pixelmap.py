"""The one primitive under all perceptual encryptions: permute an image's units, then XOR a mask.

EtC, PE, LE, ELE and block scrambling differ only in the permutation and the mask that they draw
from the key. A `PixelMap` holds both for one image shape and applies them to any number of images.
Maps form a group: they compose with ``@`` and have an inverse.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.images import ValueRange

__all__ = ["PixelMap"]

# Enough images at a time to hide the cost of a NumPy call, few enough to stay in the cache.
_CHUNK_BYTES = 1 << 19
# The nibbles of this many images share one 64-bit word, so that one gather moves all of them.
_LANES = 8
_LOW_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_FOUR = np.uint64(4)


class PixelMap:
    """A gather of bytes or nibbles followed by XOR with a mask, the same for every image.

    With the units of an image flattened to ``v``, the image becomes ``v[index] ^ mask``.

    Parameters
    ----------
    index : array-like of int, shape (n_units,)
        Where each unit of the result comes from. Units are the bytes of an image in (row, column,
        channel) order, or its nibbles: all low nibbles in that order, then all high ones. A map
        that repeats units is allowed, and has no inverse.
    mask : array-like of int, shape (n_units,)
        What each unit of the result is XORed with: 0..255 for bytes, 0..15 for nibbles.
    nibbles : bool, default=False
        Whether the units are nibbles.

    Raises
    ------
    ValueError
        If index and mask have different or impossible shapes, or values out of range.

    Examples
    --------
    >>> import numpy as np
    >>> swap_and_negate = PixelMap([1, 0], [255, 255])
    >>> image = np.array([[10, 20]], dtype=np.uint8)
    >>> swap_and_negate(image)
    array([[235, 245]], dtype=uint8)
    >>> swap_and_negate.inverse()(swap_and_negate(image))
    array([[10, 20]], dtype=uint8)
    """

    def __init__(self, index: ArrayLike, mask: ArrayLike, *, nibbles: bool = False) -> None:
        self.index: NDArray[np.intp] = np.asarray(index, dtype=np.intp)
        wide = np.asarray(mask)
        size = self.index.size
        if self.index.ndim != 1 or wide.shape != self.index.shape or size == 0:
            raise ValueError(
                f"index has shape {self.index.shape} and mask {wide.shape}; expected two "
                "one-dimensional arrays of the same length, at least 1."
            )
        if nibbles and size % 2:
            raise ValueError(f"{size} nibbles do not fill whole bytes; expected an even number.")
        if self.index.min() < 0 or self.index.max() >= size:
            raise ValueError(f"index has values outside of 0..{size - 1}.")
        top = 15 if nibbles else 255
        if wide.min() < 0 or wide.max() > top:
            raise ValueError(f"mask has values outside of 0..{top}.")
        self.mask: NDArray[np.uint8] = wide.astype(np.uint8)
        self.nibbles = nibbles

    @classmethod
    def identity(cls, n_units: int, *, nibbles: bool = False) -> PixelMap:
        """Make the map that changes nothing.

        Parameters
        ----------
        n_units : int
            How many bytes or nibbles an image has.
        nibbles : bool, default=False
            Whether the units are nibbles.

        Returns
        -------
        PixelMap
        """
        return cls(np.arange(n_units), np.zeros(n_units, np.uint8), nibbles=nibbles)

    def __repr__(self) -> str:
        # Index and mask are as good as the key.
        return f"PixelMap(<{self.index.size} {'nibbles' if self.nibbles else 'bytes'}>)"

    @property
    def n_bytes(self) -> int:
        """Number of bytes of the images that the map is made for."""
        return self.index.size // 2 if self.nibbles else self.index.size

    @property
    def is_bijective(self) -> bool:
        """Whether every unit of the image is still there, so that the map has an inverse."""
        return bool(np.bincount(self.index, minlength=self.index.size).all())

    @property
    def only_negates(self) -> bool:
        """Whether the map moves whole bytes and its mask keeps or negates them, nothing else.

        Such a map is defined for floating-point pixels too.
        """
        return not self.nibbles and bool(np.isin(self.mask, (0, 255)).all())

    def inverse(self) -> PixelMap:
        """Make the map that undoes this one.

        Returns
        -------
        PixelMap

        Raises
        ------
        ValueError
            If this map loses units.
        """
        if not self.is_bijective:
            raise ValueError("this map repeats some units and drops others: nothing can undo it.")
        index = np.argsort(self.index)
        return PixelMap(index, self.mask[index], nibbles=self.nibbles)

    def __matmul__(self, first: PixelMap) -> PixelMap:
        """Make the map that does `first`, then this one."""
        if (self.nibbles, self.index.size) != (first.nibbles, first.index.size):
            raise ValueError(f"{self!r} cannot follow {first!r}: they have different units.")
        return PixelMap(
            first.index[self.index],
            first.mask[self.index] ^ self.mask,
            nibbles=self.nibbles,
        )

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Apply the map to uint8 images.

        Parameters
        ----------
        images : ndarray of uint8, shape (n_samples, ...)
            With `n_bytes` bytes each.

        Returns
        -------
        ndarray of uint8
            Of the same shape. Beyond it, memory of about 2 MiB, or of a few images if one of them
            is larger, is used however many images there are.

        Raises
        ------
        ValueError
            If the images have another number of bytes.
        TypeError
            If they are not uint8.
        """
        if images.dtype != np.uint8:
            raise TypeError(f"images have dtype {images.dtype}; expected uint8.")
        flat = self._flatten(images)
        result = np.empty_like(flat, order="C")
        (self._map_nibbles if self.nibbles else self._map_bytes)(flat, result)
        return result.reshape(images.shape)

    def on_floats(self, images: NDArray[Any], low: float, high: float) -> NDArray[Any]:
        """Apply a map that `only_negates` to floating-point images, without rounding to 8 bits.

        Of the 256 levels from `low` to `high`, level k becomes level 255 - k exactly; any other
        value v becomes ``low + high - v``, which undoes itself up to one rounding.

        Parameters
        ----------
        images : ndarray of float, shape (n_samples, ...)
            With `n_bytes` pixel values each.
        low, high : float
            The values of black and white.

        Returns
        -------
        ndarray of the same shape and dtype

        Raises
        ------
        ValueError
            If the map does more than moving and negating, or the images have another size.
        """
        if not self.only_negates:
            raise ValueError("this map works on 8-bit values; round the images to uint8 first.")
        result = np.take(self._flatten(images), self.index, axis=1)
        negated = np.flatnonzero(self.mask)
        step = self._n_per_chunk(result.itemsize)
        for start in range(0, len(result), step):
            chunk = result[start : start + step]
            chunk[:, negated] = _negate(np.take(chunk, negated, axis=1), low, high)
        return result.reshape(images.shape)

    def _flatten(self, images: NDArray[Any]) -> NDArray[Any]:
        if images.ndim < 2 or math.prod(images.shape[1:]) != self.n_bytes:
            raise ValueError(
                f"images have shape {images.shape}; expected images with {self.n_bytes} pixel "
                "values, as many as the map was made for."
            )
        return images.reshape(len(images), self.n_bytes)

    def _n_per_chunk(self, itemsize: int) -> int:
        return max(1, _CHUNK_BYTES // (self.n_bytes * itemsize))

    def _map_bytes(self, flat: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
        step = self._n_per_chunk(1)
        for start in range(0, len(flat), step):
            chunk = result[start : start + step]
            # The index was checked once; mode "raise" would check it again, through a copy.
            np.take(flat[start : start + step], self.index, axis=1, out=chunk, mode="clip")
            chunk ^= self.mask

    def _map_nibbles(self, flat: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
        n_bytes = self.n_bytes
        mask = self.mask[:n_bytes] | (self.mask[n_bytes:] << 4)
        wide_mask = mask.astype(np.uint64) * np.uint64(0x0101010101010101)
        groups = max(1, _CHUNK_BYTES // (4 * _LANES * n_bytes))
        # Each word holds the same byte of eight images, side by side with its nibbles swapped, so
        # that the nibble wanted next can be had in the half of the byte where it is wanted.
        words = np.zeros((groups, 2 * n_bytes), np.uint64)
        gathered = np.empty_like(words)
        plain, swapped = words[:, :n_bytes], words[:, n_bytes:]
        low, high = gathered[:, :n_bytes], gathered[:, n_bytes:]
        in_lanes = _view_lanes(words)[..., :n_bytes]
        out_lanes = _view_lanes(gathered)[..., :n_bytes]
        index = self.index.copy()
        index[n_bytes:] = (index[n_bytes:] + n_bytes) % (2 * n_bytes)
        step = groups * _LANES
        for start in range(0, len(flat), step):
            chunk = flat[start : start + step]
            full, rest = divmod(len(chunk), _LANES)
            in_lanes[:full] = chunk[: full * _LANES].reshape(full, _LANES, n_bytes)
            if rest:
                in_lanes[full, :rest] = chunk[full * _LANES :]
            np.right_shift(plain, _FOUR, out=swapped)
            swapped &= _LOW_NIBBLES
            np.bitwise_and(plain, _LOW_NIBBLES, out=low)
            low <<= _FOUR
            swapped |= low
            np.take(words, index, axis=1, out=gathered, mode="clip")
            low &= _LOW_NIBBLES
            high &= ~_LOW_NIBBLES
            low |= high
            low ^= wide_mask
            done = result[start : start + step]
            done[: full * _LANES].reshape(full, _LANES, n_bytes)[:] = out_lanes[:full]
            if rest:
                done[full * _LANES :] = out_lanes[full, :rest]


def _negate(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    levels = ValueRange(low, high).from_uint8(np.arange(256, dtype=np.uint8), values.dtype)
    wide = values.astype(np.result_type(values, np.float64))
    nearest = np.rint((wide - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    negated = (low + high - wide).astype(values.dtype)
    return np.where(values == levels[nearest], levels[255 - nearest], negated)


def _view_lanes(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """View (groups, n) words as (groups, lane, n) bytes."""
    return words.view(np.uint8).reshape(len(words), -1, _LANES).transpose(0, 2, 1)

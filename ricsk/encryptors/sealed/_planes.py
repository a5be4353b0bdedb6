"""Bytes in the low bit planes of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ricsk.images import ImageShape

__all__ = ["BitPlanes"]


class BitPlanes:
    """Reads and writes bytes in low bit planes, the lowest first, each in the order of the values.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels.
    bit_planes : int
        How many low planes, from 1 to 7.
    """

    def __init__(self, shape: ImageShape, bit_planes: int) -> None:
        self.shape, self.bit_planes = shape, bit_planes
        self.n_values = int(np.prod(shape))
        self.n_bytes = self.n_values * bit_planes // 8

    def read(self, pixels: NDArray[np.uint8]) -> bytes:
        """Read all bytes.

        Parameters
        ----------
        pixels : ndarray of shape `shape`, uint8
            The image.

        Returns
        -------
        bytes
        """
        flat, bits = pixels.reshape(-1), np.empty(8 * self.n_bytes, np.bool_)
        for plane in range(self.bit_planes):
            part = bits[plane * self.n_values :][: self.n_values]
            part[:] = flat[: len(part)] & (1 << plane)
        return np.packbits(bits).tobytes()

    def write(self, pixels: NDArray[np.uint8], data: bytes, start: int = 0) -> NDArray[np.uint8]:
        """Write bytes, as many as there is room for.

        Parameters
        ----------
        pixels : ndarray of shape `shape`, uint8
            It gives the other bits.
        data : bytes
            What to write.
        start : int
            Behind how many bytes.

        Returns
        -------
        ndarray of that shape, uint8
        """
        packed, before, n_values = np.frombuffer(data, np.uint8), 8 * start, self.n_values
        end = before + 8 * len(data)
        result = pixels.copy()
        flat = result.reshape(-1)
        for plane in range(before // n_values, min(self.bit_planes, -(-end // n_values))):
            low = max(before, plane * n_values)
            high = min(end, (plane + 1) * n_values)
            # Bits of the data that this plane holds; unpacked by planes, to bound the memory.
            first, last = low - before, high - before
            part = np.unpackbits(packed[first // 8 : -(-last // 8)])[first % 8 :][: last - first]
            places = flat[low - plane * n_values : high - plane * n_values]
            places &= 255 ^ (1 << plane)
            places |= part << plane
        return result

    def mask(self, *parts: tuple[int, int]) -> NDArray[np.uint8]:
        """Make an image that keeps all bits but those of some bytes, under a bitwise "and".

        Parameters
        ----------
        *parts : (int, int)
            Where bytes begin, and how many they are.

        Returns
        -------
        ndarray of shape `shape`, uint8
        """
        kept = np.full(self.shape, 255, np.uint8)
        for start, length in parts:
            kept = self.write(kept, bytes(length), start)
        return kept

"""What a search answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Neighbors"]


@dataclass(frozen=True)
class Neighbors:
    """The nearest images of each image that was asked about, the nearest first.

    Parameters
    ----------
    ids : ndarray of shape (n, k)
        Whole numbers or texts.
    distances : ndarray of shape (n, k), float32
        Cosine distances of features: 0 for the same direction, 1 at a right angle, 2 at most.
    images : list of list of ndarray of shape (height, width, channels), uint8
        ``images[i][j]`` has the id ``ids[i, j]``.
    """

    ids: NDArray[Any]
    distances: NDArray[np.float32]
    images: list[list[NDArray[np.uint8]]]

    def __len__(self) -> int:
        return len(self.ids)

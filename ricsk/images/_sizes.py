"""Lists of images of different sizes, and which image of a list is meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk.images._batch import ImageShape
from ricsk.images._foreign import list_items

__all__ = ["SizeGroup", "find_positions", "group_by_size", "naming", "numbered", "restore_order"]

_POSITIONS: ContextVar[NDArray[np.int64] | None] = ContextVar("positions", default=None)


@dataclass(frozen=True)
class SizeGroup:
    """The images of a list that have one shape.

    Parameters
    ----------
    positions : ndarray of shape (n,), int64
        Their places in the list.
    images : ndarray of shape (n, height, width) or (n, height, width, channels)
        The images.
    """

    positions: NDArray[np.int64]
    images: NDArray[Any]


def group_by_size(X: Any, fitted: ImageShape | None = None) -> list[SizeGroup] | None:
    """Sort the images of a list by their shape, if they are no batch of the fitted shape.

    Parameters
    ----------
    X : object
        What was given as images.
    fitted : (int, int, int), optional
        Height, width and channels of images that are no exception. By default it is enough that
        all images have the same shape.

    Returns
    -------
    list of SizeGroup, or None
        In the order in which shapes first come. None if `X` is anything else than a list, tuple,
        array of objects or column of images, or if all of these have the same and fitted shape.

    Raises
    ------
    ValueError
        If the images have different dtypes.

    Examples
    --------
    >>> import numpy as np
    >>> wide, tall = np.zeros((2, 3, 1), np.uint8), np.ones((3, 2, 1), np.uint8)
    >>> [group.positions.tolist() for group in group_by_size([wide, tall, wide])]
    [[0, 2], [1]]
    """
    items = list_items(X)
    if items is None or not all(item.ndim in (2, 3) for item in items):
        return None
    shapes = [item.shape for item in items]
    known = fitted is None or _add_channel(shapes[0]) == fitted
    if known and len(set(shapes)) == 1:
        return None
    odd = next((i for i, item in enumerate(items) if item.dtype != items[0].dtype), None)
    if odd is not None:
        raise ValueError(
            f"X[0] has dtype {items[0].dtype} and X[{odd}] {items[odd].dtype}; expected images of "
            "one dtype. Convert them to one, on the same scale."
        )
    groups = []
    for shape in dict.fromkeys(shapes):
        positions = np.flatnonzero([shape == other for other in shapes])
        groups.append(SizeGroup(positions, np.stack([items[i] for i in positions])))
    return groups


def restore_order(
    positions: Sequence[NDArray[np.int64]], images: Sequence[NDArray[Any]]
) -> list[NDArray[Any]]:
    """Put images of several shapes into the order of the list that they came in.

    Parameters
    ----------
    positions : sequence of ndarray of shape (n,), int64
        For each group, the places of its images.
    images : sequence of ndarray
        For each group, its images.

    Returns
    -------
    list of ndarray

    Examples
    --------
    >>> import numpy as np
    >>> wide, tall = np.zeros((2, 2, 3)), np.zeros((1, 3, 2))
    >>> [image.shape for image in restore_order([[0, 2], [1]], [wide, tall])]
    [(2, 3), (3, 2), (2, 3)]
    """
    result: list[Any] = [None] * sum(map(len, positions))
    for places, group in zip(positions, images, strict=True):
        for place, image in zip(places, group, strict=True):
            result[place] = image
    return result


@contextmanager
def naming(position: int, name: str = "X") -> Iterator[None]:
    """Say which image of a list an error is about.

    Parameters
    ----------
    position : int
        Its place.
    name : str
        What the list is called.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}[{position}]: {error}") from error


@contextmanager
def numbered(positions: NDArray[np.int64]) -> Iterator[None]:
    """Let errors and warnings name the images of a batch by their places in a list.

    Parameters
    ----------
    positions : ndarray of shape (n,), int64
        The place of each image of the batch.

    Examples
    --------
    >>> import numpy as np
    >>> with numbered(np.array([4, 7])):
    ...     find_positions([1])
    [7]
    """
    token = _POSITIONS.set(positions)
    try:
        yield
    finally:
        _POSITIONS.reset(token)


def find_positions(which: Sequence[int] | NDArray[Any]) -> list[int]:
    """Say where the user finds images of a batch: there, or in the list that it is part of.

    Parameters
    ----------
    which : sequence of int
        Places in the batch.

    Returns
    -------
    list of int
    """
    positions = _POSITIONS.get()
    return [int(i if positions is None else positions[i]) for i in which]


def _add_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, 1) if len(shape) == 2 else shape

"""Values whose weighted sums are known but for their signs: phase retrieval with one matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

__all__ = ["join_signs", "retrieve"]

_STARTS, _ROUNDS = 20, 100


def retrieve(
    weights: NDArray[np.float64], magnitudes: NDArray[np.float64], rng: np.random.RandomState
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Find x with :math:`|A x| = y` for each pixel, up to its sign.

    Signs of A x are guessed, x is solved for by least squares, and signs are read off it, over and
    over; from several starts, of which the best is kept for each pixel.

    Parameters
    ----------
    weights : ndarray of shape (n_encodings, n_images)
        The matrix A, the same for all pixels.
    magnitudes : ndarray of shape (n_encodings, n_pixels)
        The y of each pixel.
    rng : RandomState
        Decides on the starts.

    Returns
    -------
    values : ndarray of shape (n_images, n_pixels)
        From -1 to 1.
    residuals : ndarray of shape (n_pixels,)
        Mean squared errors.
    """
    inverse = np.linalg.pinv(weights)
    shape = weights.shape[1], magnitudes.shape[1]
    best, least = np.zeros(shape), np.full(shape[1], np.inf)
    for _ in range(_STARTS):
        x = rng.uniform(-1, 1, shape)
        for _ in range(_ROUNDS):
            x = (inverse @ np.copysign(magnitudes, weights @ x)).clip(-1, 1)
        residuals = ((np.abs(weights @ x) - magnitudes) ** 2).mean(axis=0)
        better = residuals < least
        best[:, better], least[better] = x[:, better], residuals[better]
    return best, least


def join_signs(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Choose the sign of each pixel, for all images together, so that neighbours agree.

    A pixel and its negative explain encodings equally well. Neighbours, and channels, are alike in
    most images, so signs are carried along the tree of the strongest likenesses. One sign of all
    images together is left open.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels)
        Values around zero.

    Returns
    -------
    ndarray of the same shape
    """
    shape = images.shape[1:]
    columns = images.reshape(len(images), -1)
    lengths = np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
    first, second = (np.concatenate(part) for part in zip(*_find_neighbours(shape), strict=True))
    likeness = (columns[:, first] * columns[:, second]).sum(axis=0)
    likeness /= lengths[first] * lengths[second]
    n = columns.shape[1]
    # A distance of zero would be no edge.
    tree = minimum_spanning_tree(coo_array((2 - np.abs(likeness), (first, second)), (n, n)))
    order, parents = breadth_first_order(tree, 0, directed=False)
    signs = np.ones(n)
    for pixel in order[1:]:
        parent = parents[pixel]
        alike = columns[:, pixel] @ columns[:, parent] >= 0
        signs[pixel] = signs[parent] if alike else -signs[parent]
    return (columns * signs).reshape(images.shape)


def _find_neighbours(
    shape: tuple[int, ...],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    places = np.arange(np.prod(shape)).reshape(shape)
    for axis in range(3):
        before, after = np.arange(shape[axis] - 1), np.arange(1, shape[axis])
        yield places.take(before, axis).ravel(), places.take(after, axis).ravel()

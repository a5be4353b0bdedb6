"""How far noise is correlated with the image that it stands for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.metrics import correlation

__all__ = ["NoiseCorrelation", "noise_correlation"]


class NoiseCorrelation(NamedTuple):
    """Correlations of each noise image; near 0 where it looks like noise.

    Parameters
    ----------
    image : ndarray of shape (n,)
        With the image that it stands for.
    class_mean : ndarray of shape (n,)
        With the mean of all images of the same label.
    """

    image: NDArray[np.float64]
    class_mean: NDArray[np.float64]


def noise_correlation(
    pixels: NDArray[np.uint8], X: NDArray[np.uint8], labels: ArrayLike
) -> NoiseCorrelation:
    r"""Compute how noise-like images correlate with the images and classes that they stand for.

    Pearson's correlation of all values of an image. For independent noise it has the mean 0 and
    the standard deviation :math:`1/\sqrt{hwc - 1}`.

    Parameters
    ----------
    pixels : ndarray of shape (n, height, width, channels)
        Noise-like images.
    X : ndarray of shape (n, height, width, channels)
        The images that they stand for.
    labels : array-like of shape (n,)
        The labels of the images.

    Returns
    -------
    NoiseCorrelation
        From -1 to 1. An image without any contrast has the correlation 0.

    Raises
    ------
    ValueError
        If the shapes differ.

    See Also
    --------
    ricsk.metrics.noise_likeness_score : A score of encryptors, near 1 where nothing shows.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    >>> noise_correlation(255 - X, X, labels=[0, 1, 2, 3]).image
    array([-1., -1., -1., -1.])
    """
    labels = np.asarray(labels)
    if pixels.shape != X.shape or labels.shape != X.shape[:1]:
        raise ValueError(
            f"pixels have the shape {pixels.shape}, X {X.shape}, labels {labels.shape}; expected "
            "as many of each, and images of one shape."
        )
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    flat = X.reshape(len(X), -1).astype(np.float64)
    means = np.zeros((len(counts), flat.shape[1]))
    np.add.at(means, index, flat)
    noise = pixels.reshape(len(X), -1)
    return NoiseCorrelation(
        correlation(flat, noise), correlation((means / counts[:, None])[index], noise)
    )

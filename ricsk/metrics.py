"""How close two images are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.images import ValueRange, check_images

__all__ = ["psnr"]


def psnr(X_true: ArrayLike, X: ArrayLike) -> NDArray[np.float64]:
    r"""Compute the peak signal-to-noise ratio of each image.

    :math:`10 \log_{10} (255^2 / \mathrm{MSE})` for uint8 images, the same with a peak of 1 for
    floats on [0, 1].

    Parameters
    ----------
    X_true, X : array-like
        Images of the same shape, ``(n_samples, height, width, channels)``, ``(n_samples, height,
        width)`` or flattened.

    Returns
    -------
    ndarray of shape (n_samples,)
        Decibels; infinite where two images are equal.

    Raises
    ------
    ValueError
        If the shapes differ, or floats leave [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> plain = np.zeros((2, 8, 8, 3), np.uint8)
    >>> psnr(plain, plain + np.array([0, 16], np.uint8)[:, None, None, None]).round(2)
    array([  inf, 24.05])
    """
    true, other = (_on_unit_range(images) for images in (X_true, X))
    if true.shape != other.shape:
        raise ValueError(f"images of shapes {true.shape} and {other.shape} cannot be compared.")
    error = np.mean((true - other) ** 2, axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(error)


def _on_unit_range(X: ArrayLike) -> NDArray[np.float64]:
    pixels = check_images(X).pixels
    ValueRange(0.0, 1.0).check(pixels)
    return pixels / 255 if pixels.dtype == np.uint8 else pixels.astype(np.float64)

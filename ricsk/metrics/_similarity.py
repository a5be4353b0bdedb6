"""How close two images are, value by value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk.images import (
    ImageBatch,
    ImageShape,
    ImagesLike,
    ValueRange,
    as_table,
    check_images,
    describe,
)
from ricsk.nn import from_pixels, to_tensor

__all__ = [
    "UNIT_RANGE",
    "correlation",
    "decibels",
    "psnr",
    "read_pair",
    "scale",
    "ssim",
]

UNIT_RANGE = ValueRange(0.0, 1.0)
_SSIM_WINDOW = 11
_CHUNK_VALUES = 1 << 16


def psnr(X_true: ImagesLike, X: ImagesLike) -> NDArray[np.float64]:
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
    true, other = read_pair(X_true, X)
    for pixels in (true, other):
        UNIT_RANGE.check(pixels)
    return decibels(true, other, UNIT_RANGE)


def ssim(X_true: ImagesLike, X: ImagesLike) -> NDArray[np.float64]:
    r"""Compute the structural similarity of each image.

    The mean, over all channels and all places where the window lies inside the image, of

    .. math::

        \frac{(2 \mu_x \mu_y + 0.01^2)(2 \sigma_{xy} + 0.03^2)}
             {(\mu_x^2 + \mu_y^2 + 0.01^2)(\sigma_x^2 + \sigma_y^2 + 0.03^2)}

    on images scaled to [0, 1], in a Gaussian window of 11 × 11 pixels with a standard deviation of
    1.5 [1]_. It is computed in float64.

    Parameters
    ----------
    X_true, X : array-like
        Images of the same shape, ``(n_samples, height, width, channels)`` or ``(n_samples, height,
        width)``, of at least 11 × 11 pixels.

    Returns
    -------
    ndarray of shape (n_samples,)
        From -1 to 1; 1 where two images are equal.

    Raises
    ------
    ValueError
        If the shapes differ, the images are smaller than the window, or floats leave [0, 1].

    References
    ----------
    .. [1] Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality assessment: from
       error visibility to structural similarity", IEEE Transactions on Image Processing 13(4),
       2004.

    Examples
    --------
    >>> import numpy as np
    >>> plain = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    >>> ssim(plain, plain // 2).round(2)
    array([0.64, 0.64])
    >>> ssim(plain, plain)
    array([1., 1.])
    """
    # Imported here because it takes half a second, which nothing else of the package needs.
    from kornia.metrics import ssim as ssim_map

    true, other = read_pair(X_true, X)
    n_samples, height, width, channels = true.shape
    if min(height, width) < _SSIM_WINDOW:
        raise ValueError(
            f"images of {describe((height, width, channels))} are smaller than the window of "
            f"{_SSIM_WINDOW}×{_SSIM_WINDOW} pixels. Use larger images, unflattened: (n_samples, "
            "height, width, channels)."
        )
    for pixels in (true, other):
        UNIT_RANGE.check(pixels)
    size = max(1, _CHUNK_VALUES // (height * width * channels))
    result = np.empty(n_samples)
    for start in range(0, n_samples, size):
        chunk = slice(start, start + size)
        x, y = (
            from_pixels(to_tensor(scale(pixels[chunk], UNIT_RANGE))) for pixels in (true, other)
        )
        # Without kornia's eps, which is not in the formula, and without the places at the border.
        values = ssim_map(x, y, _SSIM_WINDOW, eps=0.0, padding="valid")
        result[chunk] = values.mean(dim=(1, 2, 3)).numpy()
    return result


def correlation(X_true: ImagesLike, X: ImagesLike) -> NDArray[np.float64]:
    r"""Compute Pearson's correlation of each image with its counterpart, over all its values.

    With independent noise it has the mean 0 and the standard deviation :math:`1/\sqrt{hwc - 1}`.

    Parameters
    ----------
    X_true, X : array-like
        Images of the same shape, ``(n_samples, height, width, channels)``, ``(n_samples, height,
        width)`` or flattened, on any range.

    Returns
    -------
    ndarray of shape (n_samples,)
        From -1 to 1; 0 for an image without any contrast.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> plain = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    >>> correlation(plain, 255 - plain)
    array([-1., -1.])
    """
    a, b = (pixels.reshape(len(pixels), -1).astype(np.float64) for pixels in read_pair(X_true, X))
    # An image of one level is its own mean only up to rounding.
    flat = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    a, b = (values - values.mean(axis=1, keepdims=True) for values in (a, b))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(flat, 0, (a * b).sum(axis=1) / np.where(flat, 1, norms))


def read_pair(
    X_true: ImagesLike, X: ImagesLike, image_shape: ImageShape | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read two batches that are to be compared, as (n_samples, height, width, channels)."""
    true, other = (_read(images, image_shape) for images in (X_true, X))
    if true.shape != other.shape:
        raise ValueError(f"images of shapes {true.shape} and {other.shape} cannot be compared.")
    return true, other


def _read(images: ImagesLike, image_shape: tuple[int, ...] | None) -> NDArray[Any]:
    if isinstance(images, ImageBatch):
        return images.pixels
    table = as_table(images)
    if image_shape is None and len(table.shape) == 2:
        image_shape = (1, table.shape[1])  # where pixels lie does not matter to a mean over them
    return check_images(table, image_shape=image_shape).pixels


def scale(pixels: NDArray[Any], values: ValueRange) -> NDArray[np.float64]:
    """Scale uint8 by 255, and floats on a range of values, to [0, 1]."""
    if pixels.dtype == np.uint8:
        return pixels / 255
    return (pixels.astype(np.float64) - values.low) / (values.high - values.low)


def decibels(true: NDArray[Any], other: NDArray[Any], values: ValueRange) -> NDArray[np.float64]:
    """Compute the peak signal-to-noise ratio of each image on any range of values."""
    error = np.mean((scale(true, values) - scale(other, values)) ** 2, axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(error)

"""The images that come with scikit-learn."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils import check_scalar

from ricsk.codecs import crop_and_resize
from ricsk.datasets._size import check_size

__all__ = ["load_digits", "load_photos"]


def load_digits(size: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load scikit-learn's handwritten digits, enlarged.

    Parameters
    ----------
    size : int
        Height and width in pixels; the originals have 8.

    Returns
    -------
    X : ndarray of shape (1797, size, size, 1), uint8
        The images, grey on 0..255, white ink on black. They are enlarged bicubically.
    y : ndarray of shape (1797,), int64
        The digits, 0 to 9.

    Raises
    ------
    TypeError, ValueError
        If `size` is not a positive integer.

    See Also
    --------
    sklearn.datasets.load_digits : The source, with values 0 to 16.

    Examples
    --------
    >>> X, y = load_digits(size=16)
    >>> X.shape, y.shape
    ((1797, 16, 16, 1), (1797,))
    """
    size = check_scalar(size, "size", Integral, min_val=1)
    digits = sklearn.datasets.load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    X = np.stack([np.asarray(Image.fromarray(image).resize((size, size))) for image in pixels])
    return X[..., np.newaxis], digits.target.astype(np.int64)


def load_photos(size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Load scikit-learn's two colour photographs, of a temple in China and of a flower.

    Parameters
    ----------
    size : (int, int), optional
        Height and width in pixels. The photographs are cropped around the middle to this aspect
        and resized. By default they stay as they are, and 427 rows are not a multiple of 8 or 16:
        give a size for a block-wise encryption.

    Returns
    -------
    X : ndarray of shape (2, 427, 640, 3), or of the `size` given, uint8
        The images, RGB on 0..255.

    Raises
    ------
    ValueError
        If `size` is not two positive integers, or is of more than `ricsk.codecs.MAX_PIXELS`.

    See Also
    --------
    sklearn.datasets.load_sample_images : The source.

    Examples
    --------
    >>> load_photos().shape
    (2, 427, 640, 3)
    >>> load_photos(size=(64, 96)).shape
    (2, 64, 96, 3)
    """
    check_size(size)
    photos = sklearn.datasets.load_sample_images().images
    return np.stack([crop_and_resize(photo, size) for photo in photos])

"""Images cut and scaled to one size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

__all__ = ["crop_and_resize", "fit_to_shape"]


def crop_and_resize(image: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Crop one image around its middle to the aspect of `size`, and scale it to that size.

    Parameters
    ----------
    image : ndarray of shape (height, width, 1 or 3), uint8
        The image.
    size : (int, int) or None
        Height and width; with None the image is returned as it is.

    Returns
    -------
    ndarray of shape (height, width, 1 or 3), uint8
        The image, resampled by Lanczos' filter.

    Examples
    --------
    >>> import numpy as np
    >>> crop_and_resize(np.zeros((30, 40, 3), np.uint8), (16, 16)).shape
    (16, 16, 3)
    """
    if size is None:
        return image
    grey = image.shape[2] == 1
    whole = Image.fromarray(image[..., 0] if grey else image)
    resized = np.asarray(ImageOps.fit(whole, size[::-1], Image.Resampling.LANCZOS))
    return resized[..., np.newaxis] if grey else resized


def fit_to_shape(image: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Crop and scale one image, and make it grey or colour, as a shape asks for.

    Parameters
    ----------
    image : ndarray of shape (height, width, 1 or 3), uint8
        The image.
    shape : (int, int, int)
        Height, width and channels of the result.

    Returns
    -------
    ndarray of that shape, uint8
        As `crop_and_resize` makes it; grey is the luma of ITU-R BT.601.

    Examples
    --------
    >>> import numpy as np
    >>> fit_to_shape(np.full((30, 40, 1), 7, np.uint8), (2, 2, 3))[0, 0]
    array([7, 7, 7], dtype=uint8)
    """
    height, width, channels = shape
    resized = crop_and_resize(image, (height, width))
    if channels == 3 and resized.shape[2] == 1:
        return resized.repeat(3, axis=2)
    if channels == 1 and resized.shape[2] == 3:
        # As Pillow and torchvision do it.
        grey = resized @ np.array([299, 587, 114]) / 1000
        return np.rint(grey).astype(np.uint8)[..., np.newaxis]
    return resized

"""Images cut and scaled to one size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

__all__ = ["crop_and_resize"]


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

"""Images cut and scaled to one size."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ricsk._secrets import show_value
from ricsk.codecs import MAX_PIXELS

__all__ = ["check_size", "crop_and_resize"]


def check_size(size: tuple[int, int] | None) -> None:
    """Raise ValueError unless `size` is (height, width), of at most MAX_PIXELS, or None."""
    if size is None:
        return
    if (
        not isinstance(size, tuple)
        or len(size) != 2
        or not all(
            isinstance(side, Integral) and not isinstance(side, bool) and side > 0 for side in size
        )
    ):
        raise ValueError(
            f"size={show_value(size)}: expected a tuple (height, width) of two positive integers, "
            "or None to leave the images as they are."
        )
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"size={show_value(size)}: expected at most {MAX_PIXELS:,} pixels in all.")


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
    """
    if size is None:
        return image
    grey = image.shape[2] == 1
    whole = Image.fromarray(image[..., 0] if grey else image)
    resized = np.asarray(ImageOps.fit(whole, size[::-1], Image.Resampling.LANCZOS))
    return resized[..., np.newaxis] if grey else resized

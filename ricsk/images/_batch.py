"""A batch of images in the one form that the package computes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ImageBatch", "ImageForm", "ImageShape", "ImagesLike", "describe"]

ImageShape = tuple[int, int, int]
"""Height, width and channels of one image."""


@dataclass(frozen=True)
class ImageForm:
    """The form in which somebody has images: what is given must come back like it.

    Parameters
    ----------
    ndim : int
        How many dimensions the array has: 4, 3 (grey) or 2 (flattened).
    dtype : dtype
        Its dtype. Integers of any width hold 8-bit values.
    """

    ndim: int
    dtype: np.dtype[Any]

    def restore(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Bring (n_samples, height, width, channels) pixels into this form.

        Parameters
        ----------
        pixels : ndarray
            Their values are not scaled: uint8 for integers, floats of the right range otherwise.

        Returns
        -------
        ndarray
        """
        if self.ndim == 2:
            pixels = pixels.reshape(len(pixels), -1)
        elif self.ndim == 3 and pixels.shape[-1] == 1:
            pixels = pixels[..., 0]
        return pixels.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class ImageBatch:
    """Images in the one form that the package computes with, and the form they came in.

    Parameters
    ----------
    pixels : ndarray of shape (n_samples, height, width, channels)
        uint8 on 0..255, or floating point.
    ndim : int
        How many dimensions the array had that was given: 4, 3 (grey) or 2 (flattened).
    dtype : dtype
        Its dtype. Other integers than uint8 hold 8-bit values and are computed with as uint8.
    others : tuple of ImageBatch
        In `fit`: images of other sizes that came with these in a list.
    position : int
        The place of the first of them in that list.
    """

    pixels: NDArray[Any]
    ndim: int
    dtype: np.dtype[Any]
    others: tuple[ImageBatch, ...] = ()
    position: int = 0

    @property
    def shape(self) -> ImageShape:
        """Height, width and channels of each image."""
        _, height, width, channels = self.pixels.shape
        return height, width, channels

    @property
    def form(self) -> ImageForm:
        """The form that the images came in."""
        return ImageForm(self.ndim, self.dtype)


ImagesLike = ArrayLike | ImageBatch
"""An array that is to be read, or a batch that was read before and is not checked again."""


def describe(shape: ImageShape) -> str:
    """Say an image shape in words.

    Examples
    --------
    >>> describe((32, 48, 3))
    '32×48 pixels with 3 channels'
    """
    height, width, channels = shape
    return f"{height}×{width} pixels with {channels} channel{'s' if channels > 1 else ''}"

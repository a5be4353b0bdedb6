"""What a batch of images is: its shapes, dtypes and value ranges.

Every estimator of the package reads images through this module, so that all of them accept the
same things and refuse the same things with the same words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.utils import get_tags
from sklearn.utils.validation import check_array, validate_data

__all__ = [
    "ImageBatch",
    "ImageShape",
    "ValueRange",
    "check_images",
    "describe",
    "flattened_for",
    "validate_images",
    "with_image_shape",
]

ImageShape = tuple[int, int, int]
"""Height, width and channels of one image."""


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
    """

    pixels: NDArray[Any]
    ndim: int
    dtype: np.dtype[Any]

    @property
    def shape(self) -> ImageShape:
        """Height, width and channels of each image."""
        _, height, width, channels = self.pixels.shape
        return height, width, channels

    def restore(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Give `pixels` the number of dimensions and the dtype that the input had."""
        if self.ndim == 2:
            pixels = pixels.reshape(len(pixels), -1)
        elif self.ndim == 3 and pixels.shape[-1] == 1:
            pixels = pixels[..., 0]
        return pixels.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class ValueRange:
    """The interval of floating-point pixel values that stands for black to white.

    Parameters
    ----------
    low, high : float
        Black and white.
    learned : bool
        Whether the interval was read off the fitted images, because they did not lie in [0, 1].
        Later images may then leave it; an interval that was agreed on they may not leave.
    """

    low: float
    high: float
    learned: bool = False

    @classmethod
    def of(cls, pixels: NDArray[Any], value_range: tuple[float, float] | None) -> ValueRange:
        """Find the range of the images that an estimator is fitted on.

        Parameters
        ----------
        pixels : ndarray
            The images; uint8 images always run from 0 to 255 and stand for floats on [0, 1].
        value_range : (float, float) or None
            What the user asked for. None takes [0, 1] where the images lie in it, and their own
            smallest and largest value otherwise.

        Raises
        ------
        ValueError
            If `value_range` is not a pair of finite numbers, the smaller first, or if the images
            do not lie in it.

        Examples
        --------
        >>> import numpy as np
        >>> ValueRange.of(np.array([0.2, 0.9]), None)
        ValueRange(low=0.0, high=1.0, learned=False)
        >>> ValueRange.of(np.array([-3.0, 5.0]), None)
        ValueRange(low=-3.0, high=5.0, learned=True)
        """
        if value_range is not None:
            try:
                low, high = (float(value) for value in value_range)
            except (TypeError, ValueError):
                low = high = math.nan
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(
                    f"value_range={value_range!r} is not a pair (low, high) of finite numbers with "
                    "low < high. Give the values of black and white, or None for [0, 1]."
                )
            agreed = cls(low, high)
            agreed.check(pixels)
            return agreed
        if pixels.dtype == np.uint8:
            return cls(0.0, 1.0)
        low, high = float(pixels.min()), float(pixels.max())
        if low >= 0 and high <= 1:
            return cls(0.0, 1.0)
        return cls(low, high if high > low else low + 1.0, learned=True)

    def check(self, pixels: NDArray[Any]) -> None:
        """Refuse floating-point images that leave the range, beyond rounding errors.

        Raises
        ------
        ValueError
            With the values found and what to do about them.
        """
        if pixels.dtype == np.uint8:
            return
        slack = (self.high - self.low) * (1e-3 if pixels.dtype == np.float16 else 1e-6)
        low, high = float(pixels.min()), float(pixels.max())
        if low < self.low - slack or high > self.high + slack:
            raise ValueError(
                f"floating-point images have values from {low:g} to {high:g}, outside of the range "
                f"{self.low:g} to {self.high:g} that they were fitted with. Scale them to it, give "
                "the true range as value_range=(low, high), or pass 8-bit images as uint8."
            )

    def to_uint8(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Round floating-point images to the 256 levels of the range; uint8 passes unchanged."""
        if pixels.dtype == np.uint8:
            return pixels
        self.check(pixels)
        levels = (pixels.astype(np.float64) - self.low) * (255 / (self.high - self.low))
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)

    def from_uint8(self, pixels: NDArray[np.uint8], dtype: DTypeLike) -> NDArray[Any]:
        """Turn the 256 levels back into floating-point values; for uint8 nothing is to do."""
        if np.dtype(dtype) == np.uint8:
            return pixels
        levels = self.low + np.arange(256) * ((self.high - self.low) / 255)
        return levels.astype(dtype)[pixels]


def check_images(
    X: ArrayLike, *, image_shape: tuple[int, ...] | None = None, caller: str = "images"
) -> ImageBatch:
    """Read an array as a batch of images.

    Parameters
    ----------
    X : array-like
        ``(n_samples, height, width, channels)`` with 1 or 3 channels, ``(n_samples, height,
        width)`` for grey images, or ``(n_samples, n_features)`` for flattened ones. uint8, other
        integers on 0..255, or floats.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, channels)`` of the images that a 2-D `X` holds.
        Without it each row is read as an image that is one pixel high and grey.
    caller : str
        Who asks, for error messages.

    Returns
    -------
    ImageBatch

    Raises
    ------
    ValueError
        If `X` is no batch of images: wrong number of dimensions or channels, NaN, infinite, empty,
        or integers outside of 0..255.
    TypeError
        If its values are not numbers.

    Examples
    --------
    >>> import numpy as np
    >>> check_images(np.zeros((5, 192)), image_shape=(8, 8, 3)).shape
    (8, 8, 3)
    """
    try:
        array = check_array(X, allow_nd=True, ensure_2d=False, estimator=caller, input_name="X")
    except ValueError as error:
        raise _explained(error) from None
    return _to_batch(array, image_shape)


def validate_images(
    estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool
) -> ImageBatch | tuple[ImageBatch, NDArray[Any]]:
    """Read the `X` of an estimator's method, and keep or compare the shape that it was fitted on.

    Parameters
    ----------
    estimator : estimator
        Its `image_shape` parameter, if it has one, tells how to read a 2-D `X`.
    X : array-like
        See `check_images`.
    y : array-like, optional
        Targets to check and return with the images.
    reset : bool
        True in `fit`: sets `n_features_in_` (height × width × channels), `image_shape_in_` and, for
        a data frame, `feature_names_in_`. False later: compares with them.

    Returns
    -------
    ImageBatch, or (ImageBatch, ndarray) if `y` is given.

    Raises
    ------
    ValueError, TypeError
        As `check_images`, and if the images have another shape than the fitted ones.
    """
    name = type(estimator).__name__
    image_shape = getattr(estimator, "image_shape", None)
    try:
        # scikit-learn's own check knows flat samples alone: it would take the height of an image
        # for the number of features, so for images it is overruled (in fit) or not asked (later).
        if not hasattr(X, "ndim"):
            X = np.asarray(X)
        if reset or X.ndim < 3:
            checked = validate_data(estimator, X, y, reset=reset, allow_nd=True)
        else:
            checked = check_array(X, allow_nd=True, estimator=name, input_name="X")
    except ValueError as error:
        raise _explained(error) from None
    array, targets = checked if isinstance(checked, tuple) else (checked, None)
    if not reset and image_shape is None and array.ndim == 2:
        image_shape = estimator.image_shape_in_
    batch = _to_batch(array, image_shape)
    if reset:
        estimator.image_shape_in_ = batch.shape
        estimator.n_features_in_ = math.prod(batch.shape)
    elif batch.shape != estimator.image_shape_in_:
        raise ValueError(
            f"X holds images of {describe(batch.shape)}, but this {name} was fitted on images of "
            f"{describe(estimator.image_shape_in_)}. Resize the images, or fit on this size."
        )
    return batch if targets is None else (batch, targets)


def flattened_for(estimator: Any, images: NDArray[Any]) -> NDArray[Any]:
    """Flatten images for an estimator that takes flat samples only, by its scikit-learn tags.

    Parameters
    ----------
    estimator : estimator
        Who is to read the images.
    images : ndarray
        With two dimensions or more.

    Returns
    -------
    ndarray of shape (n_samples, n_features), or `images` as they are
    """
    if images.ndim > 2 and not get_tags(estimator).input_tags.three_d_array:
        return images.reshape(len(images), -1)
    return images


def with_image_shape(estimator: Any, image_shape: ImageShape) -> Any:
    """Tell an unfitted estimator how flattened images are shaped, if it asks and was not told.

    Parameters
    ----------
    estimator : estimator
        Its parameter `image_shape` is set, if it has one and it is None.
    image_shape : (int, int, int)
        Height, width and channels.

    Returns
    -------
    estimator
    """
    if estimator.get_params(deep=False).get("image_shape", image_shape) is None:
        estimator.set_params(image_shape=image_shape)
    return estimator


def describe(shape: ImageShape) -> str:
    """Say an image shape in words.

    Examples
    --------
    >>> describe((32, 48, 3))
    '32×48 pixels with 3 channels'
    """
    height, width, channels = shape
    return f"{height}×{width} pixels with {channels} channel{'s' if channels > 1 else ''}"


def _to_batch(array: NDArray[Any], image_shape: tuple[int, ...] | None) -> ImageBatch:
    pixels = _to_4d(array, image_shape)
    if 0 in pixels.shape:
        raise ValueError(f"X has shape {array.shape}: images need at least one pixel.")
    if pixels.dtype.kind in "iu" and pixels.dtype != np.uint8:
        low, high = int(pixels.min()), int(pixels.max())
        if low < 0 or high > 255:
            raise ValueError(
                f"integer images have values from {low} to {high}; expected 8-bit values, 0 to "
                "255. Scale them to that, or to floats on [0, 1]."
            )
        pixels = pixels.astype(np.uint8)
    elif pixels.dtype.kind not in "uf":
        raise TypeError(
            f"images have dtype {pixels.dtype}; expected uint8 on 0..255 or floats on [0, 1]."
        )
    return ImageBatch(pixels, array.ndim, array.dtype)


def _to_4d(array: NDArray[Any], image_shape: tuple[int, ...] | None) -> NDArray[Any]:
    if array.ndim == 3:
        return array[..., np.newaxis]
    if array.ndim == 4:
        if array.shape[-1] not in (1, 3):
            hint = (
                " They look channel-first: use numpy.moveaxis(X, 1, -1)."
                if array.shape[1] in (1, 3)
                else ""
            )
            raise ValueError(
                f"X has shape {array.shape}, so its images have {array.shape[-1]} channels; "
                f"expected 1 or 3 in the last place.{hint}"
            )
        return array
    if array.ndim != 2:
        raise ValueError(
            f"X has {array.ndim} dimension{'s' * (array.ndim != 1)}; expected images as (n_samples,"
            " height, width, channels), grey ones as (n_samples, height, width), or flattened ones "
            "as (n_samples, n_features). Reshape your data; for a single image use X[numpy.newaxis]"
        )
    shape = _full_shape(image_shape) if image_shape is not None else (1, array.shape[1], 1)
    if math.prod(shape) != array.shape[1]:
        raise ValueError(
            f"X has {array.shape[1]} features, but image_shape={image_shape} needs "
            f"{math.prod(shape)}. Give the (height, width, channels) of the flattened images."
        )
    return array.reshape(len(array), *shape)


def _full_shape(image_shape: tuple[int, ...]) -> ImageShape:
    shape = tuple(image_shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or any(side < 1 for side in shape) or shape[-1] not in (1, 3):
        raise ValueError(
            f"image_shape={image_shape!r}: expected (height, width) or (height, width, channels) "
            "with 1 or 3 channels."
        )
    return shape


def _explained(error: ValueError) -> ValueError:
    """Say in the words of images what numpy says of ragged arrays."""
    if "inhomogeneous" in str(error) or "setting an array element with a sequence" in str(error):
        return ValueError(
            "the images of X have different sizes or channel counts; expected one array of equal "
            "ones. Resize or crop them first, e.g. with ricsk.datasets.load_folder(path, size=...)."
        )
    return error

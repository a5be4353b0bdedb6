"""How an array is read as a batch of images, and what is said of what is not one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from ricsk._secrets import show_value
from ricsk.images._batch import ImageBatch, ImageShape, ImagesLike, describe
from ricsk.images._foreign import as_table, explain

__all__ = ["check_images", "validate_images"]

# Shorter rows are taken for a few measurements rather than for an image.
_MIN_FLATTENED = 64


def check_images(
    X: ImagesLike, *, image_shape: tuple[int, ...] | None = None, caller: str = "images"
) -> ImageBatch:
    """Read an array as a batch of images.

    Parameters
    ----------
    X : array-like
        ``(n_samples, height, width, channels)`` with 1 or 3 channels, ``(n_samples, height,
        width)`` for grey images, or ``(n_samples, n_features)`` for flattened ones. uint8, other
        integers on 0..255, or floats. A list, or a column of a table, that holds an array for each
        image is stacked. An `ImageBatch` was read before, and is returned as it is.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, channels)`` of the images that a 2-D `X` holds.
        Without it, rows of 64 features and more are read as square images, grey or with three
        channels, and shorter ones as images that are one pixel high and grey.
    caller : str
        Who asks, for error messages.

    Returns
    -------
    ImageBatch

    Raises
    ------
    ValueError
        If `X` is not a batch of images: wrong number of dimensions or channels, NaN, infinite,
        empty, integers outside of 0..255, or flattened images of a shape that must be told.
    TypeError
        If `X` does not hold numbers in an array: file names, a loader, a set.

    Examples
    --------
    >>> import numpy as np
    >>> check_images(np.zeros((5, 192))).shape
    (8, 8, 3)
    """
    if isinstance(X, ImageBatch):
        return X
    try:
        array = check_array(
            as_table(X), allow_nd=True, ensure_2d=False, estimator=caller, input_name="X"
        )
    except ValueError as error:
        raise explain(error) from None
    return _to_batch(array, image_shape)


def validate_images(
    estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool
) -> ImageBatch | tuple[ImageBatch, NDArray[Any]]:
    """Read the `X` of an estimator's method, and keep or compare the shape that it was fitted on.

    Parameters
    ----------
    estimator : estimator
        In `fit`, its `image_shape` parameter, if it has one, tells how to read a 2-D `X`; later the
        fitted shape does.
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
    X = as_table(X)
    if not reset:
        _refuse_single(X, estimator.image_shape_in_)
    try:
        # scikit-learn's own check knows flat samples alone: it would take the height of an image
        # for the number of features, so for images it is overruled (in fit) or not asked (later).
        if reset or len(X.shape) < 3:
            checked = validate_data(estimator, X, y, reset=reset, allow_nd=True)
        else:
            checked = check_array(X, allow_nd=True, estimator=name, input_name="X")
    except ValueError as error:
        raise explain(error) from None
    array, targets = checked if isinstance(checked, tuple) else (checked, None)
    image_shape = getattr(estimator, "image_shape", None) if reset else estimator.image_shape_in_
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


def _refuse_single(X: Any, fitted: ImageShape) -> None:
    """Recognize one image in the place of a batch."""
    if tuple(X.shape) in (fitted, fitted[:2]) and math.prod(X.shape) == math.prod(fitted):
        if len(X.shape) == 2 and X.shape[1] == math.prod(fitted):
            return  # one flattened image that is one pixel high: a batch of one
        raise ValueError(
            f"X has shape {tuple(X.shape)}: that is a single image; expected a batch. Use "
            "X[numpy.newaxis]."
        )


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
        if array.shape[-1] in (1, 3):
            raise ValueError(
                f"X has shape {array.shape}, which looks like a single image; expected a batch. "
                "Use X[numpy.newaxis]. Grey images that are so narrow need the channel in their "
                "shape: X[..., numpy.newaxis]."
            )
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
    n_features = array.shape[1]
    shape = _guess_shape(n_features) if image_shape is None else _full_shape(image_shape)
    if math.prod(shape) != array.shape[1]:
        raise ValueError(
            f"X has {array.shape[1]} features, but image_shape={image_shape} needs "
            f"{math.prod(shape)}. Give the (height, width, channels) of the flattened images."
        )
    return array.reshape(len(array), *shape)


def _guess_shape(n_features: int) -> ImageShape:
    """Find the square image, grey or with three channels, that a row of so many values holds."""
    if n_features < _MIN_FLATTENED:
        return 1, n_features, 1
    for channels in (1, 3):
        side = math.isqrt(n_features // channels)
        if side * side * channels == n_features:
            return side, side, channels
    raise ValueError(
        f"each row of X has {n_features} features, which make no square image, grey or with 3 "
        "channels. Say how the images are shaped: image_shape=(height, width) or (height, width, 3)"
    )


def _full_shape(image_shape: tuple[int, ...]) -> ImageShape:
    shape = tuple(image_shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or any(side < 1 for side in shape) or shape[-1] not in (1, 3):
        raise ValueError(
            f"image_shape={show_value(image_shape)}: expected (height, width) or (height, width, "
            "channels) with 1 or 3 channels."
        )
    return shape

"""Estimators that take flat samples, and what they have to be told of images."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.utils import get_tags

from ricsk._frozen import is_frozen
from ricsk.images._batch import ImageShape

__all__ = ["flattened_for", "with_image_shape"]


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
        Its parameter `image_shape` is set, if it has one and it is None. One that is frozen, and
        belongs to somebody else, stays as it is.
    image_shape : (int, int, int)
        Height, width and channels.

    Returns
    -------
    estimator
    """
    unknown = estimator.get_params(deep=False).get("image_shape", image_shape) is None
    if unknown and not is_frozen(estimator):
        estimator.set_params(image_shape=image_shape)
    return estimator

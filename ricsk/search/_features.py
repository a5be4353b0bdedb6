"""What a classifier reads in images, as vectors that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.images import as_table, flattened_for, group_by_size, restore_order

__all__ = ["check_features", "compute_features", "find_features", "to_images"]

Compute = Callable[[NDArray[np.uint8]], Any]


def find_features(classifier: Any) -> Compute:
    """Find what computes features: `features`, or, of a cloud half, `transform`.

    Raises
    ------
    TypeError
        If there is nothing of the kind.
    """
    if hasattr(classifier, "features"):
        return lambda images: classifier.features(flattened_for(classifier, images))
    if hasattr(classifier, "transform") and hasattr(classifier, "predict"):
        return classifier.transform
    raise TypeError(
        f"{type(classifier).__name__} has no features to search by; expected a network, such as a "
        "fitted CNNClassifier or PretrainedClassifier, or the CloudHalf of one."
    )


def to_images(C: Any) -> list[NDArray[np.uint8]]:
    """Read a batch, or a list of images of different sizes, as a list.

    Parameters
    ----------
    C : array-like of shape (n, height, width) or (n, height, width, channels), uint8
        Or a list of images.

    Returns
    -------
    list of ndarray

    Raises
    ------
    ValueError
        If it does not hold 8-bit images, grey or in colour.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.search import to_images
    >>> [image.shape for image in to_images(np.zeros((2, 4, 4, 3), np.uint8))]
    [(4, 4, 3), (4, 4, 3)]
    """
    images = [np.asarray(image) for image in (as_table(C) if group_by_size(C) is None else C)]
    if not images:
        raise ValueError("there is no image.")
    for i, image in enumerate(images):
        is_image = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
        if not is_image or 0 in image.shape or image.dtype != np.uint8:
            raise ValueError(
                f"image {i} has the shape {image.shape} and the dtype {image.dtype}; expected "
                "8-bit images, (height, width) or (height, width, 1 or 3)."
            )
    return images


def compute_features(compute: Compute, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Compute the features of images, which may be of different sizes: (n, n_features)."""
    groups = group_by_size(images)
    if groups is None:
        return check_features(compute(np.stack(images)))
    found = [check_features(compute(group.images)) for group in groups]
    return np.stack(restore_order([group.positions for group in groups], found))


def check_features(features: ArrayLike) -> NDArray[np.float32]:
    """Refuse what are no finite vectors.

    Raises
    ------
    ValueError
        With what they are.
    """
    vectors = np.asarray(features)
    if vectors.ndim != 2 or 0 in vectors.shape or vectors.dtype.kind not in "uif":
        raise ValueError(
            f"features have the shape {vectors.shape}; expected numbers, a row for each image."
        )
    with np.errstate(over="ignore"):
        vectors = vectors.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError("features are not finite.")
    return vectors

"""Whether a fitted classifier holds images that it was trained on.

They are found by what they are, and not by the name of a class:

- rows that are training images, up to brightness and contrast, in any dtype and layout;
- rows that are training images with each feature scaled and shifted, as `StandardScaler` does;
- a row for each training image, where rows are as far apart as the images are;
- rows that are pixels: 8-bit levels and nothing else, whatever images they are of.

What scikit-learn's estimators are known to keep of their samples is found by its name as well, for
it may come from steps that leave no likeness, or from another training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk.cloud._inventory import Inventory
from ricsk.images import ImageShape, ValueRange

__all__ = ["find_training_images"]

# Where scikit-learn keeps samples: neighbours, support vectors, Gaussian processes, kernel
# approximations, label propagation.
_SAMPLES = frozenset(
    {"X_", "X_fit_", "X_train_", "_fit_X", "_raw_data", "component_indices_", "support_vectors_"}
)
# The least values by which an image is recognized, rows by which a map of all of them is, and
# different levels by which an image is in bytes.
_MIN_VALUES, _MIN_ROWS, _MIN_LEVELS = 16, 8, 4
# As many are enough: rows and features of an array, images at a time, images whose distances are
# compared, images that are looked for in bytes, rounds of matching, and factors of enlargement.
_MAX_ROWS, _MAX_FEATURES, _MAX_IMAGES, _MAX_PAIRED, _MAX_NEEDLES = 128, 256, 2048, 200, 8
_MAX_MATCHINGS, _MAX_SCALE = 8, 8
# The correlation of one image with itself, the variance that a scale and shift explain, and the
# least correlation of distances.
_SAME, _EXPLAINED, _AS_FAR = 0.9999, 0.999, 0.5


def find_training_images(
    classifier: Any, images: NDArray[Any], value_range: ValueRange, *, exact: bool = False
) -> str | None:
    """Find images that a classifier was trained on among what it holds.

    Parameters
    ----------
    classifier : classifier
        Fitted.
    images : ndarray of shape (n_samples, height, width, channels)
        What it was trained on; or, if it was trained elsewhere, some images that it may have seen.
    value_range : ValueRange
        Black and white of floating-point images.
    exact : bool
        Whether to look for these very images and nothing else. Ciphertexts, which a classifier may
        keep, can be scaled images, and as far apart as these.

    Returns
    -------
    str or None
        Where images were found; None if none were.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.svm import SVC
    >>> from ricsk.cloud import find_training_images
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.images import ValueRange
    >>> X, y = load_digits(size=8)
    >>> X, y = X[:200] / 255, y[:200]
    >>> flat = X.reshape(200, -1)
    >>> find_training_images(SVC().fit(flat, y), X, ValueRange(0, 1))
    'SVC.support_vectors_'
    >>> find_training_images(LogisticRegression().fit(flat, y), X, ValueRange(0, 1)) is None
    True
    """
    inventory = Inventory(classifier)
    for owner in [] if exact else inventory.objects:
        for name in sorted(_SAMPLES & _attributes(owner).keys()):
            if np.size(_attributes(owner)[name]):
                return f"{type(owner).__name__}.{name}"
    single = [array.ravel() for array in inventory.arrays if array.size == images[0].size]
    for array in [*inventory.arrays, *([np.stack(single)] if single else [])]:
        if _holds_images(array, images, value_range, exact):
            return _name(array, inventory)
    needles = [_bytes_of(image, value_range) for image in _spread(images, _MAX_NEEDLES)]
    if any(form in buffer for buffer in inventory.buffers for forms in needles for form in forms):
        return "bytes in it"
    return None


def _name(array: NDArray[Any], inventory: Inventory) -> str:
    """Say whose array it is."""
    for owner in inventory.objects:
        for name, value in _attributes(owner).items():
            if value is array:
                return f"{type(owner).__name__}.{name}"
    return f"an array of shape {array.shape} in it"


def _attributes(value: Any) -> dict[str, Any]:
    return getattr(value, "__dict__", {})


def _holds_images(
    array: NDArray[Any], images: NDArray[Any], value_range: ValueRange, exact: bool
) -> bool:
    flat = images.reshape(len(images), -1)
    if flat.shape[1] < _MIN_VALUES:
        return False
    for rows in _as_rows(array, images.shape[1:]):
        rows = _spread(rows, _MAX_ROWS)
        if _are_same(rows, flat):
            return True
        if not exact and (_are_pixels(rows, value_range) or _are_scaled(rows, flat)):
            return True
    return not exact and _are_as_far_apart(array, flat)


def _as_rows(array: NDArray[Any], shape: ImageShape) -> Iterator[NDArray[Any]]:
    """Read an array as flattened images, in each layout that its size allows."""
    height, width, channels = shape
    n_values = height * width * channels
    if array.size % n_values:
        return
    yield array.reshape(-1, n_values)
    if array.ndim > 1 and array.shape[-1] != n_values:
        yield np.moveaxis(array, -1, 0).reshape(-1, n_values)
    if channels > 1:
        yield np.moveaxis(array.reshape(-1, channels, height, width), 1, -1).reshape(-1, n_values)
    for scale in range(2, _MAX_SCALE + 1):
        if array.size % (n_values * scale**2) == 0:
            enlarged = array.reshape(-1, height * scale, width * scale, channels)
            yield enlarged[:, ::scale, ::scale].reshape(-1, n_values)


def _are_same(rows: NDArray[Any], images: NDArray[Any]) -> bool:
    """Tell whether a row is an image or its negative, up to brightness and contrast."""
    rows = _normalize(rows)
    chunks = (images[i : i + _MAX_IMAGES] for i in range(0, len(images), _MAX_IMAGES))
    return any(bool((np.abs(rows @ _normalize(chunk).T) > _SAME).any()) for chunk in chunks)


def _normalize(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Subtract from each row its mean, and divide it by its length; what has no contrast is 0."""
    rows = np.nan_to_num(rows.astype(np.float32), posinf=0, neginf=0)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 1e-9, lengths, np.inf)
    return rows


def _are_pixels(rows: NDArray[Any], value_range: ValueRange) -> bool:
    """Tell whether rows hold 8-bit levels and nothing else, and not just black and white."""
    if rows.dtype == np.uint8:
        return len(np.unique(rows)) > 2
    whole = rows.dtype.kind != "f" or not np.isfinite(rows).all() or (rows == np.rint(rows)).all()
    if whole or rows.min() < value_range.low or rows.max() > value_range.high:
        return False
    return bool(value_range.are_levels(rows).all())


def _are_scaled(rows: NDArray[Any], images: NDArray[Any]) -> bool:
    """Tell whether rows are images whose features were scaled and shifted, each by its own.

    While the scales are not known, images are recognized by how far each value is from the mean of
    its feature, above or below. The scales and shifts that fit the matches make better matches.
    """
    features = _find_telling_features(rows)
    if len(rows) < _MIN_ROWS or len(features) < _MIN_VALUES:
        return False
    rows, images = _standardize(rows[:, features]), _standardize(images[:, features])
    for distinguish in (np.square, np.positive):
        guess, known = distinguish(rows), distinguish(images)
        for _ in range(_MAX_MATCHINGS):
            matched = images[_find_nearest(guess, known)]
            shift, power = matched.mean(axis=0), matched.var(axis=0)
            scale = (rows * (matched - shift)).mean(axis=0) / np.where(power > 0, power, 1)
            if (scale**2 * power).mean() > _EXPLAINED:
                return True
            guess, known = rows / np.where(np.abs(scale) > 0.1, scale, 1) + shift, images
    return False


def _find_telling_features(rows: NDArray[Any]) -> NDArray[np.intp]:
    """Find the features with the most different values, by which a few rows are told apart best."""
    n_values = (np.diff(np.sort(rows, axis=0), axis=0) != 0).sum(axis=0)
    best = np.argsort(-n_values, kind="stable")[:_MAX_FEATURES]
    return best[n_values[best] >= max(1, 0.7 * n_values.max())]


def _standardize(rows: NDArray[Any]) -> NDArray[np.float32]:
    rows = np.nan_to_num(rows.astype(np.float32), posinf=0, neginf=0)
    std = rows.std(axis=0)
    return (rows - rows.mean(axis=0)) / np.where(std > 0, std, 1)


def _find_nearest(rows: NDArray[Any], images: NDArray[Any]) -> NDArray[np.intp]:
    return ((images**2).sum(axis=1) - 2 * rows @ images.T).argmin(axis=1)


def _are_as_far_apart(array: NDArray[Any], images: NDArray[Any]) -> bool:
    """Tell whether there is a row for each image, and rows are as far apart as the images are."""
    n = len(images)
    if len(array) != n or array.size < 2 * n or n < _MIN_ROWS:
        return False
    places = _spread(np.arange(n), _MAX_PAIRED)
    pairs = np.triu_indices(len(places), 1)
    ours, theirs = (_distances(rows[places])[pairs] for rows in (array, images))
    if not np.isfinite(ours).all() or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return False
    # By chance, the correlation is of the order of 1 / √n.
    return bool(np.corrcoef(ours, theirs)[0, 1] > max(_AS_FAR, 4 / np.sqrt(n)))


def _distances(rows: NDArray[Any]) -> NDArray[np.float64]:
    rows = rows.reshape(len(rows), -1).astype(np.float64)
    squares = (rows**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0))


def _bytes_of(image: NDArray[Any], value_range: ValueRange) -> set[bytes]:
    """Write an image in each form that it may be kept in, but those that say too little."""
    levels = value_range.to_uint8(image)
    forms = [image, levels]
    forms += [form.astype(dtype) for form in (image, levels / 255) for dtype in ("<f4", "<f8")]
    return {form.tobytes() for form in forms if len(np.unique(form)) >= _MIN_LEVELS}


def _spread(rows: NDArray[Any], most: int) -> NDArray[Any]:
    """Take some rows, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // most))]

"""How close two images are, and what an encryption costs and hides."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score
from sklearn.pipeline import Pipeline
from torch import Tensor

from ricsk.images import ValueRange, check_images, describe

__all__ = [
    "accuracy_drop",
    "correlation",
    "encryption_scores",
    "noise_likeness_score",
    "prediction_agreement",
    "psnr",
    "recovery_psnr",
    "ssim",
]

_UNIT_RANGE = ValueRange(0.0, 1.0)
_SSIM_WINDOW = 11
_CHUNK_VALUES = 1 << 16
_EXACT_DECIBELS = 100.0


def psnr(X_true: ArrayLike, X: ArrayLike) -> NDArray[np.float64]:
    r"""Compute the peak signal-to-noise ratio of each image.

    :math:`10 \log_{10} (255^2 / \mathrm{MSE})` for uint8 images, the same with a peak of 1 for
    floats on [0, 1].

    Parameters
    ----------
    X_true, X : array-like
        Images of the same shape, ``(n_samples, height, width, channels)``, ``(n_samples, height,
        width)`` or flattened.

    Returns
    -------
    ndarray of shape (n_samples,)
        Decibels; infinite where two images are equal.

    Raises
    ------
    ValueError
        If the shapes differ, or floats leave [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> plain = np.zeros((2, 8, 8, 3), np.uint8)
    >>> psnr(plain, plain + np.array([0, 16], np.uint8)[:, None, None, None]).round(2)
    array([  inf, 24.05])
    """
    true, other = _pixels(X_true, X)
    for pixels in (true, other):
        _UNIT_RANGE.check(pixels)
    return _decibels(true, other, _UNIT_RANGE)


def ssim(X_true: ArrayLike, X: ArrayLike) -> NDArray[np.float64]:
    r"""Compute the structural similarity of each image.

    The mean, over all channels and all places where the window lies inside of the image, of

    .. math::

        \frac{(2 \mu_x \mu_y + 0.01^2)(2 \sigma_{xy} + 0.03^2)}
             {(\mu_x^2 + \mu_y^2 + 0.01^2)(\sigma_x^2 + \sigma_y^2 + 0.03^2)}

    on images scaled to [0, 1], in a Gaussian window of 11 × 11 pixels with a standard deviation of
    1.5 [1]_. It is computed in float64.

    Parameters
    ----------
    X_true, X : array-like
        Images of the same shape, ``(n_samples, height, width, channels)`` or ``(n_samples, height,
        width)``, of at least 11 × 11 pixels.

    Returns
    -------
    ndarray of shape (n_samples,)
        From -1 to 1; 1 where two images are equal.

    Raises
    ------
    ValueError
        If the shapes differ, the images are smaller than the window, or floats leave [0, 1].

    References
    ----------
    .. [1] Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality assessment: from
       error visibility to structural similarity", IEEE Transactions on Image Processing 13(4),
       2004.

    Examples
    --------
    >>> import numpy as np
    >>> plain = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    >>> ssim(plain, plain // 2).round(2)
    array([0.64, 0.64])
    >>> ssim(plain, plain)
    array([1., 1.])
    """
    # Imported here because it takes half a second, which nothing else of the package needs.
    from kornia.metrics import ssim as ssim_map

    true, other = _pixels(X_true, X)
    n_samples, height, width, channels = true.shape
    if min(height, width) < _SSIM_WINDOW:
        raise ValueError(
            f"images of {describe((height, width, channels))} are smaller than the window of "
            f"{_SSIM_WINDOW}×{_SSIM_WINDOW} pixels. Use larger images, unflattened: (n_samples, "
            "height, width, channels)."
        )
    for pixels in (true, other):
        _UNIT_RANGE.check(pixels)
    size = max(1, _CHUNK_VALUES // (height * width * channels))
    result = np.empty(n_samples)
    for start in range(0, n_samples, size):
        chunk = slice(start, start + size)
        x, y = (_channels_first(_scaled(pixels[chunk], _UNIT_RANGE)) for pixels in (true, other))
        # Without kornia's eps, which is not in the formula, and without the places at the border.
        values = ssim_map(x, y, _SSIM_WINDOW, eps=0.0, padding="valid")
        result[chunk] = values.mean(dim=(1, 2, 3)).numpy()
    return result


def correlation(X_true: ArrayLike, X: ArrayLike) -> NDArray[np.float64]:
    r"""Compute Pearson's correlation of each image with its counterpart, over all its values.

    With independent noise it has the mean 0 and the standard deviation :math:`1/\sqrt{hwc - 1}`.

    Parameters
    ----------
    X_true, X : array-like
        Images of the same shape, ``(n_samples, height, width, channels)``, ``(n_samples, height,
        width)`` or flattened, on any range.

    Returns
    -------
    ndarray of shape (n_samples,)
        From -1 to 1; 0 for an image without any contrast.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> plain = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    >>> correlation(plain, 255 - plain)
    array([-1., -1.])
    """
    a, b = (pixels.reshape(len(pixels), -1).astype(np.float64) for pixels in _pixels(X_true, X))
    # An image of one level is its own mean only up to rounding.
    flat = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    a, b = (values - values.mean(axis=1, keepdims=True) for values in (a, b))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(flat, 0, (a * b).sum(axis=1) / np.where(flat, 1, norms))


def accuracy_drop(y_true: ArrayLike, y_plain: ArrayLike, y_encrypted: ArrayLike) -> float:
    r"""Compute which share of its accuracy a classifier loses on ciphertexts.

    The accuracy drop proportion :math:`(A_\text{plain} - A_\text{encrypted}) / A_\text{plain}`,
    eq. (14) of [1]_, as a fraction; the paper gives it in percent.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    y_plain, y_encrypted : array-like of shape (n_samples,)
        Predictions on plain images and on their ciphertexts.

    Returns
    -------
    float
        1 where nothing is left, 0 where nothing is lost, negative where ciphertexts are classified
        better.

    Raises
    ------
    ValueError
        If the numbers of samples differ, or no prediction on plain images is right.

    References
    ----------
    .. [1] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023.

    Examples
    --------
    >>> accuracy_drop([0, 1, 2, 3, 4], y_plain=[0, 1, 2, 3, 3], y_encrypted=[0, 1, 3, 2, 2])
    0.5
    """
    plain = accuracy_score(y_true, y_plain)
    if plain == 0:
        raise ValueError(
            "no prediction on plain images is right, so there is no accuracy to lose. Check that "
            "y_plain has the labels of y_true."
        )
    return float((plain - accuracy_score(y_true, y_encrypted)) / plain)


def recovery_psnr(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,  # noqa: ARG001 (scorers are given y)
) -> float:
    """Score how well images come back: the mean PSNR of decrypted ciphertexts.

    A scorer, for ``scoring=`` of `sklearn.model_selection.GridSearchCV` and its like.

    Parameters
    ----------
    estimator : Pipeline or encryptor
        Fitted. A pipeline has one encryptor among its steps.
    X : array-like
        Plain images.
    y : array-like, optional
        Ignored.

    Returns
    -------
    float
        Decibels, on the encryptor's range of values. An image counts with 100 at most, so that one
        that comes back exactly leaves the mean finite.

    Raises
    ------
    ValueError
        If `estimator` has no encryptor, or more than one.
    AttributeError
        If the encryptor has no way back.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, _ = load_digits(size=16)
    >>> recovery_psnr(PixelEncryptor(SecretKey.generate()).fit(X), X[:10])
    100.0
    """
    parts = _taken_apart(estimator, X)
    return _recovery(parts, parts.encryptor.transform(parts.images))


def prediction_agreement(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,  # noqa: ARG001 (scorers are given y)
) -> float:
    """Score how many ciphertexts are classified as their plain images are.

    A scorer, for ``scoring=`` of `sklearn.model_selection.GridSearchCV` and its like. It makes
    sense for a classifier that was trained on plain images.

    Parameters
    ----------
    estimator : Pipeline
        Fitted, with one encryptor among its steps and a classifier at the end.
    X : array-like
        Plain images.
    y : array-like, optional
        Ignored.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        If `estimator` has no encryptor, or more than one, or no classifier behind it.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> X = X.reshape(len(X), -1) / 255.0
    >>> trained_on_plain = FrozenEstimator(LogisticRegression(max_iter=200).fit(X, y))
    >>> encryptor = EtCEncryptor(SecretKey.generate(), block_size=2, image_shape=(16, 16))
    >>> prediction_agreement(make_pipeline(encryptor, trained_on_plain).fit(X), X) < 0.5
    True
    """
    parts = _taken_apart(estimator, X)
    if not hasattr(parts.behind, "predict"):
        raise ValueError(
            "prediction_agreement needs a classifier behind the encryptor, which this "
            f"{type(estimator).__name__} has not. Give a Pipeline that ends in a classifier."
        )
    return _agreement(parts, parts.encryptor.transform(parts.images))


def noise_likeness_score(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,  # noqa: ARG001 (scorers are given y)
) -> float:
    r"""Score how little ciphertexts resemble their plain images.

    1 minus the mean absolute `correlation` of ciphertexts and images. A scorer, for ``scoring=`` of
    `sklearn.model_selection.GridSearchCV` and its like.

    It compares values at the same place, so it says what is to be seen, and nothing of what an
    adversary could compute.

    Parameters
    ----------
    estimator : Pipeline or encryptor
        Fitted. A pipeline has one encryptor among its steps.
    X : array-like
        Plain images.
    y : array-like, optional
        Ignored.

    Returns
    -------
    float
        From 0 to 1. Independent noise scores :math:`1 - \sqrt{2 / (\pi hwc)}` on average, 0.986 for
        32 × 32 pixels with 3 channels.

    Raises
    ------
    ValueError
        If `estimator` has no encryptor, or more than one, or its ciphertexts have another shape
        than the images.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.datasets import load_photos
    >>> X, _ = load_photos(size=(64, 96))
    >>> noise_likeness_score(PixelEncryptor(SecretKey.generate()).fit(X), X) > 0.5
    True
    """
    encryptor, images, _ = _taken_apart(estimator, X)
    if encryptor.ciphertext_shape_ != encryptor.image_shape_in_:
        raise ValueError(
            f"images of {describe(encryptor.image_shape_in_)} cannot be correlated with "
            f"ciphertexts of {describe(encryptor.ciphertext_shape_)}. Use images and parameters "
            "that keep the shape."
        )
    return _unlikeness(images, encryptor.transform(images))


def encryption_scores(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,  # noqa: ARG001 (scorers are given y)
) -> dict[str, float]:
    """Score all that the other scorers do, with one encryption.

    For ``scoring=`` of `sklearn.model_selection.GridSearchCV` and its like, with the name of one
    score as ``refit=``: much quicker than a dictionary of scorers, each of which encrypts anew.

    Parameters
    ----------
    estimator : Pipeline or encryptor
        Fitted. A pipeline has one encryptor among its steps.
    X : array-like
        Plain images.
    y : array-like, optional
        Ignored.

    Returns
    -------
    dict of str to float
        "recovery_psnr", if there is a way back; "prediction_agreement", if there is a classifier;
        and "noise_likeness_score", if ciphertexts have the shape of images.

    Raises
    ------
    ValueError
        If `estimator` has no encryptor, or more than one.

    See Also
    --------
    recovery_psnr, prediction_agreement, noise_likeness_score : What each of them means.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, _ = load_digits(size=16)
    >>> sorted(encryption_scores(PixelEncryptor(SecretKey.generate()).fit(X), X[:10]))
    ['noise_likeness_score', 'recovery_psnr']
    """
    parts = _taken_apart(estimator, X)
    encryptor = parts.encryptor
    C = encryptor.transform(parts.images)
    scores = {}
    if hasattr(encryptor, "inverse_transform"):
        scores["recovery_psnr"] = _recovery(parts, C)
    if hasattr(parts.behind, "predict"):
        scores["prediction_agreement"] = _agreement(parts, C)
    if encryptor.ciphertext_shape_ == encryptor.image_shape_in_:
        scores["noise_likeness_score"] = _unlikeness(parts.images, C)
    return scores


class _Parts(NamedTuple):
    encryptor: Any
    images: Any
    behind: Any


def _recovery(parts: _Parts, C: ArrayLike) -> float:
    encryptor, images, _ = parts
    pixels = _pixels(images, encryptor.inverse_transform(C))
    decibels = _decibels(*pixels, encryptor.value_range_)
    return float(np.minimum(decibels, _EXACT_DECIBELS).mean())


def _agreement(parts: _Parts, C: ArrayLike) -> float:
    plain = parts.behind.predict(np.asarray(parts.images))
    return float(np.mean(plain == parts.behind.predict(C)))


def _unlikeness(images: ArrayLike, C: ArrayLike) -> float:
    return 1 - float(np.abs(correlation(images, C)).mean())


def _taken_apart(estimator: Any, X: Any) -> _Parts:
    """Find the encryptor, what it is given when `estimator` is given `X`, and what reads it."""
    if _is_encryptor(estimator):
        return _Parts(estimator, X, None)
    steps = [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else []
    places = [i for i, step in enumerate(steps) if _is_encryptor(step)]
    if len(places) != 1:
        raise ValueError(
            f"{type(estimator).__name__} has {len(places)} encryptors; expected an encryptor, or a "
            "Pipeline with one among its steps, for example make_pipeline(encryptor, classifier)."
        )
    place = places[0]
    images = estimator[:place].transform(X) if place else X
    # Older scikit-learns cannot ask an empty pipeline what it has.
    behind = estimator[place + 1 :] if place + 1 < len(steps) else None
    return _Parts(steps[place], images, behind)


def _is_encryptor(step: Any) -> bool:
    """Tell an encryptor, frozen or not, by what it has: its class is above this module."""
    return hasattr(step, "learns_on") and hasattr(step, "transform")


def _pixels(X_true: ArrayLike, X: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    true, other = check_images(X_true).pixels, check_images(X).pixels
    if true.shape != other.shape:
        raise ValueError(f"images of shapes {true.shape} and {other.shape} cannot be compared.")
    return true, other


def _scaled(pixels: NDArray[Any], values: ValueRange) -> NDArray[np.float64]:
    if pixels.dtype == np.uint8:
        return pixels / 255
    return (pixels.astype(np.float64) - values.low) / (values.high - values.low)


def _channels_first(images: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))


def _decibels(true: NDArray[Any], other: NDArray[Any], values: ValueRange) -> NDArray[np.float64]:
    error = np.mean((_scaled(true, values) - _scaled(other, values)) ** 2, axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(error)

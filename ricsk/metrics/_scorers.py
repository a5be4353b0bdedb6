"""Scorers: what an encryption costs and what it hides."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score
from sklearn.pipeline import Pipeline

from ricsk.base import get_encryptor_tags
from ricsk.images import describe
from ricsk.metrics._similarity import correlation, decibels, read_pair

__all__ = [
    "accuracy_drop",
    "encryption_scores",
    "least_margin",
    "noise_likeness_score",
    "prediction_agreement",
    "recovery_psnr",
    "score_agreement",
    "split_estimator",
]

_MAX_DECIBELS = 100.0


def accuracy_drop(y_true: ArrayLike, y_plain: ArrayLike, y_encrypted: ArrayLike) -> float:
    r"""Compute the share of its accuracy that a classifier loses on ciphertexts.

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
    parts = split_estimator(estimator, X)
    return _score_recovery(parts, parts.encryptor.transform(parts.images))


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
    parts = split_estimator(estimator, X)
    return score_agreement(parts, parts.encryptor.transform(parts.images))


def least_margin(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,  # noqa: ARG001 (scorers are given y)
) -> float:
    """Score how far the ciphertext that is nearest to another prediction is from it.

    The margin of a ciphertext is by how much the classifier prefers the label that it gives to the
    plain image to the next one: what arithmetic, rounding and transport may take before the
    prediction changes. A scorer, for ``scoring=`` of `sklearn.model_selection.GridSearchCV` and its
    like.

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
        In the units of ``decision_function``, or of ``predict_proba`` if the classifier has none.
        Negative if a ciphertext is classified otherwise than its image.

    Raises
    ------
    ValueError
        If `estimator` has no encryptor, or more than one, or no classifier with scores behind it.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from ricsk import RICEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> X = X.reshape(len(X), -1) / 255.0
    >>> frozen = FrozenEstimator(LogisticRegression(max_iter=200).fit(X, y))
    >>> encryptor = RICEncryptor(SecretKey.generate(), frozen, image_shape=(16, 16))
    >>> least_margin(make_pipeline(encryptor, frozen).fit(X[:500]), X[:50]) > 1
    True
    """
    parts = split_estimator(estimator, X)
    C = parts.encryptor.transform(parts.images)
    found = _score_margin(parts, C) if hasattr(parts.behind, "predict") else None
    if found is None:
        raise ValueError(
            "least_margin needs a classifier with decision_function or predict_proba behind the "
            f"encryptor, which this {type(estimator).__name__} does not have. Give a Pipeline that "
            "ends in one."
        )
    return found


def noise_likeness_score(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,  # noqa: ARG001 (scorers are given y)
) -> float:
    r"""Score how little ciphertexts resemble their plain images.

    1 minus the mean absolute `correlation` of ciphertexts and images. A scorer, for ``scoring=`` of
    `sklearn.model_selection.GridSearchCV` and its like.

    It compares values at the same place, so it says what can be seen, and nothing about what an
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
    >>> X = load_photos(size=(64, 96))
    >>> noise_likeness_score(PixelEncryptor(SecretKey.generate()).fit(X), X) > 0.5
    True
    """
    parts = split_estimator(estimator, X)
    encryptor = parts.encryptor
    if encryptor.ciphertext_shape_ != encryptor.image_shape_in_:
        raise ValueError(
            f"images of {describe(encryptor.image_shape_in_)} cannot be correlated with "
            f"ciphertexts of {describe(encryptor.ciphertext_shape_)}. Use images and parameters "
            "that keep the shape."
        )
    return _score_noise_likeness(parts, encryptor.transform(parts.images))


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
        "least_margin", if it has scores; and "noise_likeness_score", if ciphertexts have the shape
        of images.

    Raises
    ------
    ValueError
        If `estimator` has no encryptor, or more than one.

    See Also
    --------
    recovery_psnr, prediction_agreement, least_margin, noise_likeness_score : What each means.
    AgreementAfter : Agreement after a transport, such as JPEG.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, _ = load_digits(size=16)
    >>> sorted(encryption_scores(PixelEncryptor(SecretKey.generate()).fit(X), X[:10]))
    ['noise_likeness_score', 'recovery_psnr']
    """
    parts = split_estimator(estimator, X)
    encryptor = parts.encryptor
    C = encryptor.transform(parts.images)
    scores = {}
    if get_encryptor_tags(encryptor).recoverable:
        scores["recovery_psnr"] = _score_recovery(parts, C)
    if hasattr(parts.behind, "predict"):
        scores["prediction_agreement"] = score_agreement(parts, C)
        margin = _score_margin(parts, C)
        if margin is not None:
            scores["least_margin"] = margin
    if encryptor.ciphertext_shape_ == encryptor.image_shape_in_:
        scores["noise_likeness_score"] = _score_noise_likeness(parts, C)
    return scores


class _Parts(NamedTuple):
    encryptor: Any
    images: Any
    behind: Any


def _score_recovery(parts: _Parts, C: ArrayLike) -> float:
    encryptor, images, _ = parts
    pair = read_pair(images, encryptor.inverse_transform(C), encryptor.image_shape_in_)
    found = decibels(*pair, encryptor.value_range_)
    return float(np.minimum(found, _MAX_DECIBELS).mean())


def score_agreement(parts: _Parts, C: ArrayLike) -> float:
    """Compare what the classifier says of plain images and of ciphertexts."""
    return float(np.mean(_predict_plain(parts, C) == parts.behind.predict(C)))


def _predict_plain(parts: _Parts, C: ArrayLike) -> NDArray[Any]:
    if not hasattr(parts.behind, "predict"):
        raise ValueError(
            "this score needs a classifier behind the encryptor, which there is not. Give a "
            "Pipeline with an encryptor among its steps that ends in a classifier."
        )
    images = np.asarray(parts.images)
    if np.ndim(C) == 2:  # an encryptor may flatten
        images = images.reshape(len(images), -1)
    return np.asarray(parts.behind.predict(images))


def _find_scores(behind: Any, C: ArrayLike) -> NDArray[np.float64] | None:
    """Ask a classifier for a score of each class; None if it has none."""
    n_classes = len(behind.classes_)
    for method in ("decision_function", "predict_proba"):
        if hasattr(behind, method):
            found = np.array(getattr(behind, method)(C), dtype=np.float64)
            if found.ndim == 1:  # of two classes, a decision value d stands for (0, d)
                found = np.stack([np.zeros_like(found), found], axis=1)
            if found.shape[1] == n_classes:
                return found
    return None


def _score_margin(parts: _Parts, C: ArrayLike) -> float | None:
    scores = _find_scores(parts.behind, C)
    if scores is None:
        return None
    own = _predict_plain(parts, C)[:, np.newaxis] == np.asarray(parts.behind.classes_)
    return float((scores[own] - np.where(own, -np.inf, scores).max(axis=1)).min())


def _score_noise_likeness(parts: _Parts, C: ArrayLike) -> float:
    pair = read_pair(parts.images, C, parts.encryptor.image_shape_in_)
    return 1 - float(np.abs(correlation(*pair)).mean())


def split_estimator(estimator: Any, X: Any) -> _Parts:
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
    try:
        get_encryptor_tags(step)
    except TypeError:
        return False
    return True

"""`score`: how much of the true images is in reconstructions of them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.images import ImageBatch, ImagesLike, check_images
from ricsk.metrics import psnr, ssim

__all__ = ["Scores", "score", "undo_mirroring"]

# An image that comes back exactly counts with this, as in `ricsk.metrics.recovery_psnr`.
_MAX_DECIBELS = 100.0
_N_EXCHANGES = 9999
_SLACK = 1e-9
_MIN_GAIN = 0.1


class Scores(NamedTuple):
    """How close reconstructions are to the images behind the ciphertexts.

    Parameters
    ----------
    ssim, psnr : ndarray of shape (n_samples,)
        Of each reconstruction; decibels, 100 at most.
    reidentified : float
        The share of reconstructions whose true image is the nearest of the n.
    p_value : float
        How often reconstructions that are exchanged among images of the same label are as near to
        them: small if they tell more of an image than its label.
    """

    ssim: NDArray[np.float64]
    psnr: NDArray[np.float64]
    reidentified: float
    p_value: float


def score(
    X_true: ImagesLike,
    X: ImagesLike,
    labels: ArrayLike,
    random_state: int = 0,
) -> Scores:
    """Compare reconstructions with the true images.

    Near means highly correlated over all values, after the mean of all images was subtracted from
    each, and that of all reconstructions from each of those. So brightness and contrast do not
    count, and neither does what all have in common; the estimates of a regression, which are pale,
    are not at a disadvantage.

    Parameters
    ----------
    X_true, X : array-like
        Images and their reconstructions, of the same shape; at least 11 × 11 pixels.
    labels : array-like of shape (n_samples,)
        What everybody may know of each image. Reconstructions are exchanged within these.
    random_state : int, default=0
        Of the exchanges.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If the shapes differ, or the images are too small for the SSIM.

    Notes
    -----
    The p-value is that of a permutation test with 9,999 exchanges, whose statistic is the sum of
    the correlations. Where no two images have a label in common, nothing can be exchanged, and it
    is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.audit import score
    >>> from ricsk.datasets import make_street_numbers
    >>> X, y = make_street_numbers(40, size=16, random_state=0)
    >>> scores = score(X, X // 2, y)
    >>> scores.reidentified, scores.p_value
    (1.0, 0.0001)
    >>> mean = np.broadcast_to(X.mean(axis=0).astype(np.uint8), X.shape)
    >>> score(X, mean, y).p_value
    1.0
    """
    true, guessed = check_images(X_true), check_images(X)
    similarity, decibels = ssim(true, guessed), psnr(true, guessed)
    correlations = _correlate(true.pixels, guessed.pixels)
    own = np.diag(correlations)
    return Scores(
        ssim=similarity,
        psnr=np.minimum(decibels, _MAX_DECIBELS),
        reidentified=float(np.mean((own >= correlations.max(axis=1) - _SLACK) & (own > 0))),
        p_value=_p_value(correlations, np.asarray(labels), random_state),
    )


def undo_mirroring(true: ImageBatch, found: ImageBatch) -> ImageBatch:
    """Undo a global mirror or negation of the reconstructions.

    An adversary without pairs may not know right from left or light from dark, and still sees what
    is in the images.

    Parameters
    ----------
    true, found : ImageBatch
        Images and their reconstructions, uint8.

    Returns
    -------
    ImageBatch
        `found`; or its mirror images, its negatives or their mirror images, if these have a mean
        SSIM that is higher by 0.1 or more.
    """
    levels = found.pixels
    mirrored = np.ascontiguousarray(levels[:, :, ::-1])
    views = [replace(found, pixels=view) for view in (mirrored, 255 - levels, 255 - mirrored)]
    similarities = [ssim(true, view).mean() for view in views]
    best = int(np.argmax(similarities))
    gain = similarities[best] - ssim(true, found).mean()
    return views[best] if gain >= _MIN_GAIN else found


def _correlate(true: NDArray[np.uint8], guessed: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Correlate each reconstruction (row) with each image (column)."""
    a, b = (_unit_vectors(images - images.mean(axis=0)) for images in (guessed, true))
    return a @ b.T


def _unit_vectors(images: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(norms > _SLACK, norms, np.inf)


def _p_value(correlations: NDArray[np.float64], labels: NDArray, seed: int) -> float:
    _, codes = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng(seed)
    # Sorted by label, and within each label in a random order.
    exchanged = np.argsort(codes + rng.random((_N_EXCHANGES, len(codes))), axis=1)
    rows = np.argsort(codes, kind="stable")
    sums = correlations[rows, exchanged].sum(axis=1)
    as_near = int(np.count_nonzero(sums >= np.trace(correlations) - _SLACK))
    return (1 + as_near) / (1 + _N_EXCHANGES)

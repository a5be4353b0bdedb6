"""The attack on InstaHide: which encodings belong together, and what images explain them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from ricsk._secrets import show_value
from ricsk.attacks.instahide._clusters import find_clusters, weigh
from ricsk.attacks.instahide._pairs import Mixing, compare_pairs
from ricsk.attacks.instahide._phases import join_signs, retrieve
from ricsk.baselines import InstaHideEncryptor
from ricsk.images import ValueRange, check_images

__all__ = ["InstaHideRecovery", "recover_instahide"]

_STEPS = {"quick": 1000, "thorough": 10_000}


@dataclass(frozen=True, eq=False, repr=False)
class InstaHideRecovery:
    """What came back from encodings.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels), uint8
        The private images, in any order.
    weights : ndarray of shape (n_encodings, n_images)
        How much of each is in each encoding.
    labels : ndarray of shape (n_images,), int64
        Their classes, as positions in the encryptor's `classes_`; empty if weights were given.
    likely : ndarray of shape (n_encodings, n_encodings), float32
        The probability that two encodings have an image in common; empty if weights were given.
    residual : float
        Root of the mean squared error of the encodings' magnitudes, as a part of the largest.
    """

    images: NDArray[np.uint8]
    weights: NDArray[np.float64]
    labels: NDArray[np.int64]
    likely: NDArray[np.float32]
    residual: float


def recover_instahide(
    encodings: ArrayLike,
    mixed_labels: ArrayLike,
    n_images: int,
    encryptor: InstaHideEncryptor,
    *,
    public_images: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    budget: Literal["quick", "thorough"] | int = "quick",
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> InstaHideRecovery:
    r"""Recover the private images behind InstaHide's encodings.

    What a cloud has that trains on encodings: many of each image, with their mixed labels. Random
    signs leave absolute values as they are. A network, which is taught by encodings that the
    adversary makes of public images, tells which pairs have an image in common; encodings with an
    image in common are gathered; and with the weights, which the labels say, each pixel is solved
    for by itself [1]_. It needs no key, and looks at none: of the encryptor, only what is public.

    Parameters
    ----------
    encodings : array-like of shape (n_encodings, height, width, channels)
        As `InstaHideEncryptor.encode` returns them: uint8, or floats on [0, 1].
    mixed_labels : array-like of shape (n_encodings, n_classes)
        How much of each is of each class.
    n_images : int
        How many private images there are.
    encryptor : InstaHideEncryptor
        What made the encodings, for its public parameters and statistics.
    public_images : array-like, optional
        Images of the same kind, that are not behind the encodings. Needed unless `weights` are
        given.
    weights : array-like of shape (n_encodings, n_images), optional
        How much of each private image is in each encoding, if that is known.
    budget : {"quick", "thorough"} or int, default="quick"
        Steps of the network: 1000, 10,000, or as many. A step takes 128 pairs.
    random_state : int, RandomState or None
        Of the network, and of where searches start.
    verbose : int, default=0
        Whether to show the progress of the training.

    Returns
    -------
    InstaHideRecovery
        With fewer images than asked for, if no more were found.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.

    See Also
    --------
    ricsk.baselines.InstaHideEncryptor : What is attacked.

    Notes
    -----
    After [1]_, but for the last two steps: images are found by least squares for guessed signs
    rather than by gradients, and signs of pixels are joined by the likeness of neighbours. Whether
    all images are negatives remains open, and is decided by which of both leaves the range of
    values less.

    References
    ----------
    .. [1] N. Carlini et al., "Is private learning possible with instance encoding?", IEEE S&P,
       2021.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import SecretKey
    >>> from ricsk.attacks import recover_instahide
    >>> from ricsk.baselines import InstaHideEncryptor
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> encryptor = InstaHideEncryptor(SecretKey.generate(), k=2).fit(X[:10], y[:10])
    >>> encodings, shares = encryptor.encode(X[:10], y[:10], n_encodings=20)
    >>> found = recover_instahide(
    ...     encodings, shares, 10, encryptor, public_images=X[10:], budget=50, random_state=0
    ... )  # far too little to succeed
    >>> found.images.shape[1:], found.weights.shape[0]
    ((8, 8, 1), 200)
    """
    n_steps = _read_budget(budget)
    rng = check_random_state(random_state)
    shape = encryptor.image_shape_in_
    levels = _read_levels(encodings, "encodings", shape)
    shares = np.asarray(mixed_labels, np.float64)
    if shares.ndim != 2 or len(shares) != len(levels):
        raise ValueError(
            f"mixed_labels have the shape {shares.shape}; expected a row of shares for each of "
            f"{len(levels)} encodings."
        )
    magnitudes = np.abs(levels / 127.5 - 1)
    labels, likely = np.empty(0, np.int64), np.empty((0, 0), np.float32)
    if weights is not None:
        matrix = np.asarray(weights, np.float64)
        if matrix.shape != (len(levels), n_images):
            raise ValueError(
                f"weights have the shape {matrix.shape}; expected {(len(levels), n_images)}."
            )
    else:
        if public_images is None:
            raise ValueError(
                "recover_instahide needs public_images, to teach a network which encodings have an "
                "image in common; or weights, if these are known."
            )
        public = _read_levels(public_images, "public_images", shape)
        normalized = (public / 255 - encryptor.mean_) / encryptor.std_ / encryptor.bound_
        mixing = Mixing(
            _as_channels(normalized),
            encryptor.k_,
            encryptor.n_private_,
            encryptor.largest_weight_,
            encryptor.private_weight_,
        )
        logits = compare_pairs(
            _as_channels(magnitudes),
            mixing,
            n_steps=n_steps,
            seed=rng.randint(2**31 - 1),
            verbose=verbose,
        )
        likely = _make_likely(logits, shares, encryptor.n_private_**2 / n_images)
        clusters = find_clusters(likely, shares, n_images, encryptor.n_private_, rng)
        labels = np.array([cluster.label for cluster in clusters], np.int64)
        matrix = weigh(clusters, likely, shares, encryptor.n_private_)
    values, residuals = retrieve(matrix, magnitudes.reshape(len(levels), -1), rng)
    images = _read_images(join_signs(values.reshape(-1, *shape)), encryptor)
    return InstaHideRecovery(images, matrix, labels, likely, float(np.sqrt(residuals.mean())))


def _read_budget(budget: Literal["quick", "thorough"] | int) -> int:
    if isinstance(budget, str) and budget in _STEPS:
        return _STEPS[budget]
    if isinstance(budget, Integral) and budget >= 1:
        return int(budget)
    raise ValueError(f'budget={show_value(budget)}: expected "quick", "thorough" or steps from 1.')


def _read_levels(images: ArrayLike, name: str, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    batch = check_images(images, image_shape=shape, caller="recover_instahide")
    if batch.shape != shape:
        raise ValueError(f"{name} have the shape {batch.shape}; the encryptor's have {shape}.")
    return ValueRange(0.0, 1.0).to_uint8(batch.pixels)


def _as_channels(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.moveaxis(values, -1, 1), np.float32)


def _make_likely(
    logits: NDArray[np.float32], shares: NDArray[np.float64], odds: float
) -> NDArray[np.float32]:
    """Turn logits into probabilities, where so many pairs have an image in common.

    Encodings without a class in common have no image in common either.
    """
    likely = 1 / (1 + np.exp(-(logits + np.float32(np.log(odds)))))
    present = (shares > 0).astype(np.float32)
    likely *= present @ present.T > 0
    np.fill_diagonal(likely, 0)
    return likely


def _read_images(values: NDArray[np.float64], encryptor: InstaHideEncryptor) -> NDArray[np.uint8]:
    """Turn normalized values into levels, of the sign that leaves their range less."""
    scale = encryptor.std_ * encryptor.bound_
    both = [encryptor.mean_ + sign * scale * values for sign in (1, -1)]
    beyond = [np.abs(each - each.clip(0, 1)).sum() for each in both]
    return np.rint(255 * both[int(np.argmin(beyond))].clip(0, 1)).astype(np.uint8)

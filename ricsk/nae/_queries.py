"""Search by queries alone, for classifiers that have no gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from ricsk.keys import Keystream
from ricsk.nae._search import (
    NoiseResult,
    check_noise,
    check_passes,
    check_planes,
    check_targets,
)

__all__ = ["find_noise_by_queries"]


def find_noise_by_queries(
    score: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    noise: NDArray[np.uint8],
    targets: ArrayLike,
    streams: Sequence[Keystream],
    *,
    kappa: float = 0.0,
    max_passes: int = 1000,
    passes: ArrayLike | None = None,
    held_planes: int = 0,
    verbose: int = 0,
) -> NoiseResult:
    """Change noise until a black-box classifier reads it as the targets.

    This is a score-based attack by random search: it needs scores, and no gradient. For each query
    a random part of the values is drawn anew, and kept if the classifier then prefers the target
    no less than before. The part shrinks from half of the values to two, in a hundred queries, over
    and over. The search starts from noise and draws noise: it never sees an image.

    Parameters
    ----------
    score : callable
        From images, (n, height, width, channels) and uint8, to (n, n_classes) probabilities or
        decision values. An image must have the same scores in any batch, to nine digits.
    noise : ndarray of shape (n, height, width, channels), uint8
        Where to start.
    targets : array-like of shape (n,), int
        Positions in the classifier's `classes_`.
    streams : sequence of Keystream
        One for each image, all randomness of its search. Derive each from a nonce.
    kappa : float
        The margin to reach: by how much the score of the target must exceed all others.
    max_passes : int
        The largest number of queries for an image.
    passes : array-like of shape (n,), int, optional
        The `passes` of an earlier result, to make its pixels again. Then no stopping rule is
        applied, and `max_passes` is not used.
    held_planes : int
        How many of the lowest bits of each value stay as they are in the noise, from 0 to 7.
    verbose : int
        Whether to show a progress bar, on the standard error stream.

    Returns
    -------
    NoiseResult
        An image has `reached` its target, if its pixels have a margin above `kappa`. Its `passes`
        are the queries that it took.

    Raises
    ------
    ValueError
        If the arguments, or what `score` returns, do not fit each other.

    Notes
    -----
    Scores are compared after rounding to nine decimals, because forests and boosted trees add up
    their trees in any order.

    References
    ----------
    M. Andriushchenko, F. Croce, N. Flammarion and M. Hein, "Square attack: a query-efficient
    black-box adversarial attack via random search", ECCV 2020: the best known attack of this kind,
    by which images are changed a little, where here noise may be changed at will.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from ricsk import SecretKey
    >>> from ricsk.nae import find_noise_by_queries
    >>> X, y = load_digits(return_X_y=True)
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:300], y[:300])
    >>> key = SecretKey(bytes(32))
    >>> noise = key.keystream("noise").uint8((3, 8, 8, 1))
    >>> streams = [key.keystream("search", bytes([i])) for i in range(3)]
    >>> def score(pixels):
    ...     return forest.predict_proba(pixels.reshape(-1, 64) * (16 / 255))
    >>> found = find_noise_by_queries(score, noise, [3, 1, 4], streams)
    >>> forest.predict(found.pixels.reshape(-1, 64) * (16 / 255))
    array([3, 1, 4])
    """
    pixels = check_noise(noise).copy()
    n, size = len(pixels), pixels[0].size
    wanted = check_targets(targets, n)
    if len(streams) != n:
        raise ValueError(f"there are {len(streams)} streams for {n} images; expected one for each.")
    limits = check_passes(passes, n, max_passes)
    check_planes(held_planes)
    held = np.uint8(2**held_planes - 1)
    used = np.zeros(n, np.int64)
    margins = np.full(n, -np.inf)
    active, candidates = np.arange(n), pixels
    with tqdm(total=n, desc="searches", leave=False, disable=not verbose) as bar:
        for t in count(1):
            found = _measure_margins(score(candidates), wanted[active])
            better = found >= margins[active]
            pixels[active[better]] = candidates[better]
            margins[active[better]] = found[better]
            leaving = limits[active] == t
            if passes is None:
                leaving |= margins[active] > kappa
            used[active] = t
            bar.update(int(leaving.sum()))
            active = active[~leaving]
            if not len(active):
                break
            # in 256ths: from half of the values to two, and again, because some searches get stuck
            share = max(128 * 0.95 ** (t % 100), 512 / size)
            candidates = pixels[active]
            for image, i in zip(candidates, active, strict=True):
                drawn = streams[i].uint8((2, *image.shape))
                np.copyto(image, image & held | drawn[1] & ~held, where=drawn[0] < share)
    return NoiseResult(pixels, margins > kappa, used)


def _measure_margins(
    scores: NDArray[np.floating], targets: NDArray[np.int64]
) -> NDArray[np.float64]:
    scores = np.array(scores, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != len(targets):
        raise ValueError(
            f"score returned an array of shape {scores.shape} for {len(targets)} images; expected "
            f"({len(targets)}, n_classes). Of two classes, a decision value d stands for (0, d)."
        )
    rows = np.arange(len(targets))
    own = scores[rows, targets]
    scores[rows, targets] = -np.inf
    return np.round(own - scores.max(axis=1), 9)

"""Naming the image behind a ciphertext, among many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.attacks._trials import BaseTrial, Challenger, check_share, draw_keys, find_interval
from ricsk.base import BaseImageEncryptor
from ricsk.exceptions import AttackNotApplicableError
from ricsk.keys import SecretKey

__all__ = ["IdentificationAttack", "IdentificationResult"]

_MIN_REFERENCES = 2
# A model is trusted like counts of so many values.
_MODEL_VALUES = 1e6


@dataclass(frozen=True)
class IdentificationResult:
    """What an `IdentificationAttack` found out.

    Parameters
    ----------
    share : float
        Of ciphertexts whose image was named at the first guess.
    interval : (float, float)
        Confidence interval of the share.
    chance : float
        The share that guessing gives: one over the number of candidates with the same label.
    n : int
        How many ciphertexts were attacked.
    ranks : ndarray of int, shape (n,)
        The place of each image in the list of guesses for its ciphertext, from 1. A tie counts
        against the attack.
    """

    share: float
    interval: tuple[float, float]
    chance: float
    n: int
    ranks: NDArray[np.int64]

    @property
    def wins(self) -> bool:
        """Whether the attack is better than guessing: the interval lies above chance."""
        return self.interval[0] > self.chance


@dataclass(frozen=True)
class IdentificationAttack(BaseTrial):
    r"""Name the image behind a ciphertext, among candidates that the adversary has.

    This is the adversary with a list: the photos of a public profile, the pages of a known
    document, the faces of a staff directory. It encrypts each candidate with keys of its own, and
    counts how often each value occurs, or each distance from mid-grey, :math:`|v - 127.5|`:
    whichever does better on what it has encrypted itself. If the scheme leaves anything of these
    counts, those of the ciphertext are most likely under the right candidate: permuting and
    negating values does not change distances, and noise of known distribution only blurs them.
    Where that distribution is known, the adversary need not encrypt anything (`model`). No picture
    is drawn, and nothing is learnt about the key.

    Each candidate is hidden once, under a key of its own. Guesses are ranked among the candidates
    with the same label: ciphertexts tell the label on purpose, so it counts for nothing. Candidates
    that have a label to themselves are left out.

    Read more in the :ref:`User Guide <guide-threats>`.

    Parameters
    ----------
    n_references : int, default=20
        How many ciphertexts the adversary makes of each candidate, at least 2.
    confidence : float, default=0.99
        Of the interval, between 0 and 1: how often it contains the true share, at least.
    model : callable, optional
        What is known of the noise: a function from candidates, uint8 of shape (n, height, width,
        channels), to the probability of each value in their ciphertexts, (n, 256). By default the
        probabilities are estimated from `n_references` ciphertexts of each candidate.

    See Also
    --------
    DistinguishingGame : Tells two images apart, by all kinds of features.

    Notes
    -----
    The values of a ciphertext are taken to be drawn independently. Their distribution is estimated
    with one occurrence of each value added (Laplace's rule).

    Examples
    --------
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.attacks import IdentificationAttack
    >>> from ricsk.datasets import make_street_numbers
    >>> X, _ = make_street_numbers(50, size=16, random_state=0)
    >>> encryptor = EtCEncryptor(SecretKey.generate(), block_size=2).fit(X)
    >>> result = IdentificationAttack(n_references=5).run(encryptor, X)
    >>> result.chance, result.share > 0.9, result.wins
    (0.02, True, True)
    """

    n_references: int = 20
    confidence: float = 0.99
    model: Callable[[NDArray[np.uint8]], NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        if self.n_references < _MIN_REFERENCES:
            raise ValueError(
                f"n_references={self.n_references!r}: expected at least {_MIN_REFERENCES}."
            )
        check_share("confidence", self.confidence)

    def run(
        self,
        encryptor: BaseImageEncryptor,
        candidates: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        keys: Iterable[SecretKey] | None = None,
    ) -> IdentificationResult:
        """Encrypt each candidate, and ask which it was.

        Parameters
        ----------
        encryptor : fitted encryptor
            It is not changed.
        candidates : array-like
            Different images of the fitted shape.
        labels : array-like of shape (n_candidates,), optional
            What the adversary may know of each image. By default what the classifier says of the
            ciphertexts; where classifiers learn on ciphertexts, all images are taken for alike.
        keys : iterable of SecretKey, optional
            ``n_candidates + n_references`` different keys, to get the same result again; with a
            `model`, ``n_candidates``. By default, fresh ones. They protect nothing but this trial.

        Returns
        -------
        IdentificationResult

        Raises
        ------
        ricsk.exceptions.AttackNotApplicableError
            If no two candidates have the same label.
        ValueError
            If something does not fit the rest.
        TypeError
            If `encryptor` is not an encryptor of images.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        challenger = Challenger(encryptor, candidates, labels)
        alike = challenger.labels[:, np.newaxis] == challenger.labels
        hidden = np.flatnonzero(alike.sum(axis=1) > 1)
        if not len(hidden):
            raise AttackNotApplicableError(
                f"no two of {len(alike)} candidates have the same label, so the label alone names "
                "the image: expected candidates that the classifier reads alike."
            )
        alike = alike[np.ix_(hidden, hidden)]
        n_references = 0 if self.model else self.n_references
        used = draw_keys(keys, len(hidden) + n_references)
        targets = np.concatenate(
            [_count(challenger.encrypt(hidden[i : i + 1], used[i])) for i in range(len(hidden))]
        )
        expected: NDArray[Any]
        if self.model:
            expected = self._predict(challenger.images[hidden])
        else:
            own = [_count(challenger.encrypt(hidden, key)) for key in used[len(hidden) :]]
            targets, expected = _choose_view(targets, np.stack(own), alike)
        ranks = _rank(targets, expected, alike)
        n_right = int((ranks == 1).sum())
        return IdentificationResult(
            share=n_right / len(hidden),
            interval=find_interval(n_right, len(hidden), self.confidence),
            chance=float((1 / alike.sum(axis=1)).mean()),
            n=len(hidden),
            ranks=ranks,
        )

    def _predict(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Ask the model how often each value occurs in many ciphertexts of each image: (n, 256)."""
        assert self.model is not None
        probabilities = np.asarray(self.model(images), np.float64)
        shape = (len(images), 256)
        if probabilities.shape != shape or not np.allclose(probabilities.sum(axis=1), 1):
            raise ValueError(
                f"model returned an array of shape {probabilities.shape}: expected {shape}, in "
                "each row the probabilities of the values 0 to 255, which add up to 1."
            )
        return _MODEL_VALUES * probabilities


def _choose_view(
    targets: NDArray[np.int64], own: NDArray[np.int64], alike: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count values or distances from mid-grey, whichever does better on the adversary's own."""
    views = [(_fold(targets), _fold(own)), (targets, own)]
    targets, own = min(views, key=lambda view: _rehearse(view[1], alike))
    return targets, own.sum(axis=0)


def _count(ciphertexts: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the values in each ciphertext: (n, 256)."""
    rows = ciphertexts.reshape(len(ciphertexts), -1)
    return np.stack([np.bincount(row, minlength=256) for row in rows])


def _fold(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add up the counts of values at the same distance from mid-grey: (..., 128)."""
    return counts[..., 127::-1] + counts[..., 128:]


def _rehearse(own: NDArray[np.int64], alike: NDArray[np.bool_]) -> float:
    """Attack each of the adversary's own ciphertexts with the rest of them: the mean rank."""
    rest = own.sum(axis=0) - own
    ranks = [_rank(*counts, alike) for counts in zip(own, rest, strict=True)]
    return float(np.mean(ranks))


def _rank(
    targets: NDArray[np.int64],
    references: NDArray[Any],
    alike: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Rank the right candidate of each target, among those alike, by likelihood."""
    frequencies = references + 1.0
    frequencies /= frequencies.sum(axis=1, keepdims=True)
    likelihoods = targets @ np.log(frequencies).T
    better = likelihoods >= likelihoods.diagonal()[:, np.newaxis]
    return (better & alike).sum(axis=1)

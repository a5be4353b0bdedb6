"""The game that defines indistinguishability: telling two images apart by their ciphertexts."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ricsk.attacks._trials import BaseTrial, Challenger, check_share, draw_keys, find_interval
from ricsk.base import BaseImageEncryptor
from ricsk.exceptions import AttackNotApplicableError
from ricsk.keys import SecretKey

__all__ = ["DistinguishingGame", "GameResult"]

_MIN_CIPHERTEXTS = 20
_FOLDS = 5
_BINS = 32
_GRID = 8
_ALL = "all"


@dataclass(frozen=True)
class GameResult:
    r"""How a `DistinguishingGame` ended.

    Parameters
    ----------
    advantage : float
        2 · \|accuracy − ½\|: 0 for a coin, 1 for an adversary who is always right.
    interval : (float, float)
        Confidence interval of the advantage. Its lower end is 0 where a coin would do as well.
    accuracy : float
        The share of held-out ciphertexts in which the adversary saw the right image.
    n : int
        How many ciphertexts were held out, half of them of each image.
    features : str
        The features that the adversary chose, on the other ciphertexts.
    accuracies : mapping of str to float
        The accuracy on the held-out ciphertexts by all features, and each kind alone. The best of
        them is too good by what choosing it afterwards adds; `accuracy` is not.
    pair : (int, int)
        The positions of the two images.
    """

    advantage: float
    interval: tuple[float, float]
    accuracy: float
    n: int
    features: str
    accuracies: Mapping[str, float]
    pair: tuple[int, int]

    @property
    def wins(self) -> bool:
        """Whether the adversary is better than a coin: the interval does not contain 0."""
        return self.interval[0] > 0


@dataclass(frozen=True)
class DistinguishingGame(BaseTrial):
    r"""Let an adversary tell two images apart by their ciphertexts.

    Encryption is *indistinguishable* if nobody does better than a coin in this game [1]_: the
    adversary names two images, is shown a ciphertext of one of them under a key that it does not
    know, and says which. What it wins is its advantage :math:`2\,|P(\text{right}) - \tfrac 1 2|`
    [2]_. A scheme may hide every edge and every face and still lose: no picture has to come back.

    Here the adversary learns on ciphertexts that it makes with keys of its own. It looks at

    - ``histogram``: values, and their distances from mid-grey, which negation leaves as they are;
    - ``bit_planes``: the share of ones in each bit plane, and how often neighbours are equal;
    - ``moments``: mean, deviation, skewness and kurtosis of each channel;
    - ``size``: what is left after compression;
    - ``coarse``: mean values on a grid of 8 × 8 cells;

    trains a logistic regression on each kind and on all of them, keeps the one that does best in
    cross-validation, and answers with it for ciphertexts that took no part in any of this. So the
    interval needs no correction for the number of kinds.

    Each ciphertext has a key of its own. With a scheme that has no keys, a ciphertext is what the
    scheme makes of the image; where that is always the same, everybody can tell. The two images
    must not differ in what ciphertexts say on purpose, or the adversary wins by that.

    Read more in the :ref:`User Guide <guide-threats>`.

    Parameters
    ----------
    n_ciphertexts : int, default=200
        How many of each image, at least 20: half of them to learn on, half of them held out.
    confidence : float, default=0.99
        Of the interval, between 0 and 1: how often it contains the true advantage, at least.

    See Also
    --------
    IdentificationAttack : Names the image behind a ciphertext, among many.

    Notes
    -----
    An adversary that loses proves nothing: another one may look at something else. One that wins
    proves that the scheme is distinguishable.

    References
    ----------
    .. [1] S. Goldwasser and S. Micali, "Probabilistic encryption", Journal of Computer and System
       Sciences, 28(2), 1984.
    .. [2] M. Bellare, A. Desai, E. Jokipii and P. Rogaway, "A concrete security treatment of
       symmetric encryption", FOCS 1997.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.attacks import DistinguishingGame
    >>> from ricsk.datasets import make_street_numbers
    >>> X, _ = make_street_numbers(50, size=16, random_state=0)
    >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(X)
    >>> result = DistinguishingGame(n_ciphertexts=50).play(encryptor, X)
    >>> result.wins, result.accuracy, result.features
    (True, 1.0, 'histogram')
    """

    n_ciphertexts: int = 200
    confidence: float = 0.99

    def __post_init__(self) -> None:
        if self.n_ciphertexts < _MIN_CIPHERTEXTS:
            raise ValueError(
                f"n_ciphertexts={self.n_ciphertexts!r}: expected at least {_MIN_CIPHERTEXTS}."
            )
        check_share("confidence", self.confidence)

    def play(
        self,
        encryptor: BaseImageEncryptor,
        images: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        keys: Iterable[SecretKey] | None = None,
    ) -> GameResult:
        """Play the game with the two images that are least alike.

        Parameters
        ----------
        encryptor : fitted encryptor
            It is not changed.
        images : array-like
            Two images of the fitted shape. From more than two, the game takes the two that have
            one label and differ most in contrast: the one nearest to mid-grey, and the one with
            the largest standard deviation.
        labels : array-like of shape (n_images,), optional
            What the adversary may know of each image. By default what the classifier says of the
            ciphertexts; where classifiers learn on ciphertexts, all images are taken for alike.
        keys : iterable of SecretKey, optional
            ``2 * n_ciphertexts`` different keys, to play the same game again. By default, fresh
            ones. They protect nothing but this game.

        Returns
        -------
        GameResult

        Raises
        ------
        ricsk.exceptions.AttackNotApplicableError
            If no two images have the same label.
        ValueError
            If something does not fit the rest.
        TypeError
            If `encryptor` is not an encryptor of images.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        challenger = Challenger(encryptor, images, labels)
        pair = _choose_pair(challenger.images, challenger.labels)
        inside = np.arange(2 * self.n_ciphertexts) % 2
        seen = [
            _describe(challenger.encrypt([pair[image]], key)[0])
            for image, key in zip(inside, draw_keys(keys, len(inside)), strict=True)
        ]
        features = {name: np.stack([each[name] for each in seen]) for name in seen[0]}

        half = 2 * (self.n_ciphertexts // 2)
        scores = {
            name: cross_val_score(_make_judge(), x[:half], inside[:half], cv=_FOLDS).mean()
            for name, x in features.items()
        }
        chosen = max(scores, key=lambda name: float(scores[name]))
        right = {
            name: _make_judge().fit(x[:half], inside[:half]).predict(x[half:]) == inside[half:]
            for name, x in features.items()
        }
        accuracies = {name: float(hits.mean()) for name, hits in right.items()}
        n = len(inside) - half
        low, high = find_interval(int(right[chosen].sum()), n, self.confidence)
        return GameResult(
            advantage=abs(2 * accuracies[chosen] - 1),
            interval=(2 * max(low - 0.5, 0.5 - high, 0.0), 2 * max(high - 0.5, 0.5 - low)),
            accuracy=accuracies[chosen],
            n=n,
            features=chosen,
            accuracies=accuracies,
            pair=pair,
        )


def _choose_pair(images: NDArray[np.uint8], labels: NDArray[Any]) -> tuple[int, int]:
    """Choose the images of one label that differ most in contrast."""
    levels = images.reshape(len(images), -1).astype(np.float64) - 127.5
    # An image near to mid-grey is flat; one with a large deviation is far from it. So the second
    # less the first is what the two differ by at least, in both respects.
    distance, deviation = np.sqrt((levels**2).mean(axis=1)), levels.std(axis=1)
    pairs = []
    for label in np.unique(labels):
        of_label = np.flatnonzero(labels == label)
        flat = of_label[distance[of_label].argmin()]
        others = of_label[of_label != flat]
        if len(others):
            contrasted = others[deviation[others].argmax()]
            pairs.append((deviation[contrasted] - distance[flat], int(flat), int(contrasted)))
    if not pairs:
        raise AttackNotApplicableError(
            f"no two of {len(images)} images have the same label, and labels are known: expected "
            "two images that the classifier reads alike. Pass others, or more."
        )
    _, first, second = max(pairs)
    return first, second


def _make_judge() -> Pipeline:
    # Strongly regularised, for there are more features than ciphertexts.
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


def _describe(ciphertext: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Compute the features of a ciphertext, of each kind and all."""
    kinds = {
        "histogram": _histogram(ciphertext),
        "bit_planes": _bit_planes(ciphertext),
        "moments": _moments(ciphertext),
        "size": _sizes(ciphertext),
        "coarse": _coarse(ciphertext),
    }
    return {**kinds, _ALL: np.concatenate(list(kinds.values()))}


def _histogram(ciphertext: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = np.bincount(ciphertext.ravel() // (256 // _BINS), minlength=_BINS)
    distances = np.bincount(_fold(ciphertext).ravel() // (128 // _BINS), minlength=_BINS)
    return np.concatenate([values, distances]) / ciphertext.size


def _bit_planes(ciphertext: NDArray[np.uint8]) -> NDArray[np.float64]:
    planes = np.unpackbits(ciphertext[..., np.newaxis], axis=-1)
    ones = planes.mean(axis=(0, 1, 2))
    changes = [
        (np.diff(planes, axis=axis) != 0).sum(axis=(0, 1, 2)) / ciphertext.size for axis in (0, 1)
    ]
    return np.concatenate([ones, *changes])


def _moments(ciphertext: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = np.concatenate([ciphertext, _fold(ciphertext)], axis=-1).astype(np.float64)
    mean, deviation = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
    standardized = (values - mean) / np.maximum(deviation, 1e-9)
    higher = [(standardized**power).mean(axis=(0, 1)) for power in (3, 4)]
    return np.concatenate([mean, deviation, *higher])


def _sizes(ciphertext: NDArray[np.uint8]) -> NDArray[np.float64]:
    file = io.BytesIO()
    Image.fromarray(ciphertext.squeeze(-1) if ciphertext.shape[-1] == 1 else ciphertext).save(
        file, "png"
    )
    return np.array([file.tell(), len(zlib.compress(ciphertext.tobytes()))], np.float64)


def _coarse(ciphertext: NDArray[np.uint8]) -> NDArray[np.float64]:
    rows, columns = (
        np.linspace(0, length, min(_GRID, length), endpoint=False, dtype=np.int64)
        for length in ciphertext.shape[:2]
    )
    sums = np.add.reduceat(np.add.reduceat(ciphertext, rows, axis=0, dtype=np.float64), columns, 1)
    return sums.ravel()


def _fold(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Say how far levels are from mid-grey, from 0 to 127: what negation leaves as it is."""
    return np.where(levels < 128, 127 - levels, levels - 128).astype(np.uint8)

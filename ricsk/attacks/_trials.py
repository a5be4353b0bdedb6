"""Trials of what ciphertexts give away: fresh keys, what is known anyway, and what is chance."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ricsk._secrets import show_object
from ricsk.attacks._base import Adversary
from ricsk.base import BaseImageEncryptor, KeyedEncryptor, get_encryptor_tags
from ricsk.exceptions import AttackNotApplicableError
from ricsk.images import ImageBatch, check_images, flattened_for, validate_images
from ricsk.keys import SecretKey

__all__ = ["BaseTrial", "Challenger", "check_share", "draw_keys", "find_interval"]


class BaseTrial:
    """Base of the attacks that draw no picture, and say which image is behind a ciphertext.

    Attributes
    ----------
    adversary : Adversary
        What the adversary knows and has: the images in question, what is known of each anyway, and
        keys of its own.
    """

    adversary: ClassVar[Adversary] = Adversary(public_images=True, labels=True, keys="own")

    def check(self, encryptor: BaseImageEncryptor) -> None:
        """Refuse an encryptor whose ciphertexts tell images apart on purpose.

        Parameters
        ----------
        encryptor : encryptor
            It is not changed.

        Raises
        ------
        ricsk.exceptions.AttackNotApplicableError
            If ciphertexts disclose more than the label: two images whose probabilities or features
            are equal are hardly to be had, and others are told apart by what is disclosed.
        TypeError
            If `encryptor` is not an encryptor.
        """
        discloses = get_encryptor_tags(encryptor).discloses
        if discloses in ("proba", "features"):
            said = {"proba": "probabilities", "features": "features"}[discloses]
            raise AttackNotApplicableError(
                f"ciphertexts of this {type(encryptor).__name__} have the {said} of their images "
                "on purpose, which tell any two images apart. DisclosureBaseline measures what "
                "that gives away."
            )


class Challenger:
    """The side of a trial that encrypts images, under the keys that it is told.

    Parameters
    ----------
    encryptor : fitted encryptor
        It is not changed.
    images : array-like
        Images that it encrypts.
    labels : array-like of shape (n_images,), optional
        What the adversary may know of each image. By default what the classifier says of its
        ciphertext; nothing, where classifiers learn on ciphertexts.

    Attributes
    ----------
    images : ndarray of uint8, shape (n_images, height, width, channels)
        The images, as levels.
    labels : ndarray of shape (n_images,)
        What is known of them.
    """

    def __init__(
        self, encryptor: BaseImageEncryptor, images: ArrayLike, labels: ArrayLike | None
    ) -> None:
        if not isinstance(encryptor, BaseImageEncryptor):
            raise TypeError(
                f"encryptor={show_object(encryptor)} is not a ricsk encryptor of images to images. "
                "If it is inside a pipeline, pass that step."
            )
        check_is_fitted(encryptor)
        batch = validate_images(encryptor, images, reset=False)
        assert isinstance(batch, ImageBatch)
        self._encryptor, self._batch = encryptor, batch
        self.images = encryptor.value_range_.to_uint8(batch.pixels)
        self.labels = self._ask() if labels is None else column_or_1d(labels)
        if len(self.labels) != len(self.images):
            raise ValueError(f"there are {len(self.labels)} labels for {len(self.images)} images.")

    def encrypt(self, which: ArrayLike, key: SecretKey) -> NDArray[np.uint8]:
        """Encrypt some of the images; a scheme without keys does so as it is.

        Parameters
        ----------
        which : array-like of int
            Their positions.
        key : SecretKey
            The key.

        Returns
        -------
        ndarray of uint8, shape (n, height, width, channels)
            Ciphertexts, as levels.
        """
        keyed = isinstance(self._encryptor, KeyedEncryptor)
        encryptor = self._encryptor.imitate(key) if keyed else self._encryptor
        C = encryptor.transform(self._batch.form.restore(self._batch.pixels[np.asarray(which)]))
        ciphertexts = check_images(C, image_shape=encryptor.ciphertext_shape_)
        return encryptor.value_range_.to_uint8(ciphertexts.pixels)

    def _ask(self) -> NDArray[Any]:
        """Ask the classifier of the ciphertexts, which may be larger than the images."""
        encryptor: Any = self._encryptor
        if get_encryptor_tags(encryptor).learns_on == "ciphertexts":
            return np.zeros(len(self.images), np.int64)
        classifier = encryptor.classifier_
        C = encryptor.transform(self._batch.form.restore(self._batch.pixels))
        return np.asarray(classifier.predict(flattened_for(classifier, C)))


def draw_keys(keys: Iterable[SecretKey] | None, n: int) -> list[SecretKey]:
    """Generate keys, or take as many of those that are given.

    Parameters
    ----------
    keys : iterable of SecretKey, optional
        Given keys.
    n : int
        How many it takes.

    Returns
    -------
    list of SecretKey

    Raises
    ------
    ValueError
        If fewer are given, or some of them twice.
    TypeError
        If one is not a `SecretKey`.
    """
    if keys is None:
        return [SecretKey.generate() for _ in range(n)]
    chosen = list(islice(keys, n))
    if not all(isinstance(key, SecretKey) for key in chosen):
        raise TypeError("keys must be a sequence of SecretKey. Leave it out for fresh ones.")
    if len(set(chosen)) < n:
        raise ValueError(
            f"keys has {len(set(chosen))} different keys; expected {n}, one for each encryption. "
            "Leave it out for fresh ones."
        )
    return chosen


def find_interval(n_right: int, n: int, confidence: float) -> tuple[float, float]:
    """Find the exact confidence interval of a share, by C. J. Clopper and E. S. Pearson (1934).

    Parameters
    ----------
    n_right, n : int
        Right answers, of all.
    confidence : float
        How often such an interval contains the true share, at least: between 0 and 1.

    Returns
    -------
    (float, float)

    Examples
    --------
    >>> [round(end, 3) for end in find_interval(9, 10, 0.95)]
    [0.555, 0.997]
    """
    tail = (1 - confidence) / 2
    low = betaincinv(n_right, n - n_right + 1, tail) if n_right else 0.0
    high = betaincinv(n_right + 1, n - n_right, 1 - tail) if n_right < n else 1.0
    return float(low), float(high)


def check_share(name: str, value: float) -> None:
    """Refuse what is not a number between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name}={value!r}: expected a number between 0 and 1.")

"""`BaseAttack`: the contract that every attack keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ricsk._estimator import Estimator
from ricsk._secrets import show_object
from ricsk._state import IMAGE_SHAPE
from ricsk.base import BaseImageEncryptor, KeyedEncryptor, get_encryptor_tags
from ricsk.encryptors.perceptual import PixelMapEncryptor
from ricsk.exceptions import AttackNotApplicableError
from ricsk.images import ImageForm, ImageShape, ImagesLike, ValueRange, check_images, describe

__all__ = ["Adversary", "BaseAttack", "encrypt_levels", "find_body_shape"]

_UNIT_RANGE = ValueRange(0.0, 1.0)


@dataclass(frozen=True)
class Adversary:
    """What an adversary has besides the algorithm, which is known to everybody.

    Parameters
    ----------
    ciphertexts : bool
        Whether the ciphertexts under attack are looked at at all.
    pairs : bool
        Whether it has some images together with their ciphertexts: known plaintexts.
    oracle : bool
        Whether it can have images of its own choice encrypted: chosen plaintexts.
    public_images : bool
        Whether it has images of the same kind as those that are hidden.
    labels : bool
        Whether it knows the class of each ciphertext and of each public image, as everybody does
        who has the classifier.
    classifier : bool
        Whether it has the classifier, to look into or to ask.
    keys : {"same", "own", "listed"}
        Whether pairs, oracle and ciphertexts are of the key under attack; or the adversary makes
        pairs with keys of its own; or it has a list of keys, and the right one may be on it.

    Examples
    --------
    >>> print(Adversary())
    ciphertexts only
    >>> print(Adversary(pairs=True))
    known plaintexts, same key
    >>> print(Adversary(public_images=True, keys="own"))
    public images, keys of its own
    """

    ciphertexts: bool = True
    pairs: bool = False
    oracle: bool = False
    public_images: bool = False
    labels: bool = False
    classifier: bool = False
    keys: Literal["same", "own", "listed"] = "same"

    def __str__(self) -> str:
        keys = {"same": "same key", "own": "keys of its own", "listed": "a list of keys"}
        parts = {
            "known plaintexts": self.pairs,
            "chosen plaintexts": self.oracle,
            "public images": self.public_images,
            "labels": self.labels,
            "the classifier": self.classifier,
            keys[self.keys]: self.pairs or self.oracle or self.keys != "same",
            "no ciphertexts": not self.ciphertexts,
        }
        return ", ".join(part for part, has in parts.items() if has) or "ciphertexts only"


class BaseAttack(Estimator):
    """Base of all attacks: learns from what its adversary has, and reconstructs images.

    An attack says in `adversary` what the adversary has, and overrides `_fit`, `_reconstruct` and,
    where there are encryptors that it cannot be run against, `_why_not`. Whatever `fit` is passed,
    `_fit` is given no more than that adversary has: a caller may pass all it has to every attack.

    An attack for which `_reads_borders` is false is given ciphertexts without the border that
    carries the nonce of an image that has a key of its own: everybody can take it off.

    `_fit` is called with keyword arguments, images as uint8 arrays of shape ``(n_samples, height,
    width, channels)``: always `ciphertexts`; `plaintexts` with pairs; `public_images`; with labels
    `labels` and, with public images too, `public_labels`; `encrypt`, a function of images, with
    an oracle; and `rekey`, from a `SecretKey` to the same encryptor under it, with keys other than
    the same.

    Attributes
    ----------
    adversary : Adversary
        What the adversary knows and has.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.
    body_shape_ : tuple of int
        Of what the attack looks at: of ciphertexts, or of ciphertexts without their border.
    """

    # A property only so that an attack may have either: an attribute, or another one that depends
    # on its parameters.
    @property
    def adversary(self) -> Adversary:
        """What the adversary knows and has."""
        raise NotImplementedError

    _parameter_constraints: ClassVar[dict[str, Any]] = {}
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        "ciphertext_shape_": [IMAGE_SHAPE],
        "image_shape_": [IMAGE_SHAPE],
        "body_shape_": [IMAGE_SHAPE],
        "reads_labels_": ["boolean"],
    }
    _optional: ClassVar[frozenset[str]] = frozenset()
    """Arguments of `_fit` that may be None although the adversary has them."""
    _reads_borders: ClassVar[bool] = True

    ciphertext_shape_: ImageShape
    image_shape_: ImageShape
    body_shape_: ImageShape
    reads_labels_: bool

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        ciphertexts: ImagesLike,
        plaintexts: ImagesLike | None = None,
        *,
        public_images: ImagesLike | None = None,
        public_labels: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        encryptor: BaseImageEncryptor | None = None,
    ) -> Self:
        """Learn from what the adversary has; the rest is not looked at.

        Parameters
        ----------
        ciphertexts : array-like of shape (n_samples, height, width, channels)
            Ciphertexts: uint8, or floats on [0, 1].
        plaintexts : array-like, optional
            The images behind `ciphertexts`, in the same order.
        public_images : array-like, optional
            Images of the same kind and shape, that are not behind the ciphertexts.
        public_labels : array-like of shape (n_public,), optional
            What the classifier says of them; or their classes, where it reads ciphertexts alone.
        labels : array-like of shape (n_samples,), optional
            What the classifier says of `ciphertexts`.
        encryptor : fitted encryptor, optional
            What made the ciphertexts: the oracle for chosen plaintexts, or the known algorithm. It
            is checked by `check`, and is not changed.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If something that the attack needs is missing or does not fit the rest.
        ricsk.exceptions.AttackNotApplicableError
            If the attack cannot be run against `encryptor`.
        sklearn.exceptions.NotFittedError
            If `encryptor` is not fitted.
        """
        if encryptor is not None:
            self.check(encryptor)
        has = self.adversary
        own = has.keys != "same"
        given = {
            "ciphertexts": (True, ciphertexts),
            "plaintexts": (has.pairs, plaintexts),
            "public_images": (has.public_images, public_images),
            "public_labels": (has.public_images and has.labels, public_labels),
            "labels": (has.labels, labels),
        }
        used: dict[str, Any] = {name: value for name, (used, value) in given.items() if used}
        missing = [name for name, value in used.items() if value is None]
        missing = [name for name in missing if name not in self._optional]
        if encryptor is None and (has.oracle or own):
            missing.append("encryptor")
        if missing:
            raise ValueError(
                f"{type(self).__name__} needs {' and '.join(missing)} (its adversary has: {has}). "
                "Pass them to fit."
            )
        with self._all_or_nothing() as twin:
            for name in ("ciphertexts", "plaintexts", "public_images"):
                if used.get(name) is not None:
                    used[name] = twin._read(used[name], name)
            for name, images in (("labels", "ciphertexts"), ("public_labels", "public_images")):
                if used.get(name) is not None:
                    used[name] = _read_labels(used[name], name, used[images])
            twin._learn(used, encryptor)
        return self

    def reconstruct(
        self, ciphertexts: ImagesLike, labels: ArrayLike | None = None
    ) -> NDArray[np.uint8]:
        r"""Guess the images behind ciphertexts.

        Parameters
        ----------
        ciphertexts : array-like of shape (n_samples, height, width, channels)
            Ciphertexts: uint8, or floats on [0, 1].
        labels : array-like of shape (n_samples,), optional
            What the classifier says of them, for adversaries that know it.

        Returns
        -------
        ndarray of uint8, shape (n_samples, \*image_shape_)
            Images.

        Raises
        ------
        ValueError, TypeError
            If `ciphertexts` have another shape than those of `fit`, or `labels` are missing.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        pixels = self._read(ciphertexts, "ciphertexts")
        _check_shape(pixels, self.ciphertext_shape_, "ciphertexts", "the ciphertexts of fit")
        pixels = pixels[:, : self.body_shape_[0]]
        if not self.reads_labels_:
            return self._reconstruct(pixels)
        if labels is None:
            raise ValueError(
                f"{type(self).__name__} needs labels (its adversary has: {self.adversary}). Pass "
                "what the classifier says of the ciphertexts."
            )
        return self._reconstruct(pixels, _read_labels(labels, "labels", pixels))

    def check(self, encryptor: BaseImageEncryptor) -> None:
        """Refuse an encryptor that the attack cannot be run against.

        Parameters
        ----------
        encryptor : fitted encryptor
            It is not changed.

        Raises
        ------
        ricsk.exceptions.AttackNotApplicableError
            With the reason, if the attack would fail for a reason that says nothing of security.
        TypeError
            If `encryptor` is not an encryptor.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        if not isinstance(encryptor, BaseImageEncryptor):
            raise TypeError(
                f"encryptor={show_object(encryptor)} is not a ricsk encryptor. If it is "
                "inside a pipeline, pass that step."
            )
        check_is_fitted(encryptor)
        keyless = self.adversary.keys != "same" and not get_encryptor_tags(encryptor).keyed
        reason = "it has no key." if keyless else self._why_not(encryptor)
        if reason:
            raise AttackNotApplicableError(
                f"{type(self).__name__} cannot be run against this {type(encryptor).__name__}: "
                f"{reason}"
            )

    def _learn(self, used: dict[str, Any], encryptor: BaseImageEncryptor | None) -> None:
        self.reads_labels_ = self.adversary.labels  # which may depend on a parameter
        self._keep_shapes(used, encryptor)
        self.body_shape_ = self.ciphertext_shape_
        if encryptor is not None and not self._reads_borders:
            self.body_shape_ = find_body_shape(encryptor)
        used["ciphertexts"] = used["ciphertexts"][:, : self.body_shape_[0]]
        if encryptor is not None and self.adversary.oracle:
            used["encrypt"] = partial(encrypt_levels, encryptor)
        if isinstance(encryptor, KeyedEncryptor) and self.adversary.keys != "same":
            used["rekey"] = encryptor.imitate
        self._fit(**used)

    def _fit(self, *args: Any, **kwargs: Any) -> None:
        """Learn; see the class for the keyword arguments."""
        raise NotImplementedError

    def _reconstruct(self, *args: Any) -> NDArray[np.uint8]:
        """Guess the images behind ciphertexts; with labels, if the adversary has them."""
        raise NotImplementedError

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        """Say why the attack cannot be run against a fitted encryptor; None if it can."""
        return None

    def _read(self, images: ImagesLike, name: str) -> NDArray[np.uint8]:
        """Read a batch of images as 8-bit levels, (n_samples, height, width, channels)."""
        batch = check_images(images, caller=type(self).__name__)
        if batch.ndim == 2:
            shape = (len(batch.pixels), math.prod(batch.shape))
            raise ValueError(
                f"{name} have shape {shape}; expected (n_samples, height, width, channels). "
                "Reshape flattened images."
            )
        return _UNIT_RANGE.to_uint8(batch.pixels)

    def _keep_shapes(self, used: dict[str, Any], encryptor: BaseImageEncryptor | None) -> None:
        """Find the shapes of ciphertexts and images, and check that all agree on them."""
        ciphertexts = used["ciphertexts"]
        self.ciphertext_shape_ = ciphertexts.shape[1:]
        self.image_shape_ = ciphertexts.shape[1:]
        if encryptor is not None:
            theirs = "the ciphertexts of the encryptor"
            _check_shape(ciphertexts, encryptor.ciphertext_shape_, "ciphertexts", theirs)
            self.image_shape_ = encryptor.image_shape_in_
        plaintexts, public_images = used.get("plaintexts"), used.get("public_images")
        if plaintexts is not None:
            if len(plaintexts) != len(ciphertexts):
                raise ValueError(
                    f"there are {len(ciphertexts)} ciphertexts and {len(plaintexts)} plaintexts; "
                    "expected one plaintext for each, in the same order."
                )
            if encryptor is not None:
                _check_shape(plaintexts, self.image_shape_, "plaintexts", "the encryptor's images")
            self.image_shape_ = plaintexts.shape[1:]
        if public_images is not None:
            if encryptor is not None or plaintexts is not None:
                hidden = "the images behind the ciphertexts"
                _check_shape(public_images, self.image_shape_, "public_images", hidden)
            self.image_shape_ = public_images.shape[1:]


def find_body_shape(encryptor: BaseImageEncryptor) -> ImageShape:
    """Find the shape of a ciphertext without the border that carries its nonce.

    Parameters
    ----------
    encryptor : fitted encryptor
        Of any scheme; most have no border.

    Returns
    -------
    tuple of int
        Height, width and channels.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> images = np.zeros((1, 32, 32, 3), np.uint8)
    >>> encryptor = PixelEncryptor(SecretKey.generate(), per_image_keys=True).fit(images)
    >>> encryptor.ciphertext_shape_, find_body_shape(encryptor)
    ((40, 32, 3), (32, 32, 3))
    """
    if isinstance(encryptor, PixelMapEncryptor):
        return encryptor.scheme_.map_shape
    return encryptor.ciphertext_shape_


def encrypt_levels(encryptor: BaseImageEncryptor, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encrypt 8-bit images, in the form in which the encryptor was given images to fit.

    Parameters
    ----------
    encryptor : fitted encryptor
        It is not changed.
    images : ndarray of uint8, shape (n_samples, height, width, channels)
        Images.

    Returns
    -------
    ndarray of uint8, shape (n_samples, height, width, channels)
        Ciphertexts.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> images = np.zeros((1, 8, 8, 3), np.uint8)
    >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(images / 255)
    >>> ciphertexts = encryptor.transform(images / 255)
    >>> bool((encrypt_levels(encryptor, images) == np.rint(255 * ciphertexts)).all())
    True
    """
    values, dtype = encryptor.value_range_, np.dtype(encryptor.input_dtype_)
    pixels = values.from_uint8(images, dtype) if dtype.kind == "f" else images
    C = encryptor.transform(ImageForm(encryptor.input_ndim_, dtype).restore(pixels))
    C = C.reshape(-1, *encryptor.ciphertext_shape_)
    return values.to_uint8(C) if dtype.kind == "f" else C.astype(np.uint8)


def _read_labels(labels: ArrayLike, name: str, images: NDArray[Any]) -> NDArray[Any]:
    array: NDArray[Any] = column_or_1d(labels)
    if len(array) != len(images):
        raise ValueError(f"{name} has {len(array)} entries for {len(images)} images.")
    return array


def _check_shape(images: NDArray[Any], shape: ImageShape, name: str, whose: str) -> None:
    if images.shape[1:] != tuple(shape):
        height, width, channels = images.shape[1:]
        raise ValueError(
            f"{name} are of {describe((height, width, channels))}, but {whose} are of "
            f"{describe(shape)}."
        )

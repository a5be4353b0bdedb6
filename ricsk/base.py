"""The contract that every encryptor keeps, and the facts about a scheme that others ask for."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, _fit_context
from sklearn.utils import Tags as SklearnTags
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from ricsk._estimator import Estimator, ImageTransformerMixin
from ricsk._secrets import show_object
from ricsk._state import IMAGE_FORM, IMAGE_SHAPE, explain_restoring
from ricsk.images import (
    ImageBatch,
    ImageShape,
    ValueRange,
    check_images,
    describe,
    validate_images,
)
from ricsk.keys import KeyedMixin, KeyParameter, SecretKey

__all__ = [
    "BaseEncryptor",
    "BaseImageEncryptor",
    "EncryptorTags",
    "KeyedEncryptor",
    "get_encryptor_tags",
]


@dataclass(frozen=True)
class EncryptorTags:
    """Facts about an encryption scheme, which everything that handles encryptors asks for.

    Parameters
    ----------
    learns_on : {"plain", "ciphertexts"}
        What a classifier behind the encryptor is trained on.
    keyed : bool
        Whether there is a secret key, and another encryption for each.
    recoverable : bool
        Whether `inverse_transform` brings the images back.
    deterministic : bool
        Whether equal images have equal ciphertexts.
    image_shaped : bool
        Whether ciphertexts are images: arrays of 8-bit levels, or floats in their place.
    mixes_labels : bool
        Whether ciphertexts mix several images, and with them their labels.
    discloses : {"nothing", "label", "proba", "features"}
        What the classifier reads in a ciphertext as in the plain image, by design.
    """

    learns_on: Literal["plain", "ciphertexts"]
    keyed: bool = True
    recoverable: bool = True
    deterministic: bool = True
    image_shaped: bool = True
    mixes_labels: bool = False
    discloses: Literal["nothing", "label", "proba", "features"] = "nothing"


@dataclass
class Tags(SklearnTags):
    """scikit-learn's tags of an estimator, and those of an encryptor.

    Parameters
    ----------
    encryptor_tags : EncryptorTags
        Facts about the scheme.
    """

    encryptor_tags: EncryptorTags | None = None


def get_encryptor_tags(encryptor: Any) -> EncryptorTags:
    """Ask an encryptor for the facts about its scheme.

    Parameters
    ----------
    encryptor : encryptor
        Fitted or not.

    Returns
    -------
    EncryptorTags

    Raises
    ------
    TypeError
        If it is not an encryptor.

    Examples
    --------
    >>> from ricsk import SealedEncryptor
    >>> get_encryptor_tags(SealedEncryptor(match="features")).discloses
    'features'
    """
    tags: EncryptorTags | None = None
    if hasattr(encryptor, "__sklearn_tags__"):
        tags = getattr(get_tags(encryptor), "encryptor_tags", None)
    if tags is None:
        raise TypeError(
            f"{show_object(encryptor)} is not a ricsk encryptor. If it is inside a pipeline, pass "
            "that step."
        )
    return tags


class BaseEncryptor(
    ClassNamePrefixFeaturesOutMixin, ImageTransformerMixin, Estimator, metaclass=ABCMeta
):
    """Base of all encryptors: a transformer from images to what may be shown.

    Subclasses must define

    - `_encryptor_tags`: the facts about the scheme;
    - `_fit_scheme`: learn what the scheme needs;
    - `_encrypt`: encrypt a batch.

    They read constructor parameters in `_fit_scheme` alone, and keep what they need of them as
    fitted attributes: so ``set_params`` acts at the next `fit`, and a fitted encryptor does what it
    was fitted to do.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "image_shape": [tuple, list, None],
        "value_range": [tuple, list, None],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = IMAGE_FORM

    image_shape_in_: ImageShape
    value_range_: ValueRange
    n_features_in_: int
    input_ndim_: int
    input_dtype_: str

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the shape and value range of the images, and prepare the key for them.

        Parameters
        ----------
        X : array-like
            Images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)`` or
            flattened: uint8, or floats on [0, 1].
        y : array-like, optional
            Labels. Ignored by schemes that need none.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If `X` is not a batch of images, the key is not a key, or a parameter does not fit the
            images.
        """
        with self._all_or_nothing() as twin:
            twin._learn(X, y)
        return self

    def _learn(self, X: ArrayLike, y: ArrayLike | None) -> None:
        batch = validate_images(self, X, reset=True)
        assert isinstance(batch, ImageBatch)
        value_range: tuple[float, float] | None = getattr(self, "value_range", None)
        self.value_range_ = ValueRange.of(batch.pixels, value_range)
        self.input_ndim_, self.input_dtype_ = batch.ndim, batch.dtype.str
        self._fit_scheme(batch, y)

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Encrypt images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray
            Ciphertexts.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        return self._encrypt(batch)

    def transform_batches(
        self, X: Any, *, batch_size: int = 256, verbose: int = 0
    ) -> Iterator[NDArray[Any]]:
        """Encrypt images batch by batch, so that only one batch is in memory.

        Parameters
        ----------
        X : array-like, or iterable of array-like
            Images of the fitted shape: an array, for example a memory-mapped one, or batches that
            are made one after the other.
        batch_size : int
            How many images of an array to encrypt at a time.
        verbose : int
            Whether to show a progress bar, on the standard error stream.

        Yields
        ------
        ndarray
            Ciphertexts, a batch at a time.

        Raises
        ------
        ValueError, TypeError
            As `transform` does, when it comes to the batch that is at fault.

        Examples
        --------
        >>> from ricsk import PixelEncryptor, SecretKey
        >>> from ricsk.datasets import load_digits
        >>> X, _ = load_digits(size=16)
        >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(X)
        >>> [len(C) for C in encryptor.transform_batches(X[:600])]
        [256, 256, 88]
        """
        check_is_fitted(self)
        batches: Iterable[ArrayLike]
        if hasattr(X, "shape") and hasattr(X, "__getitem__"):
            n = X.shape[0]
            batches = (X[i : i + batch_size] for i in range(0, n, batch_size))
            total = -(-n // batch_size)
        else:
            batches, total = X, None
        for batch in tqdm(batches, total=total, disable=not verbose):
            yield self.transform(batch)

    @property
    @abstractmethod
    def _encryptor_tags(self) -> EncryptorTags:
        """Say the facts about the scheme."""

    @abstractmethod
    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        """Learn what the scheme needs from images and labels."""

    @abstractmethod
    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        """Encrypt a batch of images of the fitted shape."""

    def _restore(self) -> None:
        """Make the `_derived` attributes again, after loading. What is stored has been checked."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.non_deterministic = not self._encryptor_tags.deterministic
        known = {field.name: getattr(tags, field.name) for field in fields(tags)}
        return Tags(**known, encryptor_tags=self._encryptor_tags)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in self._derived}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "image_shape_in_"):
            with explain_restoring(type(self)):
                self._restore()


def _is_recoverable(encryptor: BaseImageEncryptor) -> bool:
    reason = encryptor._why_not_recoverable()
    if reason:
        raise AttributeError(reason)
    return True


class BaseImageEncryptor(BaseEncryptor):
    """Base of all encryptors whose ciphertexts are images, and of most that bring images back.

    Besides what `BaseEncryptor` asks for, subclasses define `_decrypt`, or say in
    `_why_not_recoverable` why there is no way back. `_encrypt` returns pixels: everything about
    shapes, dtypes and value ranges is done here.

    Whatever the scheme, the ciphertext of an image depends on the image, the key and the fitted
    state alone: not on the batch that it came in, the number of threads, or the device.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseEncryptor._parameter_constraints,
        "flatten": ["boolean"],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseEncryptor._state_constraints,
        "flattens_": ["boolean"],
        "ciphertext_shape_": [IMAGE_SHAPE],
    }

    flatten: bool = False
    ciphertext_shape_: ImageShape

    def _learn(self, X: ArrayLike, y: ArrayLike | None) -> None:
        self.flattens_ = self.flatten
        super()._learn(X, y)

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        self.ciphertext_shape_ = batch.shape

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Encrypt images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray
            Ciphertext images, of the dtype and number of dimensions of `X`; with ``flatten=True``,
            of shape (n_samples, n_features).

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        C = batch.form.restore(self._encrypt(batch))
        return C.reshape(len(C), -1) if self.flattens_ else C

    @available_if(_is_recoverable)
    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """Decrypt ciphertext images.

        Parameters
        ----------
        X : array-like
            Ciphertexts as `transform` returned them.

        Returns
        -------
        ndarray
            Images, of the dtype of `X`, and of its number of dimensions; with ``flatten=True``, of
            that which the images of `fit` had.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold ciphertexts of the fitted shape.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        batch = self._read_ciphertexts(X)
        images = self._decrypt(batch.pixels)
        if self.flattens_ and batch.ndim == 2:
            batch = replace(batch, ndim=self.input_ndim_)
        return batch.form.restore(images)

    def _read_ciphertexts(self, X: ArrayLike) -> ImageBatch:
        """Read ciphertexts, and refuse those of another shape than this encryptor's."""
        name = type(self).__name__
        batch = check_images(X, image_shape=self.ciphertext_shape_, caller=name)
        if batch.shape != self.ciphertext_shape_:
            raise ValueError(
                f"X holds images of {describe(batch.shape)}, but ciphertexts of this {name} have "
                f"{describe(self.ciphertext_shape_)}. Pass what transform returned, unresized."
            )
        return batch

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Undo `_encrypt`, of (n, height, width, channels) pixels."""
        raise NotImplementedError

    def _why_not_recoverable(self) -> str | None:
        """Say why there is no `inverse_transform`; None if there is one."""
        return None

    @property
    def _n_features_out(self) -> int:
        return int(np.prod(self.ciphertext_shape_))


class KeyedEncryptor(KeyedMixin, BaseImageEncryptor):
    """Base of all image encryptors with a secret key.

    What a scheme derives from the key for every image alike, it makes in `_derive_from_key`, which
    is called at the end of `fit`, after loading, and for another key.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImageEncryptor._parameter_constraints,
        "key": "no_validation",
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseImageEncryptor._state_constraints,
        "key_": [SecretKey],
    }

    key = KeyParameter()
    key_: SecretKey

    def _learn(self, X: ArrayLike, y: ArrayLike | None) -> None:
        self.key_ = SecretKey.coerce(self.key)
        super()._learn(X, y)
        self._derive_from_key()

    def with_key(self, key: SecretKey | bytes | str | PathLike[str]) -> Self:
        """Make the same fitted encryptor under another key.

        Parameters
        ----------
        key : SecretKey, bytes or path
            The other key.

        Returns
        -------
        encryptor
            Fitted, of the same class. It shares with this one what does not depend on the key.

        Raises
        ------
        ValueError, TypeError
            If `key` is not a key.
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from ricsk import PixelEncryptor, SecretKey
        >>> images = np.zeros((1, 8, 8, 3), np.uint8)
        >>> ours, theirs = SecretKey.generate(), SecretKey.generate()
        >>> encryptor = PixelEncryptor(ours).fit(images)
        >>> expected = PixelEncryptor(theirs).fit_transform(images)
        >>> bool((encryptor.with_key(theirs).transform(images) == expected).all())
        True
        """
        check_is_fitted(self)
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.key = other.key_ = SecretKey.coerce(key)
        other._derive_from_key()
        return other

    def _derive_from_key(self) -> None:
        """Make what follows from the key and the fitted state."""

    def _restore(self) -> None:
        super()._restore()
        self._derive_from_key()

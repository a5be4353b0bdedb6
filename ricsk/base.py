"""The contract that every encryptor keeps, and the facts about a scheme that others ask for."""

from __future__ import annotations

import math
import threading
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, _fit_context
from sklearn.utils import Tags as SklearnTags
from sklearn.utils import _safe_indexing, check_consistent_length, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from ricsk._estimator import Estimator, ImageTransformerMixin
from ricsk._secrets import show_object
from ricsk._state import IMAGE_FORM, IMAGE_SHAPE, Check, explain_restoring
from ricsk.images import (
    ImageBatch,
    ImageShape,
    SizeGroup,
    ValueRange,
    check_images,
    describe,
    group_by_size,
    naming,
    numbered,
    restore_order,
    validate_images,
)
from ricsk.keys import KeyedMixin, KeyParameter, PrivateKey, SecretKey

__all__ = [
    "BaseEncryptor",
    "BaseImageEncryptor",
    "EncryptorTags",
    "KeyedEncryptor",
    "Part",
    "Task",
    "get_encryptor_tags",
]

Task = Literal["encrypt", "decrypt"]

# Resized copies of an encryptor are kept for images of so many values in all.
_MAX_RESIZED_VALUES = 1 << 24
_LOCK = threading.RLock()


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
        batch, y = self._read_training(X, y)
        value_range: tuple[float, float] | None = getattr(self, "value_range", None)
        values = batch.pixels
        if batch.others:
            values = np.concatenate([part.pixels.ravel() for part in (batch, *batch.others)])
        self.value_range_ = ValueRange.of(values, value_range)
        self.input_ndim_, self.input_dtype_ = batch.ndim, batch.dtype.str
        self._fit_scheme(batch, y)
        self._check_others(batch)

    def _check_others(self, batch: ImageBatch) -> None:
        """Refuse images of other sizes that could not be encrypted."""

    def _read_training(
        self, X: ArrayLike, y: ArrayLike | None
    ) -> tuple[ImageBatch, ArrayLike | None]:
        """Read what `fit` was given, and keep the shape of the images."""
        batch = validate_images(self, X, reset=True)
        assert isinstance(batch, ImageBatch)
        return batch, y

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
    ) -> Iterator[NDArray[Any] | list[NDArray[Any]]]:
        """Encrypt images batch by batch, so that only one batch is in memory.

        Parameters
        ----------
        X : array-like, or iterable of array-like
            Images as `transform` takes them: an array, for example a memory-mapped one, a list of
            images, or an iterator of batches that are made one after the other.
        batch_size : int
            How many images of an array or list to encrypt at a time.
        verbose : int
            Whether to show a progress bar with rate and time left, on the standard error stream.

        Yields
        ------
        ndarray, or list of ndarray
            Ciphertexts, a batch at a time, as `transform` returns them.

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
        yield from _batch_by_batch(
            self.transform, X, self.input_ndim_, batch_size, "encrypting", verbose
        )

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


def _batch_by_batch(
    function: Callable[[Any], Any],
    X: Any,
    fitted_ndim: int,
    batch_size: int,
    description: str,
    verbose: int,
) -> Iterator[Any]:
    """Apply a method to images of an array or list, some at a time, or to batches as they come."""
    batches: Iterable[Any] = X
    total: int | None = None
    if (hasattr(X, "shape") and hasattr(X, "__getitem__")) or _is_list_of_images(X, fitted_ndim):
        total = len(X)
        batches = (X[i : i + batch_size] for i in range(0, total, batch_size))
    with tqdm(total=total, desc=description, unit="image", disable=not verbose) as bar:
        for batch in batches:
            done = function(batch)
            bar.update(len(done))
            yield done


def _is_list_of_images(X: Any, fitted_ndim: int) -> bool:
    """Tell a list of images from one of batches, which have a dimension more."""
    if not isinstance(X, list | tuple) or not X:
        return False
    shapes = [np.shape(item) for item in X]
    return all(
        (len(shape) == 3 and shape[-1] in (1, 3)) or (len(shape) == 2 and fitted_ndim > 2)
        for shape in shapes
    )


def _are_image_shapes(value: Any) -> bool:
    return type(value) is tuple and all(map(IMAGE_SHAPE.is_satisfied_by, value))


def _is_recoverable(encryptor: BaseImageEncryptor) -> bool:
    reason = encryptor._why_not_recoverable()
    if reason:
        raise AttributeError(reason)
    return True


@dataclass(frozen=True)
class Part:
    """Images of one shape that are to be encrypted or decrypted.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels of the plain images.
    batch : ImageBatch
        Images or ciphertexts.
    positions : ndarray of shape (n,), int64
        Their places in what the user has given.
    """

    shape: ImageShape
    batch: ImageBatch
    positions: NDArray[np.int64]


class BaseImageEncryptor(BaseEncryptor):
    """Base of all encryptors whose ciphertexts are images, and of most that bring images back.

    Besides what `BaseEncryptor` asks for, subclasses define `_decrypt`, or say in
    `_why_not_recoverable` why there is no way back. `_encrypt` returns pixels: everything about
    shapes, dtypes and value ranges is done here.

    For images of another shape than the fitted one, which come in lists, a copy of the encryptor is
    made. Subclasses define `_adapt_to_shape`, and `_find_ciphertext_shape` with
    `_guess_image_shape` where ciphertexts have another shape than images.

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
        "other_shapes_": [Check("a tuple of image shapes", _are_image_shapes)],
    }

    _derived = frozenset({"_resized"})

    flatten: bool = False
    ciphertext_shape_: ImageShape
    other_shapes_: tuple[ImageShape, ...]

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the shape and value range of the images, and prepare the key for them.

        Parameters
        ----------
        X : array-like, or list of array-like
            Images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)`` or
            flattened: uint8, or floats on [0, 1]. Or a list of images of different sizes and one
            dtype, ``(height, width, channels)`` or ``(height, width)``. Then `image_shape_in_` is
            the commonest of their shapes, and `other_shapes_` are the others; a classifier must
            be fitted, and read them all.
        y : array-like, optional
            Labels. Ignored by schemes that need none.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images, the key is not a key, or a parameter does not fit the
            images.
        """
        with self._all_or_nothing() as twin:
            twin._learn(X, y)
        return self

    def _learn(self, X: ArrayLike, y: ArrayLike | None) -> None:
        self.flattens_, self.other_shapes_ = self.flatten, ()
        self.__dict__.pop("_resized", None)
        super()._learn(X, y)

    def _check_others(self, batch: ImageBatch) -> None:
        """Refuse images of other sizes that could not be encrypted."""
        for other in batch.others:
            with naming(other.position):
                self._check_shape(other.shape)

    def _read_training(
        self, X: ArrayLike, y: ArrayLike | None
    ) -> tuple[ImageBatch, ArrayLike | None]:
        groups = group_by_size(X)
        if groups is None:
            return super()._read_training(X, y)
        if y is not None:
            check_consistent_length(X, y)
        commonest = max(groups, key=lambda group: len(group.positions))
        others = [group for group in groups if group is not commonest]
        batch, _ = super()._read_training(commonest.images, None)
        batch = replace(batch, others=tuple(self._read_group(group) for group in others))
        self.other_shapes_ = tuple(dict.fromkeys(other.shape for other in batch.others))
        self._refuse_table()
        return batch, None if y is None else _safe_indexing(y, commonest.positions)

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        self.ciphertext_shape_ = batch.shape

    def transform(self, X: ArrayLike) -> Any:
        """Encrypt images.

        Parameters
        ----------
        X : array-like, or list of array-like
            Images of the fitted shape; or a list of images of any sizes, each of which is encrypted
            on its own, under streams of its shape's own.

        Returns
        -------
        ndarray, or list of ndarray
            Ciphertext images, of the dtype and number of dimensions of `X`; with ``flatten=True``,
            of shape (n_samples, n_features). For a list of images that have not all the fitted
            shape, a list in its order.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range, or a list holds one
            that this encryptor cannot encrypt, which is named.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        groups = group_by_size(X, self.image_shape_in_)
        if groups is None:
            batch = validate_images(self, X, reset=False)
            assert isinstance(batch, ImageBatch)
            part = Part(self.image_shape_in_, batch, np.arange(len(batch.pixels)))
            C = batch.form.restore(self._compute("encrypt", [part])[0])
            return C.reshape(len(C), -1) if self.flattens_ else C
        self._refuse_table()
        parts = []
        for group in groups:
            batch = self._read_group(group)
            with naming(group.positions[0]):
                self._check_shape(batch.shape)
            parts.append(Part(batch.shape, batch, group.positions))
        return _join(parts, self._compute("encrypt", parts))

    @available_if(_is_recoverable)
    def inverse_transform(self, X: ArrayLike) -> Any:
        """Decrypt ciphertext images.

        Parameters
        ----------
        X : array-like, or list of array-like
            Ciphertexts as `transform` returned them.

        Returns
        -------
        ndarray, or list of ndarray
            Images, of the dtype of `X`, and of its number of dimensions; with ``flatten=True``, of
            that which the images of `fit` had. For a list of ciphertexts that have not all the
            fitted shape, a list in its order, of images in the shapes that were encrypted.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold ciphertexts of the fitted shape, or a list of ciphertexts.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        groups = group_by_size(X, self.ciphertext_shape_)
        if groups is None:
            batch = self._read_ciphertexts(X)
            part = Part(self.image_shape_in_, batch, np.arange(len(batch.pixels)))
            (images,) = self._compute("decrypt", [part])
            if self.flattens_ and batch.ndim == 2:
                batch = replace(batch, ndim=self.input_ndim_)
            return batch.form.restore(images)
        parts = self._read_ciphertext_groups(groups)
        return _join(parts, self._compute("decrypt", parts))

    @available_if(_is_recoverable)
    def inverse_transform_batches(
        self, X: Any, *, batch_size: int = 256, verbose: int = 0
    ) -> Iterator[NDArray[Any] | list[NDArray[Any]]]:
        """Decrypt ciphertexts batch by batch, so that only one batch is in memory.

        Parameters
        ----------
        X : array-like, or iterable of array-like
            Ciphertexts as `inverse_transform` takes them: an array, for example a memory-mapped
            one, a list, or an iterator of batches such as `transform_batches`.
        batch_size : int
            How many images of an array or list to decrypt at a time.
        verbose : int
            Whether to show a progress bar with rate and time left, on the standard error stream.

        Yields
        ------
        ndarray, or list of ndarray
            Images, a batch at a time, as `inverse_transform` returns them.

        Raises
        ------
        ValueError, TypeError
            As `inverse_transform` does, when it comes to the batch that is at fault.

        Examples
        --------
        >>> import numpy as np
        >>> from ricsk import PixelEncryptor, SecretKey
        >>> X = np.zeros((5, 8, 8, 3), np.uint8)
        >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(X)
        >>> C = encryptor.transform_batches(X, batch_size=2)
        >>> [len(images) for images in encryptor.inverse_transform_batches(C)]
        [2, 2, 1]
        """
        check_is_fitted(self)
        yield from _batch_by_batch(
            self.inverse_transform, X, self.input_ndim_, batch_size, "decrypting", verbose
        )

    def _compute(self, task: Task, parts: list[Part]) -> list[NDArray[Any]]:
        """Encrypt or decrypt images, in this process or in others."""
        return self._compute_here(task, parts)

    def _compute_here(self, task: Task, parts: list[Part]) -> list[NDArray[Any]]:
        return [self._get_resized(part.shape)._compute_part(task, part) for part in parts]

    def _make_worker(self) -> Callable[[Task, list[Part]], list[NDArray[Any]]]:
        """Return what other processes are to do: `_compute_here`, without progress bars."""
        quiet = object.__new__(type(self))
        quiet.__dict__.update(self.__dict__, verbose=0)
        return quiet._compute_here

    def _compute_part(self, task: Task, part: Part) -> NDArray[Any]:
        with numbered(part.positions):
            if task == "encrypt":
                return self._encrypt(part.batch)
            return self._decrypt(part.batch.pixels)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "image_shape_in_" in state:
            state = {"other_shapes_": (), **state}  # from before lists had several sizes
        super().__setstate__(state)

    def _get_resized(self, shape: ImageShape) -> Self:
        """Return the same fitted encryptor for images of a shape; a few are kept."""
        if shape == self.image_shape_in_:
            return self
        with _LOCK:
            copies: dict[ImageShape, Self] = self.__dict__.setdefault("_resized", {})
            other = copies.get(shape)
            if other is None:
                other = self._resize(shape)
                other._restore()
            copies.pop(shape, None)
            copies[shape] = other
            while sum(map(math.prod, copies)) > _MAX_RESIZED_VALUES and len(copies) > 1:
                del copies[next(iter(copies))]
        if hasattr(self, "verbose"):
            other.verbose = self.verbose
        return other

    def _resize(self, shape: ImageShape) -> Self:
        """Make the same fitted encryptor for images of another shape, but what is `_derived`."""
        other = object.__new__(type(self))
        kept = self.__dict__.items()
        other.__dict__.update({name: value for name, value in kept if name not in self._derived})
        other.image_shape_in_, other.n_features_in_ = shape, math.prod(shape)
        other.ciphertext_shape_ = self._find_ciphertext_shape(shape)
        other._adapt_to_shape(self)
        return other

    def _adapt_to_shape(self, original: Self) -> None:
        """Change what was fitted for images of the original's shape to that of this copy."""

    def _check_shape(self, shape: ImageShape) -> None:
        """Refuse a shape of images that could not be encrypted, or not be told on the way back."""
        if shape == self.image_shape_in_ or shape in self.__dict__.get("_resized", {}):
            return
        self._resize(shape)
        found = self._find_image_shape(self._find_ciphertext_shape(shape))
        if self._why_not_recoverable() is None and found != shape:
            raise ValueError(
                f"ciphertexts of {describe(shape)} would have the shape of those of "
                f"{describe(found)}, so inverse_transform could not tell them apart. Call fit on a "
                "list with images of this size and no other of that shape; or crop or resize them "
                "so that nothing has to be padded."
            )

    def _find_ciphertext_shape(self, shape: ImageShape) -> ImageShape:
        """Say which shape the ciphertexts of images have."""
        return shape

    def _find_image_shape(self, ciphertext_shape: ImageShape) -> ImageShape:
        """Say which shape the images of ciphertexts have: that of one in `fit`, if any fits."""
        for shape in (self.image_shape_in_, *self.other_shapes_):
            if self._find_ciphertext_shape(shape) == ciphertext_shape:
                return shape
        return self._guess_image_shape(ciphertext_shape)

    def _guess_image_shape(self, ciphertext_shape: ImageShape) -> ImageShape:
        return ciphertext_shape

    def _read_group(self, group: SizeGroup) -> ImageBatch:
        """Read images of a list that have the same shape."""
        first = int(group.positions[0])
        with naming(first):
            batch = check_images(group.images, caller=type(self).__name__)
        return replace(batch, position=first)

    def _read_ciphertext_groups(self, groups: list[SizeGroup]) -> list[Part]:
        """Read ciphertexts of different shapes."""
        self._refuse_table()
        parts = []
        for group in groups:
            batch = self._read_group(group)
            shape = self._find_image_shape(batch.shape)
            with naming(group.positions[0]):
                if self._find_ciphertext_shape(shape) != batch.shape:
                    raise ValueError(
                        f"no ciphertext of this {type(self).__name__} has {describe(batch.shape)}. "
                        "Pass what transform returned, unresized."
                    )
                self._check_shape(shape)
            parts.append(Part(shape, batch, group.positions))
        return parts

    def _refuse_table(self) -> None:
        if self.flattens_:
            raise ValueError(
                "with flatten=True ciphertexts are the rows of a table, which images of different "
                "sizes cannot be. Fit with flatten=False, or resize the images to one size."
            )

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
        self.key_ = self._coerce_key(self.key)
        super()._learn(X, y)
        self._derive_from_key()

    def _coerce_key(self, key: Any) -> Any:
        """Make the key in use from what was given as one."""
        return SecretKey.coerce(key)

    def with_key(self, key: SecretKey | PrivateKey | bytes | str | PathLike[str]) -> Self:
        """Make the same fitted encryptor under another key.

        Parameters
        ----------
        key : SecretKey, bytes or path
            The other key. A `PrivateKey`, where images are sealed to public keys.

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
        other.__dict__.pop("_resized", None)
        other.key = other.key_ = self._coerce_key(key)
        other._derive_from_key()
        return other

    def imitate(self, key: SecretKey) -> Self:
        """Make the same fitted encryptor as somebody without its keys would have it.

        Attacks encrypt and decrypt with it, and games are played on it. Where images are sealed to
        public keys, it has key pairs of its own; elsewhere it is `with_key`.

        Parameters
        ----------
        key : SecretKey
            The other key.

        Returns
        -------
        encryptor
            Fitted, of the same class, with no key in common.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from ricsk import PixelEncryptor, SecretKey
        >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(np.zeros((1, 8, 8, 3), np.uint8))
        >>> encryptor.imitate(SecretKey(bytes(32))).key_ == encryptor.key_
        False
        """
        return self.with_key(key)

    def _derive_from_key(self) -> None:
        """Make what follows from the key and the fitted state."""

    def _restore(self) -> None:
        super()._restore()
        self._derive_from_key()


def _join(parts: list[Part], found: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Put images of several shapes, in the form that they came in, into their order."""
    images = [part.batch.form.restore(pixels) for part, pixels in zip(parts, found, strict=True)]
    return restore_order([part.positions for part in parts], images)

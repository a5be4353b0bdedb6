"""`BaseImageEncryptor`: the contract that every encryptor keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from ricsk.images import (
    ImageBatch,
    ImageShape,
    ValueRange,
    check_images,
    describe,
    validate_images,
)
from ricsk.keys import KeyedMixin, KeyParameter, SecretKey

__all__ = ["BaseImageEncryptor"]


def _is_recoverable(encryptor: BaseImageEncryptor) -> bool:
    reason = encryptor._why_not_recoverable()
    if reason:
        raise AttributeError(reason)
    return True


class BaseImageEncryptor(
    KeyedMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Base of all image encryptors: a transformer from images to ciphertext images and back.

    A scheme overrides `_fit_scheme`, `_encrypt` and `_decrypt`, and `_why_not_recoverable` where
    there is no way back; everything about shapes, dtypes, value ranges and keys is done here. A
    scheme whose constructor takes no `key` has none.

    Whatever the scheme, the ciphertext of an image depends on the image, the key and the fitted
    state alone: not on the batch that it came in, the number of threads, or the device.

    Attributes
    ----------
    learns_on : {"plain", "ciphertexts"}
        What a classifier behind this encryptor is trained on.
    """

    learns_on: ClassVar[Literal["plain", "ciphertexts"]]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "key": "no_validation",
        "image_shape": [tuple, list, None],
        "value_range": [tuple, list, None],
    }

    key = KeyParameter()
    key_: SecretKey
    image_shape_in_: ImageShape
    ciphertext_shape_: ImageShape
    value_range_: ValueRange
    n_features_in_: int

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
            If `X` is no batch of images, the key no key, or a parameter does not fit the images.
        """
        batch = validate_images(self, X, reset=True)
        assert isinstance(batch, ImageBatch)
        if "key" in self.get_params(deep=False):
            self.key_ = SecretKey.coerce(self.key)
        value_range: tuple[float, float] | None = getattr(self, "value_range", None)
        self.value_range_ = ValueRange.of(batch.pixels, value_range)
        self.ciphertext_shape_ = batch.shape
        self._fit_scheme(batch, y)
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Encrypt images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray
            Ciphertext images, of the dtype and number of dimensions of `X`.

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
        return batch.restore(self._encrypt(batch.pixels))

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

    @available_if(_is_recoverable)
    def inverse_transform(self, C: ArrayLike) -> NDArray[Any]:
        """Decrypt ciphertext images.

        Parameters
        ----------
        C : array-like
            Ciphertexts as `transform` returned them.

        Returns
        -------
        ndarray
            Images, of the dtype and number of dimensions of `C`.

        Raises
        ------
        ValueError, TypeError
            If `C` does not hold ciphertexts of the fitted shape.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        name = type(self).__name__
        batch = check_images(C, image_shape=self.ciphertext_shape_, caller=name)
        if batch.shape != self.ciphertext_shape_:
            raise ValueError(
                f"C holds images of {describe(batch.shape)}, but ciphertexts of this {name} have "
                f"{describe(self.ciphertext_shape_)}. Pass what transform returned, unresized."
            )
        return batch.restore(self._decrypt(batch.pixels))

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        """Learn what the scheme needs; set `ciphertext_shape_` if it is not that of the images."""

    def _encrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Encrypt (n, height, width, channels) pixels."""
        raise NotImplementedError

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Undo `_encrypt`."""
        raise NotImplementedError

    def _why_not_recoverable(self) -> str | None:
        """Say why there is no `inverse_transform`; None if there is one."""
        return None

    @property
    def _n_features_out(self) -> int:
        return int(np.prod(self.ciphertext_shape_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

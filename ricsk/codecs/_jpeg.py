"""Lossy compression as a step of a pipeline: what an image has gone through when it was sent."""

from __future__ import annotations

import io
from collections.abc import Iterable
from numbers import Integral
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.base import ClassNamePrefixFeaturesOutMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ricsk._docs import IMAGE_SHAPE, VALUE_RANGE, fill_in
from ricsk._estimator import Estimator, ImageTransformerMixin
from ricsk._state import IMAGE_FORM
from ricsk.codecs._read import read_image
from ricsk.images import ImageBatch, ImageShape, ValueRange, describe, validate_images

__all__ = ["JPEGCodec"]

_MAX_SIDE = 65500


@fill_in(image_shape=IMAGE_SHAPE, value_range=VALUE_RANGE)
class JPEGCodec(ClassNamePrefixFeaturesOutMixin, ImageTransformerMixin, Estimator):
    """Code images as JPEG and decode them again.

    `transform` returns what arrives at the other end, so that a codec stands in a pipeline between
    an encryptor and a classifier, or before both. `encode` and `decode` are its two halves, and
    `sizes` says how many bytes an image takes. Every image is a baseline JPEG file of its own, made
    by Pillow with the tables of the standard.

    JPEG codes colour images in units of 16×16 pixels with ``subsampling="4:2:0"``, of 8×8 with
    "4:4:4", and grey images in units of 8×8, from the top left corner. An encryption in blocks
    costs few bytes if its blocks are multiples of these units [1]_: with `EtCEncryptor`, the
    default ``block_size=16``, or 8 with "4:4:4" or ``grayscale``. The codec cannot see the blocks
    in an image, and does not check. With "4:2:0" the decoder smooths colours when it enlarges them,
    across the borders of blocks too; where encrypted images are to come back well, take "4:4:4".

    Parameters
    ----------
    quality : int
        Pillow's and libjpeg's scale, 1 (smallest files) to 100.
    subsampling : {"4:2:0", "4:4:4"}
        Whether the two colour planes are halved in both directions before coding, as most cameras
        and programs do, or kept at full size. Grey images have none.
    {image_shape}
    {value_range}

    Attributes
    ----------
    image_shape_in_ : tuple of int
        Height, width and channels of the images.
    value_range_ : ValueRange
        Black and white of floating-point images.
    quality_, subsampling_ : int and str
        How `transform` and `encode` code, whatever the parameters are changed to later.
    n_features_in_ : int
        Height × width × channels.
    feature_names_in_ : ndarray of str
        Column names, if `fit` was given a data frame.

    See Also
    --------
    EtCEncryptor : Encryption that leaves images compressible.

    References
    ----------
    .. [1] T. Chuman, W. Sirichotedumrong and H. Kiya, "Encryption-then-compression systems using
       grayscale-based image encryption for JPEG images", IEEE Transactions on Information
       Forensics and Security 14(6), 2019, section II.

    Examples
    --------
    >>> from ricsk import EtCEncryptor, JPEGCodec, SecretKey
    >>> from ricsk.datasets import load_photos
    >>> from ricsk.metrics import psnr
    >>> photos = load_photos(size=(416, 640))
    >>> codec = JPEGCodec(quality=85).fit(photos)
    >>> bool((psnr(photos, codec.transform(photos)) > 28).all())
    True
    >>> encryptor = EtCEncryptor(SecretKey.generate()).fit(photos)
    >>> sizes = codec.sizes(encryptor.transform(photos)) / codec.sizes(photos)
    >>> bool((sizes < 1.1).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "quality": [Interval(Integral, 1, 100, closed="both")],
        "subsampling": [StrOptions({"4:2:0", "4:4:4"})],
        "image_shape": [tuple, list, None],
        "value_range": [tuple, list, None],
    }

    _state_constraints: ClassVar[dict[str, list[Any]]] = IMAGE_FORM

    image_shape_in_: ImageShape
    value_range_: ValueRange
    quality_: int
    subsampling_: str
    n_features_in_: int

    def __init__(
        self,
        quality: int = 85,
        *,
        subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0",
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.quality = quality
        self.subsampling = subsampling
        self.image_shape = image_shape
        self.value_range = value_range

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the shape and value range of the images.

        Parameters
        ----------
        X : array-like
            Images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)`` or
            flattened: uint8, or floats on [0, 1].
        y : array-like, optional
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If `X` is not a batch of images, or they are larger than JPEG allows.
        """
        with self._all_or_nothing() as twin:
            twin._learn(X)
        return self

    def _learn(self, X: ArrayLike) -> None:
        batch = validate_images(self, X, reset=True)
        assert isinstance(batch, ImageBatch)
        if max(batch.shape[:2]) > _MAX_SIDE:
            raise ValueError(
                f"images of {describe(batch.shape)} are too large for JPEG, which holds "
                f"{_MAX_SIDE} pixels a side. Cut them; if X is flat, tell how to read "
                "it by image_shape=(height, width, channels)."
            )
        self.value_range_ = ValueRange.of(batch.pixels, self.value_range)
        self.quality_, self.subsampling_ = int(self.quality), self.subsampling

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Code images and decode them again.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray
            What is left of the images, of the dtype and number of dimensions of `X`.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        batch, levels = self._read(X)
        decoded = np.stack([self._decode(self._encode(image)) for image in levels])
        return batch.form.restore(self.value_range_.from_uint8(decoded, batch.pixels.dtype))

    def encode(self, X: ArrayLike) -> list[bytes]:
        """Code images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        list of bytes
            A JPEG file for each image.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> X = np.zeros((2, 16, 16), np.uint8)
        >>> JPEGCodec().fit(X).encode(X)[0][:2].hex()
        'ffd8'
        """
        _, levels = self._read(X)
        return [self._encode(image) for image in levels]

    def decode(self, files: Iterable[bytes | bytearray | memoryview]) -> NDArray[np.uint8]:
        """Decode JPEG files, made by `encode` or elsewhere.

        Parameters
        ----------
        files : list of bytes, or another iterable
            Files with images of the fitted shape, each as its content. They are turned as their
            EXIF orientation says.

        Returns
        -------
        ndarray of shape (n_samples, height, width, channels), uint8
            The images.

        Raises
        ------
        TypeError
            If `files` is a single file or a path, or holds anything but bytes.
        ValueError
            If there are no files, or one is not a complete JPEG file with an image of the fitted
            shape. An image of another size is refused before its pixels are decoded.
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> X = np.full((2, 16, 16), 200, np.uint8)
        >>> codec = JPEGCodec().fit(X)
        >>> codec.decode(codec.encode(X))[1, 8, 8]
        array([200], dtype=uint8)
        """
        check_is_fitted(self)
        if isinstance(files, str | bytes | bytearray | memoryview) or not isinstance(
            files, Iterable
        ):
            raise TypeError(
                f"files is a {type(files).__name__}; expected a list of bytes, one per file. "
                "Pass [file.read()] for a single one."
            )
        images = [self._decode(file, f"files[{i}]") for i, file in enumerate(files)]
        if not images:
            raise ValueError("there are no files to decode; expected at least one.")
        return np.stack(images)

    def sizes(self, X: ArrayLike) -> NDArray[np.int64]:
        """Count the bytes that images take as JPEG files.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples,), int64
            Bytes of each file, its headers included: 625 bytes for colour and 330 for grey images.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        return np.array([len(file) for file in self.encode(X)], np.int64)

    def _read(self, X: ArrayLike) -> tuple[ImageBatch, NDArray[np.uint8]]:
        check_is_fitted(self)
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        return batch, self.value_range_.to_uint8(batch.pixels)

    def _encode(self, image: NDArray[np.uint8]) -> bytes:
        buffer = io.BytesIO()
        squeezed = image[..., 0] if image.shape[2] == 1 else image
        Image.fromarray(squeezed).save(
            buffer, "JPEG", quality=self.quality_, subsampling=self.subsampling_
        )
        return buffer.getvalue()

    def _decode(
        self, file: bytes | bytearray | memoryview, name: str = "image"
    ) -> NDArray[np.uint8]:
        if not isinstance(file, bytes | bytearray | memoryview):
            raise TypeError(
                f"{name} is a {type(file).__name__}; expected the bytes of a JPEG file."
            )
        image = read_image(
            file,
            name=f"{name}, of {len(file)} bytes",
            formats=("JPEG",),
            expected_size=self.image_shape_in_[:2],
        )
        if image.shape != self.image_shape_in_:
            raise ValueError(
                f"{name} holds an image of {describe(image.shape)}, but this codec was fitted on "
                f"images of {describe(self.image_shape_in_)}. Fit another one on that shape."
            )
        return image

    @property
    def _n_features_out(self) -> int:
        return self.n_features_in_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

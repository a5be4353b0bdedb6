"""InstaHide: images mixed with other images, and with random signs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.base import _fit_context
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ricsk._docs import FITTED, FLATTEN, IMAGE_SHAPE, KEY, KEY_IN_USE, VALUE_RANGE, fill_in
from ricsk._state import LABELS, Check, is_array
from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.images import ImageBatch, ValueRange, check_images, describe, validate_images
from ricsk.keys import Keystream, SecretKey, encode_context

__all__ = ["InstaHideEncryptor"]

_VERSION = 1
# Of so many draws of weights in `fit`, at least this share must be within the bounds.
_N_TRIED, _MIN_SHARE = 10_000, 0.001

_Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]


class Mixtures(NamedTuple):
    """Encodings, and what they were mixed of.

    Parameters
    ----------
    encodings : ndarray of shape (n, height, width, channels), uint8
        Levels.
    weights : ndarray of shape (n, k)
        Of the image itself, and of its partners.
    partners : ndarray of shape (n, n_private - 1), int64
        Positions in the pool.
    """

    encodings: NDArray[np.uint8]
    weights: NDArray[np.float64]
    partners: NDArray[np.int64]


def _has_form(value: Any, dtype: type[np.generic], ndim: int) -> bool:
    return is_array(value) and (value.dtype, value.ndim) == (dtype, ndim) and len(value) > 0


LEVELS = Check("an array of images of 8-bit levels", lambda value: _has_form(value, np.uint8, 4))
NUMBERS = Check("an array of numbers of classes", lambda value: _has_form(value, np.int64, 1))


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    fitted=FITTED,
)
class InstaHideEncryptor(KeyedEncryptor):
    r"""Mix images with other images and flip signs at random: InstaHide's encodings [1]_.

    An image x becomes :math:`\sigma \circ (\lambda_1 x + \lambda_2 x_2 + \cdots + \lambda_k x_k)`,
    with random weights, partners from the images of `fit`, or most of them from public images, and
    a random sign σ for each value. Images are normalized first. A classifier is trained on
    encodings, and on the labels of what was mixed, with the same weights; see
    `InstaHideClassifier`.

    **It does not protect what it was made for.** The absolute values of several encodings in which
    an image takes part give the image back, up to its sign: `ricsk.attacks.recover_instahide` finds
    which belong together, and solves for the images [2]_. Labels are given away by design, and
    that the same image was encoded under the same key is seen from equal encodings. There is no way
    back for the owner either.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    {key}
    k : int, default=4
        How many images are mixed, the image itself included. With 1, signs alone hide it.
    largest_weight : float, default=0.65
        The most that one of the images may weigh. Weights are drawn until they obey.
    private_weight : float, default=0.3
        With public images, see `fit`: the least that the image and its private partner weigh
        together.
    {image_shape}
    {value_range}
    {flatten}

    Attributes
    ----------
    {key_in_use}
    k_, largest_weight_, private_weight_
        What was given. Parameters that are set later act at the next `fit`.
    classes_ : ndarray
        The labels, if `fit` was given any.
    pool_ : ndarray of shape (n, height, width, channels), uint8
        The images of `fit`, from which partners are taken. As secret as the key.
    pool_labels_ : ndarray of shape (n,), int64
        Their classes, as positions in `classes_`.
    public_pool_ : ndarray of shape (n_public, height, width, channels), uint8, or None
        The public images.
    mean_, std_ : ndarray of shape (channels,)
        By which images are normalized: of the values of the pool, on [0, 1]. Public.
    bound_ : float
        The largest magnitude of a normalized value, which is written as black or white. Public.
    {fitted}

    See Also
    --------
    InstaHideClassifier : Trains on encodings that are new in each epoch, and averages over several.

    Notes
    -----
    Encodings are 8-bit images, with zero at mid-grey; in the paper they are floating-point numbers.
    Partners, weights and signs come from the key and the image, so that `transform` makes the same
    encoding of the same image; `encode` makes several. In the published code partners are
    permutations of all images, so that each is used equally often; here they are drawn.

    References
    ----------
    .. [1] Y. Huang, Z. Song, K. Li and S. Arora, "InstaHide: instance-hiding schemes for private
       distributed learning", ICML, 2020.
    .. [2] N. Carlini et al., "Is private learning possible with instance encoding?", IEEE S&P,
       2021.

    Examples
    --------
    >>> from ricsk import SecretKey
    >>> from ricsk.baselines import InstaHideEncryptor
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> encryptor = InstaHideEncryptor(SecretKey.generate(), k=2).fit(X[:100], y[:100])
    >>> encodings, shares = encryptor.encode(X[100:105], y[100:105], n_encodings=3)
    >>> encodings.shape, shares.shape
    ((15, 8, 8, 1), (15, 10))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **KeyedEncryptor._parameter_constraints,
        "k": [Interval(Integral, 1, None, closed="left")],
        "largest_weight": [Interval(Real, 0, 1, closed="right")],
        "private_weight": [Interval(Real, 0, 1, closed="left")],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **KeyedEncryptor._state_constraints,
        "classes_": [LABELS],
        "pool_": [LEVELS],
        "pool_labels_": [NUMBERS],
        "public_pool_": [LEVELS, None],
    }
    _derived = KeyedEncryptor._derived | {"_context", "_public_statistics", "_statistics"}

    k_: int
    largest_weight_: float
    private_weight_: float
    classes_: NDArray[Any]
    pool_: NDArray[np.uint8]
    pool_labels_: NDArray[np.int64]
    public_pool_: NDArray[np.uint8] | None
    _statistics: _Statistics
    _public_statistics: _Statistics | None
    _context: bytes

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        *,
        k: int = 4,
        largest_weight: float = 0.65,
        private_weight: float = 0.3,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
    ) -> None:
        self.key = key
        self.k = k
        self.largest_weight = largest_weight
        self.private_weight = private_weight
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        public_images: ArrayLike | None = None,
    ) -> Self:
        """Keep the images that are mixed, and their labels.

        Parameters
        ----------
        X : array-like
            Images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)`` or
            flattened: uint8, or floats on [0, 1].
        y : array-like of shape (n_samples,), optional
            Labels, without which none can be mixed.
        public_images : array-like, optional
            Images that partners are taken from, of the shape of the private ones: the mode that the
            paper calls "cross". Then one partner is from `X`, the others are public, and `k` is at
            least 3. Without them, all partners are from `X` ("inside").

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If `X` is not a batch of images, `y` or `public_images` do not fit it, the key is not a
            key, or next to no weights are within the bounds.
        """
        with self._all_or_nothing() as twin:
            twin._learn(X, y)
            if public_images is not None:
                twin.public_pool_ = twin._read_public_images(public_images)
                twin._derive_from_key()
            twin._check_weights()
        return self

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self.k_ = self.k
        self.largest_weight_, self.private_weight_ = self.largest_weight, self.private_weight
        self.pool_ = self.value_range_.to_uint8(batch.pixels).copy()
        if y is not None:
            labels = column_or_1d(y)
            assert_all_finite(labels, input_name="y")
            check_consistent_length(self.pool_, labels)
            check_classification_targets(labels)
            self.classes_, numbers = np.unique(labels, return_inverse=True)
            self.pool_labels_ = numbers.astype(np.int64)
        self.public_pool_ = None

    def _read_public_images(self, public_images: ArrayLike) -> NDArray[np.uint8]:
        shape = self.image_shape_in_
        batch = check_images(public_images, image_shape=shape, caller=type(self).__name__)
        if batch.shape != shape:
            raise ValueError(
                f"public_images are of {describe(batch.shape)}, but X is of {describe(shape)}. "
                "Resize them."
            )
        if self.k_ < 3:
            raise ValueError(
                f"k={self.k_} leaves nothing for public images, because the image and one partner "
                "are private. Take k=3 or more, or leave public_images out."
            )
        return ValueRange.of(batch.pixels, None).to_uint8(batch.pixels).copy()

    def _check_weights(self) -> None:
        drawn = np.abs(np.random.default_rng(0).normal(size=(_N_TRIED, self.k_)))
        share = self._obey(drawn / drawn.sum(axis=1, keepdims=True)).mean()
        if share < _MIN_SHARE:
            raise ValueError(
                f"of {self.k_} random weights that sum to 1 less than one in "
                f"{round(1 / _MIN_SHARE)} obeys largest_weight={self.largest_weight_:g}"
                + (
                    ""
                    if self.public_pool_ is None
                    else f" and private_weight={self.private_weight_:g}"
                )
                + f". Take a largest_weight further above 1/k = {1 / self.k_:.3g}"
                + ("." if self.public_pool_ is None else ", or a smaller private_weight.")
            )

    def _obey(self, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
        obey = (weights.max(axis=-1) <= self.largest_weight_) | (self.k_ == 1)
        if self.public_pool_ is not None:
            obey &= weights[..., :2].sum(axis=-1) >= self.private_weight_
        return obey

    @property
    def n_private_(self) -> int:
        """How many of the images in a mixture are private: the image itself, and its partners."""
        check_is_fitted(self)
        return self.k_ if self.public_pool_ is None else 2

    @property
    def mean_(self) -> NDArray[np.float64]:
        """The mean of the pool's values, by channel."""
        return self._statistics[0]

    @property
    def std_(self) -> NDArray[np.float64]:
        """The standard deviation of the pool's values, by channel; 1 where all are equal."""
        return self._statistics[1]

    @property
    def bound_(self) -> float:
        """The largest magnitude that a normalized value may have."""
        sets = (self._statistics, self._public_statistics or self._statistics)
        return float(max((np.maximum(mean, 1 - mean) / std).max() for mean, std in sets))

    def _derive_from_key(self) -> None:
        """Make what all encodings have in common; the streams' context holds it all but the key."""
        public = self.public_pool_
        self._statistics = _measure(self.pool_)
        self._public_statistics = None if public is None else _measure(public)
        self._context = encode_context(
            "instahide",
            _VERSION,
            image_shape=self.image_shape_in_,
            k=self.k_,
            largest_weight=float(self.largest_weight_),
            private_weight=float(self.private_weight_),
            pool=_digest(self.pool_),
            public_pool=None if public is None else _digest(public),
        )

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("ciphertexts", recoverable=False, mixes_labels=True)

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        mixtures = self._mix(self.value_range_.to_uint8(batch.pixels), [0])
        return self.value_range_.from_uint8(mixtures.encodings, batch.pixels.dtype)

    def encode(
        self, X: ArrayLike, y: ArrayLike, *, n_encodings: int = 1, first: int = 0
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Make several encodings of each image, and the labels that belong to them.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their labels; or how much of each belongs to each class.
        n_encodings : int, default=1
            How many of each image.
        first : int, default=0
            The number of the first of them. Each number is another encoding; `transform` makes
            number 0.

        Returns
        -------
        encodings : ndarray
            Of the dtype and number of dimensions of `X`, with ``n_samples * n_encodings`` images:
            first all of the first image.
        shares : ndarray of shape (n_samples * n_encodings, n_classes)
            The weights of the private images by class. They sum to 1, or to less with public
            images, which have no class.

        Raises
        ------
        ValueError, TypeError
            If `X` or `y` do not fit what `fit` was given.
        """
        return self._encode(X, range(first, first + n_encodings), y)

    def encode_queries(
        self, X: ArrayLike, n_encodings: int
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Make several encodings of images without labels, to have them classified.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.
        n_encodings : int
            How many of each image.

        Returns
        -------
        encodings : ndarray
            As `encode` returns them.
        shares : ndarray of shape (n_samples * n_encodings, n_classes)
            The weights of the partners by class, which are in the encodings besides the image.

        Raises
        ------
        ValueError, TypeError
            If `X` does not fit what `fit` was given.
        """
        return self._encode(X, range(n_encodings), None)

    def normalize(self, X: ArrayLike) -> NDArray[Any]:
        """Write images in the form of encodings, neither mixed nor with signs: nothing is hidden.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray
            Of the dtype and shape of `X`.

        Raises
        ------
        ValueError, TypeError
            If `X` does not fit what `fit` was given.
        """
        check_is_fitted(self)
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        values = _normalize(self.value_range_.to_uint8(batch.pixels), self._statistics)
        levels = _write(values, self.bound_)
        return batch.form.restore(self.value_range_.from_uint8(levels, batch.pixels.dtype))

    def _encode(
        self, X: ArrayLike, numbers: range, y: ArrayLike | None
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        check_is_fitted(self)
        if not hasattr(self, "classes_"):
            raise ValueError("labels cannot be mixed, because fit was given none. Call fit(X, y).")
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        own = np.zeros((len(batch.pixels), len(self.classes_)))
        if y is not None:
            own = self._read_shares(y, len(batch.pixels))
        mixtures = self._mix(self.value_range_.to_uint8(batch.pixels), numbers)
        encodings = self.value_range_.from_uint8(mixtures.encodings, batch.pixels.dtype)
        shares = mixtures.weights[:, :1] * own.repeat(len(numbers), axis=0)
        return batch.form.restore(encodings), shares + self._share_of_partners(mixtures)

    def _read_shares(self, y: ArrayLike, n: int) -> NDArray[np.float64]:
        """Turn labels into shares of classes."""
        given = np.asarray(y)
        if given.shape == (n, len(self.classes_)):
            return given.astype(np.float64)
        labels = column_or_1d(given)
        if len(labels) != n:
            raise ValueError(f"y has {len(labels)} entries for {n} images.")
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"y has labels that fit was not given: {unknown[:10].tolist()}.")
        return np.eye(len(self.classes_))[np.searchsorted(self.classes_, labels)]

    def _share_of_partners(self, mixtures: Mixtures) -> NDArray[np.float64]:
        shares = np.zeros((len(mixtures.weights), len(self.classes_)))
        rows = np.arange(len(shares))
        for slot, partners in enumerate(mixtures.partners.T, start=1):
            np.add.at(shares, (rows, self.pool_labels_[partners]), mixtures.weights[:, slot])
        return shares

    def _mix(self, levels: NDArray[np.uint8], numbers: Sequence[int]) -> Mixtures:
        """Make encodings of these numbers of each image."""
        mixtures = [
            self._mix_one(own, image.tobytes(), number)
            for image, own in zip(levels, _normalize(levels, self._statistics), strict=True)
            for number in numbers
        ]
        encodings, weights, partners = (np.stack(part) for part in zip(*mixtures, strict=True))
        return Mixtures(_write(encodings, self.bound_), weights, partners)

    def _mix_one(
        self, own: NDArray[np.float64], image: bytes, number: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        nonce = hashlib.sha256(image).digest() + number.to_bytes(8, "little")
        stream = self.key_.keystream("instahide/encoding", self._context + nonce)
        weights = self._draw_weights(stream)
        partners = stream.integers(len(self.pool_), self.n_private_ - 1)
        others = [_normalize(self.pool_[partners], self._statistics)]
        if self.public_pool_ is not None and self._public_statistics is not None:
            chosen = self.public_pool_[stream.integers(len(self.public_pool_), self.k_ - 2)]
            others.append(_normalize(chosen, self._public_statistics))
        mixed: NDArray[np.float64] = np.tensordot(
            weights, np.concatenate([own[np.newaxis], *others]), axes=1
        )
        signs = 1 - 2 * (stream.uint8(own.shape) & 1).astype(np.float64)
        return signs * mixed, weights, partners

    def _draw_weights(self, stream: Keystream) -> NDArray[np.float64]:
        while True:
            # The absolute value of a normal number has its quantile u at the normal's (1 + u) / 2.
            drawn = ndtri((1 + stream.random(self.k_)) / 2)
            weights: NDArray[np.float64] = drawn / drawn.sum()
            if self._obey(weights):
                return weights

    def _why_not_recoverable(self) -> str | None:
        return (
            "InstaHide mixes images for good: what is taught by it is a classifier, and nobody "
            "brings images back. Keep them, or use SealedEncryptor."
        )

    def _adapt_to_shape(self, original: Self) -> None:
        raise ValueError(
            f"images of fit, of {describe(original.image_shape_in_)}, are mixed with all others. "
            "Resize the images to that."
        )

    def _check_state(self) -> None:
        super()._check_state()
        if not hasattr(self, "pool_"):
            return
        public = self.public_pool_
        for pool in (self.pool_, *([] if public is None else [public])):
            if pool.shape[1:] != self.image_shape_in_:
                raise ValueError(f"its pool holds images of another shape, {pool.shape[1:]}")
        if public is not None and self.k_ < 3:
            raise ValueError(f"k_={self.k_} leaves nothing for public images")
        if hasattr(self, "classes_") != hasattr(self, "pool_labels_"):
            raise ValueError("it has classes or labels of the pool, and not both")
        if hasattr(self, "classes_"):
            numbers = self.pool_labels_
            if len(numbers) != len(self.pool_) or not (
                numbers.min() >= 0 and numbers.max() < len(self.classes_)
            ):
                raise ValueError("the labels of its pool are not those of its images")
        self._check_weights()


def _measure(pool: NDArray[np.uint8]) -> _Statistics:
    """Measure the mean and standard deviation of values, by channel, on [0, 1]."""
    mean, std = pool.mean(axis=(0, 1, 2)) / 255, pool.std(axis=(0, 1, 2)) / 255
    return mean, np.where(std == 0, 1.0, std)


def _normalize(levels: NDArray[np.uint8], statistics: _Statistics) -> NDArray[np.float64]:
    mean, std = statistics
    return (levels / 255 - mean) / std


def _digest(pool: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(repr(pool.shape).encode() + pool.tobytes()).digest()


def _write(encodings: NDArray[np.float64], bound: float) -> NDArray[np.uint8]:
    """Write signed values as levels, with zero in the middle."""
    return np.rint(127.5 * (1 + encodings / bound)).astype(np.uint8)

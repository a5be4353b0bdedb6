"""ARDEN's half on the device: the first layers of a network, and noise on what they return."""

from __future__ import annotations

import copy
import hashlib
import math
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ricsk._docs import FITTED, FLATTEN, IMAGE_SHAPE, KEY, KEY_IN_USE, VALUE_RANGE, fill_in
from ricsk._frozen import is_frozen
from ricsk._threads import bounded_threads
from ricsk.base import EncryptorTags, KeyedEncryptor, Tags
from ricsk.baselines._noise import draw_laplace
from ricsk.classifiers import CNNClassifier
from ricsk.images import ImageBatch, describe, validate_images, with_image_shape
from ricsk.keys import SecretKey, encode_context
from ricsk.nn import from_pixels, to_tensor, weave_maps

__all__ = ["ArdenEncoder"]

_VERSION = 1
# Values of images that are computed on at a time, and how many scales of noise the levels reach.
_CHUNK_VALUES, _REACH = 1 << 18, 3.0


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    fitted=FITTED,
)
class ArdenEncoder(KeyedEncryptor):
    r"""Compute the first layers of a network, and add noise to what they return: ARDEN [1]_.

    Pixels are set to zero at random with the rate μ of `nullify`; the first `split` blocks of a
    network, which everybody has, are computed; and Laplace noise of the scale 2B/ε is added to each
    value, where B bounds the values. A cloud learns to classify that.

    **It hides the picture only where the classifier fails as well.** Who has the public layers
    trains a network that reads the picture from what they return (`ricsk.attacks.ITNAttack`); the
    noise that would stop that takes the labels, too. The budget ε is that of one value out of
    thousands: see `privacy_`. The key only decides on the noise. There is no way back for the
    owner.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    {key}
    front : CNNClassifier, optional
        Whose first blocks are computed. It is public, so it should not have learnt on private
        images: give one that was fitted on others, in a `sklearn.frozen.FrozenEstimator`. One that
        is not frozen is fitted on the images of `fit`. By default one of 16 channels.
    split : int, default=1
        How many of its blocks are computed; fewer than it has. 0 computes its first convolution.
    nullify : float, default=0.1
        μ: the part of the pixels that is set to black.
    epsilon : float, default=5.0
        ε of the noise, for one value. Infinity adds none.
    {image_shape}
    {value_range}
    {flatten}

    Attributes
    ----------
    {key_in_use}
    front_ : CNNClassifier
        The fitted network. Public.
    bound_ : float
        B: the median, over the images of `fit`, of the largest of their values. Public.
    split_, nullify_, epsilon_
        What was given. Parameters that are set later act at the next `fit`.
    {fitted}

    See Also
    --------
    ArdenClassifier : Learns on it.

    Notes
    -----
    Values are scaled so that none is larger than B. What is sent is an 8-bit grey image, in which
    the values of a place are a square; noise is cut off beyond three of its scales. Neither weakens
    the budget. Noise depends on the key and the image, so that sending an image again gives nothing
    to average over.

    The paper's text could be read in part only: the constants are those that its later citations
    give, and B is as here.

    References
    ----------
    .. [1] J. Wang et al., "Not just privacy: improving performance of private deep learning in
       mobile cloud", KDD, 2018, section 4.

    Examples
    --------
    >>> from ricsk import CNNClassifier, SecretKey
    >>> from ricsk.baselines import ArdenEncoder
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> front = CNNClassifier(width=9, depth=2, epochs=1, random_state=0)
    >>> encoder = ArdenEncoder(SecretKey.generate(), front).fit(X[:500], y[:500])
    >>> encoder.transform(X[500:510]).shape  # 8×8 places of 3×3 values
    (10, 24, 24, 1)
    >>> round(encoder.privacy_["epsilon_of_a_value"], 2)
    4.9
    >>> round(encoder.privacy_["epsilon_of_an_image"])
    2820
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **KeyedEncryptor._parameter_constraints,
        "front": [CNNClassifier, FrozenEstimator, None],
        "split": [Interval(Integral, 0, None, closed="left")],
        "nullify": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, math.inf, closed="right")],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **KeyedEncryptor._state_constraints,
        "bound_": [Interval(Real, 0, None, closed="neither")],
    }
    _derived = KeyedEncryptor._derived | {"_layers", "_context"}

    front_: Any
    split_: int
    nullify_: float
    epsilon_: float
    bound_: float
    _layers: nn.Module
    _context: bytes

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        front: Any | None = None,
        *,
        split: int = 1,
        nullify: float = 0.1,
        epsilon: float = 5.0,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
    ) -> None:
        self.key = key
        self.front = front
        self.split = split
        self.nullify = nullify
        self.epsilon = epsilon
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self.split_, self.nullify_, self.epsilon_ = self.split, self.nullify, self.epsilon
        self.front_ = self._fit_front(batch, y)
        self._layers = _cut_front(self.front_, self.split_)
        maps = self._represent(self.value_range_.to_uint8(batch.pixels))
        self.bound_ = float(maps.amax(dim=(1, 2, 3)).median()) or 1.0
        height, width = weave_maps(maps[:1]).shape[2:]
        self.ciphertext_shape_ = (height, width, 1)

    def _fit_front(self, batch: ImageBatch, y: ArrayLike | None) -> Any:
        given = self.front
        if given is None:
            given = CNNClassifier(width=16, random_state=0)
        fitted = clone(given)
        if is_frozen(given):
            inner = _unwrap(given)
            if not isinstance(inner, CNNClassifier):
                raise TypeError(
                    f"front is a frozen {type(inner).__name__}; expected a CNNClassifier, "
                    "which is split between blocks."
                )
            check_is_fitted(inner)
            if inner.image_shape_in_ != batch.shape:
                raise ValueError(
                    f"X holds images of {describe(batch.shape)}, but the front was fitted on "
                    f"{describe(inner.image_shape_in_)}. Resize them."
                )
            return fitted
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: its "
                "front is fitted on it. Call fit(X, y), or give a fitted classifier as "
                "front=FrozenEstimator(classifier)."
            )
        if batch.ndim == 2:
            with_image_shape(fitted, batch.shape)
        return fitted.fit(batch.form.restore(batch.pixels), y)

    def _derive_from_key(self) -> None:
        self._layers = _cut_front(self.front_, self.split_)
        weights = hashlib.sha256()
        for values in self._layers.state_dict().values():
            weights.update(values.cpu().double().numpy().astype("<f8").tobytes())
        self._context = encode_context(
            "arden",
            _VERSION,
            image_shape=self.image_shape_in_,
            nullify=float(self.nullify_),
            epsilon=float(self.epsilon_),
            bound=self.bound_,
            front=weights.digest(),
        )

    @property
    def privacy_(self) -> dict[str, float]:
        """The privacy budgets: of one value of what is sent, and of all of them together.

        "epsilon_of_a_value" is ln((1 − μ) exp(ε) + μ), which the paper states. It bounds what is
        learnt about one value while all others are known. "epsilon_of_an_image" is that times
        "n_values": what bounds a change of the whole image.
        """
        check_is_fitted(self)
        kept = 1 - self.nullify_
        # Written so that a large ε does not overflow.
        one = self.epsilon_ + math.log(kept + self.nullify_ * math.exp(-self.epsilon_))
        n_values = self._count_values()
        return {
            "epsilon_of_a_value": one,
            "epsilon_of_an_image": n_values * one,
            "n_values": float(n_values),
        }

    def _count_values(self) -> int:
        height, width, _ = self.image_shape_in_
        for _ in range(self.split_):
            height, width = -(-height // 2), -(-width // 2)
        return height * width * self.n_maps_

    @property
    def n_blocks_(self) -> int:
        """How many blocks the network has, on both sides."""
        return len(_get_network(self.front_).blocks)

    @property
    def n_maps_(self) -> int:
        """How many values are sent for each place."""
        return int(_get_network(self.front_).stem[0].out_channels) * 2 ** max(0, self.split_ - 1)

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("ciphertexts", recoverable=False)

    def encode(self, X: ArrayLike, number: int, *, noisy_part: float = 1.0) -> NDArray[Any]:
        """Encode images with noise of its own for each number, for training.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.
        number : int
            From 0, with which it is what `transform` returns.
        noisy_part : float, default=1.0
            The part of the images that pixels are taken from and noise is added to, at random.

        Returns
        -------
        ndarray
            Encodings, in the form in which `transform` returns them.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        """
        check_is_fitted(self)
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        return batch.form.restore(self._encode(batch, number, noisy_part))

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        return self._encode(batch, number=0, noisy_part=1.0)

    def _encode(self, batch: ImageBatch, number: int, noisy_part: float) -> NDArray[Any]:
        levels = self.value_range_.to_uint8(batch.pixels)
        size = max(1, _CHUNK_VALUES // self.n_features_in_)
        chunks = [
            self._encode_chunk(levels[start : start + size], number, noisy_part)
            for start in range(0, len(levels), size)
        ]
        return self.value_range_.from_uint8(np.concatenate(chunks), batch.pixels.dtype)

    def _encode_chunk(
        self, levels: NDArray[np.uint8], number: int, noisy_part: float
    ) -> NDArray[np.uint8]:
        height, width, _ = self.ciphertext_shape_
        scale = 2 * self.bound_ / self.epsilon_
        masks = np.ones((*levels.shape[:3], 1), np.uint8)
        noise = np.zeros((len(levels), 1, height, width))
        for i, image in enumerate(levels):
            nonce = hashlib.sha256(image.tobytes()).digest() + number.to_bytes(8, "little")
            stream = self.key_.keystream("arden/noise", self._context + nonce)
            if stream.random(1)[0] >= noisy_part:
                continue
            masks[i, ..., 0] = stream.random(image.shape[:2]) >= self.nullify_
            if scale:
                noise[i, 0] = scale * draw_laplace(stream, (height, width))
        maps = self._represent(levels * masks)
        # Shorter where the largest value is beyond the bound.
        largest = maps.amax(dim=(1, 2, 3), keepdim=True)
        maps = maps / (largest / self.bound_).clamp(min=1)
        low, high = -_REACH * scale, self.bound_ + _REACH * scale
        woven = (weave_maps(maps).numpy() + noise - low) / (high - low)
        return np.rint(255 * woven.clip(0, 1)).astype(np.uint8).transpose(0, 2, 3, 1)

    def _represent(self, levels: NDArray[np.uint8]) -> Tensor:
        """Compute the first layers, in float64, so that the result is the same in any batch."""
        chunks = to_tensor(levels).split(max(1, _CHUNK_VALUES // self.n_features_in_))
        with torch.inference_mode(), bounded_threads(min(_CHUNK_VALUES, levels.size)):
            maps = [self._layers(2 * from_pixels(chunk.double() / 255) - 1) for chunk in chunks]
        return torch.cat(maps)

    def _why_not_recoverable(self) -> str | None:
        return (
            "ARDEN sends what the first layers of a network return, with noise, and nothing undoes "
            "that. Keep the images, or use SealedEncryptor."
        )

    def _adapt_to_shape(self, original: Self) -> None:
        raise ValueError(
            f"the cloud reads what is made of images of {describe(original.image_shape_in_)}. "
            "Resize the images to that."
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.front is None or not is_frozen(self.front)
        return tags

    def _check_state(self) -> None:
        super()._check_state()
        if not hasattr(self, "front_"):
            return
        if _unwrap(self.front_).image_shape_in_ != self.image_shape_in_:
            raise ValueError("its front is not one for its images")
        if self.split_ >= self.n_blocks_:
            raise ValueError(f"its front has no more than {self.n_blocks_} blocks")
        height, width, _ = self.ciphertext_shape_
        side = math.isqrt(self.n_maps_ - 1) + 1
        if height * width != self._count_values() // self.n_maps_ * side**2:
            raise ValueError(f"its encodings do not have the shape {self.ciphertext_shape_}")


def _unwrap(classifier: Any) -> Any:
    return classifier.estimator if isinstance(classifier, FrozenEstimator) else classifier


def _get_network(classifier: Any) -> Any:
    return _unwrap(classifier).module_.network


def _cut_front(classifier: Any, split: int) -> nn.Module:
    """Copy the first convolution and blocks of a network, in float64."""
    network = _get_network(classifier)
    if split >= len(network.blocks):
        raise ValueError(
            f"split={split} leaves the cloud none of the {len(network.blocks)} blocks of the "
            "front. Take a smaller split, or a deeper front."
        )
    return nn.Sequential(*copy.deepcopy([network.stem, *network.blocks[:split]])).double().cpu()

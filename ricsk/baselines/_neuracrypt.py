"""NeuraCrypt: patches through a random network that is the key, in random order."""

from __future__ import annotations

import hashlib
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval

from ricsk._docs import FITTED, FLATTEN, IMAGE_SHAPE, KEY, KEY_IN_USE, VALUE_RANGE, fill_in
from ricsk._state import Check, is_array
from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.baselines._noise import draw_normal
from ricsk.blocks import to_blocks
from ricsk.images import ImageBatch, ImageShape, describe
from ricsk.keys import SecretKey, encode_context

__all__ = ["NeuraCryptEncoder"]

_VERSION = 1
# Images of `fit` by which values are standardized, and room beyond what their codes take.
_MAX_REFERENCE, _SLACK = 256, 0.05


class _Layer(NamedTuple):
    """A linear map, and the standardization of what it returns."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    mean: NDArray[np.float64] | float = 0.0
    std: NDArray[np.float64] | float = 1.0

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = (x @ self.weights + self.bias - self.mean) / self.std
        return found


class _Network(NamedTuple):
    """What the key decides on, and what bounds its codes have."""

    layers: tuple[_Layer, ...]
    positions: NDArray[np.float64]
    last: _Layer
    low: float = 0.0
    high: float = 1.0

    def apply(self, patches: NDArray[np.float64]) -> NDArray[np.float64]:
        """Encode the patches of an image, (n_tokens, n_values), as (n_tokens, width)."""
        x = patches
        for layer in self.layers:
            x = np.maximum(layer.apply(x), 0)
        return self.last.apply(np.maximum(x + self.positions, 0))


def _is_reference(value: Any) -> bool:
    return is_array(value) and value.dtype == np.uint8 and value.ndim == 4 and len(value) > 0


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    fitted=FITTED,
)
class NeuraCryptEncoder(KeyedEncryptor):
    r"""Encode patches by a random network that is the key, in random order: NeuraCrypt [1]_.

    Each patch of an image becomes a token: a random linear map, ReLU, `depth` further random layers
    with standardization and ReLU, a random vector for its position, ReLU, and a last random map.
    The tokens of each image come in an order of its own. A classifier is trained on tokens.

    **It does not hide images from somebody who knows some.** The vectors of positions undo the
    orders, without any training; images that are known in any order can be matched with their codes
    [2]_; and with pairs, a linear map from tokens to patches reads all other images of the key, as
    `ricsk.attacks.NeuraCryptAttack` does. There is no way back for the owner.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    {key}
    patch_size : int, default=4
        Side of a patch; 16 in [1]_, for larger images.
    width : int, default=128
        Values of a token; 2048 in [1]_.
    depth : int, default=4
        Random layers between the first and the last.
    shuffle : bool, default=True
        Whether tokens come in random order.
    {image_shape}
    {value_range}
    {flatten}

    Attributes
    ----------
    {key_in_use}
    patch_size_, width_, depth_, shuffle_
        What was given. Parameters that are set later act at the next `fit`.
    reference_ : ndarray of shape (n, height, width, channels), uint8
        Up to 256 images of `fit`, by which layers are standardized. As secret as the key.
    {fitted}

    Notes
    -----
    A code is written as a grey 8-bit image, a token in each row, and cut off where it leaves the
    range of the codes of `reference_` by much. In the published code layers are standardized by the
    batch that an image comes in, so that its code depends on its neighbours; here by `reference_`.

    References
    ----------
    .. [1] A. Yala et al., "NeuraCrypt: hiding private health data via random neural networks for
       public training", arXiv:2106.02484, 2021.
    .. [2] N. Carlini, S. Garg, S. Jha, S. Mahloujifar, M. Mahmoody and F. Tramèr, "NeuraCrypt is
       not private", arXiv:2108.07256, 2021.

    Examples
    --------
    >>> from ricsk import SecretKey
    >>> from ricsk.baselines import NeuraCryptEncoder
    >>> from ricsk.datasets import make_street_numbers
    >>> X, _ = make_street_numbers(20, size=16, random_state=0)
    >>> NeuraCryptEncoder(SecretKey.generate(), width=32).fit_transform(X).shape
    (20, 16, 32, 1)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **KeyedEncryptor._parameter_constraints,
        "patch_size": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "depth": [Interval(Integral, 0, None, closed="left")],
        "shuffle": ["boolean"],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **KeyedEncryptor._state_constraints,
        "reference_": [Check("an array of images of 8-bit levels", _is_reference)],
    }
    _derived = KeyedEncryptor._derived | {"_network", "_context"}

    patch_size_: int
    width_: int
    depth_: int
    shuffle_: bool
    reference_: NDArray[np.uint8]
    _network: _Network
    _context: bytes

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        *,
        patch_size: int = 4,
        width: int = 128,
        depth: int = 4,
        shuffle: bool = True,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
    ) -> None:
        self.key = key
        self.patch_size = patch_size
        self.width = width
        self.depth = depth
        self.shuffle = shuffle
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self.patch_size_, self.width_ = self.patch_size, self.width
        self.depth_, self.shuffle_ = self.depth, self.shuffle
        n_tokens = _count_patches(batch.shape, self.patch_size_)
        self.ciphertext_shape_ = (n_tokens, self.width_, 1)
        n = len(batch.pixels)
        chosen = np.linspace(0, n - 1, min(n, _MAX_REFERENCE)).astype(int)
        self.reference_ = self.value_range_.to_uint8(batch.pixels[chosen])

    def _derive_from_key(self) -> None:
        """Draw the network, and standardize its layers by the reference images."""
        self._context = encode_context(
            "neuracrypt",
            _VERSION,
            image_shape=self.image_shape_in_,
            patch_size=self.patch_size_,
            width=self.width_,
            depth=self.depth_,
            shuffle=self.shuffle_,
        )
        stream = self.key_.keystream("neuracrypt/network", self._context)

        def draw(n_in: int) -> _Layer:
            bound = 1 / np.sqrt(n_in)
            drawn = bound * (2 * stream.random((n_in + 1, self.width_)) - 1)
            return _Layer(drawn[:-1], drawn[-1])

        x = np.stack([self._cut(image) for image in self.reference_])
        layers = [draw(x.shape[2])]
        x = np.maximum(layers[0].apply(x), 0)
        for _ in range(self.depth_):
            layer = draw(self.width_)
            found = layer.apply(x)
            std = found.std(axis=(0, 1))
            layer = layer._replace(mean=found.mean(axis=(0, 1)), std=np.where(std == 0, 1.0, std))
            layers.append(layer)
            x = np.maximum(layer.apply(x), 0)
        positions = draw_normal(stream, (x.shape[1], self.width_))
        network = _Network(tuple(layers), positions, draw(self.width_))
        codes = network.last.apply(np.maximum(x + positions, 0))
        low, high = float(codes.min()), float(codes.max())
        slack = _SLACK * (high - low) or 1.0
        self._network = network._replace(low=low - slack, high=high + slack)

    def _cut(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Cut an image into patches, (n_tokens, n_values), around zero."""
        blocks = to_blocks(image, self.patch_size_)
        return blocks.reshape(self.ciphertext_shape_[0], -1) / 127.5 - 1

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("ciphertexts", recoverable=False)

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        # One by one, so that the order of additions does not depend on the batch.
        levels = self.value_range_.to_uint8(batch.pixels)
        codes = np.stack([self._encode(image) for image in levels])
        return self.value_range_.from_uint8(codes[..., np.newaxis], batch.pixels.dtype)

    def _encode(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        network = self._network
        code = (network.apply(self._cut(image)) - network.low) / (network.high - network.low)
        if self.shuffle_:
            nonce = hashlib.sha256(image.tobytes()).digest()
            stream = self.key_.keystream("neuracrypt/order", self._context + nonce)
            code = code[stream.permutation(len(code))]
        return np.rint(255 * code.clip(0, 1)).astype(np.uint8)

    def _why_not_recoverable(self) -> str | None:
        return (
            "NeuraCrypt's random network has no inverse. Keep the images, or use EtCEncryptor, on "
            "whose ciphertexts classifiers learn, too."
        )

    def _adapt_to_shape(self, original: Self) -> None:
        raise ValueError(
            f"patches have places of images of {describe(original.image_shape_in_)}. "
            "Resize the images to that."
        )

    def _check_state(self) -> None:
        super()._check_state()
        if not hasattr(self, "reference_"):
            return
        expected = (_count_patches(self.image_shape_in_, self.patch_size_), self.width_, 1)
        if self.ciphertext_shape_ != expected:
            raise ValueError(f"its codes have the shape {expected}, not {self.ciphertext_shape_}")
        if self.reference_.shape[1:] != self.image_shape_in_:
            raise ValueError("its reference_ holds images of another shape")


def _count_patches(shape: ImageShape, patch_size: int) -> int:
    height, width, _ = shape
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"images of {height}×{width} pixels do not fall into patches of "
            f"{patch_size}×{patch_size}. Resize them, or take another patch_size."
        )
    return height * width // patch_size**2

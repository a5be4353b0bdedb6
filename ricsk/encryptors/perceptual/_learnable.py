"""LE and ELE: learnable encryption of blocks, nibble by nibble."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from ricsk._docs import (
    FITTED,
    FLATTEN,
    IMAGE_SHAPE,
    KEY,
    KEY_IN_USE,
    PER_IMAGE_KEYS,
    VALUE_RANGE,
    fill_in,
)
from ricsk.blocks import from_blocks, pad_to_blocks, to_blocks
from ricsk.encryptors.perceptual._base import PixelMapEncryptor
from ricsk.encryptors.perceptual._scheme import PixelMapScheme, log2_factorial
from ricsk.images import ImageShape
from ricsk.keys import SecretKey
from ricsk.pixelmap import PixelMap

__all__ = ["LearnableEncryptor", "LearnableScheme"]


@dataclass(frozen=True, kw_only=True)
class LearnableScheme(PixelMapScheme):
    """What the parameters of a `LearnableEncryptor` mean for images of one shape.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width and channels of the images.
    block_size, per_block_keys, per_image_keys, scramble_blocks, reversal, pad
        As for `LearnableEncryptor`.
    """

    name = "le"

    block_size: int = 4
    per_block_keys: bool = False
    scramble_blocks: bool = False
    reversal: Literal["from_key", "independent"] = "from_key"
    pad: bool = False

    @property
    def padded_shape(self) -> ImageShape:
        """Height, width and channels of an image with its padding."""
        return pad_to_blocks(self.image_shape, self.block_size, self.pad)

    @property
    def border_unit(self) -> int:
        """What the height of a border is a multiple of."""
        return self.block_size

    @property
    def n_blocks(self) -> int:
        """Number of blocks in a ciphertext."""
        height, width, _ = self.map_shape
        return (height // self.block_size) * (width // self.block_size)

    @property
    def n_nibbles(self) -> int:
        """Number of nibbles in a block."""
        return 2 * self.block_size**2 * self.image_shape[-1]

    @property
    def needs_levels(self) -> bool:
        """Whether floats have to be rounded to their 256 levels: only these have nibbles."""
        return True

    def make_map(self, key: SecretKey) -> PixelMap:
        """Derive from a key what is done to every image."""
        nibbles = self._number_nibbles()
        order, mask = (np.broadcast_to(drawn, nibbles.shape) for drawn in self._draw(key))
        index = np.take_along_axis(nibbles, order, axis=1)
        if self.scramble_blocks:
            places = self.keystream(key, "scramble").permutation(self.n_blocks)
            index, mask = index[places], mask[places]
        return PixelMap(self._paste(index), self._paste(mask), nibbles=True)

    def count_bits(self) -> float:
        """Count the different maps."""
        bits = log2_factorial(self.n_nibbles)
        if self.reversal == "independent":
            # (2n − 1)!! = (2n)! / (2^n n!)
            bits = log2_factorial(2 * self.n_nibbles) - self.n_nibbles - bits
        bits *= self.n_blocks if self.per_block_keys else 1
        return bits + (log2_factorial(self.n_blocks) if self.scramble_blocks else 0.0)

    def _draw(self, key: SecretKey) -> tuple[NDArray[Any], NDArray[Any]]:
        """Draw order and mask of the nibbles, for each block or one for all: (n_draws, n)."""
        n_draws = self.n_blocks if self.per_block_keys else 1
        order = self.keystream(key, "permute").permutations(self.n_nibbles, n_draws)
        if self.reversal == "from_key":
            reverse = order > self.n_nibbles // 2
        else:
            drawn = self.keystream(key, "reverse").integers(2, order.size)
            reverse = drawn.reshape(order.shape) == 1
        return order, np.where(np.take_along_axis(reverse, order, axis=1) ^ reverse, 15, 0)

    def _number_nibbles(self) -> NDArray[Any]:
        """Give the place in the image of each nibble of each block, low ones first."""
        n_bytes = math.prod(self.map_shape)
        image = np.arange(n_bytes).reshape(self.map_shape)
        low = to_blocks(image, self.block_size).reshape(self.n_blocks, -1)
        return np.concatenate([low, low + n_bytes], axis=1)

    def _paste(self, nibbles: NDArray[Any]) -> NDArray[Any]:
        """Put blocks of nibbles together again, as the low and then the high ones of one image."""
        side, shape = self.block_size, self.map_shape
        halves = nibbles.reshape(self.n_blocks, 2, side, side, shape[-1])
        return np.concatenate([from_blocks(halves[:, i], shape).ravel() for i in (0, 1)])


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    per_image_keys=PER_IMAGE_KEYS,
    fitted=FITTED,
)
class LearnableEncryptor(PixelMapEncryptor):
    r"""Learnable encryption (LE), and its extension with a key for each block (ELE).

    The bytes of each `block_size` × `block_size` block are split into their low and high nibbles.
    At secret places a nibble v is reversed, :math:`v' = 15 - v`; all nibbles of the block are
    permuted; and at the same places they are reversed again [1]_. With ``per_block_keys=True,
    scramble_blocks=True`` each block has a permutation of its own and the blocks are permuted
    afterwards: ELE [2]_.

    What it protects, and from whom: a person who looks at a ciphertext. All images of a key undergo
    the same linear map, so a known-plaintext adversary solves for it; LE, with one key for all
    blocks, falls to a ciphertext-only adversary [3]_.

    Read more in the :ref:`User Guide <guide-etc>`.

    Parameters
    ----------
    {key}
    block_size : int, default=4
        Side of the blocks in pixels.
    per_block_keys : bool, default=False
        Whether each block has a permutation and reversals of its own.
    {per_image_keys}
    scramble_blocks : bool, default=False
        Whether the blocks are permuted afterwards, the step that `EtCEncryptor` calls `permute`.
    reversal : {"from_key", "independent"}, default="from_key"
        How the places of reversal are chosen. "from_key" is the published code: where the
        permutation's value is above the middle. "independent" draws them, with probability ½.
    pad : bool, default=False
        Whether images that the blocks do not fill are edge-padded at the right and bottom.
        Ciphertexts are then larger; `inverse_transform` crops the images again.
    {image_shape}
    {value_range}
    {flatten}

    Attributes
    ----------
    {key_in_use}
    scheme_ : LearnableScheme
        What the parameters mean for images of the fitted shape. It decides alone: a parameter that
        is changed after `fit` acts at the next one.
    pixel_map_ : PixelMap
        What the key makes of it, and as secret as the key. Pickles, joblib and skops files do not
        hold it; it is derived from the key again.
    {fitted}

    See Also
    --------
    AdaptNetClassifier : Classifier made for ciphertexts of LE and ELE.
    EtCEncryptor : Scrambles blocks, and leaves them compressible.
    ricsk.attacks.LinearAttack : Reads the key off known plaintexts.

    Notes
    -----
    uint8 images come back bit for bit, and so do floats that are 8-bit levels: ``k / 255`` on
    [0, 1], or whole numbers on [0, 255].

    A block of M × M pixels in colour has :math:`n = 6 M^2` nibbles and n! keys. With independent
    reversals there are not :math:`n!\,2^n` different encryptions, as the number of keys suggests,
    but :math:`(2n - 1)!! = 1 \cdot 3 \cdots (2n - 1)`: reversing a whole cycle of the permutation
    changes nothing.

    References
    ----------
    .. [1] M. Tanaka, "Learnable image encryption", IEEE International Conference on Consumer
       Electronics-Taiwan, 2018.
    .. [2] K. Madono, M. Tanaka, M. Onishi and T. Ogawa, "Block-wise scrambled image recognition
       using adaptation network", AAAI Workshop on Artificial Intelligence of Things, 2020.
    .. [3] A. H. Chang and B. M. Case, "Attacks on image encryption schemes for privacy-preserving
       deep neural networks", arXiv:2004.13263, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import LearnableEncryptor, SecretKey
    >>> images = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    >>> encryptor = LearnableEncryptor(SecretKey.generate()).fit(images)
    >>> bool((encryptor.inverse_transform(encryptor.transform(images)) == images).all())
    True
    >>> round(encryptor.key_space_bits())
    498
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **PixelMapEncryptor._parameter_constraints,
        "block_size": [Interval(Integral, 1, None, closed="left")],
        "per_block_keys": ["boolean"],
        "per_image_keys": ["boolean"],
        "scramble_blocks": ["boolean"],
        "reversal": [StrOptions({"from_key", "independent"})],
        "pad": ["boolean"],
    }

    _scheme_type = LearnableScheme
    scheme_: LearnableScheme

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        *,
        block_size: int = 4,
        per_block_keys: bool = False,
        per_image_keys: bool = False,
        scramble_blocks: bool = False,
        reversal: Literal["from_key", "independent"] = "from_key",
        pad: bool = False,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
    ) -> None:
        self.key = key
        self.block_size = block_size
        self.per_block_keys = per_block_keys
        self.per_image_keys = per_image_keys
        self.scramble_blocks = scramble_blocks
        self.reversal = reversal
        self.pad = pad
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten

    def _make_scheme(self, image_shape: ImageShape) -> LearnableScheme:
        return LearnableScheme(
            image_shape=image_shape,
            block_size=int(self.block_size),
            per_block_keys=self.per_block_keys,
            per_image_keys=self.per_image_keys,
            scramble_blocks=self.scramble_blocks,
            reversal=self.reversal,
            pad=self.pad,
        )

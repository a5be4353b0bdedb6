"""EtC: encryption-then-compression images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils._param_validation import Interval, StrOptions

from ricsk._docs import (
    EXACT_VALUE_RANGE,
    FITTED,
    FLATTEN,
    IMAGE_SHAPE,
    KEY,
    KEY_IN_USE,
    PER_IMAGE_KEYS,
    fill_in,
)
from ricsk.blocks import from_blocks, pad_to_blocks, to_blocks
from ricsk.encryptors.perceptual._base import PixelMapEncryptor
from ricsk.encryptors.perceptual._scheme import PixelMapScheme, log2_factorial
from ricsk.images import ImageShape
from ricsk.keys import SecretKey
from ricsk.pixelmap import PixelMap

__all__ = ["EtCEncryptor", "EtCScheme"]


class _Choices(NamedTuple):
    """What the steps draw from, uniformly."""

    block_size: int
    # Numbers below 4 are quarter turns; 4 more mirrors the block left to right afterwards.
    symmetries: tuple[int, ...] = tuple(range(8))
    channel_orders: tuple[tuple[int, ...], ...] = tuple(permutations(range(3)))
    negates_half: bool = False


_CHOICES = {
    None: _Choices(16),
    # Turned by 90° n times, then not mirrored, upside down, left to right, or both, for one n.
    "fugokidi2023": _Choices(16, symmetries=(0, 7, 6, 1)),
    # Turned, then mirrored upside down, left to right, or not at all; channels assigned in place.
    "madono2020": _Choices(
        4,
        symmetries=(0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 4, 5),
        channel_orders=((0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 1), (2, 2, 2), (2, 1, 2)),
        negates_half=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class EtCScheme(PixelMapScheme):
    """What the parameters of an `EtCEncryptor` mean for images of one shape.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width and channels of the images.
    block_size, sub_block_size : int
        Sides of the blocks and of what is rotated, negated and recoloured as a whole: the blocks
        themselves, or their sub-blocks.
    permute, rotate, negate, shuffle_channels, per_block_keys, grayscale, pad, variant
        As for `EtCEncryptor`.
    per_image_keys : bool
        As for `EtCEncryptor`.
    """

    name = "etc"

    block_size: int = 16
    sub_block_size: int = 16
    permute: bool = True
    rotate: bool = True
    negate: bool = True
    shuffle_channels: bool = True
    per_block_keys: bool = True
    grayscale: bool | Literal["ycbcr"] = False
    pad: bool = False
    variant: Literal["madono2020", "fugokidi2023"] | None = None

    @property
    def padded_shape(self) -> ImageShape:
        """Height, width and channels of an image with its padding."""
        return pad_to_blocks(self.image_shape, self.block_size, self.pad)

    @property
    def map_shape(self) -> ImageShape:
        """Height, width and channels of what the map is applied to."""
        height, width, channels = self.padded_shape
        return (channels * height, width, 1) if self.grayscale else (height, width, channels)

    @property
    def splits_colours(self) -> bool:
        """Whether colours are converted, of 8-bit levels, before the map is applied."""
        return bool(self.grayscale) and self.image_shape[-1] == 3

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
    def n_sub_blocks(self) -> int:
        """Number of sub-blocks in a block."""
        return (self.block_size // self.sub_block_size) ** 2

    def make_map(self, key: SecretKey) -> PixelMap:
        """Derive from a key what is done to every image."""
        shape = self.map_shape
        parts = self._cut(np.arange(math.prod(shape)).reshape(shape))
        if self.permute:
            parts = parts[self.keystream(key, "permute").permutation(self.n_blocks)]
        if self.n_sub_blocks > 1:
            order = self.keystream(key, "sub-blocks").permutation(self.n_sub_blocks)
            parts = parts[:, order]
        parts = parts.reshape(-1, *parts.shape[2:])
        if self.rotate:
            parts = _turn(parts, self._draw(key, "rotate", self._choices.symmetries))
        if self.shuffle_channels and shape[-1] == 3:
            orders = self._draw(key, "channels", self._choices.channel_orders)
            parts = np.take_along_axis(parts, orders[:, np.newaxis, np.newaxis], axis=3)
        mask = np.zeros_like(parts, dtype=np.uint8)
        if self.negate:
            mask[self._draw_negated(key)] = 255
        return PixelMap(self._paste(parts), self._paste(mask))

    def count_bits(self) -> float:
        """Count the different maps."""
        choices, n_blocks, n_sub_blocks = self._choices, self.n_blocks, self.n_sub_blocks
        n_draws = n_blocks if self.per_block_keys else n_sub_blocks
        bits = log2_factorial(n_sub_blocks) + (log2_factorial(n_blocks) if self.permute else 0.0)
        if self.rotate and self.sub_block_size > 1:
            bits += n_draws * math.log2(len(set(choices.symmetries)))
        if self.negate:
            half = n_blocks // 2
            bits += math.log2(math.comb(n_blocks, half)) if choices.negates_half else n_draws
        if self.shuffle_channels and self.map_shape[-1] == 3:
            bits += n_draws * math.log2(len(choices.channel_orders))
        return bits

    def to_map_shape(self, images: NDArray[Any]) -> NDArray[Any]:
        """Pad images, and put their colours into planes."""
        padded = super().to_map_shape(images)
        if not self.splits_colours:
            return padded
        planes = _to_planes(padded, self.grayscale == "ycbcr")
        return np.moveaxis(planes, -1, 1).reshape(len(images), *self.map_shape)

    def from_map_shape(self, images: NDArray[Any]) -> NDArray[Any]:
        """Undo `to_map_shape`."""
        if self.splits_colours:
            height, width, channels = self.padded_shape
            planes = images.reshape(len(images), channels, height, width)
            images = _from_planes(np.moveaxis(planes, 1, -1), self.grayscale == "ycbcr")
        return super().from_map_shape(images)

    @property
    def _choices(self) -> _Choices:
        return _CHOICES[self.variant]

    def _draw(self, key: SecretKey, step: str, choices: Sequence[Any]) -> NDArray[Any]:
        """Draw one of the choices for each part, block by block."""
        stream = self.keystream(key, step)
        if self.per_block_keys:
            drawn = stream.integers(len(choices), self.n_blocks)
        else:
            drawn = np.tile(stream.integers(len(choices), self.n_sub_blocks), self.n_blocks)
        return np.array(choices)[drawn]

    def _draw_negated(self, key: SecretKey) -> NDArray[np.bool_]:
        if self._choices.negates_half:
            ranks = self.keystream(key, "negate").permutation(self.n_blocks)
            return ranks < self.n_blocks // 2
        return self._draw(key, "negate", (False, True))

    # Blocks on top of each other are one tall image, which is cut once more.
    @property
    def _tall_shape(self) -> ImageShape:
        side, channels = self.block_size, self.map_shape[-1]
        return self.n_blocks * side, side, channels

    def _cut(self, image: NDArray[Any]) -> NDArray[Any]:
        """Cut (height, width, channels) into (n_blocks, n_sub_blocks, side, side, channels)."""
        tall = to_blocks(image, self.block_size).reshape(self._tall_shape)
        parts = to_blocks(tall, self.sub_block_size)
        return parts.reshape(self.n_blocks, self.n_sub_blocks, *parts.shape[1:])

    def _paste(self, parts: NDArray[Any]) -> NDArray[Any]:
        """Put parts together again, as the values of one image."""
        tall = from_blocks(parts, self._tall_shape)
        blocks = tall.reshape(-1, self.block_size, *tall.shape[1:])
        return from_blocks(blocks, self.map_shape).ravel()


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=EXACT_VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    per_image_keys=PER_IMAGE_KEYS,
    fitted=FITTED,
)
class EtCEncryptor(PixelMapEncryptor):
    r"""Encryption-then-compression: scramble an image in blocks that JPEG still compresses.

    The image is cut into blocks of `block_size` × `block_size` pixels. Four steps follow, each with
    randomness of its own from the key [1]_:

    1. the blocks are permuted;
    2. each block is rotated and mirrored, by one of the eight symmetries of the square;
    3. each block is negated with probability ½, all channels together: :math:`p' = p \oplus 255`
       (eq. (1) of [1]_);
    4. the three colour channels of each block are put in one of their six orders.

    A classifier is trained on ciphertexts of one key and reads ciphertexts of that key.

    What it protects, and from whom: a person who looks at a ciphertext sees no picture, and neither
    does a ciphertext-only adversary who cannot reassemble blocks. Jigsaw-puzzle solvers can. A
    known-plaintext adversary, with a few images and their ciphertexts under the same key, reads the
    key off them. Equal blocks in one place have equal ciphertexts, so images can be compared. It is
    not a cipher.

    Read more in the :ref:`User Guide <guide-etc>`.

    Parameters
    ----------
    {key}
    block_size : int, optional
        Side of the blocks in pixels. None takes the usual one: 16, the unit in which JPEG codes
        colour images; 8 for `grayscale`; 4 for ``variant="madono2020"``.
    permute, rotate, negate, shuffle_channels : bool, default=True
        Which of the four steps are done. The last one does nothing to grey images.
    per_block_keys : bool, default=True
        Whether each block is rotated, negated and recoloured by its own draw. False does the same
        to all blocks: much weaker, but then a vision transformer whose patches are the blocks can
        be adapted to the key exactly, by `adapt_to_key`.
    {per_image_keys}
    sub_block_size : int, optional
        With ``per_block_keys=False``: blocks are cut into sub-blocks of this side, which are
        permuted within their block, and which take the place of the blocks in steps 2 to 4 [4]_.
        All blocks are treated alike. It must divide `block_size`. 16 leaves what JPEG compresses,
        and so does 8 where JPEG does not subsample colours. With 1 the pixels of a block are
        permuted, as in [5]_, but the three colours of a pixel stay together. None leaves the
        blocks whole.
    grayscale : bool or "ycbcr", default=False
        The luminance-plane variant [2]_: a colour image becomes three planes on top of each other
        in one grey image of three times the height, so that blocks can be 8×8 and colour tells
        less. True uses a reversible colour transform modulo 256 (G plus a quarter of the
        differences, B − G, R − G), which decrypts exactly; "ycbcr" is the published one of JPEG,
        whose rounding costs up to a few levels of 255 on the way back.
    pad : bool, default=False
        Whether images that the blocks do not fill are edge-padded at the right and bottom.
        Ciphertexts are then larger; `inverse_transform` crops the images again.
    variant : {"madono2020", "fugokidi2023"}, optional
        Published code that deviates from the scheme, reproduced for comparison. "fugokidi2023", the
        code of [1]_, draws rotation and mirroring from one seed, which leaves four of the eight
        symmetries. "madono2020" [3]_ negates exactly half of the blocks, draws symmetries
        unevenly, and overwrites channels while it reorders them, so that five of six orders lose
        one: there is no `inverse_transform`.
    {image_shape}
    {value_range}
    {flatten}

    Attributes
    ----------
    {key_in_use}
    scheme_ : EtCScheme
        What the parameters mean for images of the fitted shape. It decides alone: a parameter that
        is changed after `fit` acts at the next one.
    pixel_map_ : PixelMap
        What the key makes of it, and as secret as the key. Pickles, joblib and skops files do not
        hold it; it is derived from the key again.
    {fitted}

    See Also
    --------
    PrivateClassifier : An encryptor and a classifier as one estimator.
    adapt_to_key : Move a key into a vision transformer, without training.
    LearnableEncryptor : Another block-wise scheme, which permutes nibbles within blocks.
    PixelEncryptor : Negates and recolours pixels where they stand.
    ricsk.attacks.JigsawAttack : Reassembles the blocks.

    Notes
    -----
    uint8 images come back bit for bit, and so do floats that are 8-bit levels: ``k / 255`` on
    [0, 1], or whole numbers on [0, 255]. Their ciphertexts are levels too. Other floats are
    permuted and negated as they are, and come back up to one rounding in their dtype
    (``grayscale`` rounds colour images to the 256 levels first).

    For N blocks there are :math:`N!\,8^N 2^N 6^N` keys; four blocks, as in a 32×32 image, make only
    2\ :sup:`31`, and `fit` warns. With ``per_block_keys=False`` there are
    :math:`N!\,n!\,8^n 2^n 6^n`, where n is the number of sub-blocks in a block (1 without
    `sub_block_size`; sub-blocks of one pixel cannot be rotated, and the :math:`8^n` falls away).

    References
    ----------
    .. [1] A. P. MaungMaung and H. Kiya, "Privacy-preserving image classification using
       isotropic network", arXiv:2204.07707, 2022, section II-B.
    .. [2] T. Chuman, W. Sirichotedumrong and H. Kiya, "Encryption-then-compression systems using
       grayscale-based image encryption for JPEG images", IEEE Transactions on Information
       Forensics and Security 14(6), 2019.
    .. [3] K. Madono, M. Tanaka, M. Onishi and T. Ogawa, "Block-wise scrambled image recognition
       using adaptation network", AAAI Workshop on Artificial Intelligence of Things, 2020.
    .. [4] G. Hamano, S. Imaizumi and H. Kiya, "Effects of JPEG compression on vision transformer
       image classification for encryption-then-compression images", Sensors 23(7), 3400, 2023.
    .. [5] H. Kiya, R. Iijima, A. MaungMaung and Y. Kinoshita, "Image and model transformation with
       secret key for vision transformer", arXiv:2207.05366, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> images = np.arange(2 * 64 * 64 * 3, dtype=np.uint8).reshape(2, 64, 64, 3)
    >>> encryptor = EtCEncryptor(SecretKey.generate()).fit(images)
    >>> ciphertexts = encryptor.transform(images)
    >>> ciphertexts.shape, ciphertexts.dtype
    ((2, 64, 64, 3), dtype('uint8'))
    >>> bool((encryptor.inverse_transform(ciphertexts) == images).all())
    True
    >>> round(encryptor.key_space_bits())
    150
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **PixelMapEncryptor._parameter_constraints,
        "block_size": [Interval(Integral, 1, None, closed="left"), None],
        "permute": ["boolean"],
        "rotate": ["boolean"],
        "negate": ["boolean"],
        "shuffle_channels": ["boolean"],
        "per_block_keys": ["boolean"],
        "per_image_keys": ["boolean"],
        "sub_block_size": [Interval(Integral, 1, None, closed="left"), None],
        "grayscale": ["boolean", StrOptions({"ycbcr"})],
        "pad": ["boolean"],
        "variant": [StrOptions({"madono2020", "fugokidi2023"}), None],
    }

    _scheme_type = EtCScheme
    scheme_: EtCScheme

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        *,
        block_size: int | None = None,
        permute: bool = True,
        rotate: bool = True,
        negate: bool = True,
        shuffle_channels: bool = True,
        per_block_keys: bool = True,
        per_image_keys: bool = False,
        sub_block_size: int | None = None,
        grayscale: bool | Literal["ycbcr"] = False,
        pad: bool = False,
        variant: Literal["madono2020", "fugokidi2023"] | None = None,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
    ) -> None:
        self.key = key
        self.block_size = block_size
        self.permute = permute
        self.rotate = rotate
        self.negate = negate
        self.shuffle_channels = shuffle_channels
        self.per_block_keys = per_block_keys
        self.per_image_keys = per_image_keys
        self.sub_block_size = sub_block_size
        self.grayscale = grayscale
        self.pad = pad
        self.variant = variant
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten

    def _make_scheme(self, image_shape: ImageShape) -> EtCScheme:
        if self.variant and (self.grayscale or not self.per_block_keys):
            raise ValueError(
                f"variant={self.variant!r} reproduces a published code, which has neither "
                "grayscale nor per_block_keys=False. Leave those out, or the variant."
            )
        usual = 8 if self.grayscale else _CHOICES[self.variant].block_size
        block_size = int(self.block_size or usual)
        return EtCScheme(
            image_shape=image_shape,
            block_size=block_size,
            sub_block_size=self._check_sub_block_size(block_size),
            permute=self.permute,
            rotate=self.rotate,
            negate=self.negate,
            shuffle_channels=self.shuffle_channels,
            per_block_keys=self.per_block_keys,
            per_image_keys=self.per_image_keys,
            grayscale=self.grayscale,
            pad=self.pad,
            variant=self.variant,
        )

    def _check_sub_block_size(self, block_size: int) -> int:
        if self.sub_block_size is None:
            return block_size
        if self.per_block_keys:
            raise ValueError(
                f"sub_block_size={self.sub_block_size} is for blocks that are all treated alike; "
                "add per_block_keys=False, or leave sub_block_size out."
            )
        if block_size % self.sub_block_size:
            raise ValueError(
                f"sub-blocks of {self.sub_block_size}×{self.sub_block_size} pixels do not fill "
                f"blocks of {block_size}×{block_size}; take a sub_block_size that divides "
                "block_size."
            )
        return int(self.sub_block_size)

    def _guess_image_shape(self, ciphertext_shape: ImageShape) -> ImageShape:
        height, width, channels = super()._guess_image_shape(ciphertext_shape)
        if self.scheme_.splits_colours and height % 3 == 0:
            return height // 3, width, 3
        return height, width, channels

    def _to_parameters(self, options: dict[str, Any]) -> dict[str, Any]:
        whole = options["sub_block_size"] == options["block_size"]
        return options | {"sub_block_size": None if whole else options["sub_block_size"]}

    def _why_not_recoverable(self) -> str | None:
        options: EtCEncryptor | EtCScheme = self.scheme_ if hasattr(self, "scheme_") else self
        if options.variant == "madono2020" and options.shuffle_channels:
            return (
                "variant='madono2020' overwrites colour channels, so nothing brings the images "
                "back. Use shuffle_channels=False or the scheme itself, variant=None."
            )
        return None


def _turn(blocks: NDArray[Any], symmetry: NDArray[Any]) -> NDArray[Any]:
    """Turn and mirror each (side, side, channels) block by its own symmetry of the square."""
    result = np.empty_like(blocks)
    for number in range(8):
        chosen = symmetry == number
        turned = np.rot90(blocks[chosen], number % 4, axes=(1, 2))
        result[chosen] = turned[:, :, ::-1] if number >= 4 else turned
    return result


def _to_planes(rgb: NDArray[np.uint8], jpeg: bool) -> NDArray[np.uint8]:
    """Separate brightness from colour, (n, height, width, 3) to the same shape."""
    if jpeg:
        return _convert(rgb, "RGB", "YCbCr")
    red, green, blue = np.moveaxis(rgb.astype(np.int16), -1, 0)
    # Levels are taken modulo 256, so nothing is rounded away; 128 is grey.
    first, second = (blue - green + 128) & 255, (red - green + 128) & 255
    return np.stack([green + (first + second) // 4 - 64, first, second], axis=-1).astype(np.uint8)


def _from_planes(planes: NDArray[np.uint8], jpeg: bool) -> NDArray[np.uint8]:
    """Undo `_to_planes`: exactly, or up to JPEG's rounding."""
    if jpeg:
        return _convert(planes, "YCbCr", "RGB")
    luma, first, second = np.moveaxis(planes.astype(np.int16), -1, 0)
    green = luma - (first + second) // 4 + 64
    return np.stack([second + green - 128, green, first + green - 128], axis=-1).astype(np.uint8)


def _convert(pixels: NDArray[np.uint8], old: str, new: str) -> NDArray[np.uint8]:
    n_samples, height, width, channels = pixels.shape
    tall = np.ascontiguousarray(pixels).reshape(n_samples * height, width, channels)
    size = (width, n_samples * height)
    image = Image.frombuffer(old, size, tall.tobytes(), "raw", old, 0, 1).convert(new)
    return np.asarray(image).reshape(pixels.shape)

"""EtC: encryption-then-compression images."""

from __future__ import annotations

import math
from itertools import permutations
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.utils._param_validation import Interval, StrOptions

from ricsk.blocks import from_blocks, padded_to_blocks, to_blocks
from ricsk.encryptors.perceptual._base import PixelMapEncryptor, log2_factorial
from ricsk.images import ImageBatch, ImageShape
from ricsk.keys import SecretKey
from ricsk.pixelmap import PixelMap

__all__ = ["EtCEncryptor"]


class _Draws(NamedTuple):
    """What the steps draw from, uniformly."""

    block_size: int
    # Numbers below 4 are quarter turns; 4 more mirrors the block left to right afterwards.
    symmetries: tuple[int, ...] = tuple(range(8))
    channel_orders: tuple[tuple[int, ...], ...] = tuple(permutations(range(3)))
    negates_half: bool = False


_DRAWS = {
    None: _Draws(16),
    # Turned by 90° n times, then not mirrored, upside down, left to right, or both, for one n.
    "fugokidi2023": _Draws(16, symmetries=(0, 7, 6, 1)),
    # Turned, then mirrored upside down, left to right, or not at all; channels assigned in place.
    "madono2020": _Draws(
        4,
        symmetries=(0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 4, 5),
        channel_orders=((0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 1), (2, 2, 2), (2, 1, 2)),
        negates_half=True,
    ),
}


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

    What it protects, and from whom: a person who looks at a ciphertext, or an adversary who has
    ciphertexts alone and no method to reassemble blocks, sees no picture. Jigsaw-puzzle solvers
    reassemble blocks; whoever has a few pairs of images and ciphertexts of the same key reads the
    key off them; and equal blocks give equal blocks, so images can be compared. It is no cipher.

    Parameters
    ----------
    key : SecretKey, bytes or path
        The secret: a `SecretKey`, 32 bytes, or the path of a key file.
    block_size : int, optional
        Side of the blocks in pixels. None takes the usual one: 16, the unit in which JPEG codes
        colour images; 8 for `grayscale`; 4 for ``variant="madono2020"``.
    permute, rotate, negate, shuffle_channels : bool, default=True
        Which of the four steps are done. The last does nothing to grey images.
    per_block_keys : bool, default=True
        Whether each block is rotated, negated and recoloured by its own draw. False does the same
        to all blocks: much weaker, but then a vision transformer whose patches are the blocks can
        be adapted to the key exactly, by `adapt_to_key`.
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
        Whether images that the blocks do not fill are continued at the right and bottom with their
        last pixels. Ciphertexts are then larger; `inverse_transform` cuts the border off again.
    variant : {"madono2020", "fugokidi2023"}, optional
        Published codes that deviate from the scheme, reproduced for comparison. "fugokidi2023", the
        code of [1]_, draws rotation and mirroring from one seed, which leaves four of the eight
        symmetries. "madono2020" [3]_ negates exactly half of the blocks, draws symmetries
        unevenly, and overwrites channels while it reorders them, so that five of six orders lose
        one: there is no `inverse_transform`.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, channels)`` of the images in 2-D `X`.
    value_range : (float, float), optional
        Black and white of floating-point images. None takes [0, 1] where the images of `fit` lie in
        it, and their extreme values otherwise.
    flatten : bool, default=False
        Whether ciphertexts come out flattened, ``(n_samples, n_features)``, so that any classifier
        of scikit-learn can stand behind the encryptor in a pipeline.

    Attributes
    ----------
    key_ : SecretKey
        The key in use.
    image_shape_in_, ciphertext_shape_ : tuple of int
        Height, width and channels of images and of ciphertexts.
    value_range_ : ValueRange
        Black and white of floating-point images.
    n_features_in_ : int
        Height × width × channels.
    feature_names_in_ : ndarray of str
        Column names, if `fit` was given a data frame.

    See Also
    --------
    PrivateClassifier : An encryptor and a classifier as one estimator.
    adapt_to_key : Move a key into a vision transformer, without training.

    Notes
    -----
    uint8 images come back bit for bit. Floating-point images are permuted and negated as they are,
    exact up to one rounding (``grayscale`` rounds them to 256 levels first).

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
        "sub_block_size": [Interval(Integral, 1, None, closed="left"), None],
        "grayscale": ["boolean", StrOptions({"ycbcr"})],
        "pad": ["boolean"],
        "variant": [StrOptions({"madono2020", "fugokidi2023"}), None],
    }

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
        self.sub_block_size = sub_block_size
        self.grayscale = grayscale
        self.pad = pad
        self.variant = variant
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        if self.variant and (self.grayscale or not self.per_block_keys):
            raise ValueError(
                f"variant={self.variant!r} reproduces a published code, which has neither "
                "grayscale nor per_block_keys=False. Leave those out, or the variant."
            )
        super()._fit_scheme(batch, y)

    def _make_map(self, shape: ImageShape) -> PixelMap:
        draws = _DRAWS[self.variant]
        side, part_side = self._block_size(), self._sub_block_size()
        blocks = to_blocks(np.arange(math.prod(shape)).reshape(shape), side)
        n_blocks = len(blocks)
        if self.permute:
            blocks = blocks[self._keystream("etc/permute", shape).permutation(n_blocks)]

        # The blocks stand on top of each other here, like one image, to be cut once more.
        stack = blocks.reshape(-1, side, shape[-1])
        parts = to_blocks(stack, part_side)
        n_parts = len(parts) // n_blocks
        if n_parts > 1:
            order = self._keystream("etc/sub-blocks", shape).permutation(n_parts)
            parts = parts.reshape(n_blocks, n_parts, -1)[:, order].reshape(parts.shape)

        def draw(step: str, n_choices: int) -> NDArray[np.int64]:
            stream = self._keystream(f"etc/{step}", shape)
            if self.per_block_keys:
                return stream.integers(n_choices, n_blocks)
            return np.tile(stream.integers(n_choices, n_parts), n_blocks)

        if self.rotate:
            symmetry = np.take(draws.symmetries, draw("rotate", len(draws.symmetries)))
            parts = _turned(parts, symmetry)
        if self.shuffle_channels and shape[-1] == 3:
            orders = np.take(draws.channel_orders, draw("channels", 6), axis=0)
            parts = np.take_along_axis(parts, orders[:, np.newaxis, np.newaxis], axis=3)
        mask = np.zeros_like(parts, dtype=np.uint8)
        if self.negate and draws.negates_half:
            stream = self._keystream("etc/negate", shape)
            mask[stream.permutation(n_blocks) < n_blocks // 2] = 255
        elif self.negate:
            mask[draw("negate", 2) == 1] = 255

        def to_image(parts: NDArray[Any]) -> NDArray[Any]:
            blocks = from_blocks(parts, stack.shape).reshape(n_blocks, side, side, shape[-1])
            return from_blocks(blocks, shape).ravel()

        return PixelMap(to_image(parts), to_image(mask))

    def _count_bits(self, shape: ImageShape) -> float:
        draws = _DRAWS[self.variant]
        height, width, channels = shape
        side, part_side = self._block_size(), self._sub_block_size()
        n_blocks = (height // side) * (width // side)
        n_parts = (side // part_side) ** 2
        n_draws = n_blocks if self.per_block_keys else n_parts
        bits = log2_factorial(n_parts) + (log2_factorial(n_blocks) if self.permute else 0.0)
        if self.rotate and part_side > 1:
            bits += n_draws * math.log2(len(set(draws.symmetries)))
        if self.negate:
            half = n_blocks // 2
            bits += math.log2(math.comb(n_blocks, half)) if draws.negates_half else n_draws
        if self.shuffle_channels and channels == 3:
            bits += n_draws * math.log2(len(draws.channel_orders))
        return bits

    def _block_size(self) -> int:
        if self.block_size is not None:
            return self.block_size
        return 8 if self.grayscale else _DRAWS[self.variant].block_size

    def _sub_block_size(self) -> int:
        side = self._block_size()
        if self.sub_block_size is None:
            return side
        if self.per_block_keys:
            raise ValueError(
                f"sub_block_size={self.sub_block_size} is for blocks that are all treated alike; "
                "add per_block_keys=False, or leave sub_block_size out."
            )
        if side % self.sub_block_size:
            raise ValueError(
                f"sub-blocks of {self.sub_block_size}×{self.sub_block_size} pixels do not fill "
                f"blocks of {side}×{side}; take a sub_block_size that divides block_size."
            )
        return self.sub_block_size

    def _padded_shape(self, shape: ImageShape) -> ImageShape:
        return padded_to_blocks(shape, self._block_size(), self.pad)

    def _mapped_shape(self, shape: ImageShape) -> ImageShape:
        height, width, channels = self._padded_shape(shape)
        return (channels * height, width, 1) if self.grayscale else (height, width, channels)

    def _to_mapped(self, pixels: NDArray[Any]) -> NDArray[Any]:
        pixels = super()._to_mapped(pixels)
        if not self._splits_colours():
            return pixels
        values = self.value_range_
        planes = _to_planes(values.to_uint8(pixels), self.grayscale == "ycbcr")
        stacked = np.moveaxis(planes, -1, 1).reshape(len(pixels), *self.ciphertext_shape_)
        return values.from_uint8(stacked, pixels.dtype)

    def _from_mapped(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if self._splits_colours():
            values = self.value_range_
            height, width, channels = self._padded_shape(self.image_shape_in_)
            stacked = values.to_uint8(pixels).reshape(len(pixels), channels, height, width)
            image = _from_planes(np.moveaxis(stacked, 1, -1), self.grayscale == "ycbcr")
            pixels = values.from_uint8(image, pixels.dtype)
        return super()._from_mapped(pixels)

    def _splits_colours(self) -> bool:
        return bool(self.grayscale) and self.image_shape_in_[-1] == 3

    def _why_not_recoverable(self) -> str | None:
        if self.variant == "madono2020" and self.shuffle_channels:
            return (
                "variant='madono2020' overwrites colour channels, so nothing brings the images "
                "back. Use shuffle_channels=False or the scheme itself, variant=None."
            )
        return None


def _turned(blocks: NDArray[Any], symmetry: NDArray[Any]) -> NDArray[Any]:
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
        return _converted(rgb, "RGB", "YCbCr")
    red, green, blue = np.moveaxis(rgb.astype(np.int16), -1, 0)
    # Levels are taken modulo 256, so nothing is rounded away; 128 is grey.
    first, second = (blue - green + 128) & 255, (red - green + 128) & 255
    return np.stack([green + (first + second) // 4 - 64, first, second], axis=-1).astype(np.uint8)


def _from_planes(planes: NDArray[np.uint8], jpeg: bool) -> NDArray[np.uint8]:
    """Undo `_to_planes`: exactly, or up to JPEG's rounding."""
    if jpeg:
        return _converted(planes, "YCbCr", "RGB")
    luma, first, second = np.moveaxis(planes.astype(np.int16), -1, 0)
    green = luma - (first + second) // 4 + 64
    return np.stack([second + green - 128, green, first + green - 128], axis=-1).astype(np.uint8)


def _converted(pixels: NDArray[np.uint8], old: str, new: str) -> NDArray[np.uint8]:
    n_samples, height, width, channels = pixels.shape
    tall = np.ascontiguousarray(pixels).reshape(n_samples * height, width, channels)
    size = (width, n_samples * height)
    image = Image.frombuffer(old, size, tall.tobytes(), "raw", old, 0, 1).convert(new)
    return np.asarray(image).reshape(pixels.shape)

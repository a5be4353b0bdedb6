"""Feature reconstruction: undo negation and recolouring where pixels stay in their place."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations, product
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import StrOptions

from ricsk.attacks._base import Adversary, BaseAttack, find_body_shape
from ricsk.attacks._found_map import FoundMap
from ricsk.base import BaseImageEncryptor
from ricsk.encryptors.perceptual import PixelMapEncryptor

__all__ = ["FRAttack", "number_nibbles"]

_GREY = 128
_ORDERS = np.array([*permutations(range(3))])


class FRAttack(BaseAttack):
    """The feature reconstruction attack of Chang and Case, and their chosen-plaintext attack.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    variant : {"advanced", "basic", "chosen"}, default="advanced"
        Which attack of [1]_. "basic" takes the smaller of each value and its negative, which shows
        edges. "advanced" goes over the image row by row, from a guess of the first pixel, and takes
        for each pixel the one of its 6 orders of channels and 8 patterns of negation that is
        nearest to the pixel above, or in the first row to the left. Both are ciphertext-only.
        "chosen" has a handful of helper images encrypted, which number the nibbles of an image, and
        reads the key off them.

    Attributes
    ----------
    adversary : Adversary
        A ciphertext-only adversary; for "chosen", a chosen-plaintext adversary.
    variant_ : str
        The variant that was fitted.
    found_map_ : FoundMap
        Where "chosen" found each value of an image in the ciphertext, and its mask.
    n_queries_ : int
        How many images "chosen" had encrypted.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    See Also
    --------
    LinearAttack : Reads the map off known plaintexts.
    ricsk.PixelEncryptor : The scheme that the attack was made for.

    Notes
    -----
    The advanced variant never crosses mid-grey: of a value and its negative, the one on the side of
    the neighbour is nearer to it. From a first pixel that is guessed dark it finds the darker
    values, as the basic one does, and only puts channels in order besides.

    Tables in the literature report the basic variant for LE, ELE and EtC too. It undoes negation
    of values in their place, so against what moves them it cannot succeed: `check` refuses such an
    encryptor, and without `encryptor` the attack runs on whatever ciphertexts it is given.

    The helpers of [1]_ number bytes. Here they number nibbles in base 16, after one black image
    that gives the masks, so that one set of helpers serves all schemes: five images for nibbles up
    to 65,536, an image of 104 × 104 pixels in colour.

    References
    ----------
    .. [1] A. H. Chang and B. M. Case, "Attacks on image encryption schemes for privacy-preserving
       deep neural networks", arXiv:2004.13263, 2020.

    Examples
    --------
    >>> from ricsk import LearnableEncryptor, SecretKey
    >>> from ricsk.attacks import FRAttack
    >>> from ricsk.datasets import make_street_numbers
    >>> X, _ = make_street_numbers(10, random_state=0)
    >>> encryptor = LearnableEncryptor(SecretKey.generate()).fit(X)
    >>> C = encryptor.transform(X)
    >>> attack = FRAttack("chosen").fit(C, encryptor=encryptor)
    >>> attack.n_queries_
    5
    >>> bool((attack.reconstruct(C) == X).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "variant": [StrOptions({"advanced", "basic", "chosen"})],
    }

    _reads_borders = False

    variant_: Literal["advanced", "basic", "chosen"]
    found_map_: FoundMap
    n_queries_: int

    def __init__(self, variant: Literal["advanced", "basic", "chosen"] = "advanced") -> None:
        self.variant = variant

    @property
    def adversary(self) -> Adversary:
        """Ciphertexts only, or an oracle."""
        return Adversary(oracle=self.variant == "chosen")

    def _fit(
        self,
        ciphertexts: NDArray[np.uint8],
        encrypt: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    ) -> None:
        self.variant_, self.n_queries_ = self.variant, 0
        if encrypt is not None:
            helpers = number_nibbles(self.image_shape_)
            self.n_queries_ = len(helpers)
            self.found_map_ = FoundMap.of(helpers, encrypt(helpers))

    def _reconstruct(self, ciphertexts: NDArray[np.uint8], *_: Any) -> NDArray[np.uint8]:
        if self.variant_ == "chosen":
            flat = self.found_map_.undo(ciphertexts)
            flat[:, ~self.found_map_.found] = _GREY  # the scheme has overwritten them
            return flat.reshape(len(flat), *self.image_shape_)
        basic = np.minimum(ciphertexts, 255 - ciphertexts)
        return basic if self.variant_ == "basic" else _scan_rows(ciphertexts, basic[:, 0, 0])

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        if not isinstance(encryptor, PixelMapEncryptor) or encryptor.scheme_.splits_colours:
            return "it does more than permute and negate values."
        scheme = encryptor.scheme_
        if self.variant == "chosen":
            return "it treats each image in another way." if scheme.per_image_keys else None
        # With a key for each image it is a map of the same kind, for each image another.
        pixel_map, channels = scheme.make_map(encryptor.key_), encryptor.ciphertext_shape_[2]
        pixels = np.arange(pixel_map.index.size) // channels
        if (
            pixel_map.nibbles
            or (pixel_map.index // channels != pixels).any()
            or find_body_shape(encryptor) != encryptor.image_shape_in_
        ):
            return (
                "it moves values to other pixels, and this variant undoes changes in their place "
                "only. Use variant='chosen', or LinearAttack."
            )
        return None


def number_nibbles(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Make a black image, and one for each digit in base 16 of the numbers of nibbles."""
    n_bytes = math.prod(shape)
    n_digits = math.ceil(math.log(2 * n_bytes, 16))
    digits = np.arange(2 * n_bytes) >> 4 * np.arange(-1, n_digits).clip(0)[:, np.newaxis] & 15
    digits[0] = 0
    low, high = np.split(digits.astype(np.uint8), 2, axis=1)
    return (high << 4 | low).reshape(-1, *shape)


def _scan_rows(ciphertexts: NDArray[np.uint8], first: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make each pixel as near to its neighbour as its channels, in any order and negation, can."""
    channels = ciphertexts.shape[-1]
    orders = _ORDERS if channels == 3 else np.zeros((1, 1), int)
    masks = np.array([*product((0, 255), repeat=channels)], np.uint8)
    result = np.empty_like(ciphertexts)
    result[:, 0, 0] = first

    def nearest(pixels: NDArray[np.uint8], neighbours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # (..., n_orders, n_masks, channels)
        candidates = (pixels[..., orders][..., np.newaxis, :] ^ masks).reshape(
            *pixels.shape[:-1], -1, channels
        )
        distances = np.abs(candidates - neighbours[..., np.newaxis, :].astype(np.int16)).sum(-1)
        best = distances.argmin(axis=-1)[..., np.newaxis, np.newaxis]
        return np.take_along_axis(candidates, best, axis=-2)[..., 0, :]

    for column in range(1, ciphertexts.shape[2]):
        result[:, 0, column] = nearest(ciphertexts[:, 0, column], result[:, 0, column - 1])
    for row in range(1, ciphertexts.shape[1]):
        result[:, row] = nearest(ciphertexts[:, row], result[:, row - 1])
    return result

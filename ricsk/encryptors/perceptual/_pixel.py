"""PE: pixel-wise encryption."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from os import PathLike
from typing import Any, ClassVar

import numpy as np

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
from ricsk.encryptors.perceptual._base import PixelMapEncryptor
from ricsk.encryptors.perceptual._scheme import PixelMapScheme
from ricsk.images import ImageShape
from ricsk.keys import SecretKey
from ricsk.pixelmap import PixelMap

__all__ = ["PixelEncryptor", "PixelScheme"]


@dataclass(frozen=True, kw_only=True)
class PixelScheme(PixelMapScheme):
    """What the parameters of a `PixelEncryptor` mean for images of one shape.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width and channels of the images.
    shuffle_channels, per_image_keys : bool
        As for `PixelEncryptor`.
    """

    name = "pe"

    shuffle_channels: bool = True

    @property
    def recolours(self) -> bool:
        """Whether channels are put in another order."""
        return self.shuffle_channels and self.image_shape[-1] == 3

    def make_map(self, key: SecretKey) -> PixelMap:
        """Derive from a key what is done to every image."""
        height, width, channels = self.image_shape
        index = np.arange(height * width * channels).reshape(-1, channels)
        if self.recolours:
            drawn = self.keystream(key, "channels").integers(6, height * width)
            orders = np.array(list(permutations(range(3))))[drawn]
            index = np.take_along_axis(index, orders, axis=1)
        mask = 255 * self.keystream(key, "negate").integers(2, index.size)
        return PixelMap(index.ravel(), mask)

    def count_bits(self) -> float:
        """Count the different maps."""
        height, width, channels = self.image_shape
        return height * width * (channels + (math.log2(6) if self.recolours else 0.0))


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=EXACT_VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    per_image_keys=PER_IMAGE_KEYS,
    fitted=FITTED,
)
class PixelEncryptor(PixelMapEncryptor):
    r"""Pixel-wise encryption (PE): negate and recolour every pixel where it stands.

    Every channel value of every pixel is negated, :math:`p' = p \oplus 255`, with probability ½;
    then the three channels of every pixel are put in one of their six orders [1]_. A classifier is
    trained on ciphertexts of one key and reads ciphertexts of that key.

    What it protects, and from whom: a person who glances at a ciphertext. It falls to a
    ciphertext-only adversary, who takes the smaller of each value and its negative or compares
    neighbouring pixels [2]_. To a known-plaintext adversary, one image and its ciphertext give the
    key.

    Read more in the :ref:`User Guide <guide-etc>`.

    Parameters
    ----------
    {key}
    shuffle_channels : bool, default=True
        Whether the second step is done. It does nothing to grey images.
    {per_image_keys}
    {image_shape}
    {value_range}
    {flatten}

    Attributes
    ----------
    {key_in_use}
    scheme_ : PixelScheme
        What the parameters mean for images of the fitted shape. It decides alone: a parameter that
        is changed after `fit` acts at the next one.
    pixel_map_ : PixelMap
        What the key makes of it, and as secret as the key. Pickles, joblib and skops files do not
        hold it; it is derived from the key again.
    {fitted}

    See Also
    --------
    EtCEncryptor : Scrambles blocks, and leaves them compressible.
    ricsk.attacks.FRAttack : Undoes the scheme from ciphertexts alone.

    Notes
    -----
    There are :math:`2^{3HW} 6^{HW}` keys for H × W pixels in colour. uint8 images come back bit for
    bit, and so do floats that are 8-bit levels: ``k / 255`` on [0, 1], or whole numbers on
    [0, 255]. Their ciphertexts are levels too. Other floats come back up to one rounding in their
    dtype.

    References
    ----------
    .. [1] W. Sirichotedumrong, Y. Kinoshita and H. Kiya, "Pixel-based image encryption without key
       management for privacy-preserving deep neural networks", IEEE Access 7, 2019.
    .. [2] A. H. Chang and B. M. Case, "Attacks on image encryption schemes for privacy-preserving
       deep neural networks", arXiv:2004.13263, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> images = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(images)
    >>> bool((encryptor.inverse_transform(encryptor.transform(images)) == images).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **PixelMapEncryptor._parameter_constraints,
        "shuffle_channels": ["boolean"],
        "per_image_keys": ["boolean"],
    }

    _scheme_type = PixelScheme
    scheme_: PixelScheme

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        *,
        shuffle_channels: bool = True,
        per_image_keys: bool = False,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
    ) -> None:
        self.key = key
        self.shuffle_channels = shuffle_channels
        self.per_image_keys = per_image_keys
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten

    def _make_scheme(self, image_shape: ImageShape) -> PixelScheme:
        return PixelScheme(
            image_shape=image_shape,
            shuffle_channels=self.shuffle_channels,
            per_image_keys=self.per_image_keys,
        )

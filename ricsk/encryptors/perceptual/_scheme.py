"""A perceptual scheme as a value: how images of one shape are encrypted, but for the key."""

from __future__ import annotations

import math
from abc import ABCMeta, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ricsk.encryptors.perceptual._border import NONCE_BYTES, count_rows
from ricsk.images import ImageShape
from ricsk.keys import Keystream, SecretKey, encode_context
from ricsk.pixelmap import PixelMap

__all__ = ["PixelMapScheme", "log2_factorial"]

_VERSION = 2


# Every option of a scheme has a default, for states that were stored before there was the option.
# One that is added must leave contexts as they were where it has its default.
@dataclass(frozen=True, kw_only=True)
class PixelMapScheme(metaclass=ABCMeta):
    """A perceptual scheme with all its options, for images of one shape.

    An encryptor makes one of its parameters in `fit`, and asks it alone from then on. It holds no
    key and nothing that follows from one.

    Subclasses are dataclasses that add the scheme's options. They must define

    - `name`: the scheme's, with which the purposes of its streams begin;
    - `make_map`: derive from a key what is done to every image;
    - `count_bits`: count the different maps;

    and they override `padded_shape`, or `map_shape` with the two methods that change images to it
    and back, where the map is applied to another shape than that of images.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width and channels of the images.
    per_image_keys : bool
        Whether each image has a map of its own, and a border that carries its nonce.
    """

    name: ClassVar[str]

    image_shape: ImageShape
    per_image_keys: bool = False

    @property
    def padded_shape(self) -> ImageShape:
        """Height, width and channels of an image with its padding."""
        return self.image_shape

    @property
    def map_shape(self) -> ImageShape:
        """Height, width and channels of what the map is applied to."""
        return self.padded_shape

    @property
    def ciphertext_shape(self) -> ImageShape:
        """Height, width and channels of a ciphertext, with its border if it has one."""
        height, width, channels = self.map_shape
        return height + self.count_border_rows(width), width, channels

    @property
    def border_unit(self) -> int:
        """What the height of a border is a multiple of."""
        return 8

    def count_border_rows(self, width: int) -> int:
        """Count the rows of pixels under ciphertexts of a width that carry nonces."""
        return count_rows(width, self.border_unit) if self.per_image_keys else 0

    @property
    def splits_colours(self) -> bool:
        """Whether colours are converted, of 8-bit levels, before the map is applied."""
        return False

    @property
    def needs_levels(self) -> bool:
        """Whether floats have to be rounded to their 256 levels."""
        return self.splits_colours

    @abstractmethod
    def make_map(self, key: SecretKey) -> PixelMap:
        """Derive from a key what is done to every image.

        Parameters
        ----------
        key : SecretKey
            All randomness comes from its `keystream`.

        Returns
        -------
        PixelMap
            For images of the `map_shape`.
        """

    @abstractmethod
    def count_bits(self) -> float:
        """Count the different maps.

        Returns
        -------
        float
            The binary logarithm of their number.

        Raises
        ------
        ValueError
            If the scheme cannot encrypt images of that shape.
        """

    def keystream(self, key: SecretKey, step: str) -> Keystream:
        """Derive the randomness of one step: another one for each step and all options.

        Parameters
        ----------
        key : SecretKey
            The secret.
        step : str
            What is drawn, such as "permute".

        Returns
        -------
        Keystream
        """
        return key.keystream(f"{self.name}/{step}", self._encode_context())

    def derive_nonce(self, key: SecretKey, levels: NDArray[np.uint8]) -> bytes:
        """Derive what tells an image from others: equal images have equal nonces.

        Parameters
        ----------
        key : SecretKey
            The secret. Without it nothing of the image follows from the nonce.
        levels : ndarray of uint8
            One image.

        Returns
        -------
        bytes
        """
        context = self._encode_context(image=levels.tobytes())
        return key.derive(f"{self.name}/nonce", context, NONCE_BYTES)

    def derive_image_key(self, key: SecretKey, nonce: bytes) -> SecretKey:
        """Derive the key of an image.

        Parameters
        ----------
        key : SecretKey
            The secret.
        nonce : bytes
            The image's.

        Returns
        -------
        SecretKey
        """
        return SecretKey(key.derive(f"{self.name}/image", self._encode_context(nonce=nonce)))

    def _encode_context(self, **more: bytes) -> bytes:
        options = asdict(self)
        if not self.per_image_keys:
            del options["per_image_keys"]
        return encode_context(self.name, _VERSION, **options, **more)

    def to_map_shape(self, images: NDArray[Any]) -> NDArray[Any]:
        """Bring images to the shape that the map is applied to.

        Parameters
        ----------
        images : ndarray of shape (n_samples, height, width, channels)
            uint8, or floating point unless the scheme `splits_colours`.

        Returns
        -------
        ndarray
        """
        height, width, _ = self.image_shape
        padded_height, padded_width, _ = self.padded_shape
        if (height, width) == (padded_height, padded_width):
            return images
        borders = ((0, 0), (0, padded_height - height), (0, padded_width - width), (0, 0))
        return np.pad(images, borders, mode="edge")

    def from_map_shape(self, images: NDArray[Any]) -> NDArray[Any]:
        """Undo `to_map_shape`."""
        height, width, _ = self.image_shape
        return images[:, :height, :width]


def log2_factorial(n: int) -> float:
    """Compute the binary logarithm of n!.

    Examples
    --------
    >>> round(log2_factorial(4), 3)
    4.585
    """
    return math.lgamma(n + 1) / math.log(2)

"""A perceptual scheme as a value: how images of one shape are encrypted, but for the key."""

from __future__ import annotations

import math
from abc import ABCMeta, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

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

    and they override `padded_shape`, or `ciphertext_shape` with the two methods that change images
    to it and back, where ciphertexts have another shape than images.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width and channels of the images.
    """

    name: ClassVar[str]

    image_shape: ImageShape

    @property
    def padded_shape(self) -> ImageShape:
        """Height, width and channels of an image with its padding."""
        return self.image_shape

    @property
    def ciphertext_shape(self) -> ImageShape:
        """Height, width and channels of a ciphertext."""
        return self.padded_shape

    @property
    def splits_colours(self) -> bool:
        """Whether colours are converted, of 8-bit levels, before the map is applied."""
        return False

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
            For images of the `ciphertext_shape`.
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
        context = encode_context(self.name, _VERSION, **asdict(self))
        return key.keystream(f"{self.name}/{step}", context)

    def to_ciphertext_shape(self, images: NDArray[Any]) -> NDArray[Any]:
        """Bring images to the shape of ciphertexts, for the map to be applied.

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

    def from_ciphertext_shape(self, images: NDArray[Any]) -> NDArray[Any]:
        """Undo `to_ciphertext_shape`."""
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

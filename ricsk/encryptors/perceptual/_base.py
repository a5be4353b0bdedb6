"""What the schemes share that permute an image's bytes or nibbles and XOR a mask."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.exceptions import SmallKeySpaceWarning
from ricsk.images import ImageBatch, ImageShape, describe
from ricsk.keys import Keystream
from ricsk.pixelmap import PixelMap

# The least strength that NIST still accepts (SP 800-57 part 1 rev. 5, section 5.6.3).
_ENOUGH_BITS = 112


class PixelMapEncryptor(KeyedEncryptor):
    """Base of the perceptual encryptions: one `PixelMap` for all images of a shape.

    A scheme gives the few lines that build the map from the key, and its number of keys.
    """

    # The map is as good as the key, so it is saved no more than a key by reference is.
    _derived = frozenset({"_map"})
    _map: PixelMap

    def key_space_bits(self, image_shape: tuple[int, ...] | None = None) -> float:
        """Count the different encryptions that the scheme has for one image shape.

        The `SecretKey` behind the scheme has 256 bits; whatever the scheme could use beyond that,
        no adversary has to try more keys than those.

        Parameters
        ----------
        image_shape : tuple of int, optional
            ``(height, width)`` or ``(height, width, channels)``; by default the fitted shape.

        Returns
        -------
        float
            Their binary logarithm. It bounds the work of an adversary who tries all keys, and says
            nothing of one who does better.

        Raises
        ------
        ValueError
            If the scheme cannot encrypt images of that shape.
        """
        if image_shape is None:
            shape = self.image_shape_in_
        else:
            height, width, channels = (*image_shape, 1)[:3]
            shape = (height, width, channels)
        return self._count_bits(self._mapped_shape(shape))

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self.ciphertext_shape_ = self._mapped_shape(batch.shape)
        bits = self.key_space_bits()
        if bits < _ENOUGH_BITS:
            warnings.warn(
                f"{type(self).__name__} has only 2^{bits:.1f} different keys for images of "
                f"{describe(batch.shape)}; below 2^{_ENOUGH_BITS} an adversary is expected to be "
                "able to try them all. Use smaller blocks, more steps or larger images.",
                SmallKeySpaceWarning,
                stacklevel=4,
            )

    def _derive_from_key(self) -> None:
        self._map = self._make_map(self.ciphertext_shape_)

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        return self._apply(self._map, self._to_mapped(batch.pixels))

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return self._from_mapped(self._apply(self._map.inverse(), pixels))

    def _to_mapped(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Bring images into the form that the map is applied to."""
        height, width, _ = self.image_shape_in_
        full_height, full_width, _ = self._padded_shape(self.image_shape_in_)
        if (height, width) == (full_height, full_width):
            return pixels
        borders = ((0, 0), (0, full_height - height), (0, full_width - width), (0, 0))
        return np.pad(pixels, borders, mode="edge")

    def _from_mapped(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Undo `_to_mapped`."""
        height, width, _ = self.image_shape_in_
        return pixels[:, :height, :width]

    def _apply(self, pixel_map: PixelMap, pixels: NDArray[Any]) -> NDArray[Any]:
        values = self.value_range_
        if pixels.dtype != np.uint8 and pixel_map.only_negates:
            if not values.learned:
                values.check(pixels)
            return pixel_map.on_floats(pixels, values.low, values.high)
        return values.from_uint8(pixel_map(values.to_uint8(pixels)), pixels.dtype)

    def _keystream(self, step: str, shape: ImageShape) -> Keystream:
        """Draw the randomness of one step: another one for each scheme, step and image shape."""
        return self.key_.keystream(step, b"".join(side.to_bytes(4, "little") for side in shape))

    def _padded_shape(self, shape: ImageShape) -> ImageShape:
        """Say how large an image is after padding, or why it cannot be encrypted."""
        return shape

    def _mapped_shape(self, shape: ImageShape) -> ImageShape:
        """Say what shape the image has that the map is applied to."""
        return self._padded_shape(shape)

    def _make_map(self, shape: ImageShape) -> PixelMap:
        raise NotImplementedError

    def _count_bits(self, shape: ImageShape) -> float:
        raise NotImplementedError

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("ciphertexts", recoverable=self._why_not_recoverable() is None)


def log2_factorial(n: int) -> float:
    """Compute the binary logarithm of n!.

    Examples
    --------
    >>> round(log2_factorial(4), 3)
    4.585
    """
    return math.lgamma(n + 1) / math.log(2)

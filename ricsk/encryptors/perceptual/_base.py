"""Base of the encryptors that permute an image's bytes or nibbles and XOR a mask."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ricsk._callers import find_caller
from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.encryptors.perceptual._border import draw_border, read_border
from ricsk.encryptors.perceptual._scheme import PixelMapScheme
from ricsk.exceptions import SmallKeySpaceWarning
from ricsk.images import ImageBatch, ImageShape, check_images, describe
from ricsk.keys import SecretKey
from ricsk.pixelmap import PixelMap

__all__ = ["PixelMapEncryptor"]

# The least strength that NIST still accepts (SP 800-57 part 1 rev. 5, section 5.6.3).
_MIN_BITS = 112
# To how many values padding may enlarge images in what is loaded, unless to four times as many.
MAX_PADDED_VALUES = 2**24


class PixelMapEncryptor(KeyedEncryptor):
    """Base of the perceptual encryptors: one `PixelMap` for all images of a shape.

    Subclasses must define

    - `_make_scheme`: say what the parameters mean for images of a shape;
    - `_scheme_type`: the class of that value.

    Once `fit` has made it, the scheme is asked, and the parameters are not.

    Attributes
    ----------
    scheme_ : PixelMapScheme
        How images are encrypted, but for the key.
    pixel_map_ : PixelMap
        What the key makes of it, as secret as the key itself. Neither pickles nor skops files hold
        it; it is derived from the key again.
    """

    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **KeyedEncryptor._state_constraints,
        "scheme_": [dict],
    }
    _derived = KeyedEncryptor._derived | {"_pixel_map"}
    _scheme_type: ClassVar[type[PixelMapScheme]]

    scheme_: PixelMapScheme
    _pixel_map: PixelMap | None

    # Made when it is first asked for: what is loaded may be of any size, and images of that size,
    # which somebody has, come first.
    @property
    def pixel_map_(self) -> PixelMap:
        """What the key makes of the scheme."""
        if self.scheme_.per_image_keys:
            raise AttributeError("with per_image_keys=True each image has a map of its own.")
        if self._pixel_map is None:
            self._pixel_map = self.scheme_.make_map(self.key_)
        return self._pixel_map

    @abstractmethod
    def _make_scheme(self, image_shape: ImageShape) -> PixelMapScheme:
        """Say what the parameters mean for images of a shape, or which of them contradict."""

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
        sklearn.exceptions.NotFittedError
            Before `fit`, if no shape is given.
        """
        if image_shape is None:
            check_is_fitted(self)
            return self.scheme_.count_bits()
        shape = _read_shape(image_shape)
        if hasattr(self, "scheme_"):
            return replace(self.scheme_, image_shape=shape).count_bits()
        self._validate_params()
        return self._make_scheme(shape).count_bits()

    @classmethod
    def from_settings(
        cls, key: SecretKey, image_shape: ImageShape, settings: Mapping[str, Any]
    ) -> Self:
        """Make the encryptor that wrote a file, of what the file states.

        Parameters
        ----------
        key : SecretKey
            The key.
        image_shape : (int, int, int)
            Height, width and channels of the plain images. Memory is taken for one of them.
        settings : mapping of str to object
            Those of the scheme, as in the header of a file: they may have been written by anybody.

        Returns
        -------
        encryptor
            Fitted on 8-bit images of that shape.

        Raises
        ------
        ValueError, TypeError
            If they are not settings of the scheme for such images.

        Examples
        --------
        >>> from ricsk import EtCEncryptor, SecretKey
        >>> key = SecretKey.generate()
        >>> EtCEncryptor.from_settings(key, (8, 8, 3), {"block_size": 4}).ciphertext_shape_
        Traceback (most recent call last):
            ...
        ValueError: these are not all settings of EtCEncryptor.
        """
        try:
            scheme = cls._scheme_type(image_shape=image_shape, **settings)
            complete = asdict(scheme) == {"image_shape": image_shape, **settings}
        except TypeError:
            complete = False
        if not complete:
            raise ValueError(f"these are not all settings of {cls.__name__}.")
        encryptor = cls()
        encryptor.set_params(key=key, **encryptor._to_parameters(dict(settings)))
        encryptor._check_scheme(scheme)
        return encryptor.fit(np.zeros((1, *image_shape), np.uint8))

    def _check_scheme(self, scheme: PixelMapScheme) -> None:
        """Refuse a scheme, by anybody, that these parameters do not have, or that takes memory."""
        self._validate_params()
        shape = scheme.image_shape
        if self._make_scheme(shape) != scheme:
            raise ValueError(f"its scheme is not one for images of {shape}")
        if math.prod(scheme.ciphertext_shape) > max(MAX_PADDED_VALUES, 4 * math.prod(shape)):
            raise ValueError(f"its blocks are far larger than images of {shape}")

    def _learn(self, X: ArrayLike, y: ArrayLike | None) -> None:
        super()._learn(X, y)
        # What is loaded waits for its first image. After fit, transform changes nothing more.
        if not self.scheme_.per_image_keys:
            self._pixel_map = self.scheme_.make_map(self.key_)

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self.scheme_ = self._make_scheme(batch.shape)
        self.ciphertext_shape_ = self.scheme_.ciphertext_shape
        self._warn_of_few_keys()

    def _warn_of_few_keys(self) -> None:
        bits = self.scheme_.count_bits()
        if bits < _MIN_BITS:
            warnings.warn(
                f"{type(self).__name__} has only 2^{bits:.1f} different keys for images of "
                f"{describe(self.scheme_.image_shape)}; below 2^{_MIN_BITS} an adversary is "
                "expected to be able to try them all. Use smaller blocks, more steps or larger "
                "images.",
                SmallKeySpaceWarning,
                stacklevel=find_caller(),
            )

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        # Stored as plain values, a scheme needs no trust, and may get more options.
        return {**state, "scheme_": asdict(self.scheme_)} if "scheme_" in state else state

    def _adapt_to_shape(self, original: Self) -> None:
        self.scheme_ = replace(self.scheme_, image_shape=self.image_shape_in_)
        self._warn_of_few_keys()

    def _find_ciphertext_shape(self, shape: ImageShape) -> ImageShape:
        return replace(self.scheme_, image_shape=shape).ciphertext_shape

    def _check_state(self) -> None:
        super()._check_state()
        if "scheme_" not in vars(self):
            return
        scheme = self._scheme_type(**vars(self)["scheme_"])
        options = asdict(scheme)
        shape = options.pop("image_shape")
        if shape != self.image_shape_in_:
            raise ValueError(f"its scheme is not one for images of {self.image_shape_in_}")
        type(self)(**self._to_parameters(options))._check_scheme(scheme)
        if scheme.ciphertext_shape != self.ciphertext_shape_:
            raise ValueError(f"its scheme does not make ciphertexts of {self.ciphertext_shape_}")

    def _to_parameters(self, options: dict[str, Any]) -> dict[str, Any]:
        """Find the parameters that a scheme's options were made of."""
        return options

    def _restore(self) -> None:
        if not isinstance(stored := vars(self)["scheme_"], dict):
            super()._restore()  # of a copy for another size, not of what was stored
            return
        self.scheme_ = self._scheme_type(**stored)
        if self.scheme_.count_bits() == 0:
            warnings.warn(
                f"the {type(self).__name__} that is loaded does the same with every key: it hides "
                "nothing. Use it for nothing that is secret.",
                SmallKeySpaceWarning,
                stacklevel=find_caller(),
            )
        super()._restore()

    def _derive_from_key(self) -> None:
        self._pixel_map = None

    def _guess_image_shape(self, ciphertext_shape: ImageShape) -> ImageShape:
        height, width, channels = ciphertext_shape
        return height - self.scheme_.count_border_rows(width), width, channels

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        images, dtype = self.scheme_.to_map_shape(self._round(batch.pixels)), batch.pixels.dtype
        if not self.scheme_.per_image_keys:
            return self._unround(self._apply(self.pixel_map_, images), dtype)
        nonces = [self.scheme_.derive_nonce(self.key_, self._to_levels(image)) for image in images]
        bodies = self._apply_each([self._make_image_map(nonce) for nonce in nonces], images)
        flat = np.frombuffer(b"".join(nonces), np.uint8).reshape(len(nonces), -1)
        height, *rest = self.scheme_.ciphertext_shape
        border = draw_border(flat, (height - images.shape[1], *rest))
        parts = [self._unround(part, dtype) for part in (bodies, border)]
        return np.concatenate(parts, axis=1, dtype=dtype)

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if self.scheme_.per_image_keys:
            bodies, border = np.split(pixels, [self.scheme_.map_shape[0]], axis=1)
            nonces = read_border(self._to_levels(border))
            maps = [self._make_image_map(nonce.tobytes()).inverse() for nonce in nonces]
            images = self._apply_each(maps, self._round(bodies))
        else:
            images = self._apply(self.pixel_map_.inverse(), self._round(pixels))
        return self._unround(self.scheme_.from_map_shape(images), pixels.dtype)

    def _make_image_map(self, nonce: bytes) -> PixelMap:
        return self.scheme_.make_map(self.scheme_.derive_image_key(self.key_, nonce))

    def _apply_each(self, maps: list[PixelMap], images: NDArray[Any]) -> NDArray[Any]:
        found = np.empty_like(images)
        for one, image, place in zip(maps, images, found, strict=True):
            place[:] = self._apply(one, image[np.newaxis])[0]
        return found

    def _to_levels(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        return self.value_range_.to_uint8(pixels)

    def _round(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Round floats to their 256 levels, unless the scheme can do with them as they are."""
        if self.scheme_.needs_levels:
            return self._to_levels(pixels)
        if not self.value_range_.learned:
            self.value_range_.check(pixels)
        return pixels

    def _unround(self, pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        return pixels if pixels.dtype == dtype else self.value_range_.from_uint8(pixels, dtype)

    def _apply(self, pixel_map: PixelMap, pixels: NDArray[Any]) -> NDArray[Any]:
        if pixels.dtype == np.uint8:
            return pixel_map(pixels)
        return pixel_map.on_floats(pixels, self.value_range_.low, self.value_range_.high)

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("ciphertexts", recoverable=self._why_not_recoverable() is None)


def _read_shape(image_shape: tuple[int, ...]) -> ImageShape:
    """Read a shape as that of flattened images is read."""
    one = np.broadcast_to(np.uint8(0), (1, math.prod(image_shape)))
    return check_images(one, image_shape=image_shape).shape

"""What the two RIC encryptors have in common: images are hidden chunk by chunk, and checked."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from tqdm import tqdm

from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.encryptors._guided import GuidedEncryptor
from ricsk.exceptions import TargetNotReachedError
from ricsk.images import ImageBatch, ImageForm, find_positions

__all__ = ["MaskingEncryptor", "name_images"]

_CHUNK_VALUES = 1 << 18


class MaskingEncryptor(KeyedEncryptor, GuidedEncryptor):
    """Base of encryptors that mix an image with a mask which the classifier reads."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        **KeyedEncryptor._parameter_constraints,
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "verbose": ["verbose"],
    }

    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **GuidedEncryptor._state_constraints,
        **KeyedEncryptor._state_constraints,
        "network_weights_": [bytes],
        "losses_": [list],
        "passes_": [dict],
    }

    verbose: int

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("plain", discloses="label")

    @abstractmethod
    def _hide(
        self, levels: NDArray[np.uint8], labels: NDArray[np.int64], form: ImageForm
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Make ciphertexts, and say which of them the classifier reads as the labels."""

    @abstractmethod
    def _reveal(self, levels: NDArray[np.uint8]) -> NDArray[np.floating]:
        """Recover images, as levels before rounding."""

    @abstractmethod
    def _explain_failure(self, failed: NDArray[np.int64]) -> str:
        """Say which images have no ciphertext, what was tried, and what can help."""

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        pixels = batch.pixels
        result = np.empty(pixels.shape, np.uint8)
        # Of all parameters verbose alone acts without a new fit: it changes nothing that comes out.
        with tqdm(total=len(pixels), desc="images", disable=not self.verbose) as bar:
            for chunk in self._split(len(pixels)):
                self._reader.check_form(pixels[chunk], batch.form)
                labels = self._reader.predict(pixels[chunk], batch.form)
                levels = self.value_range_.to_uint8(pixels[chunk])
                result[chunk], kept = self._hide(levels, labels, batch.form)
                if not kept.all():
                    failed = chunk.start + np.flatnonzero(~kept)
                    raise TargetNotReachedError(self._explain_failure(failed))
                bar.update(len(levels))
        return self.value_range_.from_uint8(result, pixels.dtype)

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        levels = self._read_levels(pixels)
        result = np.empty(levels.shape, np.uint8)
        for chunk in self._split(len(levels)):
            result[chunk] = np.rint(self._reveal(levels[chunk]).clip(0, 255))
        return self.value_range_.from_uint8(result, pixels.dtype)

    def _read_levels(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        return self.value_range_.to_uint8(pixels)

    def _split(self, n: int) -> list[slice]:
        """Split so many images into chunks."""
        size = max(1, _CHUNK_VALUES // self.n_features_in_)
        return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def name_images(indices: NDArray[np.int64]) -> str:
    """Name images of a batch, the first ten of them."""
    first = ", ".join(map(str, find_positions(indices[:10])))
    return f"X[{first}{', ...' * (len(indices) > 10)}]"

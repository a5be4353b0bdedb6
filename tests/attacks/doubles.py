"""Two encryptors to measure attacks by: one that tells which image is inside, one that does not."""

import numpy as np

from ricsk.base import EncryptorTags, KeyedEncryptor


class NoWayBack(KeyedEncryptor):
    """What both have: noise from the key, drawn afresh for each image, and no decryption."""

    @property
    def _encryptor_tags(self):
        return EncryptorTags("ciphertexts", recoverable=False)

    def _encrypt(self, batch):
        levels = self.value_range_.to_uint8(batch.pixels)
        hidden = np.stack([self._hide(image, self._draw(image)) for image in levels])
        return self.value_range_.from_uint8(hidden, batch.pixels.dtype)

    def _draw(self, image):
        return self.key_.keystream("test/double", image.tobytes())

    def _why_not_recoverable(self):
        return "a test double has no way back."


class ScrambledRIC(NoWayBack):
    """RIC with values permuted and partly negated under a mask: no picture shows, values do.

    ``(1 - alpha) * S(x) + alpha * z``, rounded to levels, where S permutes all values of an image
    and negates half of them, and z is noise with one public pattern of plus and minus `amplitude`
    levels on it, as a class has.
    """

    def __init__(self, key=None, *, alpha=0.8, amplitude=64):
        self.key = key
        self.alpha = alpha
        self.amplitude = amplitude

    def _hide(self, image, stream):
        order, negated = stream.permutation(image.size), stream.integers(2, image.size) == 1
        scrambled = image.ravel()[order].astype(np.float64)
        scrambled = np.where(negated, 255 - scrambled, scrambled)
        pattern = np.random.default_rng(0).choice([-self.amplitude, self.amplitude], image.size)
        mask = np.clip(stream.uint8(image.size) + pattern, 0, 255)
        mixed = (1 - self.alpha) * scrambled + self.alpha * mask
        return np.rint(mixed).astype(np.uint8).reshape(image.shape)

    def predict_values(self, images):
        """Compute the probability of each value in ciphertexts of images: all of it is public."""
        counts = np.stack([np.bincount(image.ravel(), minlength=256) for image in images])
        values = (counts + counts[:, ::-1]) / (2 * images[0].size)
        levels = np.arange(256)
        masks = np.clip(levels + np.array([[-self.amplitude], [self.amplitude]]), 0, 255).ravel()
        mixed = np.rint((1 - self.alpha) * levels[:, np.newaxis] + self.alpha * masks)
        becomes = [np.bincount(row, minlength=256) / row.size for row in mixed.astype(np.int64)]
        return values @ np.stack(becomes)


class OneTimePad(NoWayBack):
    """A fresh uniform pad, added modulo 256: what comes out is uniform, whatever the image is."""

    def __init__(self, key=None):
        self.key = key

    def _hide(self, image, stream):
        return image + stream.uint8(image.shape)

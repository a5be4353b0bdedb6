import numpy as np

from ricsk.base import EncryptorTags, KeyedEncryptor


class NoiseEncryptor(KeyedEncryptor):
    """Noise from the key and the image's bytes: a ciphertext tells which images are equal, no more.

    There is no way back, so it is of no use but to be attacked in vain.
    """

    def __init__(self, key=None):
        self.key = key

    @property
    def _encryptor_tags(self):
        return EncryptorTags("ciphertexts", recoverable=False)

    def _encrypt(self, batch):
        pixels = batch.pixels
        stream = [self.key_.keystream("test/noise", image.tobytes()) for image in pixels]
        noise = np.stack([s.uint8(pixels.shape[1:]) for s in stream])
        return self.value_range_.from_uint8(noise, pixels.dtype)

    def _why_not_recoverable(self):
        return "noise has no way back."

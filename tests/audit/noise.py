import numpy as np

from ricsk.base import BaseImageEncryptor


class NoiseEncryptor(BaseImageEncryptor):
    """Noise from the key and the image's bytes: a ciphertext tells which images are equal, no more.

    There is no way back, so it is of no use but to be attacked in vain.
    """

    learns_on = "ciphertexts"

    def __init__(self, key=None):
        self.key = key

    def _encrypt(self, pixels):
        stream = [self.key_.keystream("test/noise", image.tobytes()) for image in pixels]
        noise = np.stack([s.uint8(pixels.shape[1:]) for s in stream])
        return self.value_range_.from_uint8(noise, pixels.dtype)

    def _why_not_recoverable(self):
        return "noise has no way back."

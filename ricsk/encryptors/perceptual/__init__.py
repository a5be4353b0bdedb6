"""Perceptual encryptions: an image's bytes or nibbles are permuted and XORed with a mask."""

from ricsk._publish import publish
from ricsk.encryptors.perceptual._base import PixelMapEncryptor
from ricsk.encryptors.perceptual._etc import EtCEncryptor
from ricsk.encryptors.perceptual._learnable import LearnableEncryptor
from ricsk.encryptors.perceptual._pixel import PixelEncryptor

__all__ = ["EtCEncryptor", "LearnableEncryptor", "PixelEncryptor", "PixelMapEncryptor"]

publish(globals())

"""Perceptual encryptions: an image's bytes or nibbles are permuted and XORed with a mask."""

from ricsk._publish import publish
from ricsk.encryptors.perceptual._base import PixelMapEncryptor
from ricsk.encryptors.perceptual._etc import EtCEncryptor, EtCScheme
from ricsk.encryptors.perceptual._learnable import LearnableEncryptor, LearnableScheme
from ricsk.encryptors.perceptual._pixel import PixelEncryptor, PixelScheme
from ricsk.encryptors.perceptual._scheme import PixelMapScheme

__all__ = [
    "EtCEncryptor",
    "EtCScheme",
    "LearnableEncryptor",
    "LearnableScheme",
    "PixelEncryptor",
    "PixelMapEncryptor",
    "PixelMapScheme",
    "PixelScheme",
]

publish(globals())

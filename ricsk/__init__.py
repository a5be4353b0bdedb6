"""Classify images that the classifying machine may not see."""

from ricsk.encryptors import EtCEncryptor, LearnableEncryptor, PixelEncryptor
from ricsk.keys import SecretKey

__version__ = "0.1.0.dev0"

__all__ = ["EtCEncryptor", "LearnableEncryptor", "PixelEncryptor", "SecretKey"]

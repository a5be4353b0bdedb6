"""Image encryptors, one file per scheme."""

from ricsk.encryptors._etc import EtCEncryptor
from ricsk.encryptors._learnable import LearnableEncryptor
from ricsk.encryptors._pixel import PixelEncryptor
from ricsk.encryptors._ric import RICEncryptor

__all__ = ["EtCEncryptor", "LearnableEncryptor", "PixelEncryptor", "RICEncryptor"]

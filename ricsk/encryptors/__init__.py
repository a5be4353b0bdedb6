"""Image encryptors, one file per scheme."""

from ricsk.encryptors._etc import EtCEncryptor
from ricsk.encryptors._learnable import LearnableEncryptor
from ricsk.encryptors._pixel import PixelEncryptor
from ricsk.encryptors._ric import RICEncryptor
from ricsk.encryptors._sealed import SealedEncryptor, unseal
from ricsk.encryptors._transformation import TransformationNetworkEncryptor

__all__ = [
    "EtCEncryptor",
    "LearnableEncryptor",
    "PixelEncryptor",
    "RICEncryptor",
    "SealedEncryptor",
    "TransformationNetworkEncryptor",
    "unseal",
]

"""Image encryptors, one room per scheme."""

from ricsk._publish import publish
from ricsk.encryptors.perceptual import EtCEncryptor, LearnableEncryptor, PixelEncryptor
from ricsk.encryptors.ric import RICEncryptor
from ricsk.encryptors.sealed import SealedEncryptor, unseal
from ricsk.encryptors.transformation import TransformationNetworkEncryptor

__all__ = [
    "EtCEncryptor",
    "LearnableEncryptor",
    "PixelEncryptor",
    "RICEncryptor",
    "SealedEncryptor",
    "TransformationNetworkEncryptor",
    "unseal",
]

publish(globals())

"""Classify images that the classifying machine may not see."""

from ricsk.classifiers import (
    AdaptNetClassifier,
    CNNClassifier,
    ConvMixerClassifier,
    ViTClassifier,
)
from ricsk.codecs import JPEGCodec
from ricsk.encryptors import (
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    TransformationNetworkEncryptor,
    unseal,
)
from ricsk.keyed import adapt_to_key, remove_key
from ricsk.keys import SecretKey
from ricsk.private import PrivateClassifier

__version__ = "0.1.0.dev0"

__all__ = [
    "AdaptNetClassifier",
    "CNNClassifier",
    "ConvMixerClassifier",
    "EtCEncryptor",
    "JPEGCodec",
    "LearnableEncryptor",
    "PixelEncryptor",
    "PrivateClassifier",
    "RICEncryptor",
    "SealedEncryptor",
    "SecretKey",
    "TransformationNetworkEncryptor",
    "ViTClassifier",
    "adapt_to_key",
    "remove_key",
    "unseal",
]

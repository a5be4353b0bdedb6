"""Classify images that the classifying machine may not see.

Names are loaded when they are first used, so that a program that needs keys alone does not wait for
PyTorch.
"""

from typing import TYPE_CHECKING

from ricsk._publish import load_on_use
from ricsk._version import __version__ as __version__

if TYPE_CHECKING:
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
    from ricsk.export import export_onnx
    from ricsk.keyed import adapt_to_key, remove_key
    from ricsk.keys import PrivateKey, PublicKey, SecretKey
    from ricsk.pretrained import PretrainedClassifier
    from ricsk.private import PrivateClassifier

__all__ = [
    "AdaptNetClassifier",
    "CNNClassifier",
    "ConvMixerClassifier",
    "EtCEncryptor",
    "JPEGCodec",
    "LearnableEncryptor",
    "PixelEncryptor",
    "PretrainedClassifier",
    "PrivateClassifier",
    "PrivateKey",
    "PublicKey",
    "RICEncryptor",
    "SealedEncryptor",
    "SecretKey",
    "TransformationNetworkEncryptor",
    "ViTClassifier",
    "adapt_to_key",
    "export_onnx",
    "remove_key",
    "unseal",
]

_HOMES = {
    "classifiers": ("AdaptNetClassifier", "CNNClassifier", "ConvMixerClassifier", "ViTClassifier"),
    "codecs": ("JPEGCodec",),
    "encryptors": (
        "EtCEncryptor",
        "LearnableEncryptor",
        "PixelEncryptor",
        "RICEncryptor",
        "SealedEncryptor",
        "TransformationNetworkEncryptor",
        "unseal",
    ),
    "export": ("export_onnx",),
    "keyed": ("adapt_to_key", "remove_key"),
    "keys": ("PrivateKey", "PublicKey", "SecretKey"),
    "pretrained": ("PretrainedClassifier",),
    "private": ("PrivateClassifier",),
}
_ROOMS = (
    "attacks",
    "audit",
    "base",
    "baselines",
    "blocks",
    "cloud",
    "command",
    "datasets",
    "exceptions",
    "files",
    "images",
    "metrics",
    "nae",
    "nn",
    "parallel",
    "pixelmap",
    "plotting",
    "search",
    "training",
)


__getattr__, __dir__ = load_on_use(globals(), _HOMES, _ROOMS)

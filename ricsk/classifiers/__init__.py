"""scikit-learn classifiers of images, with PyTorch networks inside."""

from ricsk._publish import publish
from ricsk.classifiers._adaptnet import AdaptNetClassifier
from ricsk.classifiers._base import TorchClassifier
from ricsk.classifiers._cnn import CNNClassifier
from ricsk.classifiers._convmixer import ConvMixerClassifier
from ricsk.classifiers._vit import ViTClassifier

__all__ = [
    "AdaptNetClassifier",
    "CNNClassifier",
    "ConvMixerClassifier",
    "TorchClassifier",
    "ViTClassifier",
]

publish(globals())

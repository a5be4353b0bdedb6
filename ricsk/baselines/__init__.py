"""Systems that the papers compare with: here to be compared and attacked, not to protect."""

from ricsk._publish import publish
from ricsk.baselines._arden import ArdenEncoder
from ricsk.baselines._arden_classifier import ArdenClassifier
from ricsk.baselines._avih import AVIHEncryptor
from ricsk.baselines._binary_network import BinaryNetworkClassifier
from ricsk.baselines._cloak import CloakEncryptor
from ricsk.baselines._feature_map_classifier import FeatureMapClassifier
from ricsk.baselines._hiding import HidingEncryptor
from ricsk.baselines._instahide import InstaHideEncryptor
from ricsk.baselines._instahide_classifier import InstaHideClassifier
from ricsk.baselines._lsb import LSBEncryptor
from ricsk.baselines._neuracrypt import NeuraCryptEncoder
from ricsk.baselines._neuracrypt_classifier import NeuraCryptClassifier

__all__ = [
    "AVIHEncryptor",
    "ArdenClassifier",
    "ArdenEncoder",
    "BinaryNetworkClassifier",
    "CloakEncryptor",
    "FeatureMapClassifier",
    "HidingEncryptor",
    "InstaHideClassifier",
    "InstaHideEncryptor",
    "LSBEncryptor",
    "NeuraCryptClassifier",
    "NeuraCryptEncoder",
]

publish(globals())

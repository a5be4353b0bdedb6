"""Image encryptors, one room per scheme.

Names are loaded when they are first used, so that opening sealed images does not load PyTorch.
"""

from typing import TYPE_CHECKING

from ricsk._publish import load_on_use

if TYPE_CHECKING:
    from ricsk.encryptors._groups import GroupEncryptor
    from ricsk.encryptors._guided import GuidedEncryptor
    from ricsk.encryptors.perceptual import EtCEncryptor, LearnableEncryptor, PixelEncryptor
    from ricsk.encryptors.ric import PublishedRICEncryptor, RICEncryptor
    from ricsk.encryptors.sealed import SealedEncryptor, find_signers, unseal
    from ricsk.encryptors.transformation import TransformationNetworkEncryptor

__all__ = [
    "EtCEncryptor",
    "GroupEncryptor",
    "GuidedEncryptor",
    "LearnableEncryptor",
    "PixelEncryptor",
    "PublishedRICEncryptor",
    "RICEncryptor",
    "SealedEncryptor",
    "TransformationNetworkEncryptor",
    "find_signers",
    "unseal",
]

_HOMES = {
    "_groups": ("GroupEncryptor",),
    "_guided": ("GuidedEncryptor",),
    "perceptual": ("EtCEncryptor", "LearnableEncryptor", "PixelEncryptor"),
    "ric": ("PublishedRICEncryptor", "RICEncryptor"),
    "sealed": ("SealedEncryptor", "find_signers", "unseal"),
    "transformation": ("TransformationNetworkEncryptor",),
}

__getattr__, __dir__ = load_on_use(globals(), _HOMES)

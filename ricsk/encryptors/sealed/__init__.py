"""Sealed images: authenticated encryption in the low bits of what a classifier reads.

Names are loaded when they are first used, so that opening sealed images does not load PyTorch.
"""

from typing import TYPE_CHECKING

from ricsk._publish import load_on_use

if TYPE_CHECKING:
    from ricsk.encryptors.sealed._encryptor import SealedEncryptor
    from ricsk.encryptors.sealed._goal import Goal, Targets, draw_low_planes
    from ricsk.encryptors.sealed._opener import make_opener
    from ricsk.encryptors.sealed._reseal import reseal
    from ricsk.encryptors.sealed._sealing import make_sealing
    from ricsk.encryptors.sealed._thumbnail import seal_noise
    from ricsk.encryptors.sealed._unseal import find_signers, unseal

__all__ = [
    "Goal",
    "SealedEncryptor",
    "Targets",
    "draw_low_planes",
    "find_signers",
    "make_opener",
    "make_sealing",
    "reseal",
    "seal_noise",
    "unseal",
]

_HOMES = {
    "_encryptor": ("SealedEncryptor",),
    "_goal": ("Goal", "Targets", "draw_low_planes"),
    "_opener": ("make_opener",),
    "_reseal": ("reseal",),
    "_sealing": ("make_sealing",),
    "_thumbnail": ("seal_noise",),
    "_unseal": ("find_signers", "unseal"),
}

__getattr__, __dir__ = load_on_use(globals(), _HOMES)

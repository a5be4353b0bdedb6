"""Attacks on the encryptors, to measure what they hide."""

from ricsk.attacks._base import Adversary, BaseAttack
from ricsk.attacks._brute_force import BruteForceBound, brute_force_bound
from ricsk.attacks._fr import FRAttack
from ricsk.attacks._itn import ITNAttack
from ricsk.attacks._key_list import BruteForceAttack
from ricsk.attacks._key_reuse import KeyReuseAttack
from ricsk.attacks._known_plaintext import KnownPlaintextAttack
from ricsk.attacks._label_only import LabelOnlyBaseline
from ricsk.attacks._linear import LinearAttack

__all__ = [
    "Adversary",
    "BaseAttack",
    "BruteForceAttack",
    "BruteForceBound",
    "FRAttack",
    "ITNAttack",
    "KeyReuseAttack",
    "KnownPlaintextAttack",
    "LabelOnlyBaseline",
    "LinearAttack",
    "brute_force_bound",
]

"""Attacks on the encryptors, to measure what they hide."""

from ricsk._publish import publish
from ricsk.attacks._base import Adversary, BaseAttack
from ricsk.attacks._bound import BruteForceBound, brute_force_bound
from ricsk.attacks._brute_force import BruteForceAttack
from ricsk.attacks._cloud import CloudAttack
from ricsk.attacks._decoder import DecoderAttack
from ricsk.attacks._disclosure_baseline import DisclosureBaseline
from ricsk.attacks._distinguishing_game import DistinguishingGame, GameResult
from ricsk.attacks._found_map import FoundMap
from ricsk.attacks._fr import FRAttack
from ricsk.attacks._gan import GANAttack
from ricsk.attacks._identification import IdentificationAttack, IdentificationResult
from ricsk.attacks._itn import ITNAttack
from ricsk.attacks._key_reuse import KeyReuseAttack
from ricsk.attacks._known_plaintext import KnownPlaintextAttack
from ricsk.attacks._label_only_baseline import LabelOnlyBaseline
from ricsk.attacks._linear import LinearAttack
from ricsk.attacks._neuracrypt import NeuraCryptAttack
from ricsk.attacks._neuracrypt_matching import match_neuracrypt
from ricsk.attacks._sia_gan import SIAGANAttack
from ricsk.attacks.instahide import InstaHideRecovery, recover_instahide
from ricsk.attacks.jigsaw import JigsawAttack, JigsawScores, jigsaw_scores

__all__ = [
    "Adversary",
    "BaseAttack",
    "BruteForceAttack",
    "BruteForceBound",
    "CloudAttack",
    "DecoderAttack",
    "DisclosureBaseline",
    "DistinguishingGame",
    "FRAttack",
    "FoundMap",
    "GANAttack",
    "GameResult",
    "ITNAttack",
    "IdentificationAttack",
    "IdentificationResult",
    "InstaHideRecovery",
    "JigsawAttack",
    "JigsawScores",
    "KeyReuseAttack",
    "KnownPlaintextAttack",
    "LabelOnlyBaseline",
    "LinearAttack",
    "NeuraCryptAttack",
    "SIAGANAttack",
    "brute_force_bound",
    "jigsaw_scores",
    "match_neuracrypt",
    "recover_instahide",
]

publish(globals())

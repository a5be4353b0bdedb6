"""Putting blocks together again: the jigsaw-puzzle solver, and how well it did."""

from ricsk.attacks.jigsaw._attack import JigsawAttack
from ricsk.attacks.jigsaw._scores import JigsawScores, jigsaw_scores

__all__ = ["JigsawAttack", "JigsawScores", "jigsaw_scores"]

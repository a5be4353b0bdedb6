"""Attacks on the encryptors, to measure what they hide."""

from ricsk.attacks._brute_force import BruteForceBound, brute_force_bound

__all__ = ["BruteForceBound", "brute_force_bound"]

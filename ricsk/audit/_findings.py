"""What attacks did to a scheme, and what is found, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ricsk.attacks import Adversary
from ricsk.audit._score import Scores

__all__ = ["AttackRun", "SchemeRun", "describe_findings"]

# More SSIM than the baseline by this much is a picture, whatever else is said.
_BROKEN_GAIN = 0.1
_BROKEN_SHARE = 0.5
_SIGNIFICANT = 0.001

_IN_WORDS = {
    "broken": "broken by",
    "leaks": "leaks to",
    "disclosed": "discloses on purpose, as measured by",
    "held": "held against",
}


@dataclass(frozen=True, eq=False, repr=False)
class AttackRun:
    """One attack on one scheme.

    Parameters
    ----------
    attack : str
        Its class and parameters.
    adversary : Adversary
        What its adversary knows and has.
    reconstructions : ndarray of uint8, shape (n_targets, height, width, channels)
        What it made of the ciphertexts.
    scores : Scores
        How near they are to the true images.
    gain : float
        Mean SSIM less that of the best `LabelOnlyBaseline`.
    reclassified : float
        The share of reconstructions in which a classifier of plain images sees the true class.
    seconds : float
        For learning and reconstructing.
    on_purpose : bool
        Whether it measures what the scheme discloses on purpose.
    """

    attack: str
    adversary: Adversary
    reconstructions: NDArray[np.uint8]
    scores: Scores
    gain: float
    reclassified: float
    seconds: float
    on_purpose: bool = False

    @property
    def finding(self) -> str:
        """Say "baseline", "broken", "leaks", "disclosed" or "held"; see `AuditResult`."""
        if not self.adversary.ciphertexts:
            return "baseline"
        if self.on_purpose:
            return "disclosed"
        significant = self.scores.p_value <= _SIGNIFICANT
        if self.gain >= _BROKEN_GAIN or (significant and self.scores.reidentified >= _BROKEN_SHARE):
            return "broken"
        return "leaks" if significant else "held"


@dataclass(frozen=True, eq=False, repr=False)
class SchemeRun:
    """All attacks on one scheme.

    Parameters
    ----------
    scheme : str
        Its class and parameters, or the name that it was given.
    ciphertexts : ndarray of uint8, shape (n_targets, height, width, channels)
        The ciphertexts that were attacked.
    runs : tuple of AttackRun
        The attacks, the baseline first.
    refused : dict of str to str
        The attacks that cannot be run against the scheme, and why.
    """

    scheme: str
    ciphertexts: NDArray[np.uint8]
    runs: tuple[AttackRun, ...]
    refused: dict[str, str]


def describe_findings(scheme: SchemeRun) -> list[tuple[str, str]]:
    """Put into words what was found about a scheme: findings, each with a sentence."""
    lines = []
    for finding, words in _IN_WORDS.items():
        named = [_describe_run(run) for run in scheme.runs if run.finding == finding]
        if named:
            caveat = (
                ", which does not prove that it holds against others" if finding == "held" else ""
            )
            lines.append((finding, f"{scheme.scheme}: {words} {'; '.join(named)}{caveat}."))
    if not lines:
        line = f"{scheme.scheme}: no attack could be run, which says nothing about it."
        lines.append(("none", line))
    return lines


def _describe_run(run: AttackRun) -> str:
    return (
        f"{run.attack} ({run.adversary}: SSIM {run.scores.ssim.mean():.2f}, {run.gain:+.2f} over "
        f"the baseline, {run.scores.reidentified:.0%} re-identified)"
    )

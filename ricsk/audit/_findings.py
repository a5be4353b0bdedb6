"""What attacks did to a scheme, and what is found, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ricsk.attacks import Adversary, GameResult, IdentificationResult
from ricsk.audit._score import Scores

__all__ = ["AttackRun", "SchemeRun", "TrialRun", "describe_findings"]

# More SSIM than the baseline by this much is a picture, whatever else is said.
_BROKEN_GAIN = 0.1
_BROKEN_SHARE = 0.5
_SIGNIFICANT = 0.001
# The quantile of the images that came back best: the worst for their owner.
_WORST_QUANTILE = 0.9

_TOLD = "hides pictures from eyes, not content from an adversary, as shown by"
_IN_WORDS = {
    "broken": "broken by",
    "leaks": "leaks to",
    "disclosed": "discloses on purpose, as measured by",
    "held": "held against",
}
_CAVEATS = {"held": ", which does not prove that it holds against others"}


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

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, by column of `AuditResult.table`."""
        scores = self.scores
        return {
            "ssim": scores.ssim.mean(),
            "ssim_worst": np.quantile(scores.ssim, _WORST_QUANTILE),
            "psnr": scores.psnr.mean(),
            "psnr_worst": np.quantile(scores.psnr, _WORST_QUANTILE),
            "gain": self.gain,
            "reclassified": self.reclassified,
            "reidentified": scores.reidentified,
            "p_value": scores.p_value,
        }


@dataclass(frozen=True, eq=False, repr=False)
class TrialRun:
    """One attack on one scheme that tells images apart and draws none.

    Parameters
    ----------
    attack : str
        Its class and parameters.
    adversary : Adversary
        What its adversary knows and has.
    result : GameResult or IdentificationResult
        How it ended.
    seconds : float
        For all of it, encryption included.
    """

    attack: str
    adversary: Adversary
    result: GameResult | IdentificationResult
    seconds: float

    @property
    def finding(self) -> str:
        """Say "broken", "leaks" or "held"; see `AuditResult`."""
        if not self.result.wins:
            return "held"
        return "broken" if self.success >= _BROKEN_SHARE else "leaks"

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, by column of `AuditResult.table`."""
        low, high = self.result.interval
        name = "advantage" if isinstance(self.result, GameResult) else "named"
        return {name: self.success, "chance": self.chance, "low": low, "high": high}

    @property
    def success(self) -> float:
        """The advantage in a game, or the share of images that were named."""
        result = self.result
        return result.advantage if isinstance(result, GameResult) else result.share

    @property
    def chance(self) -> float:
        """What guessing gives."""
        return 0.0 if isinstance(self.result, GameResult) else self.result.chance


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
    trials : tuple of TrialRun
        The attacks that draw no picture.
    untried : dict of str to str
        Those that cannot be run against the scheme, and why.
    """

    scheme: str
    ciphertexts: NDArray[np.uint8]
    runs: tuple[AttackRun, ...]
    refused: dict[str, str]
    trials: tuple[TrialRun, ...] = ()
    untried: dict[str, str] = field(default_factory=dict)

    @property
    def all_runs(self) -> tuple[AttackRun | TrialRun, ...]:
        """Every attack that was run, those that draw no picture first."""
        return self.trials + self.runs

    @property
    def all_refused(self) -> dict[str, str]:
        """Every attack that cannot be run, and why."""
        return {**self.untried, **self.refused}


def describe_findings(scheme: SchemeRun) -> list[tuple[str, str]]:
    """Put into words what was found about a scheme: findings, each with a sentence."""
    told = [trial for trial in scheme.trials if trial.finding != "held"]
    lines = []
    if told:
        worst = "broken" if any(trial.finding == "broken" for trial in told) else "leaks"
        lines.append((worst, f"{_TOLD} {_list(told)}"))
    for reason in dict.fromkeys(scheme.untried.values()):
        names = [name for name, why in scheme.untried.items() if why == reason]
        lines.append(("none", f"cannot be tried by {' and '.join(names)}: {reason}"))
    held = [trial for trial in scheme.trials if trial.finding == "held"]
    for finding, words in _IN_WORDS.items():
        named: list[AttackRun | TrialRun] = [*held] if finding == "held" else []
        named += [run for run in scheme.runs if run.finding == finding]
        if named:
            lines.append((finding, f"{words} {_list(named)}{_CAVEATS.get(finding, '')}"))
    if not lines:
        lines.append(("none", "no attack could be run, which says nothing about it"))
    return [(finding, f"{scheme.scheme}: {line.removesuffix('.')}.") for finding, line in lines]


def _list(runs: Sequence[AttackRun | TrialRun]) -> str:
    return "; ".join(f"{run.attack} ({run.adversary}: {_describe(run)})" for run in runs)


def _describe(run: AttackRun | TrialRun) -> str:
    if isinstance(run, AttackRun):
        return (
            f"SSIM {run.scores.ssim.mean():.2f}, {run.gain:+.2f} over the baseline, "
            f"{run.scores.reidentified:.0%} re-identified"
        )
    result, (low, high) = run.result, run.result.interval
    if isinstance(result, GameResult):
        figure = f"advantage {result.advantage:.2f}"
        return f"{figure}, confidence interval {low:.2f} to {high:.2f}"
    figure = f"names {result.share:.0%} of {result.n} images, by chance {result.chance:.0%}"
    return f"{figure}, confidence interval {low:.0%} to {high:.0%}"

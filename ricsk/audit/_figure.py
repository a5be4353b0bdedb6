"""Box plots of what attacks got back, and intervals of how well they tell images apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ricsk.audit._findings import SchemeRun, TrialRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["box_plots"]

_COLOURS = {
    "baseline": "#9aa3ad",
    "held": "#3b8a5a",
    "leaks": "#d98e04",
    "broken": "#c0392b",
    "disclosed": "#5b6fb5",
}
_MAX_NAME, _MAX_TITLE = 38, 90


def box_plots(schemes: Sequence[SchemeRun]) -> Figure:
    """Draw what each attack on each scheme achieved; see `AuditResult.figure`."""
    counts = [len(scheme.all_runs) for scheme in schemes]
    figure = Figure(figsize=(8, 0.42 * sum(counts) + 0.85 * len(counts) + 0.4), layout="tight")
    axes = figure.subplots(
        len(counts), squeeze=False, sharex=True, gridspec_kw={"height_ratios": counts}
    )[:, 0]
    for axis, scheme in zip(axes, schemes, strict=True):
        n_trials = len(scheme.trials)
        for place, trial in enumerate(scheme.trials):
            _draw_interval(axis, place, trial)
        for place, run in enumerate(scheme.runs, n_trials):
            _draw_box(axis, place, run.scores.ssim, _COLOURS[run.finding])
        names = [_shorten(run.attack) for run in scheme.all_runs]
        axis.set_yticks(range(len(names)), names, parse_math=False)
        baseline = scheme.runs[0].scores.ssim.mean()
        axis.vlines(baseline, n_trials - 0.5, len(names) - 0.5, color="#555555", linestyle=":")
        axis.invert_yaxis()
        title = axis.set_title(_shorten(scheme.scheme, _MAX_TITLE), loc="left", fontsize=10)
        title.set(parse_math=False, fontweight="bold")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlim(min(-0.05, axes[-1].get_xlim()[0]), 1.02)
    told = any(scheme.trials for scheme in schemes)
    words = "SSIM of reconstructions (1: the image itself)"
    axes[-1].set_xlabel(words + (", or success in telling images apart" * told), fontsize=9)
    return figure


def _draw_interval(axis: Axes, place: int, trial: TrialRun) -> None:
    colour, (low, high) = _COLOURS[trial.finding], trial.result.interval
    axis.hlines(place, low, high, color=colour, linewidth=3)
    axis.plot(trial.success, place, "o", color=colour, markersize=6)
    axis.vlines(trial.chance, place - 0.4, place + 0.4, color="#555555", linestyle=":")


def _draw_box(axis: Axes, place: int, values: NDArray[np.float64], colour: str) -> None:
    # Not Axes.boxplot, whose way of lying down depends on the version of Matplotlib.
    lowest, low, median, high, highest = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))
    axis.hlines(place, lowest, highest, color="black", linewidth=1)
    # The edge is all that is to be seen where every image came back equally well.
    axis.barh(place, high - low, left=low, height=0.6, color=colour, edgecolor=colour, linewidth=2)
    axis.vlines(median, place - 0.3, place + 0.3, color="black", linewidth=1)
    outside = values[(values < lowest) | (values > highest)]
    axis.plot(outside, np.full(len(outside), place), ".", color="#777777", markersize=3)


def _shorten(name: str, length: int = _MAX_NAME) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"

"""What an audit found, as a table, in words, as a picture, and as a file."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ricsk._atomic import write_whole
from ricsk.audit._findings import SchemeRun, describe_findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AuditResult"]

_PICTURE_FIGURES = (
    "ssim",
    "ssim_worst",
    "psnr",
    "psnr_worst",
    "gain",
    "reclassified",
    "reidentified",
)
_LIMITABLE = (*_PICTURE_FIGURES, "advantage", "named")
_FIGURES = ("advantage", "named", "chance", "low", "high", *_PICTURE_FIGURES, "p_value")


@dataclass(frozen=True, eq=False, repr=False)
class AuditResult:
    """What `audit` found. It holds images and figures, and no key.

    Each attack has one finding:

    - "broken": the mean SSIM of its reconstructions exceeds that of the baseline by 0.1 or more; or
      they tell more than the label (a p-value of 0.001 at most), and at least half of them are
      nearer to their own image than to any other. An attack that draws no picture breaks a scheme
      if chance is outside of its confidence interval, and it names half of the images or has an
      advantage of one half.
    - "leaks": they tell more than the label, or images are told apart more often than by chance,
      but less than that.
    - "held": neither. This attack with this budget found nothing, which does not prove that there
      is nothing to find.
    - "baseline": it does not look at ciphertexts.
    - "disclosed": it measures what the scheme discloses on purpose.

    Parameters
    ----------
    images : ndarray of uint8, shape (n_targets, height, width, channels)
        The images behind the ciphertexts that were attacked.
    schemes : tuple of SchemeRun
        For each scheme its ciphertexts, the attacks that were run, and those that could not be.
    settings : dict
        Numbers of images, budget, seed and versions.
    """

    images: NDArray[np.uint8]
    schemes: tuple[SchemeRun, ...]
    settings: dict[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """All figures, one row for each scheme and attack.

        Columns: `scheme`; `attack`; `knows`, what the adversary has; `finding`.

        Of attacks that tell images apart, and NaN for others: `advantage`, in the game, or `named`,
        the share of images that were identified; `chance`, what guessing gives; and `low` and
        `high`, the confidence interval.

        Of attacks that draw pictures, and NaN for others: `ssim` and `psnr`, means over the images;
        `ssim_worst` and `psnr_worst`, the worst decile for the owner, which is the best one for the
        adversary: one image in ten comes back at least so well; `gain`, in mean SSIM, over the
        baseline; `reclassified`, the share of reconstructions in which a classifier sees the true
        class; `reidentified`, the share whose true image is the nearest of all that were attacked,
        and `p_value` (see `score`). Exact images count with 100 dB.

        Of all: `seconds`.
        """
        return pd.DataFrame(
            [
                {
                    "scheme": scheme.scheme,
                    "attack": run.attack,
                    "knows": str(run.adversary),
                    "finding": run.finding,
                    **dict.fromkeys(_FIGURES, np.nan),
                    **run.figures,
                    "seconds": run.seconds,
                }
                for scheme in self.schemes
                for run in scheme.all_runs
            ]
        )

    @property
    def verdict(self) -> str:
        """What the figures say, in words: a line for each scheme and finding."""
        return "\n".join(line for scheme in self.schemes for _, line in describe_findings(scheme))

    def __repr__(self) -> str:
        return f"AuditResult:\n{self.verdict}"

    def assert_no_worse_than(self, **limits: float) -> None:
        """Raise if an attack got more than it may, for the tests of a project that encrypts.

        Parameters
        ----------
        **limits : float
            The largest values allowed of columns of the table: advantage, named, ssim, ssim_worst,
            psnr, psnr_worst, gain, reclassified or reidentified. They hold for every attack that
            measures them and looks at ciphertexts.

        Raises
        ------
        AssertionError
            With each attack, figure and limit; and if no attack measured a figure, because then
            nothing was shown.
        ValueError
            Without limits, or with unknown names.

        Examples
        --------
        >>> from ricsk import PixelEncryptor, SecretKey
        >>> from ricsk.attacks import LinearAttack
        >>> from ricsk.audit import audit
        >>> from ricsk.datasets import make_street_numbers
        >>> X, y = make_street_numbers(120, size=16, random_state=0)
        >>> encryptor = PixelEncryptor(SecretKey.generate())
        >>> result = audit(encryptor, X, y, [LinearAttack()], random_state=0)
        >>> result.assert_no_worse_than(gain=0.05)
        Traceback (most recent call last):
        ...
        AssertionError: PixelEncryptor leaks more than allowed:
        LinearAttack (known plaintexts, same key): gain 0.8..., limit 0.05
        """
        unknown = sorted(set(limits) - set(_LIMITABLE))
        if unknown or not limits:
            raise ValueError(
                f"limits on {', '.join(unknown) or 'nothing'}: expected some of "
                f"{', '.join(_LIMITABLE)}, for example gain=0.05."
            )
        complaints = [line for scheme in self.schemes for line in _complain(scheme, limits)]
        if complaints:
            raise AssertionError("\n".join(complaints))

    def figure(self) -> Figure:
        """Draw what each attack achieved, one picture for each scheme.

        Returns
        -------
        matplotlib.figure.Figure
            For an attack that draws pictures, a box plot of their SSIM: the box spans the
            quartiles, the line in it is the median, the whiskers reach from the 5th to the 95th
            percentile, and the dotted line is the mean of the baseline. For one that tells images
            apart, a dot for the advantage or the share of images that it named, with its confidence
            interval; the dotted line is chance.

        Raises
        ------
        ImportError
            Without Matplotlib, which ``pip install ricsk[plot]`` brings.
        """
        from ricsk.audit._figure import box_plots

        return box_plots(self.schemes)

    def to_html(self, path: str | PathLike[str]) -> Path:
        """Write a report: one file that needs no other, and no network.

        It has the verdict, the tables, box plots, pictures of what each attack got back, what could
        not be run and why, and the settings. It shows plain images, so keep it as you keep those.
        No key is in it.

        Parameters
        ----------
        path : str or Path
            Where to write it.

        Returns
        -------
        Path

        Raises
        ------
        ImportError
            Without Matplotlib, which ``pip install ricsk[plot]`` brings.
        OSError
            If it cannot be written. A file that is there is kept then.
        """
        from ricsk.audit._report import report

        target = Path(path)
        page = report(self.images, self.schemes, self.table, self.settings)
        write_whole(target, page.encode())
        return target


def _complain(scheme: SchemeRun, limits: dict[str, float]) -> list[str]:
    """Say which limits were exceeded on a scheme, and which were never put to the test."""
    runs = [run for run in scheme.all_runs if run.finding != "baseline"]
    if not runs:
        return [f"no attack could be run against {scheme.scheme}."]
    lines = [
        f"no attack on {scheme.scheme} measured {name}."
        for name in limits
        if not any(name in run.figures for run in runs)
    ]
    excesses = [
        f"{run.attack} ({run.adversary}): {name} {run.figures[name]:.3f}, limit {limit:g}"
        for run in runs
        for name, limit in limits.items()
        if name in run.figures and not run.figures[name] <= limit
    ]
    return [*lines, *([f"{scheme.scheme} leaks more than allowed:"] if excesses else []), *excesses]

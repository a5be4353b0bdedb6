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

# The quantile of the images that came back best: the worst for their owner.
_WORST_QUANTILE = 0.9

_LIMITABLE = ("ssim", "ssim_worst", "psnr", "psnr_worst", "gain", "reclassified", "reidentified")


@dataclass(frozen=True, eq=False, repr=False)
class AuditResult:
    """What `audit` found. It holds images and figures, and no key.

    Each attack has one finding:

    - "broken": the mean SSIM of its reconstructions exceeds that of the baseline by 0.1 or more; or
      they tell more than the label (a p-value of 0.001 at most), and at least half of them are
      nearer to their own image than to any other.
    - "leaks": they tell more than the label, but less than that.
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

        Columns: `scheme`; `attack`; `knows`, what the adversary has; `finding`; `ssim` and `psnr`,
        means over the images; `ssim_worst` and `psnr_worst`, the worst decile for the owner, which
        is the best one for the adversary: one image in ten comes back at least so well; `gain`, in
        mean SSIM, over the baseline; `reclassified`, the share of reconstructions in which a
        classifier sees the true class; `reidentified`, the share whose true image is the nearest of
        all that were attacked, and `p_value` (see `score`); and `seconds`. Exact images count with
        100 dB.
        """
        return pd.DataFrame(
            [
                {
                    "scheme": scheme.scheme,
                    "attack": run.attack,
                    "knows": str(run.adversary),
                    "finding": run.finding,
                    "ssim": run.scores.ssim.mean(),
                    "ssim_worst": np.quantile(run.scores.ssim, _WORST_QUANTILE),
                    "psnr": run.scores.psnr.mean(),
                    "psnr_worst": np.quantile(run.scores.psnr, _WORST_QUANTILE),
                    "gain": run.gain,
                    "reclassified": run.reclassified,
                    "reidentified": run.scores.reidentified,
                    "p_value": run.scores.p_value,
                    "seconds": run.seconds,
                }
                for scheme in self.schemes
                for run in scheme.runs
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
            The largest values allowed of columns of the table: ssim, ssim_worst, psnr, psnr_worst,
            gain, reclassified or reidentified. They hold for every attack that looks at
            ciphertexts.

        Raises
        ------
        AssertionError
            With each attack, figure and limit; and if no attack could be run, because then nothing
            was shown.
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
        table = self.table[self.table["finding"] != "baseline"]
        complaints = []
        for scheme in self.schemes:
            rows = table[table["scheme"] == scheme.scheme].to_dict("records")
            if not rows:
                complaints.append(f"no attack could be run against {scheme.scheme}.")
            excesses = [
                f"{row['attack']} ({row['knows']}): {name} {row[name]:.3f}, limit {limit:g}"
                for row in rows
                for name, limit in limits.items()
                if not row[name] <= limit
            ]
            if excesses:
                complaints += [f"{scheme.scheme} leaks more than allowed:", *excesses]
        if complaints:
            raise AssertionError("\n".join(complaints))

    def figure(self) -> Figure:
        """Draw box plots of the SSIM of each attack, one picture for each scheme.

        Returns
        -------
        matplotlib.figure.Figure
            The box spans the quartiles, the line in it is the median, the whiskers reach from the
            5th to the 95th percentile, and the dotted line is the mean of the baseline.

        Raises
        ------
        ImportError
            Without Matplotlib, which ``pip install ricsk[plot]`` brings.
        """
        from ricsk.audit._figure import box_plots

        return box_plots(self.schemes)

    def to_html(self, path: str | PathLike[str]) -> Path:
        """Write a report: one file that needs no other, and no network.

        It has the verdict, the table, box plots, pictures of what each attack got back, what could
        not be run, and the settings. It shows plain images, so keep it as you keep those. No key is
        in it.

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

"""The report of an audit: one HTML file that needs no other."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from ricsk.audit._figure import box_plots
from ricsk.audit._findings import AttackRun, SchemeRun, describe_findings

__all__ = ["report"]

_HEADINGS = {
    "scheme": "scheme",
    "attack": "attack",
    "knows": "the adversary has",
    "finding": "finding",
    "advantage": "advantage",
    "named": "images named",
    "chance": "by chance",
    "low": "at least",
    "high": "at most",
    "ssim": "SSIM",
    "ssim_worst": "SSIM, worst decile",
    "psnr": "PSNR, dB",
    "psnr_worst": "PSNR, worst decile",
    "gain": "gain over baseline",
    "reclassified": "class still seen",
    "reidentified": "re-identified",
    "p_value": "p",
    "seconds": "seconds",
}
_FORMATS = {
    "advantage": "{:.2f}",
    "named": "{:.0%}",
    "chance": "{:.0%}",
    "low": "{:.2f}",
    "high": "{:.2f}",
    "psnr": "{:.1f}",
    "psnr_worst": "{:.1f}",
    "gain": "{:+.3f}",
    "reclassified": "{:.0%}",
    "reidentified": "{:.0%}",
    "p_value": "{:.4f}",
    "seconds": "{:.1f}",
}
_TOLD_APART = ("advantage", "named", "chance", "low", "high")
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1d232a; background: #fff;
  max-width: 1280px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d6dbe0; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p.note { color: #55606b; max-width: 62rem; margin: .4rem 0 .8rem; }
ul.verdict { padding: 0; list-style: none; }
ul.verdict li { margin: .35rem 0; padding: .4rem .7rem; background: #f4f6f8;
  border-left: 5px solid #9aa3ad; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th { text-align: left; vertical-align: bottom; font-weight: 600; background: #f4f6f8; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid #e3e7eb; }
td.number { text-align: right; }
tr.first td { border-top: 2px solid #9aa3ad; }
.finding { padding: .05rem .45rem; border-radius: .6rem; color: #fff; background: #77818c; }
span.broken { background: #b03225; } span.leaks { background: #a86a00; }
span.held { background: #2f7d4f; } span.disclosed { background: #4d61a8; }
ul.verdict li.broken { border-color: #b03225; } ul.verdict li.leaks { border-color: #a86a00; }
ul.verdict li.held { border-color: #2f7d4f; } ul.verdict li.disclosed { border-color: #4d61a8; }
.pictures td, .pictures th { padding: .3rem .5rem; text-align: center; }
.pictures td.name { text-align: left; max-width: 15rem; overflow-wrap: anywhere; }
.pictures img { width: 96px; height: auto; image-rendering: pixelated; display: block;
  margin: auto; }
.gap { border-left: 1px solid #d6dbe0; }
img.figure { max-width: 100%; }
dl { display: grid; grid-template-columns: max-content auto; gap: .15rem 1rem; font-size: 13px; }
dt { color: #55606b; } dd { margin: 0; }
"""


def report(
    images: NDArray[np.uint8],
    schemes: Sequence[SchemeRun],
    table: pd.DataFrame,
    settings: dict[str, Any],
) -> str:
    """Write the report as HTML; see `AuditResult.to_html`."""
    lines = "\n".join(
        f'<li class="{finding}">{escape(line)}</li>'
        for scheme in schemes
        for finding, line in describe_findings(scheme)
    )
    sections = "\n".join(_pictures(images, scheme) for scheme in schemes)
    listed = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>"
        for name, value in settings.items()
    )
    pictures = table[table["ssim"].notna()].drop(columns=list(_TOLD_APART))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Audit of image encryption</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>What attacks find out from encrypted images</h1>
<p class="note">This file shows plain images. Keep it as you keep those.</p>
<h2>Verdict</h2>
<ul class="verdict">
{lines}
</ul>
<p class="note">Hides pictures from eyes, not content from an adversary: no picture has to come back
for ciphertexts to tell which image is inside. In the distinguishing game an adversary sees the
ciphertext of one of two images with the same label; in an identification, of one of a list. Chance
is outside of the confidence interval. Broken is a scheme with an advantage of at least 0.5, or half
of the images named.</p>
<p class="note">Broken: the reconstructions exceed the baseline, a picture of the class without a
look at the ciphertext, by 0.1 SSIM or more, or most of them are nearest to their own image. Leaks:
they tell more of an image than its label (p at most 0.001). Held: these attacks with this budget
found no such thing; others may.</p>
<h2>Figures</h2>
{_told_apart(table)}
<div class="scroll">{_table(pictures)}</div>
<p class="note">Worst decile: one image in ten comes back at least so well. Class still seen: the
share of reconstructions in which a classifier of plain images sees the true class. Re-identified:
the share whose true image is the nearest of the {len(images)} attacked. An image that comes
back exactly counts with 100 dB.</p>
<h2>What each attack achieved</h2>
<img class="figure" alt="Box plots of the SSIM of each attack" src="{_draw(schemes)}">
<p class="note">Box: quartiles and median. Whiskers: 5th to 95th percentile. Dotted: mean of the
baseline. Dots: advantage or share of images named, with the confidence interval; dotted: chance.
</p>
<h2>Pictures</h2>
{sections}
<h2>Settings</h2>
<dl>{listed}</dl>
</body>
</html>
"""


def _told_apart(table: pd.DataFrame) -> str:
    """Show the attacks that draw no picture, in a table of their own."""
    told = table[table["chance"].notna()]
    if told.empty:
        return ""
    shown = _table(told[["scheme", "attack", "knows", "finding", *_TOLD_APART, "seconds"]])
    return f"""<div class="scroll">{shown}</div>
<p class="note">Advantage: 0 for a coin, 1 for an adversary who is always right. At least, at most:
the confidence interval. Images named: the share of ciphertexts whose image was named first.</p>"""


def _table(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(_HEADINGS[name])}</th>" for name in table.columns)
    rows, before = [], None
    for row in table.to_dict("records"):
        first = ' class="first"' if row["scheme"] != before else ""
        before = row["scheme"]
        cells = "".join(_cell(str(name), value) for name, value in row.items())
        rows.append(f"<tr{first}>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cell(name: str, value: object) -> str:
    if name == "finding":
        return f"<td>{_badge(str(value))}</td>"
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    if value != value:
        return '<td class="number">–</td>'
    return f'<td class="number">{_FORMATS.get(name, "{:.3f}").format(value)}</td>'


def _badge(finding: str) -> str:
    return f'<span class="finding {finding}">{finding}</span>'


def _pictures(images: NDArray[np.uint8], scheme: SchemeRun) -> str:
    """Show for each attack the image that came back best, and the median one."""
    rows = "".join(_picture_row(images, scheme, run) for run in scheme.runs)
    refused = "".join(f"<li>{escape(reason)}</li>" for reason in scheme.all_refused.values())
    not_run = f"<p>Not run:</p><ul>{refused}</ul>" if refused else ""
    return f"""<h3>{escape(scheme.scheme)}</h3>
<div class="scroll"><table class="pictures">
<thead><tr><th></th><th colspan="4" class="gap">best of {len(images)}</th>
<th colspan="4" class="gap">median</th></tr>
<tr><th></th>{_CAPTIONS}{_CAPTIONS}</tr></thead>
<tbody>{rows}</tbody>
</table></div>
{not_run}"""


_CAPTIONS = '<th class="gap">plain</th><th>ciphertext</th><th>got back</th><th>SSIM</th>'


def _picture_row(images: NDArray[np.uint8], scheme: SchemeRun, run: AttackRun) -> str:
    by_ssim = np.argsort(run.scores.ssim, kind="stable")
    cells = []
    for place in (by_ssim[-1], by_ssim[len(by_ssim) // 2]):
        shown = (images[place], scheme.ciphertexts[place], run.reconstructions[place])
        names = ("plain image", "ciphertext", "reconstruction")
        drawn = [
            f'<img alt="{name}" src="{_data_uri(image)}">'
            for name, image in zip(names, shown, strict=True)
        ]
        cells.append(f'<td class="gap">{drawn[0]}</td><td>{drawn[1]}</td><td>{drawn[2]}</td>')
        cells.append(f"<td>{run.scores.ssim[place]:.2f}</td>")
    name = f'<td class="name">{escape(run.attack)}<br>{_badge(run.finding)}</td>'
    return f"<tr>{name}{''.join(cells)}</tr>"


def _draw(schemes: Sequence[SchemeRun]) -> str:
    buffer = io.BytesIO()
    box_plots(schemes).savefig(buffer, format="png", dpi=130)
    return _png_uri(buffer.getvalue())


def _data_uri(image: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return _png_uri(buffer.getvalue())


def _png_uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"

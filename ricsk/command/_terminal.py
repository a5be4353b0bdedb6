"""What the command shows: progress and errors on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ricsk.command._errors import ExitCode

if TYPE_CHECKING:
    from ricsk.files import FileResult

__all__ = ["print_error", "print_line", "print_note", "report", "show_progress"]

_MAX_NAMED = 20


def print_line(text: str) -> None:
    """Print a result."""
    print(_printable(text), flush=True)


def print_note(text: str, *, quiet: bool = False) -> None:
    """Print what a person should know, and a script need not."""
    if not quiet:
        print(_printable(text), file=sys.stderr, flush=True)


def print_error(text: str) -> None:
    """Print why something did not work."""
    print(f"ricsk: {_printable(text)}", file=sys.stderr, flush=True)


def show_progress(results: Iterable[Any], total: int, *, quiet: bool) -> Iterator[Any]:
    """Hand results on, and show their rate and the time left if a person looks at the terminal."""
    if quiet or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("files", total=total, rate="")
        for result in results:
            yield result
            speed = progress.tasks[task].speed
            rate = "" if speed is None else f"{speed:.3g} files/s"
            progress.update(task, advance=1, rate=rate)


def report(results: Iterable[FileResult], *, as_json: bool, quiet: bool) -> ExitCode:
    """Print what became of files, and the failures once more at the end.

    Parameters
    ----------
    results : iterable of FileResult
        As they come.
    as_json : bool
        Whether to print a line of JSON for each file.
    quiet : bool
        Whether to print failures alone.

    Returns
    -------
    ExitCode
        FAILED if a file failed, or only its thumbnail was left.
    """
    counts: Counter[str] = Counter()
    bad: list[FileResult] = []
    for result in results:
        counts[result.status] += 1
        if result.status in ("failed", "thumbnail"):
            bad.append(result)
        if as_json:
            print_line(
                json.dumps(
                    {
                        "source": _decode(result.source),
                        "status": result.status,
                        "destination": _decode(result.destination),
                        "message": result.message,
                    }
                )
            )
    for result in bad[:_MAX_NAMED]:
        print_error(f"{result.source}: {result.message}")
    if len(bad) > _MAX_NAMED:
        print_error(f"and {len(bad) - _MAX_NAMED} more; --json lists all.")
    shown = ", ".join(f"{n} {status}" for status, n in counts.items())
    print_note(shown or "no files", quiet=quiet)
    return ExitCode.FAILED if bad else ExitCode.DONE


def _decode(path: Path | None) -> str | None:
    return None if path is None else _printable(str(path))


def _printable(text: str) -> str:
    """Replace what cannot be encoded, as names of files may hold."""
    return text.encode("utf-8", "replace").decode()

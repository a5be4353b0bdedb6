"""``ricsk decrypt``."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import click

from ricsk.command import _options as options
from ricsk.command._errors import ExitCode
from ricsk.command._options import check_key, check_there, is_stream
from ricsk.command._terminal import print_line, report, show_progress
from ricsk.exceptions import CommandError

__all__ = ["decrypt"]


@click.command()
@options.src
@options.dst
@options.key
@options.jobs
@options.resume
@options.force
@options.dry_run
@options.as_json
@options.quiet
def decrypt(
    src: Path,
    dst: Path,
    key: Path | None,
    jobs: int,
    resume: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Decrypt files: a sealed one comes back byte for byte, with its name.

    Where a service has taken the file out of the PNG file, the small picture that is left is
    written in its place, and reported. Of the schemes that encrypt pixels alone, which the file
    names, pictures come back as PNG files.
    """
    check_there(src)
    keyfile = check_key(key)
    from ricsk.files import (
        decrypt_folder,
        decrypt_picture,
        is_encrypted_picture,
        list_folder,
        open_photograph,
    )
    from ricsk.keys import coerce_opening_key

    opening = coerce_opening_key(keyfile)
    if dry_run:
        for found in list_folder(src) if src.is_dir() else [src]:
            print_line(str(found if isinstance(found, Path) else found.source))
        return ExitCode.DONE
    if src.is_dir():
        total = sum(1 for _ in list_folder(src))
        results = decrypt_folder(src, dst, opening, resume=resume, overwrite=force, n_jobs=jobs)
        shown = show_progress(results, total, quiet=quiet or as_json)
        return report(shown, as_json=as_json, quiet=quiet)
    source: Any = io.BytesIO(sys.stdin.buffer.read()) if is_stream(src) else src
    target: Any = sys.stdout.buffer if is_stream(dst) else dst
    if is_encrypted_picture(source):
        if dst.is_dir():
            target = dst / src.name
        decrypt_picture(source, opening, target, overwrite=force)
    elif open_photograph(source, opening, target, overwrite=force).found == "thumbnail":
        raise CommandError(
            f"{src}: the original is no longer in it, and nothing was written. A thumbnail is "
            "left; ricsk.files.open_photograph returns it.",
            ExitCode.FAILED,
        )
    return ExitCode.DONE

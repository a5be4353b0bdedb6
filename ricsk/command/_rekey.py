"""``ricsk rekey``."""

from __future__ import annotations

from pathlib import Path

import click

from ricsk.command import _options as options
from ricsk.command._errors import ExitCode
from ricsk.command._options import check_key, check_there
from ricsk.command._terminal import print_note
from ricsk.exceptions import CommandError

__all__ = ["rekey"]


@click.command()
@options.src
@options.dst
@options.key
@click.option("--new-key", type=options.FILE, metavar="KEYFILE", help="The key to seal with now.")
@click.option(
    "--recipient",
    "recipients",
    type=options.FILE,
    metavar="FILE",
    multiple=True,
    help="In place of --new-key: the public key of somebody who may open.",
)
@options.force
@options.quiet
def rekey(
    src: Path,
    dst: Path,
    key: Path | None,
    new_key: Path | None,
    recipients: tuple[Path, ...],
    force: bool,
    quiet: bool,
) -> None:
    """Seal sealed files anew, for another key or other people, without asking a classifier.

    Files of a folder that are at DST already are passed over, so a run that was interrupted goes on
    where it ended. The old files stay as they are, and open with the old key.
    """
    check_there(src)
    from ricsk.files import rekey_file, rekey_folder
    from ricsk.keys import PublicKey

    if (new_key is None) == (not recipients):
        raise CommandError(
            "give --new-key KEYFILE or --recipient FILE, one of them.", ExitCode.USAGE
        )
    public = [PublicKey.from_file(path) for path in recipients] or None
    if src.is_dir():
        done = rekey_folder(
            src, dst, check_key(key), new_key, recipients=public, verbose=0 if quiet else 1
        )
        print_note(f"{len(done)} sealed anew", quiet=quiet)
        return
    rekey_file(src, dst, check_key(key), new_key, recipients=public, overwrite=force)

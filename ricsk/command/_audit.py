"""``ricsk audit``."""

from __future__ import annotations

from pathlib import Path

import click

from ricsk.command import _options as options
from ricsk.command._errors import ExitCode
from ricsk.command._options import FILE, check_there
from ricsk.command._terminal import print_line, print_note
from ricsk.exceptions import CommandError

__all__ = ["audit"]

_SCHEMES = ("sealed", "ric", "etc", "pe", "le", "ele")


@click.command()
@options.src
@click.option(
    "--scheme",
    "schemes",
    type=click.Choice(_SCHEMES),
    multiple=True,
    default=("sealed", "etc"),
    show_default=True,
    help="What to attack; may be given several times.",
)
@click.option(
    "--size", default=32, show_default=True, help="Side that pictures are reduced to, in pixels."
)
@click.option("--html", type=FILE, metavar="FILE", help="Write a page with pictures.")
@options.quiet
def audit(src: Path, schemes: tuple[str, ...], size: int, html: Path | None, quiet: bool) -> None:
    """Attack schemes on your own pictures, and print what comes back.

    SRC is a folder with a folder of pictures for each class, some hundred pictures in all.
    """
    check_there(src)
    from ricsk import encryptors as rooms
    from ricsk.audit import audit as run_audit
    from ricsk.datasets import load_folder
    from ricsk.keys import SecretKey

    X, y = load_folder(src, size=(size, size))
    if len(set(y)) < 2:
        raise CommandError(
            f"{str(src)!r} has one folder of pictures; expected one for each of two classes or "
            "more, as a classifier is trained on them.",
            ExitCode.FAILED,
        )
    key = SecretKey.generate()
    made = {
        "sealed": lambda: rooms.SealedEncryptor(key),
        "ric": lambda: rooms.RICEncryptor(key),
        "etc": lambda: rooms.EtCEncryptor(key, block_size=4),
        "pe": lambda: rooms.PixelEncryptor(key),
        "le": lambda: rooms.LearnableEncryptor(key),
        "ele": lambda: rooms.LearnableEncryptor(key, per_block_keys=True, scramble_blocks=True),
    }
    chosen = {name: made[name]() for name in schemes}
    result = run_audit(chosen, X, y, random_state=0, verbose=0 if quiet else 1)
    print_line(repr(result))
    if html is not None:
        result.to_html(html)
        print_note(f"The page is {html}.", quiet=quiet)

"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from ricsk.command._errors import ExitCode
from ricsk.exceptions import CommandError

__all__ = [
    "as_json",
    "check_key",
    "check_there",
    "dry_run",
    "dst",
    "force",
    "is_stream",
    "jobs",
    "key",
    "model",
    "quiet",
    "resume",
    "src",
    "trust_model",
    "weights",
]

FILE = click.Path(path_type=Path)

src = click.argument("src", type=FILE)
dst = click.argument("dst", type=FILE)
key = click.option(
    "--key", type=FILE, metavar="KEYFILE", envvar="RICSK_KEYFILE", help="The key, by keygen."
)
model = click.option(
    "--model",
    metavar="MODEL",
    help="A classifier: a .skops, .onnx, .safetensors or .joblib file, or timm:NAME.",
)
weights = click.option(
    "--weights",
    type=FILE,
    metavar="FILE",
    help="For timm:NAME: a .safetensors file. Without it timm downloads weights.",
)
trust_model = click.option(
    "--trust-model",
    is_flag=True,
    help="Read a .joblib file, which can run any code. For files of your own.",
)
jobs = click.option(
    "--jobs", "-j", default=1, show_default=True, help="Processes; -1 takes all cores."
)
resume = click.option(
    "--resume", is_flag=True, help="Pass over what is done, and clear what a killed run left."
)
force = click.option("--force", is_flag=True, help="Replace files that are there.")
dry_run = click.option("--dry-run", is_flag=True, help="List what would be read, and do nothing.")
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print a line of JSON for each file."
)
quiet = click.option("--quiet", "-q", is_flag=True, help="Print failures alone.")


def is_stream(path: Path) -> bool:
    """Tell whether a path stands for standard input or output."""
    return str(path) == "-"


def check_key(key: Path | None) -> Path:
    """Refuse to go on without a key."""
    if key is not None and not key.exists():
        raise CommandError(
            f"there is no key file {str(key)!r}. Make one with 'ricsk keygen {key}'.", ExitCode.KEY
        )
    if key is None:
        raise CommandError(
            "there is no key. Give --key KEYFILE, or make one with 'ricsk keygen KEYFILE'.",
            ExitCode.KEY,
        )
    return key


def check_there(source: Path) -> None:
    """Refuse a source that is not there."""
    if not is_stream(source) and not source.exists():
        raise CommandError(f"there is no file or folder {str(source)!r}.", ExitCode.USAGE)

"""The command and its parts, and what errors come to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from ricsk._version import __version__
from ricsk.command._audit import audit
from ricsk.command._classify import classify
from ricsk.command._decrypt import decrypt
from ricsk.command._demo import demo
from ricsk.command._encrypt import encrypt
from ricsk.command._errors import ExitCode, find_command_error
from ricsk.command._inspect import inspect
from ricsk.command._keygen import keygen
from ricsk.command._rekey import rekey
from ricsk.command._serve import serve
from ricsk.command._terminal import print_error

__all__ = ["app", "main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(__version__, message="%(version)s")
def app() -> None:
    """Seal photographs, so that a classifier still reads them and only the key opens them.

    SRC and DST are files, folders (with the folders in them), or - for standard input and output.
    """


for _command in (keygen, encrypt, decrypt, classify, rekey, inspect, audit, serve, demo):
    app.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, and end the process with one of the codes of ``ExitCode``.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line. By default those of this process.
    """
    given = None if arguments is None else [*arguments]
    try:
        code = app(given, prog_name="ricsk", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        print_error("interrupted. Files are whole or not there; go on with --resume.")
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        known = find_command_error(error)
        if known is None:
            raise
        print_error(known.message)
        sys.exit(known.code)
    sys.exit(code if isinstance(code, int) else ExitCode.DONE)

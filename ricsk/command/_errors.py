"""Codes that the command ends with, and which error ends in which."""

from __future__ import annotations

from enum import IntEnum

import click

from ricsk.exceptions import (
    CommandError,
    KeyFileError,
    KeyReferenceError,
    NewerFormatError,
    NoPrivateKeyError,
    NotSealedError,
    WrongKeyError,
)

__all__ = ["ExitCode", "find_command_error"]


class ExitCode(IntEnum):
    """What the command ends with."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    KEY = 3
    MODEL = 4
    INTERRUPTED = 130


_KEY_ERRORS = (KeyFileError, KeyReferenceError, NoPrivateKeyError, NotSealedError, WrongKeyError)


def find_command_error(error: Exception) -> CommandError | None:
    """Say how the command ends for an error; None if it is one of the program's own."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, click.ClickException):
        message = error.format_message()
        context = getattr(error, "ctx", None)
        if context is not None:
            message += f"\nTry '{context.command_path} --help'."
        return CommandError(message, ExitCode.USAGE)
    if isinstance(error, _KEY_ERRORS):
        return CommandError(str(error), ExitCode.KEY)
    if isinstance(error, OSError | ValueError | TypeError | ImportError | NewerFormatError):
        message = str(error).replace("or overwrite=True", "or --force")
        return CommandError(message, ExitCode.FAILED)
    return None

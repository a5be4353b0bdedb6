"""Key files on disk: finding, reading and writing them."""

import os
import shlex
import stat
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

from ricsk.exceptions import KeyFileError, KeyFileNotFoundError
from ricsk.keys._text import decode, looks_like_key

__all__ = ["find_location_fault", "find_path_fault", "read_text", "write_new"]

MAX_FILE_BYTES = 2**16


def find_path_fault(path: Any) -> Exception | None:
    """Say why something cannot be a path, without repeating it: it may be a secret."""
    # A path may also be bytes elsewhere; here those may be the key given by mistake. An int would
    # be an open file's number.
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        return TypeError(
            "path must be the path of a key file, a str or a path-like object, got "
            f"{type(path).__name__}"
        )
    if not os.fspath(path):
        return ValueError("path is empty: give the path of a key file")
    if "\0" in os.fspath(path):
        return ValueError("path contains a NUL character, which no path can: give another one")
    return None


def find_location_fault(path: Any, owner: str) -> Exception | None:
    """Say why there cannot be a key file at a path, without repeating the path or reading it.

    `owner` is the class of the key that it should hold.
    """
    fault = find_path_fault(path)
    if fault is not None:
        return fault
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # ValueError: a lone surrogate
        mode = None
    if mode is None and looks_like_key(os.fspath(path)):
        return KeyFileNotFoundError(
            "what was given is a key as text, not the path of a key file. Read it with "
            f"{owner}.from_text; or put it into an environment variable or a file, and read that "
            f"with {owner}.from_env or {owner}.from_file"
        )
    if mode is None:
        passphrase = "; a passphrase goes through SecretKey.from_passphrase"
        return KeyFileNotFoundError(
            "there is no key file at the path given. A str is taken for the path of a key file"
            + passphrase * (owner == "SecretKey")
        )
    if stat.S_ISDIR(mode):
        return KeyFileError("the path given is that of a folder: give that of a key file in it")
    if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
        return KeyFileError(
            "the path given is that of a pipe or a device, not of a file. Read the key's text from "
            f"it and give that to {owner}.from_text"
        )
    return None


def read_text(path: str, owner: str) -> str:
    """Read a key file, and warn if it is not its user's own.

    Parameters
    ----------
    path : str
        Of the file.
    owner : str
        The class of the key that it should hold.

    Returns
    -------
    str

    Raises
    ------
    KeyFileError
        If the file is far too large.
    """
    with open(path, "rb") as file:
        info = os.fstat(file.fileno())
        if info.st_size > MAX_FILE_BYTES:
            raise KeyFileError(
                f"the key file {path!r} has {info.st_size} bytes, and a key file a few hundred: "
                f"give the path of the file that {owner}.save wrote"
            )
        _warn_of_others(path, info)
        return decode(file.read(MAX_FILE_BYTES))


def _warn_of_others(path: str, info: os.stat_result) -> None:
    if os.name != "posix":
        return
    if info.st_uid not in (os.geteuid(), 0):
        warnings.warn(
            f"the key file {path!r} belongs to another user of this machine, who can read it and "
            "put another key there; copy the key into a file of your own, and if it was to be a "
            "secret from them, make a new one",
            stacklevel=4,
        )
    if info.st_mode & (stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH):
        warnings.warn(
            f"other users of this machine may read or change the key file {path!r}; to keep it to "
            f"yourself, run: chmod 600 {shlex.quote(path)}",
            stacklevel=4,
        )


def write_new(path: str, make_content: Callable[[], str]) -> None:
    """Write a new file for its owner only: whole, or not at all.

    Parameters
    ----------
    path : str
        Where to write.
    make_content : callable
        Returns what to write, in ASCII. It is not passed as a `str`, which a traceback from here
        would hold in its local variables.

    Raises
    ------
    FileExistsError
        If something is at `path`.
    FileNotFoundError
        If the folder is not there.
    """
    folder = os.path.dirname(path) or os.curdir
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"there is no folder {folder!r} to save the key in: make it first, or save elsewhere"
        )
    descriptor, part = tempfile.mkstemp(dir=folder, prefix=".ricsk-key-")  # of mode 600
    try:
        with open(descriptor, "w", encoding="ascii", newline="\n") as file:
            file.write(make_content())
            file.flush()
            os.fsync(file.fileno())
        _claim(path)
        try:
            os.replace(part, path)
        except BaseException:
            os.unlink(path)
            raise
    except BaseException:
        os.unlink(part)
        raise


def _claim(path: str) -> None:
    """Make an empty file where nothing is, in one step, so that nothing is ever overwritten."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise FileExistsError(
            f"{path!r} exists, and a key file is never overwritten: that would lose the key in it. "
            "Save to another path, or move the file away first"
        ) from None

"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_whole", "write_whole"]


def write_whole(
    path: str | os.PathLike[str], data: bytes, *, mode: int = 0o666, overwrite: bool = True
) -> None:
    """Write a file beside its place, and then move it there: an interruption leaves the old one.

    Parameters
    ----------
    path : str or path-like
        Where to write. A link is followed.
    data : bytes
        The whole content.
    mode : int
        The most that others may do with the file. The process's umask takes from it, and so does
        the mode of a file that is replaced.
    overwrite : bool
        Whether a file that is there is replaced, or is an error.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    IsADirectoryError, FileExistsError
        If a folder, another thing that is not a file, or a file that may not be overwritten is in
        its place.
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "numbers"
    ...     write_whole(target, b"1 2 3")
    ...     target.read_bytes()
    b'1 2 3'
    """
    with open_whole(path, mode=mode, overwrite=overwrite) as file:
        file.write(data)


@contextmanager
def open_whole(
    path: str | os.PathLike[str], *, mode: int = 0o666, overwrite: bool = False
) -> Iterator[BinaryIO]:
    """Open a file beside its place, which is moved there at the end, unless an error comes first.

    Parameters
    ----------
    path : str or path-like
        Where to write. A link is followed.
    mode, overwrite
        See `write_whole`.

    Yields
    ------
    binary file

    Raises
    ------
    FileExistsError
        If a file is there, before anything is written or at the end, and may not be overwritten.
    OSError
        As `write_whole`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "numbers"
    ...     with open_whole(target) as file:
    ...         _ = file.write(b"1 2 3")
    ...         appeared = target.exists()
    ...     appeared, target.read_bytes()
    (False, b'1 2 3')
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder. Give the path of a file in it.")
    if target.exists():
        replaced = target.stat().st_mode
        if not stat.S_ISREG(replaced):
            raise FileExistsError(f"{str(path)!r} is not a file, and is not replaced by one.")
        if not overwrite:
            raise _make_exists_error(path)
        mode &= stat.S_IMODE(replaced)
    part = target.with_name(f".ricsk-{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(part, flags, mode)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no folder {str(target.parent)!r} to write {target.name!r} into. Make it "
            "first, or give another path."
        ) from None
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(part, target)
        else:
            _move_to_new(part, target, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _move_to_new(part: Path, target: Path, path: str | os.PathLike[str]) -> None:
    """Move a file to a place where nothing is, in one step, so that nothing is overwritten."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise _make_exists_error(path) from None
    except OSError:  # a file system without links
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            raise _make_exists_error(path) from None
        os.replace(part, target)
    else:
        os.unlink(part)


def _make_exists_error(path: str | os.PathLike[str]) -> FileExistsError:
    return FileExistsError(
        f"{str(path)!r} exists, and is not overwritten. Give another path, or overwrite=True."
    )

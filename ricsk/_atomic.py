"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o666) -> None:
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

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    IsADirectoryError, FileExistsError
        If a folder, or another thing that is not a file, is in its place.
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
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder. Give the path of a file in it.")
    if target.exists():
        replaced = target.stat().st_mode
        if not stat.S_ISREG(replaced):
            raise FileExistsError(f"{str(path)!r} is not a file, and is not replaced by one.")
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
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        os.unlink(part)
        raise

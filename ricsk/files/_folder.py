"""Whole folders of photographs: sealed and opened, file by file, in several processes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ricsk._atomic import write_whole
from ricsk.files._ciphertexts import read_header
from ricsk.files._envelope import SCHEME
from ricsk.files._header import find_scheme, show_key_id
from ricsk.files._open import open_photograph
from ricsk.files._picture import (
    check_ready,
    decrypt_picture,
    encrypt_picture,
    is_encrypted_picture,
)
from ricsk.files._seal import seal_photograph
from ricsk.files._write import encode_picture
from ricsk.keys import PrivateKey, PublicKey, SecretKey, coerce_opening_key
from ricsk.parallel import deal

__all__ = ["FileResult", "decrypt_folder", "encrypt_folder", "list_folder"]

SUFFIX = ".png"

# A process is sent so many files at a time: with them goes the encryptor, which may be large.
_LOT = 16
# Files that a killed run was writing, as `ricsk._atomic` names them.
_UNFINISHED = re.compile(r"\.ricsk-[0-9a-f]{16}")


@dataclass(frozen=True)
class FileResult:
    """What became of a file of a folder.

    Parameters
    ----------
    source : Path
        The file.
    status : {"done", "skipped", "thumbnail", "failed"}
        "skipped" was there already, or is nothing to do; of "thumbnail", which a service has taken
        the original out of, a small picture was written.
    destination : Path, optional
        What was written, or was there.
    message : str, optional
        Why it failed or was skipped.
    """

    source: Path
    status: Literal["done", "skipped", "thumbnail", "failed"]
    destination: Path | None = None
    message: str | None = None


_Write = Callable[..., None]
"""From source and destination, and whether to overwrite."""


class _Task(NamedTuple):
    source: Path
    target: Path


def encrypt_folder(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    encryptor: Any | None = None,
    *,
    key: SecretKey | bytes | str | os.PathLike[str] | None = None,
    recipients: Sequence[PublicKey] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    n_jobs: int | None = None,
) -> Iterator[FileResult]:
    """Encrypt all files of a folder and the folders in it, each to a PNG file of its own.

    With a `SealedEncryptor`, a key or recipients they are sealed photographs, which keep whole
    files of any kind. With an encryptor of another scheme the pixels of pictures are encrypted, as
    by `encrypt_picture`, and other files fail.

    ``a/b.jpg`` becomes ``a/b.jpg.png``: names stay readable. Links to files are followed, and those
    to folders are not. A file that fails is reported, and stops nothing.

    Parameters
    ----------
    source : path
        The folder.
    destination : path
        A folder outside of it. It is made if it is not there.
    encryptor : encryptor, optional
        As for `seal_photograph`, and so are `key` and `recipients`; or as for `encrypt_picture`.
    resume : bool, default=False
        Whether files that are there, encrypted with this key, are passed over. What a run that was
        killed has left half-written is removed first, so no other run may be writing there.
    overwrite : bool, default=False
        Whether files that are there are replaced.
    n_jobs : int, optional
        How many processes; of joblib, so that -1 means all cores.

    Yields
    ------
    FileResult
        For each file, in the order of their names. Files are listed as they are come to.

    Raises
    ------
    NotADirectoryError
        If `source` is not a folder.
    ValueError, TypeError
        If `destination` is in it, or there is not one of encryptor, key and recipients.

    See Also
    --------
    decrypt_folder : The way back.
    seal_photograph : One file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ricsk import SecretKey
    >>> from ricsk.files import decrypt_folder, encrypt_folder
    >>> key, folder = SecretKey.generate(), Path(tempfile.mkdtemp())
    >>> (folder / "plain" / "of 2026").mkdir(parents=True)
    >>> _ = (folder / "plain" / "of 2026" / "note.txt").write_text("any file")
    >>> for result in encrypt_folder(folder / "plain", folder / "sealed", key=key):
    ...     print(result.status, result.destination.name)
    done note.txt.png
    >>> for result in decrypt_folder(folder / "sealed", folder / "back", key):
    ...     print(result.destination.read_text())
    any file
    """
    if sum(given is not None for given in (encryptor, key, recipients)) != 1:
        raise ValueError("give an encryptor, key=... or recipients=..., one of them.")
    check_ready(encryptor)
    secret = None if key is None else SecretKey.coerce(key)
    write: _Write = partial(seal_photograph, encryptor=encryptor, key=secret, recipients=recipients)
    scheme = SCHEME
    if encryptor is not None:
        given = getattr(encryptor, "key_", getattr(encryptor, "key", None))
        secret = given if given is None else SecretKey.coerce(given)
        found, _ = find_scheme(encryptor)
        if found != "sealed":
            write, scheme = partial(encrypt_picture, encryptor=encryptor), found
    key_id = show_key_id(secret) if isinstance(secret, SecretKey) else None
    folder, target = _check_folders(source, destination)
    work = partial(
        _encrypt_file,
        write=write,
        scheme=scheme,
        key_id=key_id,
        resume=resume,
        overwrite=overwrite,
    )
    return _run(work, folder, target, lambda name: f"{name}{SUFFIX}", resume, n_jobs)


def decrypt_folder(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    key: SecretKey | PrivateKey | bytes | str | os.PathLike[str],
    *,
    resume: bool = False,
    overwrite: bool = False,
    n_jobs: int | None = None,
) -> Iterator[FileResult]:
    """Open all ciphertexts of a folder and the folders in it that the key alone opens.

    Sealed photographs become the files that they were, under the names that they had, in the same
    folders. What `encrypt_picture` wrote becomes PNG files, under the names of the ciphertexts.

    Parameters
    ----------
    source : path
        The folder. Files that are no such ciphertexts are reported as failed.
    destination : path
        A folder outside of it. It is made if it is not there.
    key : SecretKey, PrivateKey, bytes or path
        The key.
    resume : bool, default=False
        Whether files that are there already are passed over. What a run that was killed has left
        half-written is removed first, so no other run may be writing there.
    overwrite : bool, default=False
        Whether files that are there are replaced.
    n_jobs : int, optional
        How many processes; of joblib, so that -1 means all cores.

    Yields
    ------
    FileResult
        For each file, in the order of their names. Where a service has taken the original out,
        the thumbnail is written as a PNG file beside the others.

    Raises
    ------
    NotADirectoryError
        If `source` is not a folder.
    ValueError, TypeError
        If `destination` is in it, or the key is none.

    See Also
    --------
    encrypt_folder : Makes them, and has an example.
    """
    folder, target = _check_folders(source, destination)
    work = partial(_decrypt_file, key=coerce_opening_key(key), resume=resume, overwrite=overwrite)
    return _run(work, folder, target, lambda name: name.removesuffix(SUFFIX), resume, n_jobs)


def list_folder(folder: str | os.PathLike[str]) -> Iterator[Path | FileResult]:
    """List the files of a folder and the folders in it, in the order of their names.

    What a killed run has left half-written is left out.

    Parameters
    ----------
    folder : path
        Where to look.

    Yields
    ------
    Path or FileResult
        Files, links to files among them; and what cannot be gone into, with the reason.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ricsk.files import list_folder
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.jpg").write_bytes(b"")
    >>> (folder / "b").symlink_to(folder)
    >>> [found.name if isinstance(found, Path) else found.status for found in list_folder(folder)]
    ['a.jpg', 'skipped']
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield FileResult(Path(folder), "failed", message=_explain(error))
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from list_folder(path)
        elif entry.is_dir():
            yield FileResult(path, "skipped", message="a link to a folder, which is not followed")
        elif not entry.is_file():
            reason = "a link to nothing" if entry.is_symlink() else "neither a file nor a folder"
            yield FileResult(path, "failed", message=reason)
        elif not _UNFINISHED.fullmatch(entry.name):
            yield path


def _run(
    work: Callable[[_Task], FileResult],
    source: Path,
    destination: Path,
    rename: Callable[[str], str],
    resume: bool,
    n_jobs: int | None,
) -> Iterator[FileResult]:
    if resume:
        _remove_unfinished(destination)
    # Results are taken as they come, so that neither files nor results pile up.
    lots = ((lot, source, destination, rename) for lot in _cut(list_folder(source)))
    for results in deal(_run_lot, work, lots, n_jobs):
        yield from results


def _cut(found: Iterable[Path | FileResult]) -> Iterator[list[Path | FileResult]]:
    files = iter(found)
    while lot := list(islice(files, _LOT)):
        yield lot


def _run_lot(
    work: Callable[[_Task], FileResult],
    lot: list[Path | FileResult],
    source: Path,
    destination: Path,
    rename: Callable[[str], str],
) -> list[FileResult]:
    results = []
    for file in lot:
        if isinstance(file, FileResult):
            results.append(file)
            continue
        inside = file.relative_to(source)
        target = destination / inside.with_name(rename(inside.name))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            results.append(work(_Task(file, target)))
        except (OSError, ValueError, TypeError, MemoryError) as error:
            results.append(FileResult(file, "failed", message=_explain(error)))
    return results


def _encrypt_file(
    task: _Task,
    *,
    write: _Write,
    scheme: str,
    key_id: str | None,
    resume: bool,
    overwrite: bool,
) -> FileResult:
    source, target = task
    if resume and target.exists():
        header = read_header(target)
        if (header.scheme, header.key_id) == (scheme, key_id):
            return FileResult(source, "skipped", target, "was encrypted before")
        raise ValueError(
            f"{target.name!r} is there and was not encrypted with this key and scheme. Give "
            "another destination, or have it replaced."
        )
    write(source, target, overwrite=overwrite)
    return FileResult(source, "done", target)


def _decrypt_file(task: _Task, *, key: Any, resume: bool, overwrite: bool) -> FileResult:
    source, target = task
    if is_encrypted_picture(source):
        picture = target.with_name(source.name)
        if resume and picture.exists():
            return FileResult(source, "skipped", picture, "was opened before")
        decrypt_picture(source, key, picture, overwrite=overwrite)
        return FileResult(source, "done", picture)
    if resume and target.exists():
        return FileResult(source, "skipped", target, "was opened before")
    try:
        opened = open_photograph(source, key, target.parent, overwrite=overwrite)
    except FileExistsError:  # of a photograph that was renamed after it was sealed
        if not resume:
            raise
        return FileResult(source, "skipped", message="was opened before")
    if opened.found == "original":
        return FileResult(source, "done", opened.path)
    place = target.with_name(f"{target.name}.thumbnail{SUFFIX}")
    write_whole(place, encode_picture(opened.thumbnail), overwrite=overwrite or resume)
    return FileResult(source, "thumbnail", place, "the original is no longer in it")


def _check_folders(
    source: str | os.PathLike[str], destination: str | os.PathLike[str]
) -> tuple[Path, Path]:
    folder, target = Path(source), Path(destination)
    if not folder.is_dir():
        raise NotADirectoryError(f"{str(source)!r} is not a folder.")
    if folder.resolve() in (target.resolve(), *target.resolve().parents):
        raise ValueError(
            f"{str(destination)!r} is in the folder {str(source)!r}, whose files are read. Give a "
            "destination outside of it."
        )
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{str(destination)!r} is not a folder.")
    target.mkdir(parents=True, exist_ok=True)
    return folder, target


def _remove_unfinished(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in filter(_UNFINISHED.fullmatch, names):
            (Path(root) / name).unlink(missing_ok=True)


def _explain(error: BaseException) -> str:
    return str(error) or type(error).__name__

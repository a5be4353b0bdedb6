"""Vectors and image files by id, in a file of SQLite: data alone, and changed whole or not."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk.exceptions import NewerFormatError
from ricsk.search._ids import Id

__all__ = ["Store"]

# What a file says of itself ("ricS"), and the number of its layout.
_APPLICATION, _VERSION = 0x72696353, 1
_TABLE = """
CREATE TABLE image (key INTEGER PRIMARY KEY, id NOT NULL UNIQUE, vector BLOB NOT NULL,
file BLOB NOT NULL)
"""
_VECTOR = np.dtype("<f4")
# SQLite takes so many values in a statement, at the least.
_MAX_VALUES = 500
# Primary codes of errors that say nothing of what is in the file.
_UNUSABLE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}


class Store:
    """Vectors and image files by id.

    Parameters
    ----------
    path : path, optional
        The file. It is made with the first change, and no other process can open it meanwhile. By
        default everything stays in memory.

    Raises
    ------
    NewerFormatError
        If a newer version made the file.
    ValueError
        If it is another file, or damaged.
    OSError
        If it cannot be opened, or another process has it open.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._name = "the index" if path is None else repr(os.fspath(path))
        if path is not None:
            folder = os.path.dirname(os.path.abspath(path))
            if not os.path.isdir(folder):
                raise FileNotFoundError(f"there is no folder {folder!r} for {self._name}.")
        target = ":memory:" if path is None else os.path.abspath(path)
        with self._explained():
            self._connection = sqlite3.connect(
                target, isolation_level=None, check_same_thread=False, timeout=1
            )
            self.close = weakref.finalize(self, self._connection.close)
        try:
            with self._explained():
                self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA trusted_schema=OFF")
        execute("PRAGMA locking_mode=EXCLUSIVE")
        with self.change():
            (application,) = execute("PRAGMA application_id").fetchone()
            (version,) = execute("PRAGMA user_version").fetchone()
            (n_things,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not n_things and not application:
                execute(_TABLE)
                execute(f"PRAGMA application_id={_APPLICATION}")
                execute(f"PRAGMA user_version={_VERSION}")
            elif application != _APPLICATION:
                raise ValueError(f"{self._name} is not an index of images, but another database.")
            elif version > _VERSION:
                raise NewerFormatError(
                    f"{self._name} has the format {version}, and this version reads {_VERSION}. "
                    "Update ricsk."
                )

    @contextmanager
    def change(self) -> Iterator[None]:
        """Make several changes one: all of them are kept, or after an error none."""
        with self._explained():
            self._connection.execute("BEGIN EXCLUSIVE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read_vectors(self) -> tuple[dict[Id, int], NDArray[np.float32]]:
        """Read the key of each id, and the vectors in the same order."""
        with self._explained():
            rows = self._connection.execute("SELECT key, id, vector FROM image").fetchall()
        keys = {id_: key for key, id_, _ in rows}
        sizes = {len(vector) if isinstance(vector, bytes) else -1 for *_, vector in rows}
        kinds = {type(id_) for id_ in keys}
        if len(keys) < len(rows) or len(kinds) > 1 or not kinds <= {int, str}:
            raise self._damaged()
        if len(sizes) > 1 or min(sizes, default=0) < 0:
            raise self._damaged()
        if not rows:
            return keys, np.empty((0, 0), np.float32)
        data = b"".join(vector for *_, vector in rows)
        if not data or len(data) % (_VECTOR.itemsize * len(rows)):
            raise self._damaged()
        vectors = np.frombuffer(data, _VECTOR).reshape(len(rows), -1).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise self._damaged()
        return keys, vectors

    def put(
        self,
        keys: Iterable[int],
        ids: Iterable[Id],
        vectors: NDArray[np.float32],
        files: Iterable[bytes],
    ) -> None:
        """Keep images."""
        rows = (vector.tobytes() for vector in np.ascontiguousarray(vectors, _VECTOR))
        with self._explained():
            self._connection.executemany(
                "INSERT INTO image VALUES (?, ?, ?, ?)", zip(keys, ids, rows, files, strict=True)
            )

    def remove(self, keys: Iterable[int]) -> None:
        """Remove images."""
        with self._explained():
            self._connection.executemany("DELETE FROM image WHERE key=?", ([key] for key in keys))

    def read_files(self, keys: Sequence[int]) -> dict[int, bytes]:
        """Read the files of some images."""
        found: dict[int, Any] = {}
        with self._explained():
            for start in range(0, len(keys), _MAX_VALUES):
                part = keys[start : start + _MAX_VALUES]
                marks = ",".join("?" * len(part))
                found |= self._connection.execute(
                    f"SELECT key, file FROM image WHERE key IN ({marks})", part
                )
        # A damaged tree may list a row, and not find it by its key.
        if set(found) != set(keys) or not all(isinstance(file, bytes) for file in found.values()):
            raise self._damaged()
        return found

    def _damaged(self) -> ValueError:
        return ValueError(f"{self._name} is damaged. Take a copy, or fill a new one.")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # also of SQLite's own words
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNUSABLE:
                reason = "another process has it open" if "locked" in str(error) else str(error)
                raise OSError(f"{self._name} cannot be used: {reason}.") from error
            raise ValueError(
                f"{self._name} is not an index of images, or damaged: {error}."
            ) from error

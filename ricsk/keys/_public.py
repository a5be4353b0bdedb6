"""`PublicHalf`: what all public keys have in common."""

import html
import os
from abc import ABCMeta, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

from ricsk._atomic import write_whole
from ricsk.exceptions import KeyFileError, KeyFileNotFoundError, StateError
from ricsk.keys._file import MAX_FILE_BYTES, find_path_fault
from ricsk.keys._pair_text import (
    compute_fingerprint,
    format_pair_file,
    format_pair_line,
    scan_pair,
)
from ricsk.keys._text import decode, looks_like_key

__all__ = ["PublicHalf"]


class PublicHalf(metaclass=ABCMeta):
    """Base of public keys, which everybody may see.

    Subclasses name the marks of their texts in `_MARKS`, by kind, and check keys in `_load`.
    """

    __slots__ = ("_fingerprint", "_kind", "_raw")

    _MARKS: ClassVar[dict[str, str]]
    _PURPOSE: ClassVar[str]

    _raw: bytes
    _kind: str
    _fingerprint: str

    @classmethod
    def _make(cls, kind: str, raw: bytes) -> Self:
        key = cls.__new__(cls)
        key._fill(kind, raw)
        return key

    def _fill(self, kind: str, raw: bytes) -> None:
        self._load(kind, raw)
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_raw", raw)
        fingerprint = compute_fingerprint(self._MARKS[kind], raw)
        object.__setattr__(self, "_fingerprint", fingerprint)

    @classmethod
    @abstractmethod
    def _load(cls, kind: str, raw: bytes) -> Any:
        """Make what the cryptography works on, or raise a ValueError."""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a key from its text.

        Parameters
        ----------
        text : str
            What `text` says, or the content of a file.

        Returns
        -------
        key
            Of this class.

        Raises
        ------
        TypeError
            If `text` is not a ``str``.
        KeyFileError
            If `text` does not hold exactly one undamaged key.
        """
        if not isinstance(text, str):
            given = type(text).__name__
            del text
            raise TypeError(f"text must be a str that {cls.__name__}.text holds, got {given}")
        found = scan_pair(text, cls._MARKS.values())
        del text
        return cls._take(found, "the text given")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Read a key from the file that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        key
            Of this class.

        Raises
        ------
        TypeError
            If `path` is not a path.
        KeyFileNotFoundError
            If no file is there.
        KeyFileError
            If the file does not hold exactly one undamaged key.
        """
        fault = find_path_fault(path)
        if fault is None and not Path(path).is_file():
            advice = f"{cls.__name__}.from_text reads texts"
            if looks_like_key(os.fspath(path)):
                advice = "what was given is a secret key as text, which is no public key"
            fault = KeyFileNotFoundError(f"there is no file at the path given; {advice}")
        if fault is not None:
            del path
            raise fault
        with open(path, "rb") as file:
            found = scan_pair(decode(file.read(MAX_FILE_BYTES)), cls._MARKS.values())
        return cls._take(found, f"the key file {os.fspath(path)!r}")

    @classmethod
    def _take(cls, found: tuple[str, bytes] | str, where: str) -> Self:
        if isinstance(found, str):
            raise KeyFileError(f"{where} {found}")
        mark, raw = found
        kinds = {mark: kind for kind, mark in cls._MARKS.items()}
        try:
            return cls._make(kinds[mark], raw)
        except ValueError as error:
            raise KeyFileError(f"{where} holds no key of its kind: {error}") from None

    @property
    def kind(self) -> str:
        """Which cryptography it is for."""
        return self._kind

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that tell public keys apart.

        Compare them by another way than the key came, such as a telephone: two keys with one
        fingerprint cannot be found, and one with the fingerprint of a given key neither.
        """
        return self._fingerprint

    @property
    def text(self) -> str:
        """The key as one line of text, which is no secret."""
        return format_pair_line(self._MARKS[self._kind], self._raw)

    def save(self, path: str | os.PathLike[str]) -> Self:
        """Write the key to a new file.

        Parameters
        ----------
        path : str or path-like
            Where to write. Nothing is overwritten.

        Returns
        -------
        key
            The key itself.

        Raises
        ------
        FileExistsError
            If something is at `path` already.
        FileNotFoundError
            If the folder is not there.
        TypeError
            If `path` is not a path.
        """
        fault = find_path_fault(path)
        if fault is not None:
            del path
            raise fault
        said = [self._PURPOSE, f"Fingerprint: {self._fingerprint}"]
        content = format_pair_file(said, self.text)
        write_whole(path, content.encode("ascii"), overwrite=False)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}(fingerprint={self._fingerprint!r})"

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(repr(self), quote=False)}</code>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PublicHalf):
            return NotImplemented
        return self.text == other.text

    def __hash__(self) -> int:
        return hash(self._fingerprint)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __getstate__(self) -> dict[str, Any]:
        return {"kind": self._kind, "raw": self._raw}

    def __setstate__(self, state: dict[str, Any]) -> None:
        fault = StateError(
            f"a stored {type(self).__name__} is damaged or was made by hand. Read the key itself, "
            f"with {type(self).__name__}.from_file"
        )
        if not isinstance(state, dict) or set(state) != {"kind", "raw"}:
            raise fault
        kind, raw = state["kind"], state["raw"]
        if not isinstance(kind, str) or kind not in self._MARKS or type(raw) is not bytes:
            raise fault
        try:
            self._fill(kind, raw)
        except ValueError:
            raise fault from None

"""`PairSecret`: the secret half of a key pair."""

import re
from abc import abstractmethod
from typing import Any, ClassVar, Self

from ricsk.keys._keystream import fresh_bytes
from ricsk.keys._pair_text import format_pair_file, format_pair_line, scan_pair
from ricsk.keys._public import PublicHalf
from ricsk.keys._stored_secret import StoredSecret
from ricsk.keys._text import KEY_BYTES

__all__ = ["PairSecret"]


class PairSecret(StoredSecret):
    """Base of the secret halves of key pairs: 32 bytes of a kind."""

    __slots__ = ()

    _FIELDS = ("raw", "kind")
    _ID_NAME = "fingerprint"
    _ID = re.compile(r"[0-9a-f]{32}")
    _MARKS: ClassVar[dict[str, str]]
    _PURPOSE: ClassVar[str]

    def __init__(self) -> None:
        name = type(self).__name__
        raise TypeError(f"make a new key with {name}.generate, or read one with {name}.from_file")

    @classmethod
    def _generate(cls, kind: str) -> Self:
        if kind not in cls._MARKS:
            known = " or ".join(map(repr, cls._MARKS))
            raise ValueError(f"kind={kind!r}; expected {known}.")
        return cls._make((fresh_bytes(KEY_BYTES), kind), "generated")

    @classmethod
    @abstractmethod
    def _find_public(cls, raw: bytes, kind: str) -> PublicHalf:
        """Find the public half."""

    @classmethod
    def _scan(cls, text: str) -> tuple[Any, ...] | str:
        found = scan_pair(text, cls._MARKS.values())
        if isinstance(found, str):
            return found
        kinds = {mark: kind for kind, mark in cls._MARKS.items()}
        content = found[1], kinds[found[0]]
        return content if cls._is_content(*content) else "holds a key of another length"

    def _write(self) -> str:
        raw, kind = self._content
        return format_pair_line(self._MARKS[kind], raw)

    @classmethod
    def _compute_id(cls, *content: Any) -> str:
        return cls._find_public(*content).fingerprint

    @classmethod
    def _is_content(cls, *content: Any) -> bool:
        raw, kind = content
        is_kind = isinstance(kind, str) and kind in cls._MARKS
        return is_kind and type(raw) is bytes and len(raw) == KEY_BYTES

    def _format_file(self) -> str:
        said = [
            self._PURPOSE,
            "Anyone who can read this file can do the same. Without it, nobody can.",
            f"Fingerprint of its public key: {self._id}",
        ]
        return format_pair_file(said, self.reveal())

    @classmethod
    def _explain(cls, value: Any) -> Exception | None:
        return TypeError(
            f"key must be a {cls.__name__} or the path of its file, got {type(value).__name__}. "
            f"What {cls.__name__}.reveal returned goes through {cls.__name__}.from_text"
        )

    @property
    def kind(self) -> str:
        """Which cryptography it is for."""
        return str(self._content[1])

    @property
    def fingerprint(self) -> str:
        """That of the public key: 32 hexadecimal digits, which are no secret."""
        return self._id

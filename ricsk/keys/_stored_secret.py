"""`StoredSecret`: what all secrets have in common, which never print themselves."""

import hmac
import html
import os
import re
from abc import ABCMeta, abstractmethod
from contextvars import ContextVar
from typing import Any, ClassVar, Self, SupportsIndex

from ricsk.exceptions import KeyFileError, KeyReferenceError, StateError, WrongKeyError
from ricsk.keys._file import find_location_fault, find_path_fault, read_text, write_new
from ricsk.keys._paths import StoredPath
from ricsk.keys._text import looks_like_key
from ricsk.keys._unusable import UnusableKey

__all__ = ["ALLOWED", "StoredSecret"]

ALLOWED: ContextVar[tuple["StoredSecret", ...]] = ContextVar("allowed_keys", default=())
"""The keys that files of data alone may refer to, see `allow_references`."""

_REFERENCES = ("file", "environment")
_ID_DIGITS = 16
# How much of a text from a stranger's file an error repeats.
_MAX_SHOWN = 80

# Some tools show the local variables of a traceback. So what may be a secret is deleted before an
# error is raised, and the functions that look at it return faults instead of raising them.


class StoredSecret(metaclass=ABCMeta):
    """Base of secrets that are kept in files and variables, and never print themselves.

    Subclasses say what a secret consists of (`_FIELDS`, the first of which is its bytes) and how it
    is written: `_scan` and `_write`.
    """

    __slots__ = ("_content", "_id", "_location", "_source")

    _FIELDS: ClassVar[tuple[str, ...]]
    _SOURCES: ClassVar[tuple[str, ...]] = ("generated", "text")
    _ID_NAME: ClassVar[str]
    _ID: ClassVar[re.Pattern[str]]

    _content: tuple[Any, ...]
    _source: str
    _location: str | None  # of the file or environment variable
    _id: str

    def _fill(self, content: tuple[Any, ...], source: str, location: str | None = None) -> None:
        values = {
            "_content": content,
            "_source": source,
            "_location": location,
            "_id": self._compute_id(*content),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def _make(cls, content: tuple[Any, ...], source: str, location: str | None = None) -> Self:
        key = cls.__new__(cls)
        key._fill(content, source, location)
        return key

    @classmethod
    def _take(
        cls, found: tuple[Any, ...] | str, where: str, source: str, location: str | None = None
    ) -> Self:
        """Make a key from what `_scan` found."""
        if isinstance(found, str):
            raise KeyFileError(f"{where} {found}")
        return cls._make(found, source, location)

    @classmethod
    @abstractmethod
    def _scan(cls, text: str) -> tuple[Any, ...] | str:
        """Find the content of a secret in a text, or say what is wrong, without quoting it."""

    @abstractmethod
    def _write(self) -> str:
        """Write the secret as one line of text."""

    @classmethod
    @abstractmethod
    def _compute_id(cls, *content: Any) -> str:
        """Compute the public name."""

    @classmethod
    @abstractmethod
    def _is_content(cls, *content: Any) -> bool:
        """Tell whether these can be the content of a secret."""

    @abstractmethod
    def _format_file(self) -> str:
        """Write what is in a file of the secret."""

    @classmethod
    @abstractmethod
    def _explain(cls, value: Any) -> Exception | None:
        """Say why something that is neither a key nor a path is none, or that it is one."""

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Read a key from the file that `save` wrote.

        The key is pickled as a reference to the file's absolute path.

        Parameters
        ----------
        path : str or path-like
            The key file.

        Returns
        -------
        key
            Of this class.

        Warns
        -----
        UserWarning
            If the file belongs to another user than this one and root, or others may read or
            change it (POSIX systems only).

        Raises
        ------
        TypeError
            If `path` is not a path. A number, which would be that of an open file, is not.
        KeyFileNotFoundError
            If no file is there; it is a `FileNotFoundError` too. The message does not repeat
            `path`, which may be a secret given by mistake.
        KeyFileError
            If `path` is that of a folder, a pipe or a device, or the file does not hold exactly
            one undamaged key of this format.

        Examples
        --------
        >>> import os, tempfile
        >>> from ricsk.keys import SecretKey
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "images.key")
        ...     saved = SecretKey.generate().save(path)
        ...     SecretKey.from_file(path) == saved
        True
        """
        fault = find_location_fault(path, cls.__name__)
        if fault is not None:
            del path
            raise fault
        path = os.path.abspath(path)
        return cls._take(
            cls._scan(read_text(path, cls.__name__)), f"the key file {path!r}", "file", path
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a key from the text that `reveal` returned.

        Use it where a program hands you the text, such as a keyring or a server's secret store.
        What you read from a file or an environment variable is better read by `from_file` or
        `from_env`: their keys are pickled as references, and a key read from text is pickled
        **with its secret bytes**.

        Parameters
        ----------
        text : str
            What `reveal` returned, or the content of a key file.

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

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> key = SecretKey.generate()
        >>> SecretKey.from_text(key.reveal()) == key
        True
        """
        if not isinstance(text, str):
            given = type(text).__name__
            del text
            raise TypeError(f"text must be a str that {cls.__name__}.reveal returned, got {given}")
        found = cls._scan(text)
        del text
        return cls._take(found, "the text given", "text")

    @classmethod
    def from_env(cls, name: str) -> Self:
        """Read a key from an environment variable.

        The variable holds what `reveal` returns, or the content of a key file. The key is
        pickled as a reference to the variable's name.

        Parameters
        ----------
        name : str
            The variable's name.

        Returns
        -------
        key
            Of this class.

        Raises
        ------
        TypeError
            If `name` is not a ``str``.
        KeyFileError
            If the variable is not set, or does not hold exactly one undamaged key. The message
            does not repeat the `name` of a variable that is not set, which may be the key given
            by mistake.

        Examples
        --------
        >>> import os
        >>> from ricsk.keys import SecretKey
        >>> os.environ["IMAGES_KEY"] = SecretKey.generate().reveal()
        >>> SecretKey.from_env("IMAGES_KEY")
        SecretKey(key_id='...', source='environment')
        >>> del os.environ["IMAGES_KEY"]
        """
        if not isinstance(name, str):
            given = type(name).__name__
            del name
            raise TypeError(f"name must be the name of an environment variable, a str, got {given}")
        text = _read_variable(name)
        if text is None:
            advice = (
                f"name is a key as text; read it with {cls.__name__}.from_text"
                if looks_like_key(name)
                else f"give the name of one that holds what {cls.__name__}.reveal returned"
            )
            del name
            raise KeyFileError(f"no environment variable of the name given is set: {advice}")
        found = cls._scan(text)
        del text
        return cls._take(found, f"the environment variable {name}", "environment", name)

    @classmethod
    def find_fault(cls, value: Any) -> Exception | None:
        """Say why something cannot be used as a key of this class, without repeating it.

        No file is read.

        Parameters
        ----------
        value : object
            What was given.

        Returns
        -------
        Exception or None
            The error to raise.
        """
        if isinstance(value, cls):
            return None
        if isinstance(value, UnusableKey):
            return value.make_fault()
        if isinstance(value, StoredPath):
            return KeyReferenceError(
                f"the path of the key, {_shorten(value)}, comes out of a file that was loaded, and "
                "is not followed. If it is yours, give the key again: set_params(key=path)"
            )
        if isinstance(value, str | os.PathLike):
            return find_location_fault(value, cls.__name__)
        return cls._explain(value)

    @classmethod
    def coerce(cls, key: Any) -> Self:
        """Make a key from what an encryptor was given.

        Parameters
        ----------
        key : key, str or path-like
            A key of this class (returned as it is), or the path of its file.

        Returns
        -------
        key
            Of this class.

        Raises
        ------
        TypeError, ValueError
            If `key` is anything else.
        KeyFileNotFoundError, KeyFileError
            As `from_file`.
        KeyReferenceError
            If `key` is a path that was loaded from a file, and not given.
        """
        fault = cls.find_fault(key)
        if fault is not None:
            del key
            raise fault
        return key if isinstance(key, cls) else cls.from_file(key)

    def reveal(self) -> str:
        """Return the secret as one line of text.

        This is the only way to get the secret as text. Use it to fill an environment variable,
        which `from_env` reads, or a secret store, whose text `from_text` reads; do not print it in
        a notebook, which saves what it prints.

        Returns
        -------
        str
            ``"RICSK-KEY-1-"`` and 48 characters; for a key made from a passphrase, followed by a
            dot and the 32 hexadecimal digits of the salt.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> len(SecretKey.generate().reveal())
        60
        """
        return self._write()

    def save(self, path: str | os.PathLike[str]) -> Self:
        """Write the key to a new file that only its owner may read.

        Parameters
        ----------
        path : str or path-like
            Where to write. Nothing is ever overwritten, and nothing half-written is left behind.

        Returns
        -------
        key
            The key as `from_file` reads it. Use it from here on, and what you pickle holds a
            reference to the file instead of the secret.

        Raises
        ------
        FileExistsError
            If something is at `path` already.
        FileNotFoundError
            If the folder is not there.
        TypeError
            If `path` is not a path.

        Examples
        --------
        >>> import os, tempfile
        >>> from ricsk.keys import SecretKey
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     key = SecretKey.generate().save(os.path.join(folder, "images.key"))
        >>> key
        SecretKey(key_id='...', source='file')
        """
        fault = find_path_fault(path)
        if fault is not None:
            del path
            raise fault
        write_new(os.fspath(path), self._format_file)
        return self.from_file(path)

    @property
    def is_reference(self) -> bool:
        """Whether pickles hold where the key was read from, and not its bytes."""
        return self._location is not None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._ID_NAME}={self._id!r}, source={self._source!r})"

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(repr(self), quote=False)}</code>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredSecret):
            return NotImplemented
        # Ids of different classes differ. What follows their digits is not looked at: a salt.
        same_id = self._id[:_ID_DIGITS] == other._id[:_ID_DIGITS]
        return same_id and hmac.compare_digest(self._content[0], other._content[0])

    def __hash__(self) -> int:
        return hash(self._id[:_ID_DIGITS])

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __setattr__(self, name: str, value: object) -> None:
        del value
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        # A pickle may run any code, so following its references adds no danger. Formats that hold
        # data alone, such as skops, go through `__setstate__`, which follows none.
        if self._location is None:
            return super().__reduce_ex__(protocol)
        return self._read_reference, (self._source, self._location, self._id)

    @classmethod
    def _read_reference(cls, source: str, location: str, key_id: str) -> Self:
        """Read a key from the place that a pickle names."""
        load = cls.from_file if source == "file" else cls.from_env
        reference = f"the key {key_id} was stored as a reference to {source} {location!r}"
        try:
            found = load(location)
        except (FileNotFoundError, KeyFileError) as error:
            raise type(error)(f"{reference}, which cannot be read: {error}") from None
        if found._id != key_id:
            raise WrongKeyError(f"{reference}, which now holds the key {found._id}")
        return found

    def __getstate__(self) -> dict[str, Any]:
        if self._location is None:
            content = zip(self._FIELDS, self._content, strict=True)
            return {"source": self._source, **dict(content)}
        return {"source": self._source, "location": self._location, self._ID_NAME: self._id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        fault = self._find_state_fault(state)
        if fault is not None:
            del state
            raise fault
        if "location" not in state:
            self._fill(tuple(state[name] for name in self._FIELDS), state["source"])
            return
        key = self._find_allowed(state["source"], state["location"], state[self._ID_NAME])
        self._fill(key._content, key._source, key._location)

    @classmethod
    def _find_state_fault(cls, state: Any) -> Exception | None:
        """Say why a stored key cannot be one, without repeating it."""
        names = set(state) if isinstance(state, dict) else set()
        source = state["source"] if "source" in names else None
        if names == {"source", *cls._FIELDS} and isinstance(source, str):
            if source in cls._SOURCES and cls._is_content(*(state[name] for name in cls._FIELDS)):
                return None
        elif names == {"source", "location", cls._ID_NAME} and isinstance(source, str):
            location, key_id = state["location"], state[cls._ID_NAME]
            are_texts = isinstance(location, str) and isinstance(key_id, str)
            if source in _REFERENCES and are_texts and cls._ID.fullmatch(key_id):
                return None
        return StateError(
            "a stored key is damaged or was made by hand. Read the key itself, with "
            f"{cls.__name__}.from_file"
        )

    @classmethod
    def _find_allowed(cls, source: str, location: str, key_id: str) -> Self:
        for key in ALLOWED.get():
            if isinstance(key, cls) and key._id == key_id:
                return key
        how = f"{cls.__name__}.from_{'file' if source == 'file' else 'env'}"
        raise KeyReferenceError(
            f"what is loaded refers to the key {key_id} in the {source} {_shorten(location)}, and "
            f"references are followed in pickles alone. If it is yours, read it with {how}, and "
            "load within: with ricsk.keys.allow_references(key)"
        )


def _shorten(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")


def _read_variable(name: str) -> str | None:
    try:
        return os.environ.get(name)
    except ValueError:  # a lone surrogate
        return None

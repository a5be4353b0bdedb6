"""`SecretKey`: 32 secret bytes that never print themselves."""

import hmac
import html
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self, SupportsIndex

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ricsk._secrets import RAW_TYPES
from ricsk.exceptions import KeyFileError, KeyReferenceError, StateError, WrongKeyError
from ricsk.keys._arguments import check_bytes, check_int, check_purpose
from ricsk.keys._file import find_location_fault, find_path_fault, read_text, write_new
from ricsk.keys._keystream import Keystream, fresh_bytes
from ricsk.keys._paths import StoredPath
from ricsk.keys._text import KEY_BYTES, format_file, format_line, looks_like_key, scan
from ricsk.keys._unusable import UnusableKey

__all__ = ["SecretKey", "allow_references", "find_key_fault"]

_SALT_BYTES = 16
_REFERENCES = ("file", "environment")
_SOURCES = ("bytes", "generated", "passphrase", "text")
_LENGTHS = ((KEY_BYTES, 0), (KEY_BYTES, _SALT_BYTES))
# How much of a text from a stranger's file an error repeats.
_MAX_SHOWN = 80
_PASSPHRASE_KEY_ID = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{32}")
_KEY_ID = re.compile(r"[0-9a-f]{16}(\.[0-9a-f]{32})?")

# Some tools show the local variables of a traceback. So what may be a secret is deleted before an
# error is raised, and the functions that look at it return faults instead of raising them.


class SecretKey:
    """A secret key of 32 bytes that never prints itself.

    Make one with `generate` and keep it with `save`, or make it from a passphrase with
    `from_passphrase`. Every encryptor takes it as its parameter ``key``.

    The secret does not appear in ``repr``, in the HTML view, in an exception or in the hash. It
    leaves the object through `reveal`, `save` and, for some keys, **pickling**:

    - A key read by `from_file` or `from_env`, or returned by `save`, is pickled as a reference:
      where it is and which key id it has. It is read again when a pickle is loaded, and handed
      over by `allow_references` when anything else is.
    - Any other key (generated, made from bytes, text or a passphrase) is pickled **with its secret
      bytes**. They are then in every pickle of an estimator with that key, and in the files that
      ``joblib.dump(estimator)`` and ``Pipeline(memory=...)`` write, which on most systems **all
      users of the machine may read** (mode 644). To keep them out, save the key first, and use what
      `save` returns.

    A key cannot be changed. Copies, also deep ones, are the key itself. Two keys are equal if
    their secret bytes are.

    Read more in the :ref:`User Guide <guide-keys>`.

    Parameters
    ----------
    raw : bytes or bytearray
        The secret, exactly 32 bytes, which are copied. They must be uniformly random; use
        `from_passphrase` for anything that a person made up.

    Raises
    ------
    TypeError
        If `raw` is not bytes.
    ValueError
        If `raw` does not have 32 bytes.

    See Also
    --------
    Keystream : The random bytes, numbers and permutations that follow from a key.

    Examples
    --------
    >>> from ricsk.keys import SecretKey
    >>> SecretKey(bytes(range(32)))
    SecretKey(key_id='c01603b676738217', source='bytes')

    A pickle of an estimator contains the secret, unless its key is a reference:

    >>> import os, pickle, tempfile
    >>> from ricsk import PixelEncryptor
    >>> secret = os.urandom(32)
    >>> secret in pickle.dumps(PixelEncryptor(SecretKey(secret)))
    True
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     key = SecretKey(secret).save(os.path.join(folder, "images.key"))
    >>> secret in pickle.dumps(PixelEncryptor(key))
    False
    """

    __slots__ = ("_key_id", "_location", "_raw", "_salt", "_source")

    _raw: bytes
    _salt: bytes  # empty unless the key was made from a passphrase
    _source: str
    _location: str | None  # of the file or environment variable
    _key_id: str

    def __init__(self, raw: bytes | bytearray | memoryview) -> None:
        fault = _find_raw_fault(raw)
        if fault is not None:
            del raw
            raise fault
        self._fill(bytes(raw), b"", "bytes")

    def _fill(self, raw: bytes, salt: bytes, source: str, location: str | None = None) -> None:
        key_id = _hkdf(raw, b"ricsk/1 key id", 8).hex()
        if salt:
            key_id += "." + salt.hex()
        values = {
            "_raw": raw,
            "_salt": salt,
            "_source": source,
            "_location": location,
            "_key_id": key_id,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def _make(cls, raw: bytes, salt: bytes, source: str, location: str | None = None) -> Self:
        key = cls.__new__(cls)
        key._fill(raw, salt, source, location)
        return key

    @classmethod
    def _take(
        cls, found: tuple[bytes, bytes] | str, where: str, source: str, location: str | None = None
    ) -> Self:
        """Make a key from what `scan` found."""
        if isinstance(found, str):
            raise KeyFileError(f"{where} {found}")
        return cls._make(*found, source, location)

    @classmethod
    def generate(cls) -> Self:
        """Make a new random key with the operating system's generator.

        Returns
        -------
        SecretKey
            A key that exists nowhere else: `save` it, or what it encrypts is lost.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey.generate()
        SecretKey(key_id='...', source='generated')
        """
        return cls._make(fresh_bytes(KEY_BYTES), b"", "generated")

    @classmethod
    def from_passphrase(cls, passphrase: str, *, key_id: str | None = None) -> Self:
        """Make a key from a passphrase, with Argon2id.

        The passphrase is brought to Unicode's form NFC, so that two ways to type an accent are
        one passphrase, and encoded as UTF-8; nothing is stripped or folded. Argon2id runs with
        RFC 9106's second recommended option (3 passes, 4 lanes, 64 MiB of memory) and a salt of
        16 bytes.

        Parameters
        ----------
        passphrase : str
            The secret. Its strength is the key's strength: several random words, not one.
        key_id : str, optional
            The `key_id` of the key to make again; it holds the salt. By default, a new salt is
            drawn and the key is a new one even if the passphrase was used before.

        Returns
        -------
        SecretKey
            The key. Keep its `key_id`, which is public, to be able to make it again.

        Raises
        ------
        TypeError
            If `passphrase` or `key_id` is not a ``str``.
        ValueError
            If `passphrase` is empty, or `key_id` is not that of a passphrase's key.
        WrongKeyError
            If the passphrase is not the one that `key_id` was made with.

        References
        ----------
        RFC 9106, Argon2 Memory-Hard Function, section 4.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> key = SecretKey.from_passphrase("correct horse battery staple")
        >>> again = SecretKey.from_passphrase("correct horse battery staple", key_id=key.key_id)
        >>> again == key
        True
        """
        fault = _find_passphrase_fault(passphrase, key_id)
        if fault is not None:
            del passphrase, key_id
            raise fault
        salt = fresh_bytes(_SALT_BYTES) if key_id is None else bytes.fromhex(key_id[-32:])
        key = cls._make(_stretch(passphrase, salt), salt, "passphrase")
        del passphrase
        if key_id is not None and key.key_id != key_id:
            raise WrongKeyError(f"the passphrase is not that of the key with id {key_id!r}")
        return key

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
        SecretKey
            The key.

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
        fault = find_location_fault(path)
        if fault is not None:
            del path
            raise fault
        path = os.path.abspath(path)
        return cls._take(scan(read_text(path)), f"the key file {path!r}", "file", path)

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
        SecretKey
            The key.

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
            raise TypeError(f"text must be a str that SecretKey.reveal returned, got {given}")
        found = scan(text)
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
        SecretKey
            The key.

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
                "name is a key as text; read it with SecretKey.from_text"
                if looks_like_key(name)
                else "give the name of one that holds what SecretKey.reveal returned"
            )
            del name
            raise KeyFileError(f"no environment variable of the name given is set: {advice}")
        found = scan(text)
        del text
        return cls._take(found, f"the environment variable {name}", "environment", name)

    @classmethod
    def coerce(cls, key: "SecretKey | bytes | str | os.PathLike[str] | None") -> "SecretKey":
        """Make a key from what an encryptor was given as ``key``.

        Parameters
        ----------
        key : SecretKey, bytes, str or path-like
            A key (returned as it is), its 32 bytes, or the path of a key file.

        Returns
        -------
        SecretKey
            The key.

        Raises
        ------
        ValueError
            If `key` is None or bytes of another length.
        TypeError
            If `key` is of any other type.
        KeyFileNotFoundError, KeyFileError
            As `from_file`.
        KeyReferenceError
            If `key` is a path that was loaded from a file, and not given.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> key = SecretKey.generate()
        >>> SecretKey.coerce(key) is key
        True
        """
        fault = find_key_fault(key)
        if fault is not None:
            del key
            raise fault
        if isinstance(key, SecretKey):
            return key
        if isinstance(key, RAW_TYPES):
            return cls(key)
        # Only paths are left, which mypy does not see.
        return cls.from_file(key)  # type: ignore[arg-type]

    @property
    def key_id(self) -> str:
        """Public name of the key, from which the key cannot be found.

        16 hexadecimal digits; for a key made from a passphrase, followed by a dot and the 32
        hexadecimal digits of the salt. A weak passphrase can be guessed with the help of its
        key id, as with any password hash.
        """
        return self._key_id

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
        return format_line(self._raw, self._salt)

    def save(self, path: str | os.PathLike[str]) -> Self:
        """Write the key to a new file that only its owner may read.

        Parameters
        ----------
        path : str or path-like
            Where to write. Nothing is ever overwritten, and nothing half-written is left behind.

        Returns
        -------
        SecretKey
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
        write_new(os.fspath(path), lambda: format_file(self._key_id, self.reveal()))
        return self.from_file(path)

    def derive(self, purpose: str, context: bytes = b"", length: int = 32) -> bytes:
        r"""Derive secret bytes for one purpose, with HKDF-SHA256.

        The salt is empty and the info is ``b"ricsk/1/" + purpose + b"\x00" + context``. Bytes
        for different purposes or contexts tell nothing about each other or about the key. Bytes
        of different length for the same purpose and context are not independent: the shorter
        are the beginning of the longer.

        Parameters
        ----------
        purpose : str
            What the bytes are for, in printable ASCII, at least one character. Use each purpose
            for one thing only.
        context : bytes
            What else the bytes depend on, such as a nonce or an image shape.
        length : int
            How many bytes, from 1 to 8160.

        Returns
        -------
        bytes
            The derived bytes.

        Raises
        ------
        TypeError
            If `purpose` is not a ``str``, `context` not bytes or `length` not an ``int``.
        ValueError
            If `purpose` or `length` is outside the values above.

        References
        ----------
        RFC 5869, HMAC-based Extract-and-Expand Key Derivation Function (HKDF).

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> key = SecretKey(bytes(range(32)))
        >>> key.derive("example", length=8).hex()
        '8b56b89bda623e29'
        """
        purpose, context = check_purpose(purpose), check_bytes("context", context)
        length = check_int("length", length)
        if not 1 <= length <= 255 * 32:
            raise ValueError(f"length must be from 1 to 8160 bytes, got {length}")
        return _hkdf(self._raw, b"ricsk/1/" + purpose.encode() + b"\0" + context, length)

    def keystream(self, purpose: str, context: bytes = b"") -> "Keystream":
        """Open the stream of random numbers that this key has for one purpose.

        Parameters
        ----------
        purpose : str
            What the stream is for, in printable ASCII, at least one character. Use each purpose
            for one thing only.
        context : bytes
            What else the stream depends on, such as a nonce or an image shape.

        Returns
        -------
        Keystream
            The stream, from its beginning.

        Raises
        ------
        TypeError
            If `purpose` is not a ``str`` or `context` not bytes.
        ValueError
            If `purpose` is empty or not printable ASCII.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> key = SecretKey(bytes(range(32)))
        >>> key.keystream("example").integers(10, size=5)
        array([4, 1, 5, 6, 1])
        """
        return Keystream(self.derive(purpose, context), purpose)

    def __repr__(self) -> str:
        return f"SecretKey(key_id={self._key_id!r}, source={self._source!r})"

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(repr(self), quote=False)}</code>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretKey):
            return NotImplemented
        return hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self._key_id[:16])  # without the salt, which equality does not look at

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __setattr__(self, name: str, value: object) -> None:
        del value
        raise AttributeError("a SecretKey cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a SecretKey cannot be changed")

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        # A pickle may run any code, so following its references adds no danger. Formats that hold
        # data alone, such as skops, go through `__setstate__`, which follows none.
        if self._location is None:
            return super().__reduce_ex__(protocol)
        return self._read_reference, (self._source, self._location, self._key_id)

    @classmethod
    def _read_reference(cls, source: str, location: str, key_id: str) -> Self:
        """Read a key from the place that a pickle names."""
        load = cls.from_file if source == "file" else cls.from_env
        reference = f"the key {key_id} was stored as a reference to {source} {location!r}"
        try:
            found = load(location)
        except (FileNotFoundError, KeyFileError) as error:
            raise type(error)(f"{reference}, which cannot be read: {error}") from None
        if found.key_id != key_id:
            raise WrongKeyError(f"{reference}, which now holds the key {found.key_id}")
        return found

    def __getstate__(self) -> dict[str, Any]:
        if self._location is None:
            return {"source": self._source, "raw": self._raw, "salt": self._salt}
        return {"source": self._source, "location": self._location, "key_id": self._key_id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        fault = _find_state_fault(state)
        if fault is not None:
            del state
            raise fault
        if "raw" in state:
            self._fill(state["raw"], state["salt"], state["source"])
            return
        key = _find_allowed(state["source"], state["location"], state["key_id"])
        self._fill(key._raw, key._salt, key._source, key._location)


_allowed_keys: ContextVar[tuple[SecretKey, ...]] = ContextVar("allowed_keys", default=())


@contextmanager
def allow_references(*keys: SecretKey) -> Iterator[None]:
    """Hand over keys to what is loaded meanwhile from files that refer to them.

    A file of a format that holds data alone, such as skops, may have been made by anybody. So a
    reference to a key in it is never followed: no path and no environment variable that it names is
    read. Within this context a reference with the id of one of the keys becomes that key.

    What is loaded then encrypts and decrypts with the key, in the way that the file says, which may
    hide nothing. Hand a key over to files of your own, and to others once you have looked at their
    parameters. Pickles need no such context, because opening one trusts it with everything.

    Parameters
    ----------
    *keys : SecretKey
        The keys that files may refer to.

    Raises
    ------
    TypeError
        If one of them is not a `SecretKey`.

    Examples
    --------
    >>> import os, tempfile
    >>> import skops.io
    >>> from ricsk.keys import SecretKey, allow_references
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     key = SecretKey.generate().save(os.path.join(folder, "images.key"))
    >>> data = skops.io.dumps(key)
    >>> with allow_references(key):
    ...     again = skops.io.loads(data, trusted=["ricsk.keys.SecretKey"])
    >>> again == key
    True
    """
    for key in keys:
        if not isinstance(key, SecretKey):
            given = type(key).__name__
            del keys, key
            raise TypeError(
                f"allow_references takes keys of the class SecretKey, got {given}: read the key "
                "with SecretKey.from_file or SecretKey.from_env"
            )
    token = _allowed_keys.set((*_allowed_keys.get(), *keys))
    try:
        yield
    finally:
        _allowed_keys.reset(token)


def _find_allowed(source: str, location: str, key_id: str) -> SecretKey:
    for key in _allowed_keys.get():
        if key.key_id == key_id:
            return key
    how = "from_file" if source == "file" else "from_env"
    raise KeyReferenceError(
        f"what is loaded refers to the key {key_id} in the {source} {_shorten(location)}, and "
        f"references are followed in pickles alone. If it is yours, read it with SecretKey.{how}, "
        "and load within: with ricsk.keys.allow_references(key)"
    )


def _find_state_fault(state: Any) -> Exception | None:
    """Say why a stored key cannot be one, without repeating it."""
    names = set(state) if isinstance(state, dict) else set()
    source = state["source"] if "source" in names else None
    if names == {"source", "raw", "salt"} and isinstance(source, str):
        raw, salt = state["raw"], state["salt"]
        are_bytes = type(raw) is type(salt) is bytes
        if source in _SOURCES and are_bytes and (len(raw), len(salt)) in _LENGTHS:
            return None
    elif names == {"source", "location", "key_id"} and isinstance(source, str):
        location, key_id = state["location"], state["key_id"]
        are_texts = isinstance(location, str) and isinstance(key_id, str)
        if source in _REFERENCES and are_texts and _KEY_ID.fullmatch(key_id):
            return None
    return StateError(
        "a stored key is damaged or was made by hand. Read the key itself, with SecretKey.from_file"
    )


def _shorten(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")


def find_key_fault(key: Any) -> Exception | None:
    """Say why something cannot be used as a key, without repeating it. No file is read."""
    if isinstance(key, SecretKey):
        return None
    if isinstance(key, UnusableKey):
        return key.make_fault()
    if isinstance(key, RAW_TYPES):
        return _find_raw_fault(key)
    if isinstance(key, StoredPath):
        return KeyReferenceError(
            f"the path of the key, {_shorten(key)}, comes out of a file that was loaded, and is "
            "not followed. If it is yours, give the key again: set_params(key=path)"
        )
    if isinstance(key, str | os.PathLike):
        return find_location_fault(key)
    if key is None:
        return ValueError(
            "no key was given. Make one with key=SecretKey.generate() and keep it with "
            "key.save(path); without it, what it encrypts is lost"
        )
    return TypeError(
        "key must be a SecretKey, its 32 bytes, or the path of a key file, got "
        f"{type(key).__name__}. A passphrase goes through SecretKey.from_passphrase, and what "
        "SecretKey.reveal returned through SecretKey.from_text"
    )


def _find_raw_fault(raw: Any) -> Exception | None:
    if not isinstance(raw, RAW_TYPES):
        return TypeError(
            f"a SecretKey is made from {KEY_BYTES} bytes, got {type(raw).__name__}. A passphrase "
            "goes through SecretKey.from_passphrase, and what SecretKey.reveal returned through "
            "SecretKey.from_text"
        )
    length = len(bytes(raw))
    if length != KEY_BYTES:
        return ValueError(
            f"a SecretKey is made from {KEY_BYTES} bytes, got {length}. A passphrase goes through "
            "SecretKey.from_passphrase"
        )
    return None


def _find_passphrase_fault(passphrase: Any, key_id: Any) -> Exception | None:
    if not isinstance(passphrase, str):
        given = type(passphrase).__name__
        return TypeError(f"passphrase must be a str, got {given}: decode it first")
    if not passphrase:
        return ValueError("passphrase is empty: give several random words")
    if key_id is None:
        return None
    expected = "the key_id of a key made from a passphrase"
    if not isinstance(key_id, str):
        return TypeError(f"key_id must be a str, {expected}, got {type(key_id).__name__}")
    if _PASSPHRASE_KEY_ID.fullmatch(key_id) is None:
        return ValueError(
            f"key_id must be {expected}: 16 hexadecimal digits, a dot, and 32 more (the salt)"
        )
    return None


def _stretch(passphrase: str, salt: bytes) -> bytes:
    kdf = Argon2id(salt=salt, length=KEY_BYTES, iterations=3, lanes=4, memory_cost=64 * 1024)
    # surrogatepass: the error of a lone surrogate would carry the passphrase
    return kdf.derive(unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass"))


def _read_variable(name: str) -> str | None:
    try:
        return os.environ.get(name)
    except ValueError:  # a lone surrogate
        return None


def _hkdf(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(key)

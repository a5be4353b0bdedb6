"""Secret keys, and everything random that is made of them.

A `SecretKey` is 32 secret bytes that never print themselves. A `Keystream` is the random bytes,
numbers and permutations that follow from a key and a purpose; the same key and purpose give the
same stream on every machine. The user guide's page on keys specifies both to the byte.
"""

import base64
import builtins
import hashlib
import hmac
import math
import operator
import os
import re
import secrets
import shlex
import stat
import unicodedata
import warnings
from datetime import UTC, datetime
from typing import Any, NoReturn, Self

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from ricsk.exceptions import KeyFileError, WrongKeyError

__all__ = ["Keystream", "SecretKey"]

_KEY_BYTES = 32
_SALT_BYTES = 16
_PASSPHRASE_KEY_ID = re.compile(r"[0-9a-f]{16}\.([0-9a-f]{32})")
_TEXT = re.compile(r"RICSK-KEY-1-([A-Za-z0-9_-]{48})(?:\.([0-9a-f]{32}))?")
_FILE = """\
# A secret key of ricsk, made for image encryption.
# Whoever can read this file can decrypt what was encrypted with it. Without it, nobody can.
# Key id: {key_id}
# Saved: {date}
{text}
"""


class SecretKey:
    """A secret key of 32 bytes that never prints itself.

    Make one with `generate` and keep it with `save`, or make it of a passphrase with
    `from_passphrase`. Every estimator takes it as its parameter ``key``.

    The secret does not appear in ``repr``, in the HTML view, in an exception or in the hash.
    It leaves the object through `reveal`, `save` and, for some keys, **pickling**: a key of
    `from_file` or `from_env` is pickled as a reference (where it is and which key id it has) and
    read again on loading; a key that was generated, given as bytes or made of a passphrase is
    pickled **with its secret bytes**, so that whoever gets the pickle of an estimator gets the key.

    A key cannot be changed. Copies, also deep ones, are the key itself. Two keys are equal if
    their secret bytes are.

    Parameters
    ----------
    raw : bytes
        The secret, exactly 32 bytes. They must be uniformly random; use `from_passphrase` for
        anything that a person made up.

    Raises
    ------
    TypeError
        If `raw` is not ``bytes``.
    ValueError
        If `raw` does not have 32 bytes.

    See Also
    --------
    Keystream : The random bytes, numbers and permutations made of a key.

    Examples
    --------
    >>> from ricsk.keys import SecretKey
    >>> SecretKey(bytes(range(32)))
    SecretKey(key_id='c01603b676738217', source='bytes')
    """

    __slots__ = ("_key_id", "_location", "_raw", "_salt", "_source")

    _raw: bytes
    _salt: bytes  # empty unless the key was made of a passphrase
    _source: str
    _location: str | None  # of the file or environment variable
    _key_id: str

    def __init__(self, raw: bytes) -> None:
        self._fill(raw, b"", "bytes")

    def _fill(self, raw: bytes, salt: bytes, source: str, location: str | None = None) -> None:
        if not isinstance(raw, bytes):
            raise TypeError(
                f"a SecretKey is made of {_KEY_BYTES} bytes, got {type(raw).__name__}; "
                "a passphrase goes through SecretKey.from_passphrase"
            )
        if len(raw) != _KEY_BYTES:
            raise ValueError(f"a SecretKey is made of {_KEY_BYTES} bytes, got {len(raw)}")
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
        return cls._make(fresh_bytes(_KEY_BYTES), b"", "generated")

    @classmethod
    def from_passphrase(cls, passphrase: str, *, key_id: str | None = None) -> Self:
        """Make a key of a passphrase, with Argon2id.

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
            If `passphrase` is not a ``str``.
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
        if not isinstance(passphrase, str):
            raise TypeError(f"a passphrase is a str, got {type(passphrase).__name__}")
        if not passphrase:
            raise ValueError("the passphrase is empty")
        if key_id is None:
            salt = fresh_bytes(_SALT_BYTES)
        else:
            match = _PASSPHRASE_KEY_ID.fullmatch(key_id)
            if match is None:
                raise ValueError(
                    "key_id must be that of a key made of a passphrase: 16 hexadecimal digits, "
                    "a dot, and 32 more (the salt)"
                )
            salt = bytes.fromhex(match[1])
        kdf = Argon2id(salt=salt, length=_KEY_BYTES, iterations=3, lanes=4, memory_cost=64 * 1024)
        # surrogatepass: the error of a lone surrogate would carry the passphrase
        secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
        key = cls._make(kdf.derive(secret), salt, "passphrase")
        if key_id is not None and key.key_id != key_id:
            raise WrongKeyError(f"the passphrase is not the one of the key with id {key_id!r}")
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
            If other users of the machine may read the file (POSIX systems only).

        Raises
        ------
        FileNotFoundError
            If no file is there. The message does not repeat `path`, which may be a passphrase
            given by mistake.
        KeyFileError
            If the file does not hold exactly one undamaged key of this format.

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
        path = _path(path)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                "there is no key file at the path given. A str is taken for the path of a key "
                "file; a passphrase goes through SecretKey.from_passphrase"
            )
        path = os.path.abspath(path)
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
        if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
            warnings.warn(
                f"other users of this machine may read the key file {path!r}; to keep it to "
                f"yourself, run: chmod 600 {shlex.quote(path)}",
                stacklevel=2,
            )
        # errors="replace": the error of a byte that is not UTF-8 would carry the file's content
        text = content.decode("utf-8-sig", errors="replace")
        return cls._make(*_parse(text, f"the key file {path!r}"), "file", path)

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
        if name not in os.environ:
            raise KeyFileError("no environment variable of the name given is set")
        raw, salt = _parse(os.environ[name], f"the environment variable {name}")
        return cls._make(raw, salt, "environment", name)

    @classmethod
    def coerce(cls, key: "SecretKey | bytes | str | os.PathLike[str] | None") -> "SecretKey":
        """Make a key of whatever an estimator was given as ``key``.

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
            If `key` is None or ``bytes`` of another length.
        TypeError
            If `key` is of any other type.
        FileNotFoundError, KeyFileError
            As `from_file`.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> key = SecretKey.generate()
        >>> SecretKey.coerce(key) is key
        True
        """
        if isinstance(key, SecretKey):
            return key
        if isinstance(key, bytes):
            return cls(key)
        if isinstance(key, str | os.PathLike):
            return cls.from_file(key)
        if key is None:
            raise ValueError(
                "no key was given. Make one with key=SecretKey.generate() and keep it with "
                "key.save(path); without it, what it encrypts is lost"
            )
        raise TypeError(
            "key must be a SecretKey, bytes, or the path of a key file, got " + type(key).__name__
        )

    @property
    def key_id(self) -> str:
        """Public name of the key, from which the key cannot be found.

        16 hexadecimal digits; for a key made of a passphrase, followed by a dot and the 32
        hexadecimal digits of the salt. A weak passphrase can be guessed with the help of its
        key id, as with any password hash.
        """
        return self._key_id

    def reveal(self) -> str:
        """Return the secret as one line of text.

        This is the only way to get the secret as text. Use it to fill an environment variable
        or a secret store, from which `from_env` reads it; do not print it in a notebook, which
        saves what it prints.

        Returns
        -------
        str
            ``"RICSK-KEY-1-"`` and 48 characters; for a key made of a passphrase, followed by a
            dot and the 32 hexadecimal digits of the salt.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> len(SecretKey.generate().reveal())
        60
        """
        body = base64.urlsafe_b64encode(self._raw + _checksum(self._raw, self._salt)).decode()
        return f"RICSK-KEY-1-{body}" + (f".{self._salt.hex()}" if self._salt else "")

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

        Examples
        --------
        >>> import os, tempfile
        >>> from ricsk.keys import SecretKey
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     key = SecretKey.generate().save(os.path.join(folder, "images.key"))
        >>> key
        SecretKey(key_id='...', source='file')
        """
        path = _path(path)
        date = datetime.now(UTC).date().isoformat()
        content = _FILE.format(key_id=self._key_id, date=date, text=self.reveal())
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            raise FileExistsError(
                f"{path!r} exists, and a key file is never overwritten: that would "
                "lose the key in it. Save to another path, or move the file away first"
            ) from None
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            os.unlink(path)
            raise
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
        if not (purpose and purpose.isascii() and purpose.isprintable()):
            raise ValueError(f"purpose must be printable ASCII, got {purpose!r}")
        if not 1 <= length <= 255 * 32:
            raise ValueError(f"length must be from 1 to 8160 bytes, got {length}")
        return _hkdf(self._raw, b"".join((b"ricsk/1/", purpose.encode(), b"\0", context)), length)

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
        return f"<code>{self!r}</code>"

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
        raise AttributeError("a SecretKey cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a SecretKey cannot be changed")

    def __getstate__(self) -> dict[str, Any]:
        if self._location is None:
            return {"source": self._source, "raw": self._raw, "salt": self._salt}
        return {"source": self._source, "location": self._location, "key_id": self._key_id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        source = state["source"]
        if "raw" in state:
            self._fill(state["raw"], state["salt"], source)
            return
        location, key_id = state["location"], state["key_id"]
        load = SecretKey.from_file if source == "file" else SecretKey.from_env
        reference = f"the key {key_id} was stored as a reference to {source} {location!r}"
        try:
            found = load(location)
        except (FileNotFoundError, KeyFileError) as error:
            raise type(error)(f"{reference}, which cannot be read: {error}") from None
        if found.key_id != key_id:
            raise WrongKeyError(f"{reference}, which now holds the key {found.key_id}")
        self._fill(found._raw, found._salt, source, location)


class Keystream:
    """Random bytes, numbers and permutations that follow from a key.

    Made by `SecretKey.keystream`. The bytes are the ChaCha20 keystream with an all-zero nonce
    and the counter starting at 0; every other draw is made of the next bytes of the stream, in
    little-endian order, so that each draw continues where the last one ended. All draws are
    unbiased and the same on every machine.

    A keystream cannot be pickled or copied, since both streams would then give the same
    numbers. Open it again from its key instead.

    Parameters
    ----------
    key : bytes
        The 32 bytes of the ChaCha20 key, used for nothing else.
    purpose : str
        What the stream is for; shown in ``repr``.

    See Also
    --------
    SecretKey.keystream : Opens a keystream.

    References
    ----------
    RFC 8439, ChaCha20 and Poly1305 for IETF Protocols, section 2.4.

    Examples
    --------
    >>> from ricsk.keys import SecretKey
    >>> stream = SecretKey(bytes(range(32))).keystream("example")
    >>> stream.permutation(5)
    array([3, 4, 1, 2, 0])
    >>> stream
    Keystream(purpose='example', position=40)
    """

    __slots__ = ("_encryptor", "_position", "_purpose")

    def __init__(self, key: builtins.bytes, purpose: str) -> None:
        # cryptography's "nonce" is RFC 8439's counter followed by its nonce
        self._encryptor = Cipher(ChaCha20(key, nonce=bytes(16)), mode=None).encryptor()
        self._position = 0
        self._purpose = purpose

    def bytes(self, n: int) -> builtins.bytes:
        """Draw bytes.

        Parameters
        ----------
        n : int
            How many, 0 or more.

        Returns
        -------
        bytes
            The next `n` bytes of the stream.

        Raises
        ------
        ValueError
            If `n` is negative, or the stream would pass 2**38 bytes, where ChaCha20's counter
            ends.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").bytes(4).hex()
        'cc3db924'
        """
        n = _count("n", n)
        if self._position + n > 2**38:
            raise ValueError("a keystream ends after 2**38 bytes")
        self._position += n
        return self._encryptor.update(bytes(n))

    def _words(self, n: int, width: int) -> NDArray[np.unsignedinteger[Any]]:
        return np.frombuffer(self.bytes(n * width), dtype=f"<u{width}")

    def uint8(self, size: int | tuple[int, ...]) -> NDArray[np.uint8]:
        """Draw bytes as an array.

        Parameters
        ----------
        size : int or tuple of int
            Shape of the array.

        Returns
        -------
        ndarray of uint8, of shape `size`
            The next bytes of the stream, in C order; uniform on 0..255.

        Raises
        ------
        ValueError
            If a dimension is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").uint8((2, 2))
        array([[204,  61],
               [185,  36]], dtype=uint8)
        """
        shape = _shape(size)
        return np.frombuffer(bytearray(self.bytes(math.prod(shape))), np.uint8).reshape(shape)

    def random(self, size: int | tuple[int, ...]) -> NDArray[np.float64]:
        """Draw uniform floats on [0, 1).

        Each is made of one 8-byte word ``w``, as ``(w >> 11) * 2**-53``.

        Parameters
        ----------
        size : int or tuple of int
            Shape of the array.

        Returns
        -------
        ndarray of float64, of shape `size`
            The floats, in C order; multiples of 2**-53.

        Raises
        ------
        ValueError
            If a dimension is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").random(2)
        array([0.86592172, 0.50758271])
        """
        shape = _shape(size)
        words = self._words(math.prod(shape), 8)
        return (words >> 11).astype(np.float64).reshape(shape) * 2.0**-53

    def integers(self, high: int, size: int | tuple[int, ...]) -> NDArray[np.int64]:
        """Draw uniform integers x with 0 <= x < `high`.

        Each is made of one word of ``b`` bytes, ``b`` being the smallest of 1, 2, 4 and 8 with
        ``256**b >= high``. A word at or above the largest multiple of `high` that is not above
        ``256**b`` is skipped; of any other the integer is its remainder modulo `high`.

        Parameters
        ----------
        high : int
            From 1 to 2**63.
        size : int or tuple of int
            Shape of the array.

        Returns
        -------
        ndarray of int64, of shape `size`
            The integers, in C order.

        Raises
        ------
        ValueError
            If `high` is out of range or a dimension is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").integers(6, size=(2, 3)) + 1
        array([[1, 2, 6],
               [1, 2, 6]])
        """
        shape = _shape(size)
        high = operator.index(high)
        if not 1 <= high <= 2**63:
            raise ValueError(f"high must be from 1 to 2**63, got {high}")
        width = next(b for b in (1, 2, 4, 8) if 256**b >= high)
        last = 256**width // high * high - 1
        out = np.empty(math.prod(shape), np.int64)
        filled = 0
        while filled < out.size:
            # as many words as integers are missing: what one word at a time would have consumed
            words = self._words(out.size - filled, width).astype(np.uint64)
            words = words[words <= last]
            out[filled : filled + words.size] = words % high
            filled += words.size
        return out.reshape(shape)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """Draw one permutation of 0..n-1.

        Parameters
        ----------
        n : int
            0 or more.

        Returns
        -------
        ndarray of int64, of shape (n,)
            As the only row of ``permutations(n, 1)``.

        Raises
        ------
        ValueError
            If `n` is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").permutation(5)
        array([3, 4, 1, 2, 0])
        """
        return self.permutations(n, 1)[0]

    def permutations(self, n: int, size: int) -> NDArray[np.int64]:
        """Draw permutations of 0..n-1, one after the other.

        Each is made of `n` 8-byte words: element ``i`` is the index of the ``i``-th smallest. If
        two of the `n` words are equal, all `n` are skipped and the next `n` are taken.

        Parameters
        ----------
        n : int
            0 or more.
        size : int
            How many permutations, 0 or more.

        Returns
        -------
        ndarray of int64, of shape (size, n)
            A permutation in each row; all ``n!`` are equally likely.

        Raises
        ------
        ValueError
            If `n` or `size` is negative.

        Examples
        --------
        >>> from ricsk.keys import SecretKey
        >>> SecretKey(bytes(range(32))).keystream("example").permutations(4, 2)
        array([[3, 1, 2, 0],
               [0, 1, 2, 3]])
        """
        n, size = _count("n", n), _count("size", size)
        out = np.empty((size, n), np.int64)
        filled = 0
        while filled < size:
            words = self._words((size - filled) * n, 8).reshape(size - filled, n)
            order = words.argsort(axis=1)  # any sort will do: rows with equal words are dropped
            ranked = np.take_along_axis(words, order, axis=1)
            order = order[(ranked[:, 1:] != ranked[:, :-1]).all(axis=1)]
            out[filled : filled + len(order)] = order
            filled += len(order)
        return out

    def __repr__(self) -> str:
        return f"Keystream(purpose={self._purpose!r}, position={self._position})"

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "a Keystream cannot be pickled or copied: both would give the same numbers. Keep the "
            "SecretKey and open its keystream again"
        )


def fresh_bytes(n: int) -> bytes:
    """Draw secret bytes that no key repeats, from the operating system.

    Parameters
    ----------
    n : int
        How many.

    Returns
    -------
    bytes

    Examples
    --------
    >>> from ricsk.keys import fresh_bytes
    >>> len(fresh_bytes(16))
    16
    """
    return secrets.token_bytes(n)


def _hkdf(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(key)


def _checksum(raw: bytes, salt: bytes) -> bytes:
    return hashlib.sha256(b"ricsk/1 checksum" + raw + salt).digest()[:4]


def _parse(text: str, where: str) -> tuple[bytes, bytes]:
    """Return the key and the salt in `text`, or say what is wrong without quoting it."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) != 1:
        raise KeyFileError(f"{where} must hold one line with a key, but holds {len(lines)}")
    if not lines[0].startswith("RICSK-KEY-"):
        raise KeyFileError(f"{where} holds no key of ricsk: that would start with RICSK-KEY-1-")
    if not lines[0].startswith("RICSK-KEY-1-"):
        raise KeyFileError(f"{where} holds a key made by a newer version of ricsk: upgrade ricsk")
    match = _TEXT.fullmatch(lines[0])
    if match is not None:
        data, salt = base64.urlsafe_b64decode(match[1]), bytes.fromhex(match[2] or "")
        raw, checksum = data[:_KEY_BYTES], data[_KEY_BYTES:]
        if hmac.compare_digest(checksum, _checksum(raw, salt)):
            return raw, salt
    raise KeyFileError(f"the key in {where} is damaged: copy it again from where it was saved")


def _path(path: str | os.PathLike[str]) -> str:
    path = os.fspath(path)
    if not isinstance(path, str):  # a path of bytes may be the key given by mistake
        raise TypeError(f"the path of a key file is a str, got {type(path).__name__}")
    return path


def _count(name: str, value: int) -> int:
    value = operator.index(value)
    if value < 0:
        raise ValueError(f"{name} must be 0 or more, got {value}")
    return value


def _shape(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_count("size", n) for n in (size if isinstance(size, tuple) else (size,)))

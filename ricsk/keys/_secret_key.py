"""`SecretKey`: 32 secret bytes that never print themselves."""

import re
import unicodedata
from typing import Any, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ricsk._secrets import RAW_TYPES
from ricsk.exceptions import WrongKeyError
from ricsk.keys._arguments import check_bytes, check_int, check_purpose
from ricsk.keys._keystream import Keystream, fresh_bytes
from ricsk.keys._stored_secret import StoredSecret
from ricsk.keys._text import KEY_BYTES, format_file, format_line, scan

__all__ = ["SecretKey"]

_SALT_BYTES = 16
_LENGTHS = ((KEY_BYTES, 0), (KEY_BYTES, _SALT_BYTES))
_PASSPHRASE_KEY_ID = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{32}")


class SecretKey(StoredSecret):
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

    __slots__ = ()

    _FIELDS = ("raw", "salt")  # the salt is empty unless the key was made from a passphrase
    _SOURCES = ("bytes", "generated", "passphrase", "text")
    _ID_NAME = "key_id"
    _ID = re.compile(r"[0-9a-f]{16}(\.[0-9a-f]{32})?")

    def __init__(self, raw: bytes | bytearray | memoryview) -> None:
        fault = _find_raw_fault(raw)
        if fault is not None:
            del raw
            raise fault
        self._fill((bytes(raw), b""), "bytes")

    @classmethod
    def _scan(cls, text: str) -> tuple[bytes, bytes] | str:
        return scan(text)

    def _write(self) -> str:
        return format_line(*self._content)

    @classmethod
    def _compute_id(cls, *content: Any) -> str:
        raw, salt = content
        key_id = _hkdf(raw, b"ricsk/1 key id", 8).hex()
        return f"{key_id}.{salt.hex()}" if salt else key_id

    @classmethod
    def _is_content(cls, *content: Any) -> bool:
        raw, salt = content
        return type(raw) is type(salt) is bytes and (len(raw), len(salt)) in _LENGTHS

    def _format_file(self) -> str:
        return format_file(self._id, self.reveal())

    @classmethod
    def _explain(cls, value: Any) -> Exception | None:
        if isinstance(value, RAW_TYPES):
            return _find_raw_fault(value)
        if value is None:
            return ValueError(
                "no key was given. Make one with key=SecretKey.generate() and keep it with "
                "key.save(path); without it, what it encrypts is lost"
            )
        return TypeError(
            "key must be a SecretKey, its 32 bytes, or the path of a key file, got "
            f"{type(value).__name__}. A passphrase goes through SecretKey.from_passphrase, and "
            "what SecretKey.reveal returned through SecretKey.from_text"
        )

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
        return cls._make((fresh_bytes(KEY_BYTES), b""), "generated")

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
        key = cls._make((_stretch(passphrase, salt), salt), "passphrase")
        del passphrase
        if key_id is not None and key.key_id != key_id:
            raise WrongKeyError(f"the passphrase is not that of the key with id {key_id!r}")
        return key

    @classmethod
    def coerce(cls, key: Any) -> Self:
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
        fault = cls.find_fault(key)
        if fault is not None:
            del key
            raise fault
        if isinstance(key, cls):
            return key
        if isinstance(key, RAW_TYPES):
            return cls(key)
        return cls.from_file(key)

    @property
    def key_id(self) -> str:
        """Public name of the key, from which the key cannot be found.

        16 hexadecimal digits; for a key made from a passphrase, followed by a dot and the 32
        hexadecimal digits of the salt. A weak passphrase can be guessed with the help of its
        key id, as with any password hash.
        """
        return self._id

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
        return _hkdf(self._content[0], b"ricsk/1/" + purpose.encode() + b"\0" + context, length)

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


def _hkdf(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(key)

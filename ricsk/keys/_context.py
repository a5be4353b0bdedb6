"""Contexts of streams: settings of a scheme as bytes, of which no two settings have the same."""

import struct
from typing import Any, TypeAlias

import numpy as np

__all__ = ["ContextValue", "encode_context"]

ContextValue: TypeAlias = "bool | int | float | str | bytes | tuple[ContextValue, ...] | None"


def encode_context(scheme: str, version: int, /, **parameters: ContextValue) -> bytes:
    """Encode the settings of a scheme as the context of its streams.

    A stream must differ wherever the scheme does, or what one setting gives away is known of the
    other. So all that changes a scheme enters the contexts of its streams. Different arguments
    have different encodings, and the order of keywords does not matter. The end of an encoding can
    be told from its beginning, so that other bytes, such as a nonce, may follow it.

    Values differ by type, too: 1, 1.0 and True are three values. NumPy's scalars are taken for
    Python's, and -0.0 for 0.0.

    Read more in the :ref:`User Guide <guide-keys>`, which specifies the bytes.

    Parameters
    ----------
    scheme : str
        Name of the scheme, such as "etc".
    version : int
        Version of the scheme's format, from 1.
    **parameters : None, bool, int, float, str, bytes, or a tuple of these
        What changes the scheme, by name. Tuples may be nested.

    Returns
    -------
    bytes
        For `SecretKey.derive` and `SecretKey.keystream`.

    Raises
    ------
    TypeError
        If a value is of another type.
    ValueError
        If a number is not a number, a text cannot be encoded as UTF-8, `scheme` is empty or
        `version` is less than 1.

    Examples
    --------
    >>> from ricsk.keys import SecretKey, encode_context
    >>> key = SecretKey(bytes(range(32)))
    >>> for block_size in (8, 16):
    ...     context = encode_context("example", 1, image_shape=(32, 32, 3), block_size=block_size)
    ...     key.keystream("example/permute", context).permutation(4)
    array([...])
    array([...])
    """
    if not isinstance(scheme, str):
        raise TypeError(f"scheme must be a str such as 'etc', got {type(scheme).__name__}")
    if not scheme:
        raise ValueError("scheme is empty: give a name such as 'etc'")
    if not isinstance(version, int) or isinstance(version, bool):
        raise TypeError(f"version must be an int, got {type(version).__name__}")
    if version < 1:
        raise ValueError(f"version must be 1 or more, got {version}")
    # Names are unique, so no two values are compared.
    pairs = [
        _frame(b"T", _encode("name", name) + _encode(name, value))
        for name, value in sorted(parameters.items())
    ]
    head = _encode("scheme", scheme) + _encode("version", version)
    return _frame(b"T", head + _frame(b"T", b"".join(pairs)))


def _frame(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(8, "little") + content


def _encode(name: str, value: Any) -> bytes:
    return _frame(*_write(name, value))


def _write(name: str, value: Any) -> tuple[bytes, bytes]:
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case None:
            return b"N", b""
        case bool():
            return b"B", bytes([value])
        case int():
            return b"I", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        case float():
            if value != value:
                raise ValueError(f"{name} is not a number, which equals nothing: give another")
            return b"F", struct.pack("<d", value + 0.0)
        case str():
            return b"S", _encode_text(name, value)
        case bytes():
            return b"Y", value
        case tuple():
            return b"T", b"".join(_encode(name, item) for item in value)
    raise TypeError(
        f"{name} must be None, a bool, int, float, str, bytes, or a tuple of these, got "
        f"{type(value).__name__}: convert it"
    )


def _encode_text(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{name} has a lone surrogate, so it cannot be encoded as UTF-8: give another text"
        ) from None

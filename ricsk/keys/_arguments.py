"""Checks of arguments that are not secret. Secrets are checked where they are used."""

import operator
from typing import Any

__all__ = ["check_bytes", "check_count", "check_int", "check_purpose", "check_shape"]


def check_int(name: str, value: Any) -> int:
    """Read a whole number; a float is none, even one without a fraction."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be an int, got {type(value).__name__}: convert it with int({name})"
        ) from None


def check_count(name: str, value: Any) -> int:
    """Read a whole number from 0 on."""
    count = check_int(name, value)
    if count < 0:
        raise ValueError(f"{name} must be 0 or more, got {count}")
    return count


def check_shape(size: Any) -> tuple[int, ...]:
    """Read the shape of an array: a whole number or a tuple of them."""
    if isinstance(size, list):
        raise TypeError("size must be an int or a tuple of int, got list: take tuple(size)")
    return tuple(check_count("size", n) for n in (size if isinstance(size, tuple) else (size,)))


def check_purpose(purpose: Any) -> str:
    """Read what a derived secret is for."""
    if not isinstance(purpose, str):
        given = type(purpose).__name__
        raise TypeError(f"purpose must be a str such as 'etc/permute', got {given}")
    if not (purpose and purpose.isascii() and purpose.isprintable()):
        raise ValueError(
            "purpose must be printable ASCII, at least one character: choose one such as "
            "'etc/permute'"
        )
    return purpose


def check_bytes(name: str, value: Any) -> bytes:
    """Read bytes that are not secret."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(
            f"{name} must be bytes, got {type(value).__name__}: convert it, a str with "
            f"{name}.encode()"
        )
    return bytes(value)

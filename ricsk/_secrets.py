"""What may be a secret, wherever it was given: `repr`, HTML and errors must not show it."""

import os
from typing import Any

__all__ = [
    "KEY_MARK",
    "KEY_MARKS",
    "MIN_SECRET",
    "RAW_TYPES",
    "are_labels",
    "find_misplaced_fault",
    "holds_key",
    "show_object",
    "show_value",
]

KEY_MARK = "RICSK-KEY-"
KEY_MARKS = (KEY_MARK, "RICSK-PRIVATE-", "RICSK-SIGNING-")
MIN_SECRET = 12
RAW_TYPES = (bytes, bytearray, memoryview)

_MAX_NUMBER_BITS = 64
# A key has 32 bytes, or as many hexadecimal digits twice.
_MAX_KEY_ITEMS = 64
_COLLECTIONS = (list, tuple, set, frozenset, range)
_DATA_TYPES = (*RAW_TYPES, *_COLLECTIONS, dict, str, os.PathLike, int, float)


def holds_key(value: Any) -> bool:
    """Tell whether a value may be a key or hold one, in any form that is not a path.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        True for bytes, the text of a key, and 12 or more items in a list, tuple or array; and for
        collections of those.

    Examples
    --------
    >>> holds_key(bytes(32)), holds_key([[0] * 32]), holds_key("a text"), holds_key((32, 32, 3))
    (True, True, False, False)
    """
    if isinstance(value, RAW_TYPES):
        return True
    if isinstance(value, os.PathLike):
        return holds_key(os.fspath(value))
    if isinstance(value, str):
        return any(mark in value for mark in KEY_MARKS)
    if isinstance(value, int):
        return value.bit_length() > _MAX_NUMBER_BITS
    if isinstance(value, dict):
        return any(holds_key(item) for pair in value.items() for item in pair)
    if _is_array(value) or isinstance(value, _COLLECTIONS):
        return _count(value) >= MIN_SECRET or any(map(holds_key, _list_items(value)))
    return False


def are_labels(values: Any) -> bool:
    """Tell labels from what may be a key: texts, or more numbers than a key has bytes or digits.

    Parameters
    ----------
    values : object
        Anything.

    Returns
    -------
    bool

    Examples
    --------
    >>> are_labels(list("abcdefghijklmnop")), are_labels(list(range(16)))
    (True, False)
    """
    is_list = isinstance(values, list | tuple) or getattr(values, "ndim", None) == 1
    if not is_list:
        return False
    texts = [label for label in values if isinstance(label, str)]
    return not holds_key(" ".join(texts)) and (
        len(texts) == len(values) or len(values) > _MAX_KEY_ITEMS
    )


def find_misplaced_fault(owner: str, name: str, value: Any, *, object_expected: bool) -> str | None:
    """Say why a parameter that takes no key is refused: it may be one that was misplaced.

    Parameters
    ----------
    owner, name : str
        Of what, and which parameter.
    value : object
        What it was given.
    object_expected : bool
        Whether it takes objects alone, so that a text can only be a mistake.

    Returns
    -------
    str or None
        The reason, which does not repeat the value; None if the value shows no key.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
    if not holds_key(value) and not (object_expected and len(text) >= MIN_SECRET):
        return None
    return (
        f"{name} of {owner} cannot be of type {type(value).__name__}. What was given is not shown, "
        "because it may be a key; a key is given to an encryptor, such as EtCEncryptor(key)."
    )


def show_value(value: Any) -> str:
    """Write a value into an error: by its `repr`, or by its type if it may hold a key.

    Examples
    --------
    >>> show_value("alex"), show_value(bytes(32))
    ("'alex'", '<bytes>')
    """
    return f"<{type(value).__name__}>" if holds_key(value) else repr(value)


def show_object(value: Any) -> str:
    """Write into an error what was given for an estimator: plain data by its type alone.

    Examples
    --------
    >>> show_object("a passphrase"), show_object([1, 2]), show_object(None)
    ('<str>', '<list>', 'None')
    """
    data = isinstance(value, _DATA_TYPES) or _is_array(value)
    return f"<{type(value).__name__}>" if data else repr(value)


def _is_array(value: Any) -> bool:
    has_items = hasattr(value, "tolist") or hasattr(value, "__array__")
    return has_items and not isinstance(value, type)


def _list_items(value: Any) -> list[Any]:
    items = value.tolist() if hasattr(value, "tolist") else list(value)
    return items if isinstance(items, list) else [items]  # an array may have no dimensions


def _count(value: Any) -> int:
    """Count the items of an array or a collection, and of those in it."""
    if not (_is_array(value) or isinstance(value, _COLLECTIONS)):
        return 1
    items = _list_items(value)
    return len(items) if len(items) >= MIN_SECRET else sum(map(_count, items))

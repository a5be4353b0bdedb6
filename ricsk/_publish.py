"""Public paths of classes and functions, which errors, pickles and trust lists show."""

from __future__ import annotations

from types import FunctionType
from typing import Any

__all__ = ["publish"]


def publish(room: dict[str, Any]) -> None:
    """Make a sub-package the module of all that it exports.

    So a pickle names ``ricsk.encryptors.EtCEncryptor``, and not the private file of today, which
    may then move. Methods are renamed with their class, or doctest would take them for foreign.

    Parameters
    ----------
    room : dict
        The ``globals()`` of the sub-package, with its ``__all__``.
    """
    for name in room["__all__"]:
        thing = room[name]
        if isinstance(thing, type):
            for part in vars(thing).values():
                method = getattr(part, "__func__", part)
                if isinstance(method, FunctionType):
                    method.__module__ = room["__name__"]
        if isinstance(thing, type | FunctionType):
            thing.__module__ = room["__name__"]

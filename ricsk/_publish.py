"""Public paths of classes and functions, and rooms whose names are loaded when they are used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import FunctionType
from typing import Any

__all__ = ["load_on_use", "publish"]


def publish(room: dict[str, Any]) -> None:
    """Make a sub-package the module of all that it exports, or the one above if that exports it.

    So a pickle names ``ricsk.encryptors.EtCEncryptor``, and not the private file of today, which
    may then move. Methods are renamed with their class, or doctest would take them for foreign.

    Parameters
    ----------
    room : dict
        The ``globals()`` of the sub-package, with its ``__all__``.
    """
    for name in room["__all__"]:
        _set_path(room[name], _find_public_path(room["__name__"], name))


def load_on_use(
    room: dict[str, Any], homes: Mapping[str, Iterable[str]], rooms: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the `__getattr__` and `__dir__` of a package that loads names when they are first used.

    So that a program which needs a few of them does not wait for what the others need, such as
    PyTorch (PEP 562).

    Parameters
    ----------
    room : dict
        The ``globals()`` of the package, with its ``__all__``.
    homes : mapping from str to iterable of str
        From modules of the package to the names that come from there. What is loaded is published.
    rooms : iterable of str
        Further modules of the package that are to be attributes of it.

    Returns
    -------
    (callable, callable)
    """
    package = room["__name__"]
    home_of = {name: home for home, names in homes.items() for name in names}
    modules = {*homes, *rooms}

    def load(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        thing = room[name] = getattr(import_module(f"{package}.{home_of[name]}"), name)
        if "." in package:  # the top repeats what has a public path below it
            _set_path(thing, _find_public_path(package, name))
        return thing

    def list_names() -> list[str]:
        return sorted({*room, *home_of, *modules})

    return load, list_names


def _find_public_path(package: str, name: str) -> str:
    """Find the highest package below the top that exports a name of this one."""
    above = package.rpartition(".")[0]
    if "." in above and name in getattr(sys.modules[above], "__all__", ()):
        return _find_public_path(above, name)
    return package


def _set_path(thing: Any, path: str) -> None:
    if isinstance(thing, type):
        for part in vars(thing).values():
            method = getattr(part, "__func__", part)
            if isinstance(method, FunctionType):
                method.__module__ = path
    if isinstance(thing, type | FunctionType):
        thing.__module__ = path

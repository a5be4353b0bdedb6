"""Where a warning points to: the user's own line, however far above it is."""

from __future__ import annotations

import inspect

__all__ = ["find_caller"]

# What may lie between a user's line and a warning.
_INNER_PACKAGES = ("ricsk", "sklearn", "joblib")


def find_caller() -> int:
    """Find the `stacklevel` of the user's line, which a search or pipeline may be far away from.

    Returns
    -------
    int
        For a warning that is given where this is called.
    """
    level, frame = 0, inspect.currentframe()
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER_PACKAGES:
        level, frame = level + 1, frame.f_back
    return level

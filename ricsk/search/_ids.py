"""What images of an index are called: whole numbers, or texts."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Id", "read_ids", "to_array"]

Id = int | str

_MAX = 2**63 - 1


def read_ids(ids: Iterable[Any]) -> list[Id]:
    """Read ids of images, of NumPy's types as well.

    Parameters
    ----------
    ids : iterable of int or str

    Returns
    -------
    list of int or str

    Raises
    ------
    TypeError
        If one is neither a whole number of 64 bits nor a text of one line.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.search import read_ids
    >>> read_ids(np.arange(3))
    [0, 1, 2]
    """
    if isinstance(ids, str | bytes):
        raise TypeError("ids is a text; expected a list, with an id for each image.")
    found: list[Id] = []
    for one in ids:
        if isinstance(one, Integral) and not isinstance(one, bool) and abs(int(one)) <= _MAX:
            found.append(int(one))
        elif isinstance(one, str) and one.isprintable():
            found.append(str(one))
        else:
            raise TypeError(
                f"{type(one).__name__} cannot be an id; expected whole numbers of 64 bits, or "
                "texts of one line."
            )
    return found


def to_array(ids: list[Id], shape: tuple[int, ...]) -> NDArray[Any]:
    """Make an array of ids."""
    return np.array(ids, str if ids and isinstance(ids[0], str) else np.int64).reshape(shape)

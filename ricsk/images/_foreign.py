"""What people hand over as images besides an array: turned into one, or named and refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_table", "explain", "list_items"]

_EXPECTED = "expected an array of shape (n_samples, height, width, channels)"
_READ_FILES = (
    "Read them first: ricsk.datasets.load_folder for a folder with one sub-folder per class, or "
    "numpy.stack([ricsk.codecs.read_image(file) for file in files])."
)


def as_table(X: Any) -> Any:
    """Turn `X` into an array, or a data frame of numbers, that scikit-learn can check.

    Parameters
    ----------
    X : object
        An array, a data frame, a tensor in main memory, nested lists of numbers, or a list or
        column with one array per image.

    Returns
    -------
    ndarray, or data frame or sparse matrix as it is

    Raises
    ------
    ValueError
        If the images of a list have different sizes.
    TypeError
        If `X` is or holds something else.
    """
    if X is None:
        raise TypeError(f"X is None; {_EXPECTED}.")
    if isinstance(X, str | bytes | PathLike):
        _refuse_file(X, "X is")
    if np.ma.is_masked(X):
        raise ValueError("X has masked values. Fill them first, with X.filled(value).")
    if hasattr(X, "toarray"):
        return X  # scikit-learn says best what it thinks of sparse matrices
    if isinstance(X, Set | Mapping):
        raise TypeError(f"X is a {type(X).__name__}, which has no order of images; {_EXPECTED}.")
    if hasattr(X, "columns"):
        return _from_frame(X)
    if hasattr(X, "ndim") or hasattr(X, "__array__"):
        array = _to_array(X, "X")
        lists = array.ndim == 1 and array.dtype.kind in "OSU"
        return _from_items(list(array)) if lists and len(array) else array
    if isinstance(X, Sequence):
        return _from_items(X)
    if isinstance(X, Iterable):
        raise TypeError(
            f"X is a {type(X).__name__}; {_EXPECTED}. Collect its images with numpy.concatenate, "
            "or encrypt batch by batch with transform_batches."
        )
    raise TypeError(f"X is a {type(X).__name__}; {_EXPECTED}.")


def list_items(X: Any) -> list[NDArray[Any]] | None:
    """Read a list, an array of objects or a column, with one array for each image.

    Parameters
    ----------
    X : object
        What was given as images.

    Returns
    -------
    list of ndarray, or None
        None for anything else, or if it is empty.
    """
    if len(getattr(X, "columns", ())) == 1:
        X = X[X.columns[0]]
    if getattr(X, "ndim", 0) == 1 and hasattr(X, "__array__"):
        X = list(X)
    if isinstance(X, str | bytes) or not isinstance(X, Sequence) or len(X) == 0:
        return None
    if not all(hasattr(item, "shape") or hasattr(item, "__array_interface__") for item in X):
        return None
    return [_to_array(item, f"X[{i}]") for i, item in enumerate(X)]


def explain(error: ValueError) -> ValueError:
    """Say in the words of images what NumPy and scikit-learn say of tables.

    Parameters
    ----------
    error : ValueError
        What they raised.

    Returns
    -------
    ValueError
        What to raise in its place.
    """
    text = str(error)
    first = text.splitlines()[0]
    if "inhomogeneous" in text or "setting an array element with a sequence" in text:
        return ValueError(
            "the images of X have different sizes or channel counts; expected one array of equal "
            "ones. Resize or crop them first, e.g. with ricsk.datasets.load_folder(path, size=...)."
        )
    if "Expected 2D array" in text:
        found = first.removeprefix("Expected 2D array, got ").removesuffix(" instead:")
        return ValueError(
            f"X is a {found}; {_EXPECTED}. Reshape your data; for a single image use "
            "X[numpy.newaxis]."
        )
    if "Complex data" in text:
        return ValueError(f"{first}: {_EXPECTED}, of real numbers.")
    if "contains NaN" in text or "infinity" in text:
        return ValueError(
            f"{first} An image has a finite value everywhere: replace the others, "
            "e.g. with numpy.nan_to_num, or leave these images out."
        )
    return error


def _from_frame(frame: Any) -> Any:
    """Pass a table of numbers; stack a single column that holds images."""
    if frame.shape[0] == 0 or len(frame.columns) == 0:
        return frame
    first = frame[frame.columns[0]]
    cell = next(iter(first))
    if isinstance(cell, str | bytes | PathLike):
        _refuse_file(cell, f"the column {frame.columns[0]!r} of X holds")
    return _from_items(list(first)) if len(frame.columns) == 1 and np.ndim(cell) else frame


def _from_items(items: Sequence[Any]) -> NDArray[Any]:
    """Make one array of a sequence of images, or of nested lists of numbers."""
    first = items[0] if len(items) else None
    if isinstance(first, str | bytes | PathLike):
        _refuse_file(first, "X holds")
    if not hasattr(first, "shape") and not hasattr(first, "__array_interface__"):
        return np.asarray(items)
    arrays = [_to_array(item, f"X[{i}]") for i, item in enumerate(items)]
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"the images of X have different sizes: X[0] has shape {arrays[0].shape} and X[{i}]"
                f" has shape {array.shape}. Resize or crop them to one, then numpy.stack them."
            )
    return np.stack(arrays)


def _to_array(X: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(X)
    except ValueError:
        raise
    except Exception as error:
        raise TypeError(
            f"{name} is a {type(X).__name__} that NumPy cannot read ({str(error).splitlines()[0]});"
            f" {_EXPECTED}. Of a torch tensor give X.detach().cpu().numpy()."
        ) from error


def _refuse_file(found: Any, what: str) -> None:
    if isinstance(found, bytes):
        raise TypeError(f"{what} bytes; {_EXPECTED}. Decode files with ricsk.codecs.read_image.")
    raise TypeError(f"{what} text or file names; {_EXPECTED}. {_READ_FILES}")

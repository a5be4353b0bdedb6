"""Many JPEG files in one NumPy archive."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from ricsk._secrets import show_value
from ricsk.codecs import read_image

__all__ = ["load_packed"]

MAX_EXPANSION = 100
MAX_SMALL = 2**28
"""How many bytes a pack may take in memory: 256 MiB, or 100 times its own size if that is more."""

_ARRAYS: dict[str, Any] = {
    "jpeg": np.uint8,
    "offsets": np.integer,
    "labels": np.integer,
    "classes": np.str_,
}


def load_packed(
    path: str | os.PathLike[str], name: str, split: str, *, limit: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Load images from a pack: one file with many JPEG files in it.

    A pack is a NumPy archive ``{name}_jpeg_{split}.npz`` of four arrays: `jpeg` (uint8), all JPEG
    files one after the other; `offsets` (n_samples + 1 integers), where each begins, and the end
    of the last; `labels` (integers from 0), the class of each; and `classes` (str), the names.

    Parameters
    ----------
    path : str or Path
        The folder of the packs.
    name : str
        Name of the data set, for instance ``"cifar10"``.
    split : str
        Name of the part, for instance ``"train"`` or ``"test"``.
    limit : int, optional
        Keep only so many images, a random choice that is the same in every call.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, 3), uint8
        The images, RGB on 0..255, in a random order that is the same in every call.
    y : ndarray of shape (n_samples,), int64
        The classes, as positions in `classes`.
    classes : list of str
        The names of the classes.

    Raises
    ------
    FileNotFoundError
        If there is no such pack. The message lists those that are there.
    TypeError
        If `path` is not a str or a path, or `limit` is not an integer.
    ValueError
        If `limit` is less than 1. If the pack is damaged: an array is missing or of another kind,
        offsets do not increase or leave `jpeg`, a label is not a position in `classes`, or an image
        cannot be read or differs in size. If the arrays, or the images decoded, would take more
        than 256 MiB of memory and more than 100 times the size of the file. The message names the
        file and the position of the image in it.

    Examples
    --------
    >>> import io, tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> files = []
    >>> for colour in ("black", "white"):
    ...     buffer = io.BytesIO()
    ...     Image.new("RGB", (8, 8), colour).save(buffer, "JPEG")
    ...     files.append(buffer.getvalue())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(
    ...         f"{folder}/shades_jpeg_test.npz",
    ...         jpeg=np.frombuffer(b"".join(files), dtype=np.uint8),
    ...         offsets=np.cumsum([0, *map(len, files)]),
    ...         labels=[0, 1],
    ...         classes=["night", "day"],
    ...     )
    ...     X, y, classes = load_packed(folder, "shades", "test", limit=1)
    >>> X.shape, y.shape, classes
    ((1, 8, 8, 3), (1,), ['night', 'day'])
    """
    file = _find_pack(path, name, split)
    if limit is not None:
        check_scalar(limit, "limit", Integral, min_val=1)
    with _explain_failures(file):
        jpeg, offsets, labels, classes = _read_arrays(file)
        _check_arrays(jpeg, offsets, labels, classes)

    def read(i: int, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        content = jpeg[offsets[i] : offsets[i + 1]].tobytes()
        name = f"{i} of {str(file)!r}"
        return read_image(content, name=name, formats=("JPEG",), expected_size=size)

    order = np.random.default_rng(0).permutation(len(labels))[:limit]
    height, width, _ = read(order[0]).shape
    with _explain_failures(file):
        _check_claim(file, len(order) * height * width * 3)
    X = np.empty((len(order), height, width, 3), np.uint8)
    for row, i in enumerate(order):
        X[row] = read(i, (height, width))
    return X, labels[order].astype(np.int64), classes.tolist()


def _find_pack(path: str | os.PathLike[str], name: str, split: str) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path={show_value(path)}: expected the folder of the packs, a str or a Path."
        )
    folder = Path(path)
    file = folder / f"{name}_jpeg_{split}.npz"
    if not file.is_file():
        packs = [p.stem.rsplit("_jpeg_", 1) for p in sorted(folder.glob("*_jpeg_*.npz"))]
        found = ", ".join(f"({there!r}, {part!r})" for there, part in packs)
        raise FileNotFoundError(
            f"there is no file {str(file)!r}. Give the (name, split) of a pack in that folder; "
            f"found: {found or 'none'}."
        )
    return file


@contextmanager
def _explain_failures(file: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(
            f"cannot read the pack {str(file)!r}: {str(error) or repr(error)}. Make or fetch it "
            "anew."
        ) from error


def _read_arrays(file: Path) -> list[NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    missing = [name for name in _ARRAYS if f"{name}.npy" not in sizes]
    if missing:
        raise ValueError(f"it has no array {', '.join(missing)}")
    _check_claim(file, sum(sizes.values()))
    with np.load(file, allow_pickle=False) as pack:
        return [pack[name] for name in _ARRAYS]


def _check_claim(file: Path, n_bytes: int) -> None:
    """Refuse a small file that would fill the memory."""
    most = max(MAX_SMALL, MAX_EXPANSION * file.stat().st_size)
    if n_bytes > most:
        raise ValueError(f"it would take {n_bytes:,} bytes of memory; expected at most {most:,}")


def _check_arrays(
    jpeg: NDArray[Any], offsets: NDArray[Any], labels: NDArray[Any], classes: NDArray[Any]
) -> None:
    for (name, kind), array in zip(_ARRAYS.items(), (jpeg, offsets, labels, classes), strict=True):
        if array.ndim != 1 or not np.issubdtype(array.dtype, kind):
            raise ValueError(
                f"its array {name} has dtype {array.dtype} and shape {array.shape}; expected "
                f"{kind.__name__} in one dimension"
            )
    if not len(labels) or len(offsets) != len(labels) + 1:
        raise ValueError(
            f"it has {len(labels)} labels and {len(offsets)} offsets; expected at least one label, "
            "and one more offset"
        )
    begins, ends = offsets[:-1], offsets[1:]
    for i in np.flatnonzero((begins < 0) | (begins >= ends) | (ends > len(jpeg))):
        raise ValueError(
            f"image {i} goes from byte {begins[i]} to byte {ends[i]} of {len(jpeg)}; expected "
            "offsets that increase"
        )
    for i in np.flatnonzero((labels < 0) | (labels >= len(classes))):
        raise ValueError(f"image {i} has the label {labels[i]}, of {len(classes)} classes")

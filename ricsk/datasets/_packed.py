"""Many JPEG files in one NumPy archive."""

from __future__ import annotations

import math
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
from ricsk.codecs import read_image, read_size

__all__ = ["load_packed"]

MAX_EXPANSION = 100
MAX_SMALL = 2**28
"""How many bytes images may take in memory: 256 MiB, or 100 times the pack's size if it is more."""

MAX_ARRAY_EXPANSION = 20
MAX_SMALL_ARRAYS = 2**24
"""As much for the arrays of the pack: 16 MiB, or 20 times its size. JPEG hardly compresses."""

MIN_JPEG_BYTES = 100
MAX_CLASSES, MAX_NAME = 2**17, 1000
"""How many classes a pack may have, and of how many characters their names may be."""

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
        cannot be read or differs in size. If the images decoded would take more than 256 MiB of
        memory and more than 100 times the size of the file, or the arrays more than 16 MiB and more
        than 20 times the size, or if there are more labels than such JPEG files can be, or more
        than 131,072 classes. That is checked before arrays are read and images are decoded. The
        message names the file and the position of the image in it.

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

    def cut(i: int) -> dict[str, Any]:
        content = jpeg[offsets[i] : offsets[i + 1]].tobytes()
        return {"source": content, "name": f"{i} of {str(file)!r}", "formats": ("JPEG",)}

    order = np.random.default_rng(0).permutation(len(labels))[:limit]
    first = cut(order[0])
    with _explain_failures(file):
        n_bytes = 3 * len(order) * math.prod(read_size(**first))
        _check_claim(file, n_bytes, MAX_SMALL, MAX_EXPANSION)
    height, width, _ = read_image(**first).shape
    X = np.empty((len(order), height, width, 3), np.uint8)
    for row, i in enumerate(order):
        X[row] = read_image(**cut(i), expected_size=(height, width))
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
    _check_claim(file, sum(sizes.values()), MAX_SMALL_ARRAYS, MAX_ARRAY_EXPANSION)
    with zipfile.ZipFile(file) as archive:
        headers = {name: _read_header(archive, f"{name}.npy") for name in _ARRAYS}
    _check_headers(headers)
    with np.load(file, allow_pickle=False) as pack:
        return [pack[name] for name in _ARRAYS]


def _read_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and dtype of an array, and not the array."""
    with archive.open(name) as entry:
        major, _ = np.lib.format.read_magic(entry)
        read = (
            np.lib.format.read_array_header_1_0
            if major == 1
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(entry)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
        raise ValueError(f"its array {name} of shape {shape} is not all there")
    return shape, dtype


def _check_headers(headers: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
    """Compare the arrays before they are read."""
    for (name, kind), (shape, dtype) in zip(_ARRAYS.items(), headers.values(), strict=True):
        if len(shape) != 1 or not np.issubdtype(dtype, kind):
            raise ValueError(
                f"its array {name} has dtype {dtype} and shape {shape}; expected {kind.__name__} "
                "in one dimension"
            )
    n_bytes, n_offsets, n_labels, n_classes = (shape[0] for shape, _ in headers.values())
    if not n_labels or n_offsets != n_labels + 1:
        raise ValueError(
            f"it has {n_labels} labels and {n_offsets} offsets; expected at least one label, and "
            "one more offset"
        )
    if n_labels * MIN_JPEG_BYTES > n_bytes:
        raise ValueError(
            f"it has {n_labels:,} labels and {n_bytes:,} bytes of images; expected at least "
            f"{MIN_JPEG_BYTES} bytes for each"
        )
    n_characters = headers["classes"][1].itemsize // 4
    if n_classes > MAX_CLASSES or n_characters > MAX_NAME:
        raise ValueError(
            f"it has {n_classes:,} classes with names of up to {n_characters:,} characters; "
            f"expected at most {MAX_CLASSES:,} of up to {MAX_NAME:,}"
        )


def _check_claim(file: Path, n_bytes: int, small: int, expansion: int) -> None:
    """Refuse a small file that would fill the memory."""
    most = max(small, expansion * file.stat().st_size)
    if n_bytes > most:
        raise ValueError(f"it would take {n_bytes:,} bytes of memory; expected at most {most:,}")


def _check_arrays(
    jpeg: NDArray[Any], offsets: NDArray[Any], labels: NDArray[Any], classes: NDArray[Any]
) -> None:
    begins, ends = offsets[:-1], offsets[1:]
    for i in np.flatnonzero((begins < 0) | (begins >= ends) | (ends > len(jpeg))):
        raise ValueError(
            f"image {i} goes from byte {begins[i]} to byte {ends[i]} of {len(jpeg)}; expected "
            "offsets that increase"
        )
    for i in np.flatnonzero((labels < 0) | (labels >= len(classes))):
        raise ValueError(f"image {i} has the label {labels[i]}, of {len(classes)} classes")

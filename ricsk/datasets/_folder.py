"""Images in folders, one for each class."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ricsk._secrets import show_value
from ricsk.codecs import IMAGE_SUFFIXES, crop_and_resize, read_image, read_size
from ricsk.datasets._size import check_size

__all__ = ["load_folder"]

MAX_NAMES = 5
"""How many of the files that were passed over a warning names."""

# What operating systems put beside images. They hide other things behind a leading dot.
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}


def load_folder(
    path: str | os.PathLike[str], *, size: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Load images that are sorted into one sub-folder per class.

    Parameters
    ----------
    path : str or Path
        The folder. The name of each sub-folder is the label of the images in it. Images are the
        files whose names end in one of `ricsk.codecs.IMAGE_SUFFIXES`, in small or capital letters,
        of any format that `ricsk.codecs.read_image` reads. Links are followed. Hidden files and
        folders, ``__MACOSX``, ``Thumbs.db`` and ``desktop.ini`` are passed over in silence.
    size : (int, int), optional
        Height and width in pixels: each image is cropped around its middle to this aspect, then
        resized. Without it all images must have one size.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, channels), uint8
        The images on 0..255, sorted by label, then by file name, turned as their EXIF orientation
        says. There is 1 channel if all are grey, else 3 (RGB). Transparency is dropped, and of an
        animation the first frame is taken.
    y : ndarray of shape (n_samples,), str
        The labels.

    Raises
    ------
    FileNotFoundError
        If there is no folder `path`.
    TypeError
        If `path` is not a str or a path.
    ValueError
        If it has no sub-folders, one of them has no images, an image cannot be read or has more
        than 8 bits a channel or more pixels than `ricsk.codecs.read_image` allows, the images
        differ in size and no `size` is given, or `size` is not two positive integers or is of more
        pixels than that.

    Warns
    -----
    UserWarning
        If images lie outside of the sub-folders, or anything else lies beside the images in them,
        folders included. It was passed over, and the warning says what it is.

    See Also
    --------
    ricsk.codecs.read_image : How each file is read.
    sklearn.datasets.load_files : The same layout, for texts.

    Notes
    -----
    In one folder with colour images, a grey image gets three equal channels. Photographs bear that.
    A grey ciphertext does not: it can no longer be decrypted. Keep the ciphertexts of grey and of
    colour images in two folders, and load each by itself.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for label in ("blue", "red"):
    ...         (Path(folder) / label).mkdir()
    ...         Image.new("RGB", (40, 30), label).save(Path(folder) / label / "plain.png")
    ...     X, y = load_folder(folder, size=(16, 16))
    >>> X.shape, y.tolist()
    ((2, 16, 16, 3), ['blue', 'red'])
    """
    root = _check_path(path)
    check_size(size)
    files, passed_over = _find_images(root)
    if passed_over:
        warnings.warn(_describe_passed_over(root, passed_over), stacklevel=2)
    first = crop_and_resize(read_image(files[0]), size)
    X = np.empty((len(files), *first.shape), np.uint8)
    for i, file in enumerate(files):
        if size is None:
            # Before pixels are decoded; turned, or not, an image has the same two sides.
            found = read_size(file)
            if sorted(found) != sorted(first.shape[:2]):
                raise ValueError(_describe_difference(files[0], first.shape, file, found))
        image = crop_and_resize(read_image(file), size)
        if image.shape[:2] != X.shape[1:3]:
            raise ValueError(_describe_difference(files[0], first.shape, file, image.shape))
        if image.shape[2] > X.shape[3]:
            X = np.repeat(X, 3, axis=3)
        X[i] = image
    return X, np.array([file.parent.name for file in files])


def _check_path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path={show_value(path)}: expected the path of a folder, a str or a Path.")
    root = Path(path)
    if root.is_dir():
        return root
    if root.exists():
        raise FileNotFoundError(
            f"{show_value(str(root))} is not a folder. Give the path of a folder."
        )
    raise FileNotFoundError(
        f"there is no folder {show_value(str(root))}. Give the path of a folder."
    )


def _find_images(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the images of all classes, and what else is there that a user may want to know of."""
    entries = _list_visible(root)
    folders = [entry for entry in entries if entry.is_dir()]
    if not folders:
        raise ValueError(
            f"the folder {str(root)!r} has no sub-folders; expected one for each class, with the "
            f"images of that class in it. It has {_count_kinds(entries)}. Sort the images into "
            "such sub-folders."
        )
    files: list[Path] = []
    passed_over = [entry for entry in entries if _is_image(entry)]
    for folder in folders:
        inside = _list_visible(folder)
        images = [entry for entry in inside if _is_image(entry)]
        if not images:
            raise ValueError(
                f"the sub-folder {str(folder)!r} has no images, so that the class "
                f"{folder.name!r} would be missing: it has {_count_kinds(inside)}. Expected files "
                f"that end in one of {', '.join(IMAGE_SUFFIXES)}. Convert or move its images, or "
                "take the folder out."
            )
        files += images
        passed_over += [entry for entry in inside if not _is_image(entry)]
    return files, passed_over


def _list_visible(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.name.lower() not in _LITTER
    )


def _is_image(entry: Path) -> bool:
    """Say whether the name is that of an image; what is in the file is for its reader to say."""
    return entry.suffix.lower() in IMAGE_SUFFIXES and not entry.is_dir()


def _count_kinds(entries: list[Path]) -> str:
    """Say what is in a folder, such as '12 × .heic, 2 × folder'."""
    kinds = Counter(
        "folder" if entry.is_dir() else entry.suffix.lower() or "no ending" for entry in entries
    )
    return ", ".join(f"{n} × {kind}" for kind, n in kinds.most_common()) or "nothing in it"


def _describe_passed_over(root: Path, entries: list[Path]) -> str:
    names = [repr(str(entry.relative_to(root))) for entry in entries[:MAX_NAMES]]
    if len(entries) > MAX_NAMES:
        names.append(f"{len(entries) - MAX_NAMES} more")
    return (
        f"{len(entries)} of the files and folders in {str(root)!r} were passed over: "
        f"{', '.join(names)}. Images are read that lie directly in a sub-folder and end in one of "
        f"{', '.join(IMAGE_SUFFIXES)}."
    )


def _describe_difference(
    first: Path, first_size: tuple[int, ...], other: Path, other_size: tuple[int, ...]
) -> str:
    return (
        f"the images differ in size: {str(first)!r} has {first_size[0]}×{first_size[1]} pixels and "
        f"{str(other)!r} has {other_size[0]}×{other_size[1]} pixels. Give size=(height, width) to "
        "crop and resize them all."
    )

"""Images to try the package on: made, shipped with scikit-learn, from a folder, or fetched.

Every function here returns images as one uint8 array of shape ``(n_samples, height, width,
channels)``, the form that all estimators of the package read.
"""

from __future__ import annotations

import io
from numbers import Integral
from pathlib import Path
from typing import Literal

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image, ImageOps
from sklearn.utils import check_random_state, check_scalar

from ricsk.datasets._street_numbers import street_number

__all__ = [
    "fetch_cifar10",
    "fetch_svhn",
    "load_digits",
    "load_folder",
    "load_packed",
    "load_photos",
    "make_street_numbers",
]

Images = NDArray[np.uint8]
Subset = Literal["all", "train", "test"]

_EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"}


def make_street_numbers(
    n_samples: int = 1000,
    *,
    size: int = 32,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[Images, NDArray[np.int64]]:
    """Draw colour crops of house numbers, to be classified by the digit in the middle.

    A stand-in for SVHN [1]_ that needs no download. The digit of interest is near the middle,
    its neighbours are cut off at the sides, and the typeface, colours, contrast, polarity, wall,
    light, viewpoint, blur and noise vary. A linear classifier on the pixels does little better
    than chance, a small convolutional network learns the task from some thousand images.

    Parameters
    ----------
    n_samples : int
        How many images.
    size : int
        Height and width in pixels, at least 8.
    random_state : int, RandomState instance or None
        Pass an int for the same images in every call. Then the first images do not depend on
        `n_samples` either. The last bits may differ between versions of Pillow.

    Returns
    -------
    X : ndarray of shape (n_samples, size, size, 3), uint8
        The images, RGB on 0..255.
    y : ndarray of shape (n_samples,), int64
        The digits, 0 to 9. Each block of ten images holds every digit once, in random order.

    Raises
    ------
    TypeError, ValueError
        If `n_samples` or `size` is no integer, or too small.

    References
    ----------
    .. [1] Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu and A. Y. Ng, "Reading Digits in
       Natural Images with Unsupervised Feature Learning", NIPS Workshop on Deep Learning and
       Unsupervised Feature Learning, 2011.

    Examples
    --------
    >>> X, y = make_street_numbers(20, random_state=0)
    >>> X.shape, X.dtype
    ((20, 32, 32, 3), dtype('uint8'))
    >>> sorted(y[:10].tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    n_samples = check_scalar(n_samples, "n_samples", Integral, min_val=1)
    size = check_scalar(size, "size", Integral, min_val=8)
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    blocks = np.tile(np.arange(10), (-(-n_samples // 10), 1))
    y = np.random.default_rng(seed).permuted(blocks, axis=1).ravel()[:n_samples]
    X = np.empty((n_samples, size, size, 3), dtype=np.uint8)
    for i, digit in enumerate(y.tolist()):
        X[i] = street_number(digit, size, np.random.default_rng([seed, i]))
    return X, y.astype(np.int64)


def load_digits(size: int = 32) -> tuple[Images, NDArray[np.int64]]:
    """Load scikit-learn's handwritten digits, enlarged.

    Parameters
    ----------
    size : int
        Height and width in pixels; the originals have 8.

    Returns
    -------
    X : ndarray of shape (1797, size, size, 1), uint8
        The images, grey on 0..255, white ink on black. They are enlarged bicubically.
    y : ndarray of shape (1797,), int64
        The digits, 0 to 9.

    Raises
    ------
    TypeError, ValueError
        If `size` is no positive integer.

    See Also
    --------
    sklearn.datasets.load_digits : The source, with values 0 to 16.

    Examples
    --------
    >>> X, y = load_digits(size=16)
    >>> X.shape, y.shape
    ((1797, 16, 16, 1), (1797,))
    """
    size = check_scalar(size, "size", Integral, min_val=1)
    digits = sklearn.datasets.load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    X = np.stack([np.asarray(Image.fromarray(image).resize((size, size))) for image in pixels])
    return X[..., np.newaxis], digits.target.astype(np.int64)


def load_photos(size: tuple[int, int] | None = None) -> Images:
    """Load scikit-learn's two colour photographs, of a temple in China and of a flower.

    Parameters
    ----------
    size : (int, int), optional
        Height and width in pixels. The photographs are cropped around the middle to this aspect
        and resized. By default they stay as they are, and 427 rows are no multiple of 8 or 16:
        give a size for a block-wise encryption.

    Returns
    -------
    X : ndarray of shape (2, 427, 640, 3), or of the `size` given, uint8
        The images, RGB on 0..255.

    Raises
    ------
    ValueError
        If `size` is not two positive integers.

    See Also
    --------
    sklearn.datasets.load_sample_images : The source.

    Examples
    --------
    >>> load_photos().shape
    (2, 427, 640, 3)
    >>> load_photos(size=(64, 96)).shape
    (2, 64, 96, 3)
    """
    _check_size(size)
    photos = [Image.fromarray(photo) for photo in sklearn.datasets.load_sample_images().images]
    return np.stack([np.asarray(_fit(photo, size)) for photo in photos])


def load_folder(
    path: str | Path, *, size: tuple[int, int] | None = None
) -> tuple[Images, NDArray[np.str_]]:
    """Load images that are sorted into one sub-folder per class.

    Parameters
    ----------
    path : str or Path
        The folder. The name of each sub-folder is the label of the images in it. Images are the
        files that end in .png, .jpg, .jpeg, .webp, .bmp, .gif, .tif, .tiff or .ppm; hidden files
        and folders are passed over.
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
    ValueError
        If it has no sub-folders, they have no images, an image cannot be read or has more than
        8 bits a channel, the images differ in size and no `size` is given, or `size` is not two
        positive integers.

    See Also
    --------
    sklearn.datasets.load_files : The same layout, for texts.

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
    path = Path(path)
    _check_size(size)
    if not path.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path)!r}. Give the path of a folder.")
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise ValueError(
            f"the folder {str(path)!r} has no sub-folders; expected one for each class, with the "
            "images of that class in it. Sort the images into such sub-folders."
        )
    files = [
        file
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in _EXTENSIONS and not file.name.startswith(".")
    ]
    if not files:
        raise ValueError(
            f"the sub-folders of {str(path)!r} have no images; expected files that end in one of "
            f"{', '.join(sorted(_EXTENSIONS))}."
        )
    images = [_read(file, size) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            raise ValueError(
                f"the images differ in size: {str(files[0])!r} has {_describe(images[0])} and "
                f"{str(file)!r} has {_describe(image)}. Give size=(height, width) to crop and "
                "resize them all."
            )
    channels = max(image.shape[2] for image in images)
    X = np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
    return X, np.array([file.parent.name for file in files])


def load_packed(
    path: str | Path, name: str, split: str, *, limit: int | None = None
) -> tuple[Images, NDArray[np.int64], list[str]]:
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
    TypeError, ValueError
        If `limit` is no positive integer.

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
    path = Path(path)
    if limit is not None:
        check_scalar(limit, "limit", Integral, min_val=1)
    file = path / f"{name}_jpeg_{split}.npz"
    if not file.is_file():
        packs = [p.stem.rsplit("_jpeg_", 1) for p in sorted(path.glob("*_jpeg_*.npz"))]
        found = ", ".join(f"({there!r}, {part!r})" for there, part in packs)
        raise FileNotFoundError(
            f"there is no file {str(file)!r}. Give the (name, split) of a pack in that folder; "
            f"found: {found or 'none'}."
        )
    with np.load(file, allow_pickle=False) as pack:
        jpeg, offsets, labels = pack["jpeg"].tobytes(), pack["offsets"], pack["labels"]
        classes = pack["classes"].tolist()
    order = np.random.default_rng(0).permutation(len(labels))[:limit]
    X = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(jpeg[offsets[i] : offsets[i + 1]])).convert("RGB"))
            for i in order
        ]
    )
    return X, labels[order].astype(np.int64), classes


def fetch_cifar10(
    *, data_home: str | Path | None = None, subset: Subset = "all"
) -> tuple[Images, NDArray[np.int64]]:
    """Fetch CIFAR-10 [1]_ from OpenML: 60,000 colour images of ten kinds of things.

    The first call downloads some hundred megabytes and keeps them in `data_home`. Reading them
    takes a few gigabytes of memory.

    Parameters
    ----------
    data_home : str or Path, optional
        Where scikit-learn keeps data; by default ``~/scikit_learn_data``.
    subset : {"all", "train", "test"}
        All images, the first 50,000 or the last 10,000. OpenML's copy ("CIFAR_10", version 1,
        data set 40927) does not name its parts; it is taken to have the five training batches
        first and the test batch last, as the authors number them.

    Returns
    -------
    X : ndarray of shape (n_samples, 32, 32, 3), uint8
        The images, RGB on 0..255.
    y : ndarray of shape (n_samples,), int64
        0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    Raises
    ------
    ValueError
        If `subset` is none of the three.
    Exception
        Whatever `sklearn.datasets.fetch_openml` raises, for instance without a network.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", University of
       Toronto, 2009.

    Examples
    --------
    >>> X, y = fetch_cifar10(subset="test")  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (10000, 32, 32, 3)
    """
    rows, y = _fetch_openml(40927, 50_000, subset, data_home)
    return _from_planes(rows), y


def fetch_svhn(
    *, data_home: str | Path | None = None, subset: Subset = "all"
) -> tuple[Images, NDArray[np.int64]]:
    """Fetch SVHN [1]_ from OpenML: 99,289 colour crops of house numbers.

    The first call downloads some hundred megabytes and keeps them in `data_home`. Reading them
    takes a few gigabytes of memory. The data may be used for non-commercial purposes only.

    Parameters
    ----------
    data_home : str or Path, optional
        Where scikit-learn keeps data; by default ``~/scikit_learn_data``.
    subset : {"all", "train", "test"}
        All images, the first 73,257 or the last 26,032, as many as the training and the test set
        of the authors have. OpenML (data set 41081) does not say in which order its rows are.

    Returns
    -------
    X : ndarray of shape (n_samples, 32, 32, 3), uint8
        The images, RGB on 0..255.
    y : ndarray of shape (n_samples,), int64
        The digits, 0 to 9. The authors' label 10 stands for the digit 0.

    Raises
    ------
    ValueError
        If `subset` is none of the three.
    Exception
        Whatever `sklearn.datasets.fetch_openml` raises, for instance without a network.

    See Also
    --------
    make_street_numbers : Made-up images of the same kind, without a download.

    Notes
    -----
    OpenML does not say either how an image was written into a row, colour by colour or pixel by
    pixel, so that is read off the images: in the right order, neighbouring rows of pixels differ
    least.

    References
    ----------
    .. [1] Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu and A. Y. Ng, "Reading Digits in
       Natural Images with Unsupervised Feature Learning", NIPS Workshop on Deep Learning and
       Unsupervised Feature Learning, 2011.

    Examples
    --------
    >>> X, y = fetch_svhn(subset="test")  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (26032, 32, 32, 3)
    """
    rows, y = _fetch_openml(41081, 73_257, subset, data_home)
    sample = rows[:1000].astype(np.int16)
    # One row of pixels is 32 values away from the next colour by colour, 96 pixel by pixel.
    by_colour, by_pixel = (np.abs(sample[:, step:] - sample[:, :-step]).mean() for step in (32, 96))
    X = _from_planes(rows) if by_colour < by_pixel else rows.reshape(-1, 32, 32, 3)
    return X, y % 10


# Loading


def _check_size(size: tuple[int, int] | None) -> None:
    if size is None:
        return
    if (
        not isinstance(size, tuple)
        or len(size) != 2
        or not all(isinstance(side, Integral) and side > 0 for side in size)
    ):
        raise ValueError(
            f"size={size!r}: expected a tuple (height, width) of two positive integers, or None to "
            "leave the images as they are."
        )


def _fit(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    return image if size is None else ImageOps.fit(image, size[::-1], Image.Resampling.LANCZOS)


def _read(file: Path, size: tuple[int, int] | None) -> Images:
    """Read an image file as an array of shape (height, width, 1 or 3)."""
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f"cannot read the image {str(file)!r}: {error}. Repair it or take it out of the folder."
        ) from error
    if image.mode.startswith(("I", "F")):
        # Pillow's own conversion would clip these at 255, to an almost white image.
        raise ValueError(
            f"the image {str(file)!r} has Pillow's mode {image.mode}; expected 8 bits a channel. "
            "Scale it to 0..255 first."
        )
    if image.mode == "P":
        image = image.convert("RGBA")  # Pillow warns where transparent palettes become RGB
    grey = image.mode in ("1", "L", "LA")
    pixels = np.asarray(_fit(image.convert("L" if grey else "RGB"), size))
    return pixels[..., np.newaxis] if grey else pixels


def _describe(image: Images) -> str:
    return f"{image.shape[0]}×{image.shape[1]} pixels"


def _fetch_openml(
    data_id: int, n_train: int, subset: Subset, data_home: str | Path | None
) -> tuple[Images, NDArray[np.int64]]:
    """Fetch rows of 3072 pixel values, and their labels."""
    parts = {"all": slice(None), "train": slice(n_train), "test": slice(n_train, None)}
    if subset not in parts:
        raise ValueError(f"subset={subset!r}: expected 'all', 'train' or 'test'.")
    fetched = sklearn.datasets.fetch_openml(data_id=data_id, data_home=data_home, as_frame=False)
    part = parts[subset]
    return fetched.data[part].astype(np.uint8), fetched.target[part].astype(np.int64)


def _from_planes(rows: Images) -> Images:
    return np.ascontiguousarray(np.moveaxis(rows.reshape(-1, 3, 32, 32), 1, -1))

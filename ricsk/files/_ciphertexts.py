"""Ciphertexts of every scheme as image files, with a header that says how they were made."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ricsk._atomic import write_whole
from ricsk.codecs import read_image
from ricsk.exceptions import NewerFormatError, WrongKeyError
from ricsk.files._containers import (
    FORMATS,
    SUFFIXES,
    encode_jpeg,
    encode_png,
    encode_webp,
    find_header,
)
from ricsk.files._header import CiphertextHeader, describe_encryptor
from ricsk.files._seal import restore_images
from ricsk.images import check_images, describe

__all__ = ["encode_ciphertexts", "read_ciphertexts", "read_header", "write_ciphertexts"]

PathLike = str | os.PathLike[str]
Format = Literal["png", "webp", "jpeg"]

_JPEG_UNITS = {"4:2:0": 16, "4:4:4": 8}


def write_ciphertexts(
    C: ArrayLike,
    folder: PathLike,
    encryptor: Any,
    *,
    names: Sequence[str] | None = None,
    format: Format = "png",
    quality: int | None = None,
    subsampling: Literal["4:2:0", "4:4:4"] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write ciphertexts to image files, each with a header that says how it was made.

    Every bit of a ciphertext counts, so files are PNG, or WebP without loss. JPEG, which changes
    pixels, is for `EtCEncryptor`, whose ciphertexts bear it.

    Read more in the :ref:`User Guide <guide-photographs>`.

    Parameters
    ----------
    C : array-like of shape (n_samples, ...)
        What `transform` of the encryptor returned.
    folder : path
        Where to write. It is made if it is not there.
    encryptor : encryptor
        The fitted encryptor. Its scheme, format, settings, and the id of its key enter the headers,
        and so does the size of the plain images; never the key.
    names : sequence of str, optional
        What the files are called, without the end of the name; with "/" for folders below. By
        default numbers from 0, so that nothing is told by names.
    format : {"png", "webp", "jpeg"}, default="png"
        Of the files.
    quality : int, optional
        For JPEG, and needed there: from 1 (smallest files) to 100.
    subsampling : {"4:2:0", "4:4:4"}, optional
        For JPEG, and needed there: whether colours are halved in both directions. The blocks of the
        scheme must be multiples of 16 pixels, or of 8 with "4:4:4" and for grey ciphertexts.
    overwrite : bool, default=False
        Whether files that are there are replaced.

    Returns
    -------
    list of Path
        The files, in the order of `C`. Each appears whole or not at all.

    Raises
    ------
    FileExistsError
        If one of the files is there. Those before it have been written.
    TypeError
        If the encryptor is not one of this package.
    ValueError
        If `C` does not hold ciphertexts of the encryptor, or floats between the 256 levels; or the
        scheme does not bear the format.
    sklearn.exceptions.NotFittedError
        If the encryptor is not fitted.

    See Also
    --------
    read_ciphertexts : The way back.
    seal_photograph : Keeps whole files of any size and kind.

    Examples
    --------
    >>> import tempfile
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.files import read_ciphertexts, write_ciphertexts
    >>> X, _ = load_digits(size=16)
    >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(X)
    >>> C = encryptor.transform(X[:20])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = write_ciphertexts(C, folder, encryptor)
    ...     again = read_ciphertexts(folder, encryptor)
    >>> paths[-1].name, bool((again == C).all())
    ('19.png', True)
    """
    encode = _choose_encoder(encryptor, format, quality, subsampling)
    levels = _read_levels(C, encryptor, "write_ciphertexts")
    targets = _name_files(Path(folder), names, len(levels), SUFFIXES[format])
    for pixels, target in zip(levels, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, encode(pixels), overwrite=overwrite)
    return targets


def encode_ciphertexts(
    C: ArrayLike,
    encryptor: Any,
    *,
    format: Format = "png",
    quality: int | None = None,
    subsampling: Literal["4:2:0", "4:4:4"] | None = None,
) -> list[bytes]:
    """Make the contents of the files that `write_ciphertexts` writes, for tables and databases.

    Parameters
    ----------
    C : array-like of shape (n_samples, ...)
        What `transform` of the encryptor returned.
    encryptor : encryptor
        The fitted encryptor.
    format, quality, subsampling
        As for `write_ciphertexts`.

    Returns
    -------
    list of bytes
        What `read_ciphertexts` reads.

    Raises
    ------
    TypeError, ValueError
        As by `write_ciphertexts`.
    sklearn.exceptions.NotFittedError
        If the encryptor is not fitted.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.files import encode_ciphertexts, read_ciphertexts
    >>> X, _ = load_digits(size=16)
    >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(X)
    >>> C = encryptor.transform(X[:2])
    >>> contents = encode_ciphertexts(C, encryptor)
    >>> bool((read_ciphertexts(contents, encryptor) == C).all())
    True
    """
    encode = _choose_encoder(encryptor, format, quality, subsampling)
    return [encode(pixels) for pixels in _read_levels(C, encryptor, "encode_ciphertexts")]


def read_ciphertexts(
    source: PathLike | bytes | Sequence[PathLike | bytes], encryptor: Any | None = None
) -> NDArray[Any]:
    """Read ciphertexts from files that `write_ciphertexts` or `seal_photograph` wrote.

    All headers are read first: a file of another scheme, format or key is refused by name before a
    pixel of any is decoded.

    Parameters
    ----------
    source : path, bytes, or sequence of them
        Files, or what is in them; or a folder, whose files in these formats are read in the order
        of their names.
    encryptor : encryptor, optional
        The fitted encryptor that made them, or one with the same settings and key. Without it, as
        in the cloud, pixels are read whatever they are ciphertexts of.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        Ciphertexts, in the form of those that the encryptor returns: the dtype and dimensions of
        the images of its `fit`. Without an encryptor, (n_samples, height, width, channels) of
        uint8.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    WrongKeyError
        If a file was encrypted with another key.
    NewerFormatError
        If a file is of a format that only a newer version of this package reads.
    ValueError
        If a file has no header, or is damaged; is of another scheme, or of other settings than the
        encryptor's; or images differ in size.
    """
    files = _list_files(source)
    expected = None
    if encryptor is not None:
        check_is_fitted(encryptor)
        expected = CiphertextHeader.from_bytes(describe_encryptor(encryptor).to_bytes())
    found = [_read_checked_header(file, expected, encryptor) for file in files]
    shape = None if encryptor is None else encryptor.ciphertext_shape_
    images = []
    for file, (format, header) in zip(files, found, strict=True):
        images.append(_read_pixels(file, format, header, shape))
        shape = shape or images[0].shape
    levels = np.stack(images)
    if encryptor is None:
        return levels
    return restore_images(levels, encryptor, flat=encryptor.flattens_)


def read_header(source: PathLike | bytes) -> CiphertextHeader:
    """Read what the file of a ciphertext says of itself. It takes no key, and decodes no pixel.

    Parameters
    ----------
    source : path or bytes
        A file that `write_ciphertexts` or `seal_photograph` wrote, or what is in it.

    Returns
    -------
    CiphertextHeader

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NewerFormatError
        If the header is of a layout that only a newer version of this package reads.
    ValueError
        If the file has no header, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ricsk import SecretKey
    >>> from ricsk.files import read_header, seal_photograph
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plain, sealed = Path(folder, "plain"), Path(folder, "sealed.png")
    ...     _ = plain.write_bytes(b"any file")
    ...     seal_photograph(plain, sealed, key=SecretKey(bytes(range(32))))
    ...     header = read_header(sealed)
    >>> header.scheme, header.version, header.key_id
    ('photograph', 1, 'c01603b676738217')
    """
    return _read_header(source if isinstance(source, bytes) else Path(source))[1]


def _read_header(source: Path | bytes) -> tuple[str, CiphertextHeader]:
    try:
        with _open(source) as file:
            found = find_header(file)
        if found is None:
            raise ValueError(
                "it has no header of ricsk. If it was taken out on the way, read the pixels with "
                "ricsk.codecs.read_image and give them to inverse_transform"
            )
        return found[0], CiphertextHeader.from_bytes(found[1])
    except (NewerFormatError, ValueError) as error:
        raise type(error)(f"cannot read the ciphertext{_name(source)}: {error}.") from None


def _open(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _name(source: Path | bytes) -> str:
    return "" if isinstance(source, bytes) else f" {str(source)!r}"


def _read_checked_header(
    source: Path | bytes, expected: CiphertextHeader | None, encryptor: Any
) -> tuple[str, CiphertextHeader]:
    format, header = _read_header(source)
    if expected is None:
        return format, header
    try:
        header.check(expected.scheme, expected.version, getattr(encryptor, "key_", None))
    except (NewerFormatError, WrongKeyError, ValueError) as error:
        raise type(error)(f"cannot open the ciphertext{_name(source)}: {error}.") from None
    for name, (theirs, ours) in _compare(header, expected).items():
        raise ValueError(
            f"cannot open the ciphertext{_name(source)}: it was made with {name}={theirs!r}, and "
            f"this encryptor has {name}={ours!r}. Use one that was fitted alike."
        )
    return format, header


def _compare(header: CiphertextHeader, expected: CiphertextHeader) -> dict[str, tuple[Any, Any]]:
    theirs = {"image_shape": header.image_shape, **header.parameters}
    ours = {"image_shape": expected.image_shape, **expected.parameters}
    names = sorted({*theirs, *ours})
    pairs = {name: (theirs.get(name), ours.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _read_pixels(
    source: Path | bytes,
    format: str,
    header: CiphertextHeader,
    shape: tuple[int, int, int] | None,
) -> NDArray[np.uint8]:
    size = None if shape is None else shape[:2]
    pixels = read_image(source, formats=(FORMATS[format],), expected_size=size)
    if format == "webp" and shape is not None:  # which has no grey
        pixels = pixels[..., : shape[2]]
    elif format == "webp" and header.image_shape is not None:
        pixels = pixels[..., : header.image_shape[2]]
    if shape is not None and pixels.shape != shape:
        raise ValueError(
            f"the ciphertext{_name(source)} is an image of {describe(_as_shape(pixels))}; expected "
            f"{describe(shape)}. Read those of one shape together."
        )
    return pixels


def _as_shape(pixels: NDArray[np.uint8]) -> tuple[int, int, int]:
    height, width, channels = pixels.shape
    return height, width, channels


def _list_files(
    source: PathLike | bytes | Sequence[PathLike | bytes],
) -> Sequence[Path | bytes]:
    files: Sequence[Path | bytes]
    if isinstance(source, bytes):
        files = [source]
    elif not isinstance(source, str | os.PathLike):
        files = [file if isinstance(file, bytes) else Path(file) for file in source]
    elif Path(source).is_dir():
        files = sorted(path for path in Path(source).iterdir() if path.suffix in SUFFIXES.values())
    else:
        files = [Path(source)]
    if not files:
        raise ValueError(
            "there are no ciphertexts to read: expected files that end in "
            f"{', '.join(SUFFIXES.values())}."
        )
    return files


def _name_files(folder: Path, names: Sequence[str] | None, n: int, suffix: str) -> list[Path]:
    if names is None:
        width = len(str(n - 1))
        names = [f"{i:0{width}}" for i in range(n)]
    if len(names) != n or len(set(names)) != n:
        raise ValueError(
            f"names has {len(names)} names, {len(set(names))} of them different, for {n} "
            "ciphertexts; expected a different one for each."
        )
    for name in names:
        parts = name.split("/")
        outside = {"", ".", ".."} & {*parts} or PureWindowsPath(name).drive or "\0" in name
        if outside or PurePosixPath(name).is_absolute():
            raise ValueError(
                f"{name!r} is not the name of a file below the folder. Give relative names, "
                "without '..'."
            )
    return [folder / f"{name}{suffix}" for name in names]


def _read_levels(C: ArrayLike, encryptor: Any, caller: str) -> NDArray[np.uint8]:
    shape = encryptor.ciphertext_shape_
    batch = check_images(C, image_shape=shape, caller=caller)
    if batch.shape != shape:
        raise ValueError(
            f"C holds images of {describe(batch.shape)}, but ciphertexts of this encryptor have "
            f"{describe(shape)}. Pass what transform returned."
        )
    levels: NDArray[np.uint8] = encryptor.value_range_.to_uint8(batch.pixels)
    if not encryptor.value_range_.are_levels(batch.pixels).all():
        raise ValueError(
            "C has values between the 256 levels that a file holds, and would be changed. Encrypt "
            "8-bit images, or floats that are levels k / 255."
        )
    return levels


def _choose_encoder(
    encryptor: Any, format: str, quality: int | None, subsampling: str | None
) -> Callable[[NDArray[np.uint8]], bytes]:
    check_is_fitted(encryptor)
    described = describe_encryptor(encryptor)
    scheme, header = described.scheme, described.to_bytes()
    if format not in SUFFIXES:
        raise ValueError(f"format={format!r}; expected one of {', '.join(map(repr, SUFFIXES))}.")
    if format != "jpeg":
        if quality is not None or subsampling is not None:
            raise ValueError(f"{format} has neither quality nor subsampling; leave them out.")
        encode = encode_png if format == "png" else encode_webp
        return lambda pixels: encode(pixels, header)
    if scheme != "etc":
        raise ValueError(
            f"ciphertexts of the scheme {scheme!r} do not bear JPEG, which changes pixels. Take "
            'format="png", or EtCEncryptor.'
        )
    if quality is None or subsampling not in _JPEG_UNITS or not 1 <= quality <= 100:
        raise ValueError(
            f"quality={quality!r} and subsampling={subsampling!r}; JPEG needs both: a quality from "
            '1 to 100, and "4:2:0" or "4:4:4".'
        )
    side = encryptor.scheme_.sub_block_size
    unit = 8 if encryptor.ciphertext_shape_[2] == 1 else _JPEG_UNITS[subsampling]
    if side % unit:
        raise ValueError(
            f"the blocks of this encryptor have sides of {side} pixels, and JPEG codes units of "
            f"{unit}: it would mix blocks. Take blocks that are multiples of {unit}, or PNG."
        )
    return lambda pixels: encode_jpeg(pixels, header, quality, subsampling)

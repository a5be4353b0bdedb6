"""How the image file of a stranger is opened: the one place for it."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ricsk.codecs._depth import check_depth

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "read_image", "read_size"]

# Pillow's names. It reads more formats, some of them by other programs (EPS by Ghostscript).
_SUFFIXES = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".mpo",),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
}

IMAGE_SUFFIXES = tuple(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
"""How the names of image files end."""

MAX_PIXELS = 2**26
"""The most pixels of an image that is read without an expected size; 192 MiB in colour."""

MAX_SMALL_PIXELS, MAX_PIXELS_PER_BYTE = 2**22, 100
"""How many pixels a file may claim: 4,194,304, or 100 for each of its bytes if that is more."""

MAX_SCANS = 100
"""How many scans a progressive JPEG file may have: each takes as long as all pixels do."""

_STRIP_PIXELS = 2**20
_ORIENTATION = 0x0112  # in Exif

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview


def read_image(
    source: ImageSource,
    *,
    name: str | None = None,
    formats: Sequence[str] = tuple(_SUFFIXES),
    expected_size: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Read an image file, whatever program made it.

    Parameters
    ----------
    source : str, path or bytes
        The path of a file, or its content.
    name : str, optional
        What errors call the image. By default the path, or the number of bytes.
    formats : sequence of str
        The formats to try, by Pillow's names. By default PNG, JPEG, MPO, WebP, AVIF, BMP, GIF,
        TIFF, PPM and JPEG 2000. The content says what a file is, not the end of its name.
    expected_size : (int, int), optional
        Height and width that the image must have. A file that claims other ones is refused before
        its pixels are decoded. By default the size is free, up to `ricsk.codecs.MAX_PIXELS`,
        67,108,864 pixels in all, and, beyond 4,194,304, up to 100 pixels for each byte of the file.

    Returns
    -------
    ndarray of shape (height, width, 1 or 3), uint8
        The image on 0..255, grey or RGB, turned as its EXIF orientation says. Transparency is
        dropped. Of an animation, and of several pages, the first is taken. Other colour spaces
        (CMYK, YCbCr, CIELAB) are converted to RGB as Pillow does, without a colour profile.

    Raises
    ------
    FileNotFoundError
        If there is no file at this path.
    TypeError
        If `source` is neither a path nor bytes.
    ValueError
        If the source is not a regular file, is damaged, is of another format, has more than 8 bits
        a channel, signed or floating-point values, another size than expected, too many pixels, or
        more than 100 scans (JPEG).
        The message names the file, and the error that it was raised from says what failed.

    Notes
    -----
    The names of such files end in .png, .apng, .jpg, .jpeg, .jpe, .jfif, .mpo, .webp, .avif,
    .avifs, .bmp, .gif, .tif, .tiff, .pbm, .pgm, .ppm, .pnm, .jp2, .j2k, .jpc, .jpf, .jpx or .j2c,
    which is what `ricsk.codecs.IMAGE_SUFFIXES` holds. No other program is ever started. Beside the
    image, up to 4 bytes for each pixel are taken while it is decoded, and with JPEG up to 8 more.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("L", (40, 30)).save(file, "PNG")
    >>> read_image(file.getvalue()).shape
    (30, 40, 1)
    """
    with _open_image(source, name, formats, expected_size) as (image, file):
        check_depth(image, file)
        _check_scans(image, file)
        pixels = _orient(_to_pixels(image), image)
        if expected_size is not None and pixels.shape[:2] != tuple(expected_size):
            raise ValueError(_describe_size(pixels.shape[:2], expected_size))
    return pixels


def read_size(
    source: ImageSource, *, name: str | None = None, formats: Sequence[str] = tuple(_SUFFIXES)
) -> tuple[int, int]:
    """Read how large an image is, and decode no pixel.

    Parameters
    ----------
    source, name, formats
        As for `read_image`.

    Returns
    -------
    (int, int)
        Height and width, before the image is turned as its EXIF orientation says.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `read_image`.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from ricsk.codecs import read_size
    >>> file = io.BytesIO()
    >>> Image.new("L", (40, 30)).save(file, "PNG")
    >>> read_size(file.getvalue())
    (30, 40)
    """
    with _open_image(source, name, formats, None) as (image, _):
        width, height = image.size
        return height, width


@contextmanager
def _open_image(
    source: ImageSource,
    name: str | None,
    formats: Sequence[str],
    expected_size: tuple[int, int] | None,
) -> Iterator[tuple[Image.Image, BinaryIO]]:
    """Open an image of a size that is allowed, and explain what goes wrong with it."""
    if not isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        raise TypeError(
            f"source is a {type(source).__name__}; expected the path of an image file or its bytes."
        )
    Image.init()
    known = [name for name in formats if name in Image.OPEN]  # older Pillows read fewer formats
    try:
        # Sizes are checked here, against other limits than Pillow's.
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            _open(source) as file,
            Image.open(file, formats=known) as image,
        ):
            _check_size(image, file, expected_size)
            yield image, file
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged files make decoders raise almost anything
        raise ValueError(
            f"cannot read the image {name or _name(source)}: {_explain(error, formats)}. Repair, "
            "convert or remove it."
        ) from error


def _open(source: ImageSource) -> BinaryIO:
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    path = Path(source)
    if path.is_symlink() and not path.exists():
        raise ValueError("it is a link to a file that is not there")
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):  # opening a named pipe would wait for a writer
        raise ValueError(f"it is {_describe_kind(mode)}, not a regular file")
    return path.open("rb")


def _describe_kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _check_size(image: Image.Image, file: BinaryIO, expected_size: tuple[int, int] | None) -> None:
    """Compare what the header says; the orientation is not yet known."""
    width, height = image.size
    if expected_size is not None:
        if sorted(image.size) != sorted(expected_size):
            raise ValueError(_describe_size((height, width), expected_size))
        return
    n_bytes = file.seek(0, io.SEEK_END)
    most = min(MAX_PIXELS, max(MAX_SMALL_PIXELS, MAX_PIXELS_PER_BYTE * n_bytes))
    if width * height > most:
        raise ValueError(
            f"it has {height:,}×{width:,} pixels; expected at most {most:,} in all, in a file of "
            f"{n_bytes:,} bytes"
        )


def _check_scans(image: Image.Image, file: BinaryIO) -> None:
    if image.format not in ("JPEG", "MPO"):
        return
    file.seek(0)
    n_scans, before = 0, b""
    while block := file.read(2**20):
        # No other byte that follows ff in coded values is da.
        n_scans += (before + block).count(b"\xff\xda")
        before = block[-1:]
    if n_scans > MAX_SCANS:
        raise ValueError(f"it has {n_scans:,} scans; expected at most {MAX_SCANS}")


def _describe_size(size: tuple[int, ...], expected: tuple[int, int]) -> str:
    return f"it has {size[0]}×{size[1]} pixels; expected {expected[0]}×{expected[1]}"


def _to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Convert strip by strip, so that the image is in memory twice and not four times."""
    image.load()
    n_channels = 1 if image.mode in ("1", "L", "LA") else 3
    width, height = image.size
    pixels = np.empty((height, width, n_channels), np.uint8)
    n_rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, n_rows):
        strip = image.crop((0, top, width, min(top + n_rows, height)))
        pixels[top : top + n_rows] = _convert(strip, "L" if n_channels == 1 else "RGB")
    return pixels


def _convert(image: Image.Image, mode: str) -> NDArray[np.uint8]:
    # Pillow does not convert these in one step, or warns where transparent palettes become RGB.
    detour = {"P": "RGBA", "PA": "RGBA", "La": "LA"}
    if image.mode in detour:
        image = image.convert(detour[image.mode])
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels[..., np.newaxis] if mode == "L" else pixels


def _orient(pixels: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """Turn pixels as the EXIF orientation says."""
    turned = {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels),
    }
    orientation = image.getexif().get(_ORIENTATION, 1)
    return np.ascontiguousarray(turned.get(orientation, pixels))


def _name(source: ImageSource) -> str:
    if isinstance(source, bytes | bytearray | memoryview):
        return f"of {len(source)} bytes"
    return repr(os.fspath(source))


def _explain(error: Exception, formats: Sequence[str]) -> str:
    if isinstance(error, UnidentifiedImageError):
        *others, last = formats
        wanted = f"{', '.join(others)} or {last}" if others else last
        return f"it is damaged, or not a file of the format {wanted}"
    told = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
    if isinstance(error, told) and str(error):
        return str(error).rstrip(".")
    return f"its decoder failed with {error!r}"

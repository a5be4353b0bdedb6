"""Image files with a header in them: as a chunk of PNG or WebP, or a segment of JPEG."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ricsk.files._header import MAX_HEADER_BYTES
from ricsk.files._png import (
    HEADER,
    SIGNATURE,
    ChunkReader,
    compress_pixels,
    pack_chunk,
    pack_ihdr,
    read_exactly,
)

__all__ = ["FORMATS", "SUFFIXES", "encode_jpeg", "encode_png", "encode_webp", "find_header"]

SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}
"""How the names of files end, by format."""

FORMATS = {"png": "PNG", "webp": "WEBP", "jpeg": "JPEG"}
"""Pillow's names of the formats."""

_JPEG_START = b"\xff\xd8"
_APP11, _START_OF_SCAN = 0xEB, 0xDA
_IDENTIFIER = b"ricsk\0"


def encode_png(pixels: NDArray[np.uint8], header: bytes) -> bytes:
    """Make a PNG file.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 1 or 3), uint8
        The image.
    header : bytes
        For the chunk riCM.

    Returns
    -------
    bytes
    """
    height, width, channels = pixels.shape
    chunks = [pack_ihdr(height, width, channels), pack_chunk(HEADER, header)]
    chunks += [pack_chunk(b"IDAT", compress_pixels(pixels)), pack_chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(chunks)


def encode_webp(pixels: NDArray[np.uint8], header: bytes) -> bytes:
    """Make a lossless WebP file, grey as three equal channels.

    Parameters
    ----------
    pixels, header
        As for `encode_png`.

    Returns
    -------
    bytes
    """
    height, width, _ = pixels.shape
    buffer = io.BytesIO()
    _to_pillow(pixels).save(buffer, "WEBP", lossless=True, exact=True)
    image = buffer.getvalue()[12:]
    sides = struct.pack("<2I", width - 1, height - 1)
    extended = b"VP8X" + struct.pack("<2I", 10, 0) + sides[:3] + sides[4:7]
    chunk = HEADER + struct.pack("<I", len(header)) + header + bytes(len(header) % 2)
    content = b"WEBP" + extended + image + chunk
    return b"RIFF" + struct.pack("<I", len(content)) + content


def encode_jpeg(pixels: NDArray[np.uint8], header: bytes, quality: int, subsampling: str) -> bytes:
    """Make a JPEG file.

    Parameters
    ----------
    pixels, header
        As for `encode_png`.
    quality : int
        From 1 to 100.
    subsampling : {"4:2:0", "4:4:4"}
        Of colours.

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    _to_pillow(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    content = _IDENTIFIER + header
    segment = struct.pack(">2BH", 0xFF, _APP11, 2 + len(content)) + content
    return _JPEG_START + segment + buffer.getvalue()[len(_JPEG_START) :]


def find_header(file: BinaryIO) -> tuple[str, bytes] | None:
    """Find the header of an image file, and decode no pixel.

    Parameters
    ----------
    file : binary file
        Written by anybody.

    Returns
    -------
    format : str
        A key of `FORMATS`.
    header : bytes

    None, if the file is of another format, or has no header before its pixels.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    start = read_exactly(file, 12)
    for name, (magic, offset, find) in _FINDERS.items():
        if start[offset : offset + len(magic)] == magic:
            file.seek(0)
            header = find(file)
            if header is not None and len(header) > MAX_HEADER_BYTES:
                raise ValueError("the header of the file is too long")
            return None if header is None else (name, header)
    return None


def _find_in_png(file: BinaryIO) -> bytes | None:
    file.seek(len(SIGNATURE))
    reader = ChunkReader(file)
    header = None
    for name in reader:
        if header is not None or name == b"IDAT":  # the check sum of the header was right
            break
        if name == HEADER:
            header = reader.read(MAX_HEADER_BYTES + 1)
    return header


def _find_in_webp(file: BinaryIO) -> bytes | None:
    file.seek(12)
    for name, length in _iterate_riff(file):
        if name == HEADER:
            return _read(file, min(length, MAX_HEADER_BYTES + 1))
        file.seek(length + length % 2, io.SEEK_CUR)
    return None


def _iterate_riff(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    while len(start := read_exactly(file, 8)) == 8:
        name, length = struct.unpack("<4sI", start)
        yield name, length


def _find_in_jpeg(file: BinaryIO) -> bytes | None:
    file.seek(len(_JPEG_START))
    while True:
        mark, kind, length = struct.unpack(">2BH", _read(file, 4))
        if mark != 0xFF or length < 2:
            raise ValueError("it has a segment that JPEG does not allow")
        if kind == _START_OF_SCAN:
            return None
        content = _read(file, length - 2)
        if kind == _APP11 and content.startswith(_IDENTIFIER):
            return content[len(_IDENTIFIER) :]


def _read(file: BinaryIO, n: int) -> bytes:
    data = read_exactly(file, n)
    if len(data) < n:
        raise ValueError("it ends too early")
    return data


def _to_pillow(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


_FINDERS: dict[str, tuple[bytes, int, Callable[[BinaryIO], bytes | None]]] = {
    "png": (SIGNATURE, 0, _find_in_png),
    "webp": (b"WEBP", 8, _find_in_webp),
    "jpeg": (_JPEG_START, 0, _find_in_jpeg),
}

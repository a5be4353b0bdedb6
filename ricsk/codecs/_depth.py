"""How many bits a channel has in an image file: Pillow cuts more than 8 off without a word."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image

__all__ = ["check_depth"]

_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339  # tags of TIFF
_UNSIGNED = 1


def check_depth(image: Image.Image, file: BinaryIO) -> None:
    """Raise ValueError unless the channels are unsigned integers that 8 bits hold.

    Parameters
    ----------
    image : PIL.Image.Image
        The image, opened but not yet decoded.
    file : binary file
        What it was opened from.
    """
    bits = _find_bits(image, file)
    # Pillow scales 1, 2 and 4 bits to 0..255, except for JPEG 2000.
    fewest = 8 if image.format == "JPEG2000" else 1
    wrong = [n for n in bits if not fewest <= n <= 8]
    if wrong:
        raise ValueError(f"it has {max(wrong)}-bit channels; expected 8 bits, for values on 0..255")
    if image.mode.startswith(("I", "F")) or _is_signed(image):
        raise ValueError(
            "it has signed, floating-point or long values; expected 8 bits, for values on 0..255"
        )


def _find_bits(image: Any, file: BinaryIO) -> list[int]:
    if image.format in ("PNG", "PPM"):
        return [_find_bits_of_rawmode(tile[3]) for tile in image.tile]
    if image.format == "TIFF":
        return list(image.tag_v2.get(_BITS_PER_SAMPLE, ()))
    if image.format == "JPEG2000":
        return _read_bits_of_jpeg2000(file)
    if image.format == "AVIF":
        return _read_bits_of_avif(file)
    return []


def _find_bits_of_rawmode(rawmode: str | tuple[Any, ...]) -> int:
    """Read a layout such as "RGB;16B", or a layout and the largest value."""
    if isinstance(rawmode, tuple):
        return int(rawmode[-1]).bit_length()
    return 16 if "16" in rawmode else 8


def _is_signed(image: Any) -> bool:
    formats = image.tag_v2.get(_SAMPLE_FORMAT, ()) if image.format == "TIFF" else ()
    return any(code != _UNSIGNED for code in formats)


def _read_bits_of_jpeg2000(file: BinaryIO) -> list[int]:
    """Read the sizes with which the codestream begins (ISO/IEC 15444-1, A.5.1)."""
    file.seek(0)
    starts = [0]
    if file.read(4) != b"\xff\x4f\xff\x51":
        starts = [begin for kind, begin, _ in _find_boxes(file) if kind == b"jp2c"]
    if not starts:
        raise ValueError("it has no codestream")
    file.seek(starts[0] + 40)
    (n_channels,) = struct.unpack(">H", file.read(2))
    return [(depth & 0x7F) + 1 for depth in file.read(3 * n_channels)[::3]]


def _read_bits_of_avif(file: BinaryIO) -> list[int]:
    """Read the boxes av1C, which describe the AV1 streams (AV1 in ISOBMFF, 2.3.3)."""
    bits = []
    for kind, begin, end in _find_boxes(file):
        if kind in (b"meta", b"moov"):
            file.seek(begin)
            for match in re.finditer(b"av1C..(.)", file.read(end - begin), re.DOTALL):
                high, twelve = match[1][0] & 0x40, match[1][0] & 0x20
                bits.append(12 if twelve else 10 if high else 8)
    return bits


def _find_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box of an ISO base media file, and where its content lies."""
    start, file_end = 0, file.seek(0, io.SEEK_END)
    while start < file_end:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        begin = start + 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            begin += 8
        end = start + length if length else file_end
        if end < begin:
            raise ValueError("it has a box of impossible length")
        yield kind, begin, end
        start = end

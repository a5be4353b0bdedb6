"""PNG files, chunk by chunk (W3C, Portable Network Graphics, third edition)."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "HEADER",
    "ORIGINAL",
    "SIGNATURE",
    "ChunkReader",
    "compress_pixels",
    "pack_chunk",
    "pack_ihdr",
    "read_exactly",
]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""How every PNG file begins."""

# The letters' cases say: ancillary (readers pass over it), private, as PNG has it today, and unsafe
# to copy: what changes pixels is to drop it.
HEADER = b"riCM"
"""The chunk that says of what a file is the ciphertext."""

ORIGINAL = b"riCS"
"""The chunks that hold a whole file, encrypted."""

_BLOCK_BYTES = 1 << 16
# Of large images so much is tried, and the best way taken for all.
_SAMPLE_BYTES = 1 << 18
# Pixels that are no smaller than this, their values counted, are noise.
_NOISE_SHARE = 0.98


def pack_chunk(name: bytes, data: bytes) -> bytes:
    """Make a chunk.

    Parameters
    ----------
    name : bytes
        Four letters.
    data : bytes
        Its content.

    Returns
    -------
    bytes

    Examples
    --------
    >>> pack_chunk(b"IEND", b"").hex()
    '0000000049454e44ae426082'
    """
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_ihdr(height: int, width: int, channels: int) -> bytes:
    """Make the chunk IHDR of an image with 8-bit channels.

    Parameters
    ----------
    height, width, channels : int
        With 1 (grey) or 3 (RGB) channels.

    Returns
    -------
    bytes
    """
    colour_type = 0 if channels == 1 else 2
    return pack_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, colour_type, 0, 0, 0))


def compress_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """Compress pixels for IDAT, as small as Pillow or unfiltered rows make them.

    What PNG's filters do for photographs, they undo for noise and ciphertexts. Where counting
    values gains nothing, as in noise, no other way is tried.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 1 or 3), uint8
        The image.

    Returns
    -------
    bytes
        The content of IDAT.
    """
    n_rows = max(1, _SAMPLE_BYTES // pixels[0].size)
    start = max(0, (len(pixels) - n_rows) // 2)
    sample = pixels[start : start + n_rows]
    counted = _deflate(sample, 6, zlib.Z_HUFFMAN_ONLY)
    if len(counted) > _NOISE_SHARE * sample.size:
        return counted if len(sample) == len(pixels) else _deflate(pixels, 6, zlib.Z_HUFFMAN_ONLY)
    if len(sample) == len(pixels):
        return min((encode(pixels, 9) for encode in _ENCODERS), key=len)
    best = min(_ENCODERS, key=lambda encode: len(encode(sample, 6)))
    return best(pixels, 6)


def _deflate(pixels: NDArray[np.uint8], level: int, strategy: int) -> bytes:
    rows = np.pad(pixels.reshape(len(pixels), -1), ((0, 0), (1, 0)))
    compressor = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
    return compressor.compress(rows.tobytes()) + compressor.flush()


def _compress_filtered(pixels: NDArray[np.uint8], level: int) -> bytes:
    buffer = io.BytesIO()
    squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    Image.fromarray(squeezed).save(buffer, "PNG", compress_level=level)
    buffer.seek(len(SIGNATURE))
    reader = ChunkReader(buffer)
    return b"".join(reader.read_all() for name in reader if name == b"IDAT")


_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)
_ENCODERS: list[Callable[[NDArray[np.uint8], int], bytes]] = [
    *(partial(_deflate, strategy=strategy) for strategy in _STRATEGIES),
    _compress_filtered,
]


class ChunkReader:
    """Reads the chunks of a PNG file, one after the other, without trust in their lengths.

    Iterating yields the name of the next chunk, up to IEND. What was not read of a chunk is passed
    over then; its check sum is compared all the same. So memory is taken for what is there, and not
    for what a length claims.

    Parameters
    ----------
    file : binary file
        Behind the signature. It need not be seekable.

    Raises
    ------
    ValueError
        While iterating and reading, if the file ends too early, a chunk is longer than PNG allows
        or has a name that is not one, or a check sum is wrong.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = 0
        self._sum = 0
        self._open = False
        self.length = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._finish()
            self.length, name = struct.unpack(">I4s", self._take(8))
            if self.length >= 1 << 31 or not (name.isascii() and name.isalpha()):
                raise ValueError("it has a chunk that PNG does not allow")
            self._left, self._sum, self._open = self.length, zlib.crc32(name), True
            yield name
            if name == b"IEND":
                self._finish()
                return

    def read(self, n: int) -> bytes:
        """Read from the chunk: as many bytes as asked for, and fewer at its end only.

        Parameters
        ----------
        n : int
            How many bytes.

        Returns
        -------
        bytes
        """
        data = self._take(min(n, self._left))
        self._left -= len(data)
        self._sum = zlib.crc32(data, self._sum)
        return data

    def read_all(self) -> bytes:
        """Read the rest of the chunk.

        Returns
        -------
        bytes
        """
        return b"".join(iter(lambda: self.read(_BLOCK_BYTES), b""))

    def _finish(self) -> None:
        """Pass over the rest of the chunk, and compare its check sum."""
        if not self._open:
            return
        while self.read(_BLOCK_BYTES):
            pass
        (expected,) = struct.unpack(">I", self._take(4))
        if expected != self._sum:
            raise ValueError("a check sum is wrong, so it is damaged")
        self._open = False

    def _take(self, n: int) -> bytes:
        data = read_exactly(self._file, n)
        if len(data) < n:
            raise ValueError("it ends too early")
        return data


def read_exactly(file: BinaryIO, n: int) -> bytes:
    """Read as many bytes as asked for, and fewer at the end of the file only.

    Parameters
    ----------
    file : binary file
        Pipes and unbuffered files may return less at a time.
    n : int
        How many bytes.

    Returns
    -------
    bytes
    """
    parts = []
    while n and (part := file.read(n)):
        parts.append(part)
        n -= len(part)
    return b"".join(parts)

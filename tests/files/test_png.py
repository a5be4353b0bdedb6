"""PNG files, chunk by chunk."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ricsk.files._png import (
    SIGNATURE,
    ChunkReader,
    compress_pixels,
    pack_chunk,
    pack_ihdr,
    read_exactly,
)
from tests.files.reference import chunk

rng = np.random.default_rng(0)


def read(data, n=None):
    """List the chunks, of each `n` bytes or all."""
    reader = ChunkReader(io.BytesIO(data))
    return [(name, reader.read_all() if n is None else reader.read(n)) for name in reader]


CHUNKS = [(b"IHDR", b"head"), (b"abCd", b""), (b"IDAT", bytes(200_000)), (b"IEND", b"")]
FILE = b"".join(chunk(*each) for each in CHUNKS)


def test_chunks_come_one_after_the_other():
    assert read(FILE) == CHUNKS
    assert b"".join(pack_chunk(*each) for each in CHUNKS) == FILE


def test_what_was_not_read_is_passed_over():
    assert read(FILE, 3) == [(name, data[:3]) for name, data in CHUNKS]


def test_nothing_behind_the_end_is_read():
    file = io.BytesIO(FILE + b"more")
    list(ChunkReader(file))
    assert file.read() == b"more"


@pytest.mark.parametrize("n", [None, 0])
def test_every_flip_and_cut_is_refused_whether_a_chunk_is_read_or_not(n):
    small = b"".join(chunk(name, data[:9]) for name, data in CHUNKS)
    read(small, n)
    for place in range(8 * len(small)):
        flipped = bytearray(small)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(ValueError, match=r"early|PNG|damaged"):
            read(bytes(flipped), n)
    for end in range(len(small)):
        with pytest.raises(ValueError, match="early"):
            read(small[:end], n)


def test_memory_is_taken_for_what_is_there():
    """A length that is a claim: `read` would have been asked for 2 GiB at once."""
    asked = []

    class File(io.BytesIO):
        def read(self, n=-1):
            asked.append(n)
            return super().read(n)

    reader = ChunkReader(File(struct.pack(">I4s", 2**31 - 1, b"IDAT") + b"short"))
    next(iter(reader))
    with pytest.raises(ValueError, match="early"):
        reader.read_all()
    assert max(asked) <= 1 << 16


@pytest.mark.parametrize("shape", [(5, 7, 1), (5, 7, 3), (1, 1, 3), (64, 64, 1)])
@pytest.mark.parametrize("kind", ["noise", "ramp"])
def test_pixels_are_compressed_without_loss(shape, kind):
    n = int(np.prod(shape))
    values = rng.integers(0, 256, n) if kind == "noise" else np.arange(n)
    pixels = values.astype(np.uint8).reshape(shape)
    chunks = pack_ihdr(*shape) + chunk(b"IDAT", compress_pixels(pixels)) + chunk(b"IEND", b"")
    found = np.asarray(Image.open(io.BytesIO(SIGNATURE + chunks)))
    assert (found.reshape(shape) == pixels).all()


def test_noise_and_pictures_are_both_small():
    noise = 128 + rng.integers(0, 2, (64, 64, 3)).astype(np.uint8)
    assert len(compress_pixels(noise)) < 1.45 * noise.size / 8
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)[..., np.newaxis]
    assert len(compress_pixels(ramp)) < len(zlib.compress(ramp.tobytes(), 9)) / 2


def test_short_reads_are_put_together():
    class Pipe(io.BytesIO):
        def read(self, n=-1):
            return super().read(min(n, 3))

    assert read_exactly(Pipe(b"0123456789"), 8) == b"01234567"
    assert read_exactly(Pipe(b"0123456789"), 80) == b"0123456789"

"""All that must not open, whoever made it, and that all of it is told in the same words."""

import io
import json
import struct
import zlib

import numpy as np
import pytest

from ricsk import SecretKey
from ricsk.exceptions import NewerFormatError, NotSealedError, RicskError, WrongKeyError
from ricsk.files import open_photograph
from ricsk.files._stream import REFUSED
from tests.files import reference
from tests.files.reference import KEY, join_chunks, make_picture

rng = np.random.default_rng(0)
ORIGINAL = bytes(range(200))
CHUNKS = reference.seal(ORIGINAL)
SEALED = join_chunks(CHUNKS)
OTHER = reference.seal(
    ORIGINAL, pixels=make_picture(nonce=bytes(range(1, 17)))[0], salt=bytes(range(16))
)
LONG = reference.seal(bytes(70_000), sizes=(48, 65_552))


def open_bytes(data, key=KEY):
    return open_photograph(io.BytesIO(data), key)


def assert_refused(data):
    with pytest.raises(NotSealedError) as caught:
        open_bytes(data)
    assert str(caught.value) == REFUSED
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_they_open_unless_they_are_changed():
    for chunks in (CHUNKS, OTHER):
        assert open_bytes(join_chunks(chunks)).data == ORIGINAL
    assert open_bytes(join_chunks(LONG)).data == bytes(70_000)
    assert len(LONG) == 7


def test_flips():
    """Of every byte one bit."""
    for place in range(len(SEALED)):
        flipped = bytearray(SEALED)
        flipped[place] ^= 1 << rng.integers(8)
        assert_refused(bytes(flipped))


def test_cuts():
    for end in {*range(40), *rng.integers(40, len(SEALED), 60), len(SEALED) - 1}:
        assert_refused(SEALED[:end])


def test_extensions():
    for more in (b"\0", SEALED, reference.chunk(b"IEND", b""), reference.chunk(b"teXT", b"")):
        assert_refused(SEALED + more)


def swap(chunks, others, *names):
    """Take chunks of these names from another photograph."""
    return [(name, dict(others)[name] if name in names else data) for name, data in chunks]


def test_pixels_and_original_belong_together():
    assert_refused(join_chunks(swap(CHUNKS, OTHER, b"riCS")))
    assert_refused(join_chunks(swap(CHUNKS, OTHER, b"IDAT")))
    assert open_bytes(join_chunks(swap(CHUNKS, OTHER, b"IDAT", b"riCS"))).data == ORIGINAL


def test_the_header_belongs_to_them():
    for header in (reference.make_header(parameters={"a": 1}), b"", b"{}"):
        assert_refused(join_chunks([CHUNKS[0], (b"riCM", header), *CHUNKS[2:]]))
    assert_refused(join_chunks([chunk for chunk in CHUNKS if chunk[0] != b"riCM"]))


def test_chunks_in_another_order_or_number():
    ihdr, header, idat, start, first, second, end = LONG
    for chunks in (
        [ihdr, header, idat, start, second, first, end],
        [ihdr, header, idat, start, first, first, second, end],
        [ihdr, header, idat, start, first, end],
        [ihdr, header, idat, start, end],
        [ihdr, header, idat, first, second, end],
        [ihdr, header, start, first, second, idat, end],
        [ihdr, idat, header, start, first, second, end],
        [header, ihdr, idat, start, first, second, end],
        [ihdr, header, header, idat, start, first, second, end],
        [ihdr, header, idat, start, first, second, header, end],
        [ihdr, header, idat, start, first, (b"teXt", b""), second, end],
        [ihdr, ihdr, header, idat, start, first, second, end],
        [ihdr, header, idat, start, first, second, idat, end],
        [ihdr, header, idat, start, first, second, (b"ABCD", b""), end],
        [ihdr, header, (b"ABCD", b""), idat, start, first, second, end],
        [ihdr, header, idat, start, first, second],
        [ihdr, header, idat, (b"riCS", start[1][:40]), end],
        [ihdr, header, end],
        [end],
        [],
    ):
        assert_refused(join_chunks(chunks))


@pytest.mark.parametrize(
    "ihdr",
    [
        struct.pack(">2I5B", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0),
        struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0),
        struct.pack(">2I5B", 0, 12, 8, 0, 0, 0, 0),
        struct.pack(">2I5B", 10, 12, 16, 0, 0, 0, 0),
        struct.pack(">2I5B", 10, 12, 8, 6, 0, 0, 0),
        struct.pack(">2I5B", 12, 10, 8, 0, 0, 0, 0),
        b"",
        bytes(12),
        bytes(14),
    ],
)
def test_sizes_that_are_claims(ihdr):
    assert_refused(join_chunks([(b"IHDR", ihdr), *CHUNKS[1:]]))


def test_a_small_file_cannot_ask_for_much_memory():
    bomb = (b"IDAT", zlib.compress(bytes(30_000_000), 9))
    assert_refused(join_chunks([CHUNKS[0], CHUNKS[1], bomb, *CHUNKS[3:]]))
    length = struct.pack(">I", 2**31 - 1)
    place = SEALED.index(b"riCS") - 4
    assert_refused(SEALED[:place] + length + SEALED[place + 4 :])


def test_pixels_are_not_kept_for_a_size_that_is_refused():
    """A stream of 2 GiB, of which a few bytes are read."""

    class Endless(io.BytesIO):
        n_read = 0

        def read(self, n=-1):
            self.n_read += n
            assert self.n_read < 10**6
            return super().read(n) or bytes(n)

    ihdr = struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    start = join_chunks([(b"IHDR", ihdr)]) + struct.pack(">I4s", 2**31 - 1, b"IDAT")
    with pytest.raises(NotSealedError):
        open_photograph(Endless(start), KEY)


@pytest.mark.parametrize("data", [b"", b"\x89PNG", reference.SIGNATURE, b"GIF89a", b"BM" * 99])
def test_what_is_not_a_photograph_at_all(data):
    assert_refused(data)


def test_mutations():
    """Changed where check sums do not tell."""
    for _ in range(300):
        chunks = list([CHUNKS, LONG][rng.integers(2)])
        place = rng.integers(len(chunks) - 1)
        name, data = chunks[place]
        data = bytearray(data)
        kind = rng.integers(4)
        if kind == 0:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        elif kind == 1:
            del data[rng.integers(len(data)) :]
        elif kind == 2:
            data += rng.bytes(rng.integers(1, 40))
        else:
            start = rng.integers(len(data))
            data[start : start + 8] = rng.bytes(8)
        if bytes(data) == chunks[place][1]:
            continue
        chunks[place] = name, bytes(data)
        if name == b"IDAT" and same_pixels(chunks):  # zlib minds no bytes behind its end
            assert open_bytes(join_chunks(chunks)).data in (ORIGINAL, bytes(70_000))
            continue
        with pytest.raises(RicskError) as caught:
            open_bytes(join_chunks(chunks))
        public = name == b"riCM" and isinstance(caught.value, WrongKeyError | NewerFormatError)
        assert public or str(caught.value) == REFUSED


def same_pixels(chunks):
    try:
        found = reference.read_picture(chunks)
    except (OSError, SyntaxError, ValueError):
        return False
    return np.array_equal(found, make_picture()[0])


def test_only_public_facts_are_told_apart():
    """Key id and version stand in the file for everybody; nothing else changes the message."""
    other = SecretKey(bytes(32))
    with pytest.raises(WrongKeyError):
        open_bytes(SEALED, other)
    lying = reference.make_header(key_id=other.key_id)
    chunks = [CHUNKS[0], (b"riCM", lying), *CHUNKS[2:]]
    with pytest.raises(NotSealedError) as caught:
        open_bytes(join_chunks(chunks), other)
    assert str(caught.value) == REFUSED


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"\0\0\0",
        b"\xff\xff\xff\xff",
        struct.pack("<I", 5) + b"{}",
        struct.pack("<I", 2) + b"{}",
        struct.pack("<I", 4) + b"null",
        struct.pack("<I", 12) + b'{"name": NaN',
        struct.pack("<I", 20_000) + b"[" * 20_000,
        struct.pack("<I", 60_000) + json.dumps({"name": "a", "b": "c" * 59_900}).encode(),
    ],
)
def test_nonsense_that_is_authentic(plaintext):
    """Only somebody with the key can make it."""
    pixels, _ = make_picture()
    file_key, commitment = reference.derive(KEY, CHUNKS[1][1], bytes(16), pixels)
    content = bytes(16) + commitment + b"".join(reference.encrypt_stream(file_key, plaintext))
    assert_refused(join_chunks([*CHUNKS[:3], (b"riCS", content), CHUNKS[-1]]))


def test_errors_of_the_disk_are_not_answers_of_the_decoder():
    class Broken(io.BytesIO):
        def read(self, n=-1):
            if self.tell() > 300:
                raise OSError("input/output error")
            return super().read(n)

    with pytest.raises(OSError, match="input/output") as caught:
        open_photograph(Broken(SEALED), KEY)
    assert not isinstance(caught.value, RicskError)

"""Encryption in segments, against a second implementation; and all that must not open."""

import io

import numpy as np
import pytest

from ricsk.exceptions import NotSealedError
from ricsk.files._stream import (
    REFUSED,
    SEGMENT_BYTES,
    TAG_BYTES,
    decrypt_segments,
    encrypt_segments,
)
from tests.files.reference import encrypt_stream

KEY = bytes(range(32))
WHOLE = SEGMENT_BYTES + TAG_BYTES
LENGTHS = [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES]


def draw(n):
    return np.random.default_rng(n).bytes(n)


def encrypt(data, key=KEY):
    return b"".join(encrypt_segments(key, io.BytesIO(data).read))


def decrypt(data, key=KEY):
    return b"".join(decrypt_segments(key, io.BytesIO(data).read))


@pytest.mark.parametrize("n", LENGTHS)
def test_all_lengths_come_back(n):
    data = draw(n)
    encrypted = encrypt(data)
    assert decrypt(encrypted) == data
    assert len(encrypted) == n + TAG_BYTES * max(1, -(-n // SEGMENT_BYTES))


@pytest.mark.parametrize("n", LENGTHS)
def test_a_second_implementation_makes_the_same(n):
    data = draw(n)
    assert encrypt(data) == b"".join(encrypt_stream(KEY, data))


def test_one_segment_is_in_memory_at_a_time():
    read = []

    def endless(n):
        read.append(n)
        return bytes(n)

    segments = encrypt_segments(KEY, endless)
    for _ in range(5):
        next(segments)
    assert sum(read) <= 6 * SEGMENT_BYTES


def refuses(data, key=KEY):
    with pytest.raises(NotSealedError) as caught:
        decrypt(data, key)
    return str(caught.value) == REFUSED


def test_another_key_is_refused():
    assert refuses(encrypt(b"content"), bytes(32))


@pytest.mark.parametrize("n", [0, 1, SEGMENT_BYTES, 2 * SEGMENT_BYTES + 100])
def test_every_cut_is_refused(n):
    encrypted = encrypt(draw(n))
    borders = [k * WHOLE + d for k in range(4) for d in (-1, 0, 1, 15, 16, 17)]
    cuts = {cut for cut in [*borders, len(encrypted) - 1] if 0 <= cut < len(encrypted)}
    assert cuts
    for cut in cuts:
        assert refuses(encrypted[:cut])


@pytest.mark.parametrize("n", [0, 5, SEGMENT_BYTES, SEGMENT_BYTES + 5])
def test_every_extension_is_refused(n):
    encrypted = encrypt(draw(n))
    for extension in (b"\0", bytes(16), bytes(WHOLE), encrypted, encrypted[:WHOLE]):
        assert refuses(encrypted + extension)


def test_exchanged_repeated_and_missing_segments_are_refused():
    encrypted = encrypt(draw(3 * SEGMENT_BYTES + 7))
    segments = [encrypted[start : start + WHOLE] for start in range(0, len(encrypted), WHOLE)]
    assert len(segments) == 4
    for order in ([1, 0, 2, 3], [0, 0, 1, 2, 3], [0, 2, 3], [1, 2, 3], [0, 1, 2], [3], [3, 0]):
        assert refuses(b"".join(segments[i] for i in order))


def test_an_empty_last_segment_after_others_is_refused():
    """Or one stream would have two encryptions."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    cipher = ChaCha20Poly1305(KEY)
    first = cipher.encrypt(bytes(12), bytes(SEGMENT_BYTES), b"")
    last = cipher.encrypt((1).to_bytes(11, "big") + b"\x01", b"", b"")
    assert refuses(first + last)


def test_what_comes_out_before_an_error_is_authentic():
    data = draw(3 * SEGMENT_BYTES)
    encrypted = bytearray(encrypt(data))
    encrypted[2 * WHOLE + 5] ^= 1
    segments, found = decrypt_segments(KEY, io.BytesIO(encrypted).read), []
    with pytest.raises(NotSealedError):
        found.extend(segments)
    assert b"".join(found) == data[: 2 * SEGMENT_BYTES]

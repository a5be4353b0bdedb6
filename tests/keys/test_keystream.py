import copy
import io
import itertools
import pickle

import numpy as np
import pytest
import skops.io

from ricsk.keys import Keystream, SecretKey, fresh_bytes
from tests.keys.reference import RAW, VECTORS, SlowStream, draw


def stream(purpose="test"):
    return SecretKey(RAW).keystream(purpose)


@pytest.mark.parametrize("vector", VECTORS["draws"], ids=lambda v: f"{v['method']}{v['args']}")
def test_vectors_of_draws(vector):
    """Every vector starts a stream of its own."""
    purpose, context = VECTORS["stream"]["purpose"], bytes.fromhex(VECTORS["stream"]["context"])
    library = SecretKey(RAW).keystream(purpose, context)
    slow = SlowStream(RAW, purpose, context)
    assert draw(library, vector["method"], *vector["args"]) == vector["result"]
    assert draw(slow, vector["method"], *vector["args"]) == vector["result"]


def test_draws_continue_the_stream():
    library, slow = stream(), SlowStream(RAW, "test", b"")
    for step in [
        ("bytes", 3),
        ("integers", 200, 50),  # skips words
        ("random", 2),
        ("permutations", 7, 3),
        ("integers", 2**33 + 1, 5),
        ("permutation", 4),
        ("bytes", 200),
    ]:
        assert draw(library, *step) == draw(slow, *step)


class Scripted(Keystream):
    """A keystream whose bytes are given."""

    def __init__(self, words, width):
        super().__init__(RAW, "scripted")
        self.source = io.BytesIO(b"".join(w.to_bytes(width, "little") for w in words))

    def bytes(self, n):
        out = self.source.read(n)
        assert len(out) == n, "more was drawn than was given"
        return out


def test_integers_skip_words_above_the_last_multiple():
    assert Scripted([251, 252, 255, 6, 5], 1).integers(6, 3).tolist() == [5, 0, 5]
    assert Scripted([255, 0], 1).integers(256, 2).tolist() == [255, 0]
    assert Scripted([65535, 257, 256], 2).integers(257, 2).tolist() == [0, 256]
    high = 2**63 - 1  # the last multiple is 2**64 - 2
    words = [2**64 - 1, 2**64 - 2, 2**64 - 3, high]
    assert Scripted(words, 8).integers(high, 2).tolist() == [high - 1, 0]
    assert Scripted([2**64 - 1], 8).integers(2**63, 1).tolist() == [2**63 - 1]


def test_permutations_with_equal_words_are_drawn_again():
    words = [[3, 1, 2], [7, 8, 7], [2**64 - 1, 0, 2**63], [1, 2, 3]]
    scripted = Scripted(itertools.chain(*words), 8)
    assert scripted.permutations(3, 3).tolist() == [[1, 2, 0], [1, 2, 0], [0, 1, 2]]


def chi_square(counts):
    expected = counts.sum() / counts.size
    return ((counts - expected) ** 2 / expected).sum()


# The key is fixed, and so is the outcome; the bounds are the 99.9 % quantiles.
@pytest.mark.parametrize(("high", "bound"), [(6, 20.5), (200, 266)])
def test_integers_are_uniform(high, bound):
    counts = np.bincount(stream().integers(high, 200_000), minlength=high)
    assert counts.size == high
    assert chi_square(counts) < bound


def test_permutations_are_uniform():
    permutations = stream().permutations(4, 24_000)
    _, counts = np.unique(permutations, axis=0, return_counts=True)
    assert counts.size == 24
    assert chi_square(counts) < 49.7


def test_floats_are_uniform_below_one():
    floats = stream().random(100_000)
    assert chi_square(np.bincount((floats * 100).astype(int), minlength=100)) < 149.4
    assert Scripted([0, 2**64 - 1], 8).random(2).tolist() == [0, 1 - 2**-53]


def test_shapes_and_dtypes():
    for method, args, dtype in [
        ("uint8", (), np.uint8),
        ("random", (), np.float64),
        ("integers", (1000,), np.int64),
    ]:
        flat = getattr(stream(), method)(*args, 24)
        cube = getattr(stream(), method)(*args, (2, 3, 4))
        assert flat.dtype == cube.dtype == dtype
        assert flat.shape == (24,)
        np.testing.assert_array_equal(cube, flat.reshape(2, 3, 4))
        cube[:] = 0  # writable
        assert getattr(stream(), method)(*args, (3, 0)).shape == (3, 0)
    assert stream().uint8(9).tobytes() == stream().bytes(9)
    assert stream().permutations(5, 2).dtype == np.int64
    assert stream().permutations(0, 2).shape == (2, 0)
    assert stream().permutations(5, 0).shape == (0, 5)
    assert stream().permutation(1).tolist() == [0]
    assert stream().integers(1, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("method", "args", "message"),
    [
        ("bytes", (-1,), "n must be 0 or more, got -1"),
        ("bytes", (2**38 + 1,), "ends after"),
        ("integers", (-1, 1), "high must be from 1 to"),
        ("uint8", ((2, -1),), "size must be 0 or more, got -1"),
        ("random", (-1,), "size must be"),
        ("integers", (0, 1), "high must be from 1 to"),
        ("integers", (2**63 + 1, 1), "high must be from 1 to"),
        ("integers", (5, -1), "size must be"),
        ("permutation", (-1,), "n must be"),
        ("permutations", (3, -1), "size must be"),
    ],
)
def test_draws_refuse_what_makes_no_sense(method, args, message):
    source = stream()
    with pytest.raises(ValueError, match=message):
        getattr(source, method)(*args)
    assert source.bytes(8) == stream().bytes(8)  # nothing was consumed


@pytest.mark.parametrize("wrong", [2.0, np.float64(2), "2", None, b"2", [2], np.array([2.0])])
@pytest.mark.parametrize(
    ("method", "args", "name"),
    [
        ("bytes", (...,), "n"),
        ("uint8", (...,), "size"),
        ("uint8", ((2, ...),), "size"),
        ("random", (...,), "size"),
        ("integers", (..., 3), "high"),
        ("integers", (3, ...), "size"),
        ("permutation", (...,), "n"),
        ("permutations", (..., 3), "n"),
        ("permutations", (3, ...), "size"),
    ],
)
def test_draws_take_whole_numbers(method, args, name, wrong):
    def put(value):
        return wrong if value is ... else value

    args = [tuple(map(put, a)) if isinstance(a, tuple) else put(a) for a in args]
    source = stream()
    with pytest.raises(TypeError, match=f"{name} must be an int.*, got {type(wrong).__name__}"):
        getattr(source, method)(*args)
    assert source.bytes(8) == stream().bytes(8)  # nothing was consumed


def test_draws_take_the_whole_numbers_of_numpy():
    assert stream().bytes(np.int8(4)) == stream().bytes(4)
    np.testing.assert_array_equal(
        stream().integers(np.uint8(9), (np.int64(2),)), stream().integers(9, 2)
    )


def test_fresh_bytes():
    assert len(fresh_bytes(16)) == 16
    assert fresh_bytes(16) != fresh_bytes(16)
    assert fresh_bytes(0) == b""
    for n in (None, 2.0):
        with pytest.raises(TypeError, match=f"n must be an int, got {type(n).__name__}"):
            fresh_bytes(n)
    with pytest.raises(ValueError, match="n must be 0 or more"):
        fresh_bytes(-1)


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy, skops.io.dumps])
def test_keystream_is_not_duplicated(duplicate):
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        duplicate(stream())


def test_keystream_repr_shows_purpose_and_position():
    source = stream()
    source.random(2)
    assert repr(source) == "Keystream(purpose='test', position=16)"


def test_long_draws_in_parts_are_what_they_are_at_once(monkeypatch):
    def draw():
        drawn = stream()
        return [
            drawn.uint8(1000),
            drawn.integers(4288, 1000),
            drawn.permutation(1000),
            drawn.permutations(5, 300),
            drawn.random(70),
            drawn.bytes(3),
        ]

    expected = draw()
    monkeypatch.setattr("ricsk.keys._keystream._CHUNK", 56)
    for found, wanted in zip(draw(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_equal_words_are_found_across_parts(monkeypatch):
    monkeypatch.setattr("ricsk.keys._keystream._CHUNK", 16)
    words = [[*range(40), 39], [*range(41)]]
    scripted = Scripted(itertools.chain(*words), 8)
    assert scripted.permutation(41).tolist() == list(range(41))

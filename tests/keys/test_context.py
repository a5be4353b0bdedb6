"""Contexts of streams. `decode` is a second implementation, after the user guide."""

import itertools
import json
import math
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from ricsk.keys import encode_context

PATH = Path(__file__).parents[1] / "vectors" / "context.json"
VECTORS = json.loads(PATH.read_text("utf-8"))


def from_json(value):
    """Tuples are lists there, and what JSON does not have is an object."""
    if isinstance(value, list):
        return tuple(map(from_json, value))
    if isinstance(value, dict):
        (kind, text), *_ = value.items()
        return bytes.fromhex(text) if kind == "bytes" else float.fromhex(text)
    return value


def decode_value(data):
    """Read one value, and what follows it."""
    kind, length = data[:1], int.from_bytes(data[1:9], "little")
    content, rest = data[9 : 9 + length], data[9 + length :]
    assert len(content) == length
    if kind == b"T":
        items = []
        while content:
            item, content = decode_value(content)
            items.append(item)
        return tuple(items), rest
    readers = {
        b"N": lambda b: None,
        b"B": lambda b: {b"\0": False, b"\1": True}[b],
        b"I": lambda b: int.from_bytes(b, "little", signed=True),
        b"F": lambda b: struct.unpack("<d", b)[0],
        b"S": bytes.decode,
        b"Y": bytes,
    }
    return readers[kind](content), rest


def decode(data):
    (scheme, version, pairs), rest = decode_value(data)
    assert [name for name, _ in pairs] == sorted(name for name, _ in pairs)
    return scheme, version, dict(pairs), rest


def freeze(value):
    """Tell 1, 1.0 and True apart."""
    return type(value), tuple(map(freeze, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["scheme"])
def test_vectors_of_contexts(vector):
    parameters = {name: from_json(value) for name, value in vector["parameters"].items()}
    context = encode_context(vector["scheme"], vector["version"], **parameters)
    assert context.hex() == vector["bytes"]
    assert decode(context) == (vector["scheme"], vector["version"], parameters, b"")


# What looks alike: empty, of one byte, or like the encoding of another value.
ODD = [
    *(None, True, False, 0, 1, -1, 0.0, 1.0, -1.0, math.inf, -math.inf, 5e-324, "", "0", "1", b""),
    *("True", "None", "N", b"N", b"0", b"1", b"\0", b"\1", "\0", (), ((),), (None,), ("",), (b"",)),
    *(127, 128, 255, 256, -127, -128, -129, 2**63, -(2**63), 2**64, 10**30, "é", "e\u0301"),
    *((1, 2), ((1, 2),), ((1,), 2), (1, (2,)), (12,), "12", ("1", "2"), ("12",), ("1", "", "2")),
    *(struct.pack("<d", 1.0), b"N" + bytes(8), (b"N" + bytes(8),), encode_context("x", 1)),
]


def test_values_that_look_alike_have_contexts_of_their_own():
    assert len({encode_context("x", 1, a=value) for value in ODD}) == len(ODD)
    moved = [{"a": 1, "b": 2}, {"a": 2, "b": 1}, {"ab": (1, 2)}, {"a": ("b", 2)}, {"a": 1}, {}]
    assert len({encode_context("x", 1, **parameters) for parameters in moved}) == len(moved)
    heads = [("x", 1), ("x", 2), ("x1", 1), ("xx", 1), ("X", 1)]
    assert len({encode_context(*head) for head in heads}) == len(heads)


def make_value(draw, depth=3):
    kind = draw.randrange(9 if depth else 8)
    if kind == 8:
        return tuple(make_value(draw, depth - 1) for _ in range(draw.randrange(4)))
    size = draw.randrange(12)
    return [
        lambda: draw.choice(ODD),
        lambda: draw.choice(ODD),
        lambda: draw.randint(-(2 ** (8 * size)), 2 ** (8 * size)),
        lambda: draw.randint(-300, 300),
        lambda: draw.uniform(-2, 2) * 10.0 ** draw.randint(-300, 300),
        lambda: "".join(chr(draw.choice([0, 49, 78, 255, 0x1F600])) for _ in range(size)),
        lambda: draw.randbytes(size),
        lambda: draw.random() < 0.5,
    ][kind]()


def make_arguments(draw):
    names = draw.sample(["a", "b", "ab", "é", "alpha", "scheme", "version", ""], draw.randrange(5))
    return (
        draw.choice(["x", "xy", "é", "ric"]),
        draw.choice([1, 2, 127, 128, 2**40]),
        {name: make_value(draw) for name in names},
    )


@pytest.mark.parametrize("seed", range(20))
def test_contexts_can_be_decoded_with_what_follows_them(seed):
    """So no two settings share a context, and no context begins another one."""
    draw = random.Random(seed)
    for _ in range(100):
        scheme, version, parameters = make_arguments(draw)
        rest = draw.randbytes(draw.randrange(4))
        found = decode(encode_context(scheme, version, **parameters) + rest)
        assert found == (scheme, version, parameters, rest)
        assert freeze(tuple(found[2].items())) == freeze(tuple(sorted(parameters.items())))


def test_the_order_of_keywords_does_not_matter():
    pairs = [("b", 1), ("a", 2.0), ("é", None), ("Z", ())]
    contexts = {encode_context("x", 1, **dict(order)) for order in itertools.permutations(pairs)}
    assert len(contexts) == 1


def test_parameters_may_have_the_names_of_arguments():
    assert decode(encode_context("x", 1, scheme="y", version=2, name=3))[:2] == ("x", 1)


@pytest.mark.parametrize(
    ("given", "same"),
    [(np.int64(3), 3), (np.float64(0.1), 0.1), (np.bool_(True), True), (np.str_("a"), "a")],
)
def test_scalars_of_numpy_are_taken_for_those_of_python(given, same):
    assert encode_context("x", 1, a=given) == encode_context("x", 1, a=same)
    assert encode_context("x", 1, a=(given,)) == encode_context("x", 1, a=(same,))


def test_equal_floats_have_one_context():
    assert encode_context("x", 1, a=-0.0) == encode_context("x", 1, a=0.0)


@pytest.mark.parametrize("wrong", [[1], {1}, {"a": 1}, 1j, object, np.arange(2), bytearray(2)])
def test_values_of_other_types_are_refused(wrong):
    for value in (wrong, (1, wrong)):
        with pytest.raises(TypeError, match=f"side must be .* got {type(wrong).__name__}: convert"):
            encode_context("x", 1, side=value)


def test_what_cannot_be_encoded_is_refused():
    for value in (math.nan, np.float32("nan"), (math.nan,)):
        with pytest.raises(ValueError, match="side is not a number"):
            encode_context("x", 1, side=value)
    with pytest.raises(ValueError, match=r"side .* cannot be encoded"):
        encode_context("x", 1, side="\ud800")


@pytest.mark.parametrize(
    ("scheme", "version", "error", "match"),
    [
        ("", 1, ValueError, "scheme is empty"),
        (b"x", 1, TypeError, "scheme must be a str .* got bytes"),
        (None, 1, TypeError, "scheme must be a str .* got NoneType"),
        ("x", 0, ValueError, "version must be 1 or more, got 0"),
        ("x", True, TypeError, "version must be an int, got bool"),
        ("x", 1.0, TypeError, "version must be an int, got float"),
    ],
)
def test_scheme_and_version_are_checked(scheme, version, error, match):
    with pytest.raises(error, match=match):
        encode_context(scheme, version)

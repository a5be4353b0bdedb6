"""Messages of the Open Inference Protocol, to bytes and back."""

import json

import numpy as np
import pytest

from ricsk.cloud._protocol import Tensor, decode_message, encode_message
from ricsk.exceptions import ProtocolError

NUMBERS = [
    np.array([[True, False]]),
    *(
        np.array([[0, 1], [2, 127]], f"{kind}{bits}")
        for kind in ("u", "i")
        for bits in (1, 2, 4, 8)
    ),
    *(np.array([[0.5, -2.0], [1e-3, 6e4]], f"f{bits}") for bits in (2, 4, 8)),
]


def make_tensor(values):
    names = {"b": "BOOL", "u": "UINT", "i": "INT", "f": "FP", "O": "BYTES"}
    bits = "" if values.dtype.kind in "bO" else str(8 * values.itemsize)
    return Tensor("images", f"{names[values.dtype.kind]}{bits}", values)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("values", NUMBERS, ids=lambda values: str(values.dtype))
def test_tensors_come_back(values, binary):
    body, length = encode_message({"id": "a"}, "inputs", [make_tensor(values)], lambda _: binary)
    assert (length is None) is not binary
    head, (tensor,) = decode_message(body, length, "inputs")
    assert head["id"] == "a"
    assert tensor.values.dtype == values.dtype
    np.testing.assert_array_equal(tensor.values, values)


def test_bytes_are_in_the_order_of_the_protocol():
    values = np.array([[1, 2], [3, 4]], ">u2").T  # neither little-endian nor row-major
    body, length = encode_message({}, "inputs", [Tensor("a", "UINT16", values)], lambda _: True)
    assert body[int(length) :] == bytes([1, 0, 3, 0, 2, 0, 4, 0])


def test_strings_have_their_length_before_them():
    values = np.array([b"", b"ab"], object)
    body, length = encode_message({}, "inputs", [make_tensor(values)], lambda _: True)
    assert body[int(length) :] == b"\0\0\0\0\2\0\0\0ab"
    _, (tensor,) = decode_message(body, length, "inputs")
    assert tensor.values.tolist() == [b"", b"ab"]


def test_tensors_take_their_bytes_in_order():
    tensors = [Tensor(name, "UINT8", np.full(2, i, np.uint8)) for i, name in enumerate("abc")]
    body, length = encode_message({}, "outputs", tensors, lambda name: name != "b")
    _, found = decode_message(body, length, "outputs")
    assert [tensor.values.tolist() for tensor in found] == [[0, 0], [1, 1], [2, 2]]
    assert [tensor.from_json for tensor in found] == [False, True, False]


def test_data_may_be_nested():
    message = {"name": "a", "datatype": "INT8", "shape": [2, 1], "data": [[1], [2]]}
    _, (tensor,) = decode_message(json.dumps({"inputs": [message]}).encode(), None, "inputs")
    assert tensor.values.tolist() == [[1], [2]]


def change(**changes):
    """Make a message whose tensor differs from a right one; None leaves a part out."""
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 2], "data": [1, 2], **changes}
    tensor = {key: value for key, value in tensor.items() if value is not None}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.parametrize(
    ("body", "length", "words"),
    [
        (b"", None, "not JSON"),
        (b"\xff\xfe", None, "not JSON"),
        (b"[" * 100_000, None, "nested too deep"),
        (b'{"inputs": NaN}', None, "NaN is not a number"),
        (b"[]", None, "is a list; expected a JSON object"),
        (b"{}", None, "inputs is missing"),
        (b'{"inputs": {}}', None, "inputs is an object"),
        (b'{"inputs": [3]}', None, "inputs holds a number"),
        (b'{"inputs": []}', "3", "not JSON"),
        (b'{"inputs": []}', "-1", "not a number of bytes"),
        (b'{"inputs": []}', "²", "not a number of bytes"),
        (b'{"inputs": []}', "99", "has 14 bytes"),
        (b'{"inputs": []}abc', "14", "3 bytes follow"),
        (change(name=None), None, "each with a name"),
        (change(name=3), None, "each with a name"),
        (change(datatype="UINT9"), None, "datatype of .*UINT9"),
        (change(datatype=[]), None, "datatype of"),
        (change(shape=None), None, "shape of .* is null"),
        (change(shape=[]), None, "expected a list of 1 to 8 sizes"),
        (change(shape=[1] * 9), None, "expected a list of 1 to 8 sizes"),
        (change(shape=[-1, 2]), None, "expected a list of 1 to 8 sizes"),
        (change(shape=[True, 2]), None, "expected a list of 1 to 8 sizes"),
        (change(shape=[2.0]), None, "expected a list of 1 to 8 sizes"),
        (change(shape=[10**30]), None, "expected a list of 1 to 8 sizes"),
        (change(shape=[1, 3]), None, "needs 3"),
        (change(shape=[2**40] * 8), None, "needs"),
        (change(data=None), None, "must have either data or"),
        (change(parameters={"binary_data_size": 2}), None, "must have either data or"),
        (change(data=None, parameters={"binary_data_size": 2}), None, "Content-Length missing"),
        (change(data=None, parameters={"binary_data_size": -1}), None, "is -1"),
        (change(parameters=3), None, "parameters of .* is a number"),
        (change(data=[[1], [2, 3]]), None, "not a list of numbers"),
        (change(data=[[1], [2]]), None, "nested as"),
        (change(data=["1", "2"]), None, "does not hold numbers"),
        (change(data=[1.5, 2]), None, "does not hold numbers"),
        (change(data=[{}, {}]), None, "does not hold numbers"),
        (change(data=[10**400, 2]), None, "does not hold numbers"),
        (change(data=5), None, "in 0 dimensions"),
        (change(data=[1, 256]), None, "leaves the range of UINT8"),
        (change(data=[1, -1]), None, "leaves the range of UINT8"),
        (change(datatype="BYTES", shape=[2]), None, "holds a number; expected text"),
        (change(datatype="BYTES", shape=[2], data="ab"), None, "data is text"),
        (change(datatype="BYTES", shape=[3], data=["a", "b"]), None, "2 elements"),
        (change(datatype="BYTES", shape=[2**17], data=["a", "b"]), None, "more than 65536"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_words(body, length, words):
    with pytest.raises(ProtocolError, match=words):
        decode_message(body, length, "inputs")


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "words"),
    [
        ("UINT8", [3], b"ab", "binary_data_size of .* is 2, but UINT8"),
        ("FP64", [1], b"ab", "has 8 bytes"),
        ("BOOL", [2], b"\0\2", "no BOOL"),
        ("BYTES", [1], b"ab", "go on behind its 1 elements"),
        ("BYTES", [1], b"\2\0\0\0a", "says that it has 2 bytes"),
        ("BYTES", [1], b"\xff\xff\xff\xffa", "says that it has 4294967295 bytes"),
        ("BYTES", [2], b"\1\0\0\0a", "has 1 elements"),
        ("BYTES", [1], b"\1\0\0\0ab", "go on behind"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(datatype, shape, data, words):
    parameters = {"binary_data_size": len(data)}
    text = change(datatype=datatype, shape=shape, data=None, parameters=parameters)
    with pytest.raises(ProtocolError, match=words):
        decode_message(text + data, str(len(text)), "inputs")


def test_many_elements_in_deep_lists_are_not_searched_for_ever():
    deep = []
    for _ in range(100):
        deep = [deep]
    text = change(datatype="BYTES", shape=[1000], data=[deep, *["a"] * 999])
    with pytest.raises(ProtocolError, match="holds a list"):
        decode_message(text, None, "inputs")

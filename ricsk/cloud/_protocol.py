"""The Open Inference Protocol, version 2: messages of JSON with tensors in it or behind it."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ricsk.exceptions import ProtocolError

__all__ = [
    "HEADER_LENGTH",
    "Tensor",
    "decode_json",
    "decode_message",
    "encode_json",
    "encode_message",
    "find_datatype",
]

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header that says how long the JSON is, where tensors follow it as bytes."""

MAX_DIMENSIONS = 8
MAX_STRINGS = 2**16
_MAX_SHOWN = 60

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class Tensor:
    """A named tensor of a message.

    Parameters
    ----------
    name : str
    datatype : str
        By the protocol's name, such as ``"UINT8"``.
    values : ndarray
        Of dtype object, holding bytes, if the datatype is ``"BYTES"``.
    from_json : bool
        Whether it was written in JSON, where bytes are text.
    """

    name: str
    datatype: str
    values: NDArray[Any]
    from_json: bool = False


def find_datatype(dtype: np.dtype[Any]) -> str:
    """Find the protocol's name of a dtype; text and objects are ``"BYTES"``."""
    if dtype.kind in "OSU":
        return "BYTES"
    name = _NAMES.get(dtype.newbyteorder("="))
    if name is None:
        raise ProtocolError(f"arrays of dtype {dtype} have no datatype in the protocol.")
    return name


def decode_json(text: bytes) -> dict[str, Any]:
    """Read JSON that must be an object, without the NaN and Infinity that Python would allow."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else f"{error}"
        raise ProtocolError(f"the message is not JSON: {reason}.") from None
    if not isinstance(found, dict):
        raise ProtocolError(f"the message is {_describe(found)}; expected a JSON object.")
    return found


def encode_json(content: Any) -> bytes:
    """Write JSON, as short as it can be."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def decode_message(
    body: bytes, header_length: str | None, field: str
) -> tuple[dict[str, Any], list[Tensor]]:
    """Read a request or an answer.

    Parameters
    ----------
    body : bytes
    header_length : str or None
        The value of the header `HEADER_LENGTH`; None if all of the body is JSON.
    field : {"inputs", "outputs"}
        Where the tensors are.

    Returns
    -------
    (dict, list of Tensor)
        The JSON, and the tensors.

    Raises
    ------
    ProtocolError
        In words.
    """
    n_head = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 20):
            raise ProtocolError(f"{HEADER_LENGTH} is not a number of bytes.")
        n_head = int(header_length)
        if n_head > len(body):
            raise ProtocolError(
                f"{HEADER_LENGTH} is {n_head}, but the message has {len(body)} bytes."
            )
    head = decode_json(body[:n_head])
    entries = head.get(field)
    if not isinstance(entries, list):
        raise ProtocolError(f"{field} is {_describe(entries)}; expected a list of tensors.")
    binary = _Binary(memoryview(body)[n_head:])
    tensors = [_decode_tensor(entry, field, binary.take) for entry in entries]
    if binary.n_left:
        raise ProtocolError(
            f"{binary.n_left} bytes follow the last tensor. Each tensor that is sent as bytes says "
            "how many, by binary_data_size."
        )
    return head, tensors


def encode_message(
    head: dict[str, Any], field: str, tensors: Iterable[Tensor], binary: Callable[[str], bool]
) -> tuple[bytes, str | None]:
    """Write a request or an answer.

    Parameters
    ----------
    head : dict
        The JSON without the tensors.
    field : {"inputs", "outputs"}
        Where the tensors are to be.
    tensors : iterable of Tensor
    binary : callable
        Tells by its name whether a tensor is to be sent as bytes.

    Returns
    -------
    (bytes, str or None)
        The body, and the value of the header `HEADER_LENGTH`, if it needs one.
    """
    entries, parts = [], []
    for tensor in tensors:
        entry: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.values.shape),
        }
        if binary(tensor.name):
            part = _to_bytes(tensor)
            entry["parameters"] = {"binary_data_size": len(part)}
            parts.append(part)
        else:
            entry["data"] = _to_list(tensor)
        entries.append(entry)
    text = encode_json({**head, field: entries})
    return (b"".join([text, *parts]), str(len(text))) if parts else (text, None)


class _Binary:
    """The bytes behind the JSON, which tensors take in their order."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._start = 0

    @property
    def n_left(self) -> int:
        return len(self._data) - self._start

    def take(self, size: Any, name: str) -> memoryview:
        if not _is_count(size) or size > self.n_left:
            raise ProtocolError(
                f"binary_data_size of {name} is {_show(size)}, but {self.n_left} bytes are left "
                f"behind the JSON. Is {HEADER_LENGTH} missing?"
            )
        self._start += size
        return self._data[self._start - size : self._start]


def _decode_tensor(entry: Any, field: str, take: Callable[[Any, str], memoryview]) -> Tensor:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ProtocolError(
            f"{field} holds {_describe(entry)}; expected tensors, each with a name."
        )
    name, datatype = _show(entry["name"]), entry.get("datatype")
    if datatype != "BYTES" and (not isinstance(datatype, str) or datatype not in _DTYPES):
        raise ProtocolError(
            f"datatype of {name} is {_show(datatype)}; expected one of {', '.join(_DTYPES)} or "
            "BYTES."
        )
    shape = _decode_shape(entry.get("shape"), name)
    if datatype == "BYTES" and math.prod(shape) > MAX_STRINGS:
        raise ProtocolError(f"{name} has more than {MAX_STRINGS} elements of BYTES.", 413)
    parameters = entry.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict):
        raise ProtocolError(f"parameters of {name} is {_describe(parameters)}; expected an object.")
    is_binary = "binary_data_size" in parameters
    if is_binary == (entry.get("data") is not None):
        raise ProtocolError(
            f"{name} must have either data or, among its parameters, binary_data_size."
        )
    if is_binary:
        values = _from_bytes(take(parameters["binary_data_size"], name), datatype, shape, name)
    else:
        values = _from_json(entry["data"], datatype, shape, name)
    return Tensor(entry["name"], datatype, values, from_json=not is_binary)


def _decode_shape(shape: Any, name: str) -> tuple[int, ...]:
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= MAX_DIMENSIONS
        or not all(map(_is_count, shape))
    ):
        raise ProtocolError(
            f"shape of {name} is {_show(shape)}; expected a list of 1 to {MAX_DIMENSIONS} sizes."
        )
    return tuple(shape)


def _from_bytes(data: memoryview, datatype: str, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    if datatype == "BYTES":
        return _fill(_split_strings(data, math.prod(shape), name), shape, name)
    dtype = _DTYPES[datatype].newbyteorder("<")
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ProtocolError(
            f"binary_data_size of {name} is {len(data)}, but {datatype} of the shape {list(shape)} "
            f"has {expected} bytes."
        )
    if datatype == "BOOL" and len(data) and max(data) > 1:
        raise ProtocolError(f"{name} has bytes above 1, which are no BOOL.")
    return np.frombuffer(data, dtype).reshape(shape)


def _split_strings(data: memoryview, n: int, name: str) -> list[bytes]:
    """Take strings apart, each of which has its length before it."""
    found: list[bytes] = []
    start = 0
    while start < len(data) and len(found) < n:
        if start + 4 > len(data):
            break
        (length,) = struct.unpack_from("<I", data, start)
        start += 4 + length
        if start > len(data):
            raise ProtocolError(
                f"an element of {name} says that it has {length} bytes, more than there are."
            )
        found.append(bytes(data[start - length : start]))
    if start != len(data):
        raise ProtocolError(f"the bytes of {name} go on behind its {n} elements.")
    return found


def _from_json(data: Any, datatype: str, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    if datatype == "BYTES":
        return _fill([_encode_text(item, name) for item in _flatten(data)], shape, name)
    dtype = _DTYPES[datatype]
    try:
        array = np.asarray(data)
    except (ValueError, OverflowError):
        raise ProtocolError(
            f"data of {name} is not a list of numbers, flat or nested as its shape."
        ) from None
    allowed = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}[dtype.kind]
    if array.size and array.dtype.kind not in allowed:
        raise ProtocolError(f"data of {name} does not hold numbers of the datatype {datatype}.")
    if array.size != math.prod(shape) or array.ndim not in (1, len(shape)):
        raise ProtocolError(
            f"data of {name} has {array.size} values in {array.ndim} dimensions; its shape "
            f"{list(shape)} needs {math.prod(shape)}, flat or nested."
        )
    if array.ndim > 1 and array.shape != shape:
        raise ProtocolError(f"data of {name} is nested as {list(array.shape)}, not as its shape.")
    if array.size and dtype.kind in "iu":
        low, high = int(array.min()), int(array.max())
        if low < np.iinfo(dtype).min or high > np.iinfo(dtype).max:
            raise ProtocolError(f"data of {name} leaves the range of {datatype}.")
    with np.errstate(over="ignore"):
        return array.astype(dtype).reshape(shape)


def _flatten(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise ProtocolError(f"data is {_describe(data)}; expected a list.")
    for _ in range(MAX_DIMENSIONS - 1):
        if not any(isinstance(item, list) for item in data):
            break
        data = [inner for item in data for inner in (item if isinstance(item, list) else [item])]
    return data


def _encode_text(item: Any, name: str) -> bytes:
    if not isinstance(item, str):
        raise ProtocolError(f"data of {name} holds {_describe(item)}; expected text.")
    return item.encode("utf-8", "surrogatepass")


def _fill(strings: Sequence[bytes], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    if len(strings) != math.prod(shape):
        raise ProtocolError(
            f"{name} has {len(strings)} elements; its shape {list(shape)} needs {math.prod(shape)}."
        )
    values = np.empty(len(strings), object)
    values[:] = strings
    return values.reshape(shape)


def _to_bytes(tensor: Tensor) -> bytes:
    if tensor.datatype == "BYTES":
        return b"".join(struct.pack("<I", len(item)) + item for item in tensor.values.flat)
    values = tensor.values
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()


def _to_list(tensor: Tensor) -> list[Any]:
    if tensor.datatype == "BYTES":
        return [item.decode("utf-8", "replace") for item in tensor.values.flat]
    return tensor.values.ravel().tolist()


def _is_count(value: Any) -> bool:
    # A size beyond this is a mistake, and its product with others would be slow to compute with.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48


def _show(value: Any) -> str:
    """Write a short part of what somebody sent."""
    text = json.dumps(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _describe(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a truth value"}
    return "missing" if value is None else kinds.get(type(value), "a number")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")

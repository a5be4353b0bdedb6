"""What all requests for inference have: an id, the outputs that are asked for, tensors."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ricsk.cloud._limits import Limits
from ricsk.cloud._protocol import Tensor, decode_message
from ricsk.exceptions import ProtocolError

__all__ = ["Request", "read_head", "read_outputs", "read_parameters"]

_MAX_ID = 256


@dataclass(frozen=True)
class Request:
    """What is asked of a model.

    Parameters
    ----------
    images : ndarray
        In the form in which the model takes them.
    outputs : dict of bool
        Names of what is asked for, and whether it is to be sent as bytes.
    id : str or None
        Repeated in the answer.
    k : int
        How many neighbours an index is to find.
    """

    images: NDArray[Any]
    outputs: dict[str, bool]
    id: str | None = field(default=None)
    k: int = 0

    @property
    def group(self) -> Hashable:
        """What requests have in common that can be answered together."""
        return self.images.dtype, self.images.shape[1:], tuple(self.outputs), self.k


def read_head(
    body: bytes, header_length: str | None, limits: Limits
) -> tuple[dict[str, Any], list[Tensor], str | None]:
    """Read a request: its JSON, its tensors, and its id.

    Raises
    ------
    ProtocolError
        In words.
    """
    n_json = len(body) if header_length is None else min(_to_int(header_length), len(body))
    if n_json > limits.max_json_bytes:
        raise ProtocolError(
            f"the JSON has {n_json} bytes; this service reads {limits.max_json_bytes}. "
            "Send tensors as bytes behind it.",
            413,
        )
    head, tensors = decode_message(body, header_length, "inputs")
    request_id = head.get("id")
    if request_id is not None and not (isinstance(request_id, str) and len(request_id) <= _MAX_ID):
        raise ProtocolError(f"id is not a text of at most {_MAX_ID} characters.")
    return head, tensors, request_id


def read_outputs(head: dict[str, Any], known: Sequence[str], name: str) -> dict[str, bool]:
    """Read which outputs are asked for, and which of them as bytes."""
    default = _read_flag(head, "binary_data_output", False)
    entries = head.get("outputs")
    if entries is None or entries == []:
        return dict.fromkeys(known, default)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ProtocolError("outputs is not a list of objects, each with a name.")
    names = [entry.get("name") for entry in entries]
    for one in names:
        if not isinstance(one, str) or one not in known or names.count(one) > 1:
            raise ProtocolError(f"outputs of {name} are {', '.join(known)}, each at most once.")
    for entry in entries:
        if "classification" in (entry.get("parameters") or {}):
            raise ProtocolError(
                "the parameter classification is not known here; ask for labels, or for "
                "probabilities."
            )
    return {entry["name"]: _read_flag(entry, "binary_data", default) for entry in entries}


def read_parameters(entry: dict[str, Any]) -> dict[str, Any]:
    """Read the parameters of a request, or of one of its outputs."""
    parameters = entry.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict):
        raise ProtocolError("parameters is not an object.")
    return parameters


def _read_flag(entry: dict[str, Any], name: str, default: bool) -> bool:
    value = read_parameters(entry).get(name, default)
    if not isinstance(value, bool):
        raise ProtocolError(f"the parameter {name} is neither true nor false.")
    return value


def _to_int(header_length: str) -> int:
    return int(header_length) if header_length.isascii() and header_length.isdigit() else 0

"""An index of ciphertexts as the protocol sees it: images or features in, neighbours out."""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk._onnx import INPUT
from ricsk.cloud._images import MAX_EXPLANATION, ImageReader
from ricsk.cloud._inventory import refuse_secrets
from ricsk.cloud._limits import Limits
from ricsk.cloud._protocol import Tensor, encode_message, find_datatype
from ricsk.cloud._request import Request, read_head, read_outputs, read_parameters
from ricsk.cloud._served import VERSION, find_shape
from ricsk.exceptions import ProtocolError
from ricsk.search import ImageIndex

__all__ = ["ServedIndex"]

FEATURES = "features"
OUTPUTS = ("ids", "distances", "images")
_DEFAULT_K, _MAX_K = 10, 1000


class ServedIndex:
    """An index as the protocol sees it.

    It is asked as a model is, with images or with features; ``images`` in the answer are PNG
    files, in JSON in base64.

    Parameters
    ----------
    name : str
        By which clients ask for it.
    index : ImageIndex
    limits : Limits

    Raises
    ------
    CloudHalfError
        If there is a key or an encryptor in its classifier.
    """

    def __init__(self, name: str, index: ImageIndex, limits: Limits) -> None:
        refuse_secrets(index.classifier)
        self.name = name
        self.limits = limits
        self.index = index
        self._shape = find_shape(index.classifier)
        self._images = ImageReader(name, self._shape, limits)
        self._lock = threading.Lock()

    @property
    def metadata(self) -> dict[str, Any]:
        """What the protocol tells clients of a model."""
        n_features = self.index.n_features
        ids = "BYTES" if self.index.ids.dtype.kind == "U" else "INT64"
        datatypes = {"ids": ids, "distances": "FP32", "images": "BYTES"}
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "ricsk-index",
            "parameters": {"n_images": len(self.index)},
            "inputs": [
                {"name": INPUT, "datatype": "UINT8", "shape": [-1, *self._shape]},
                {"name": FEATURES, "datatype": "FP32", "shape": [-1, n_features or -1]},
            ],
            "outputs": [
                {"name": name, "datatype": datatype, "shape": [-1, -1]}
                for name, datatype in datatypes.items()
            ],
        }

    def read(self, body: bytes, header_length: str | None) -> Request:
        """Read a request for neighbours.

        Raises
        ------
        ProtocolError
            In words.
        """
        head, tensors, request_id = read_head(body, header_length, self.limits)
        outputs = read_outputs(head, OUTPUTS, self.name)
        k = read_parameters(head).get("k", _DEFAULT_K)
        if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= _MAX_K:
            raise ProtocolError(f"the parameter k is not a whole number from 1 to {_MAX_K}.")
        if len(tensors) != 1 or tensors[0].name not in (INPUT, FEATURES):
            raise ProtocolError(
                f"{self.name} takes one input, which is called {INPUT!r} or {FEATURES!r}."
            )
        read = self._images.read if tensors[0].name == INPUT else self._read_features
        return Request(read(tensors[0]), outputs, request_id, k)

    def compute(self, images: NDArray[Any], request: Request) -> dict[str, Any]:
        """Find the neighbours that a request, or several alike, ask for.

        Raises
        ------
        ProtocolError
            If the images or features are refused.
        """
        with _refusals():
            # Images have three dimensions at least.
            features = images if images.ndim == 2 else self.index.compute_features(images)
            with self._lock:
                ids, distances = self.index.find(features, request.k)
                found = {"ids": ids, "distances": distances}
                if "images" in request.outputs:
                    found["images"] = self._read_files(ids)
        return {name: found[name] for name in request.outputs}

    def encode(self, request: Request, found: dict[str, Any]) -> tuple[bytes, str | None]:
        """Write the answer to a request: the body, and the length of the JSON in it, if needed."""
        head = {"model_name": self.name, "model_version": VERSION}
        if request.id is not None:
            head["id"] = request.id
        tensors = [
            Tensor(name, *_to_values(name, values, request.outputs[name]))
            for name, values in found.items()
        ]
        return encode_message(head, "outputs", tensors, request.outputs.__getitem__)

    def add(self, body: bytes, header_length: str | None) -> dict[str, Any]:
        """Add images with ids, and say how many there are.

        Raises
        ------
        ProtocolError
            In words.
        """
        tensors = self._read_change(body, header_length, (INPUT, "ids"))
        images = self._images.read(tensors[INPUT])
        with _refusals(), self._lock:
            self.index.add(images, _to_ids(tensors["ids"]))
        return {"n_images": len(self.index)}

    def remove(self, body: bytes, header_length: str | None) -> dict[str, Any]:
        """Remove images by their ids, and say how many were there, and are.

        Raises
        ------
        ProtocolError
            In words.
        """
        tensors = self._read_change(body, header_length, ("ids",))
        with _refusals(), self._lock:
            n_removed = self.index.remove(_to_ids(tensors["ids"]))
        return {"n_removed": n_removed, "n_images": len(self.index)}

    def _read_change(
        self, body: bytes, header_length: str | None, names: tuple[str, ...]
    ) -> dict[str, Tensor]:
        _, tensors, _ = read_head(body, header_length, self.limits)
        found = {tensor.name: tensor for tensor in tensors}
        if len(tensors) != len(names) or found.keys() != set(names):
            raise ProtocolError(f"expected the inputs {' and '.join(names)}, and no other.")
        return found

    def _read_features(self, tensor: Tensor) -> NDArray[np.float32]:
        values = tensor.values
        if values.ndim != 2 or values.dtype.kind != "f":
            raise ProtocolError(f"{FEATURES} are to be of a datatype FP, of the shape [n, size].")
        if not 1 <= len(values) <= self.limits.max_images:
            raise ProtocolError(
                f"the request has {len(values)} vectors; this service takes 1 to "
                f"{self.limits.max_images} at a time.",
                413 if len(values) else 400,
            )
        return values.astype(np.float32)

    def _read_files(self, ids: NDArray[Any]) -> NDArray[np.object_]:
        """Read the files of neighbours, if all of them are no more than an answer may have."""
        files = np.empty(ids.size, object)
        n_bytes = 0
        for start in range(0, ids.size, _MAX_K):
            part = self.index.read_files(ids.ravel()[start : start + _MAX_K].tolist())
            n_bytes += sum(map(len, part))
            if n_bytes > self.limits.max_bytes:
                raise ProtocolError(
                    f"the neighbours have more than {self.limits.max_bytes} bytes. Ask for fewer, "
                    "or for ids alone.",
                    413,
                )
            files[start : start + len(part)] = part
        return files.reshape(ids.shape)


@contextmanager
def _refusals() -> Iterator[None]:
    """Make what the index refuses an answer to the client."""
    try:
        yield
    except ProtocolError:
        raise
    except (ValueError, TypeError) as error:
        raise ProtocolError(str(error)[:MAX_EXPLANATION]) from error


def _to_values(name: str, values: NDArray[Any], binary: bool) -> tuple[str, NDArray[Any]]:
    if name == "images":
        return "BYTES", values if binary else _map(base64.b64encode, values)
    if values.dtype.kind == "U":
        return "BYTES", _map(str.encode, values)
    return find_datatype(values.dtype), values


def _map(function: Any, values: NDArray[Any]) -> NDArray[np.object_]:
    found = np.empty(values.size, object)
    found[:] = [function(value) for value in values.ravel().tolist()]
    return found.reshape(values.shape)


def _to_ids(tensor: Tensor) -> list[Any]:
    if math.prod(tensor.values.shape) != len(tensor.values):
        raise ProtocolError(f"ids have the shape {list(tensor.values.shape)}; expected [n].")
    ids = tensor.values.ravel().tolist()
    if tensor.datatype != "BYTES":
        return ids
    try:
        return [one.decode() for one in ids]
    except UnicodeDecodeError:
        raise ProtocolError("ids are not text in UTF-8.") from None

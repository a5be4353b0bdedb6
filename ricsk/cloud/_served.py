"""A fitted classifier as the protocol sees it: named tensors in, named tensors out."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from ricsk._onnx import INPUT, OUTPUTS
from ricsk.cloud._half import CloudHalf
from ricsk.cloud._inventory import refuse_secrets
from ricsk.cloud._limits import Limits
from ricsk.cloud._protocol import Tensor, decode_message, encode_message, find_datatype
from ricsk.codecs import read_image, read_size
from ricsk.exceptions import ProtocolError

__all__ = ["Request", "ServedModel"]

VERSION = "1"
_METHODS = dict(zip(OUTPUTS, ("predict", "predict_proba", "transform"), strict=True))
_MAX_ID = 256
# What a network of unknown size is tried with.
_TRIED_SHAPE = (64, 64, 3)
_MAX_EXPLANATION = 500


@dataclass(frozen=True)
class Request:
    """What is asked of a model.

    Parameters
    ----------
    images : ndarray
        In the form in which the classifier takes them.
    outputs : dict of bool
        Names of what is asked for, and whether it is to be sent as bytes.
    id : str or None
        Repeated in the answer.
    """

    images: NDArray[Any]
    outputs: dict[str, bool]
    id: str | None = field(default=None)


class ServedModel:
    """A fitted classifier as the protocol sees it.

    Parameters
    ----------
    name : str
        By which clients ask for it.
    classifier : classifier
        A `CloudHalf`, any fitted classifier, or an object with the methods of the former.
    limits : Limits

    Raises
    ------
    TypeError
        If it is not a classifier.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    CloudHalfError
        If there is a key or an encryptor in it.
    """

    def __init__(self, name: str, classifier: Any, limits: Limits) -> None:
        if not isinstance(classifier, CloudHalf) and isinstance(classifier, BaseEstimator):
            classifier = CloudHalf(classifier)
        if isinstance(classifier, CloudHalf):
            check_is_fitted(classifier)
        refuse_secrets(classifier)
        self.name = name
        self.limits = limits
        self.shape = _find_shape(classifier)
        image_dtype = np.dtype(np.uint8 if len(self.shape) == 3 else np.float64)
        self.dtype: np.dtype[Any] = getattr(classifier, "dtype", image_dtype)
        if getattr(classifier, "classes_", None) is None:
            inner = getattr(classifier, "classifier", classifier)
            raise TypeError(
                f"the model {name} is a {type(inner).__name__}, which has no classes_; expected a "
                "fitted classifier."
            )
        self.classes: NDArray[Any] = classifier.classes_
        self._methods: dict[str, Callable[[Any], Any]] = {
            output: getattr(classifier, method)
            for output, method in _METHODS.items()
            if hasattr(classifier, method)
        }
        self._outputs = self._try()

    @property
    def metadata(self) -> dict[str, Any]:
        """What the protocol tells clients of a model."""
        outputs: list[dict[str, Any]] = [
            {"name": name, "datatype": datatype, "shape": [-1, *shape]}
            for name, (datatype, shape) in self._outputs.items()
        ]
        # The protocol's parameters are texts and numbers alone.
        outputs[0]["parameters"] = {"classes": json.dumps(_plain(self.classes).tolist())}
        given = find_datatype(self.dtype)
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "ricsk",
            "inputs": [{"name": INPUT, "datatype": given, "shape": [-1, *self.shape]}],
            "outputs": outputs,
        }

    def read(self, body: bytes, header_length: str | None) -> Request:
        """Read a request for inference.

        Raises
        ------
        ProtocolError
            In words.
        """
        n_json = len(body) if header_length is None else min(_to_int(header_length), len(body))
        if n_json > self.limits.max_json_bytes:
            raise ProtocolError(
                f"the JSON has {n_json} bytes; this service reads {self.limits.max_json_bytes}. "
                "Send tensors as bytes behind it.",
                413,
            )
        head, tensors = decode_message(body, header_length, "inputs")
        request_id = head.get("id")
        if request_id is not None and not (
            isinstance(request_id, str) and len(request_id) <= _MAX_ID
        ):
            raise ProtocolError(f"id is not a text of at most {_MAX_ID} characters.")
        outputs = self._read_outputs(head)
        if len(tensors) != 1 or tensors[0].name != INPUT:
            raise ProtocolError(f"{self.name} takes one input, which is called {INPUT!r}.")
        return Request(self._read_images(tensors[0]), outputs, request_id)

    def compute(self, images: NDArray[Any], outputs: tuple[str, ...]) -> dict[str, NDArray[Any]]:
        """Compute what is asked of images.

        Raises
        ------
        ProtocolError
            If the classifier refuses them.
        """
        with np.errstate(all="ignore"):  # of values that are too large; the answer is looked at
            found = {name: self._ask(name, images) for name in outputs}
        for name, values in found.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ProtocolError(f"{name} of these images are not finite; are values too large?")
        return found

    def encode(self, request: Request, found: dict[str, NDArray[Any]]) -> tuple[bytes, str | None]:
        """Write the answer to a request: the body, and the length of the JSON in it, if needed."""
        head = {"model_name": self.name, "model_version": VERSION}
        if request.id is not None:
            head["id"] = request.id
        tensors = (_to_tensor(name, values) for name, values in found.items())
        return encode_message(head, "outputs", tensors, request.outputs.__getitem__)

    def _try(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Find datatype and shape of the outputs by a grey image, and drop those that are none."""
        found: dict[str, tuple[str, tuple[int, ...]]]
        found = {"labels": (find_datatype(_plain(self.classes).dtype), ())}
        if "probabilities" in self._methods:
            found["probabilities"] = ("FP32", (len(self.classes),))
        if "features" in self._methods:
            found["features"] = ("FP32", (-1,))
        sides = _TRIED_SHAPE if -1 in self.shape else self.shape
        grey = np.full((1, *sides), 128 if self.dtype == np.uint8 else 0.5, self.dtype)
        for name in list(found):
            try:
                values = self.compute(grey, (name,))[name]
            except ProtocolError:
                if name != "labels":
                    del found[name], self._methods[name]
                elif -1 not in self.shape:
                    raise
                else:
                    break  # it takes images of another size, and nobody knows which
            else:
                found[name] = (find_datatype(values.dtype), values.shape[1:])
        return found

    def _ask(self, name: str, images: NDArray[Any]) -> NDArray[Any]:
        try:
            return _plain(np.asarray(self._methods[name](images)))
        except (ValueError, TypeError) as error:
            raise ProtocolError(str(error)[:_MAX_EXPLANATION]) from error
        except Exception as error:
            if -1 not in self.shape:
                raise
            # Nobody knows which images such a network takes, but itself.
            raise ProtocolError(
                f"{self.name} cannot read images of the shape {list(images.shape[1:])}."
            ) from error

    def _read_outputs(self, head: dict[str, Any]) -> dict[str, bool]:
        """Read which outputs are asked for, and which of them as bytes."""
        default = _read_flag(head, "binary_data_output", False)
        entries = head.get("outputs")
        if entries is None or entries == []:
            return dict.fromkeys(self._methods, default)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ProtocolError("outputs is not a list of objects, each with a name.")
        names = [entry.get("name") for entry in entries]
        for name in names:
            if not isinstance(name, str) or name not in self._methods or names.count(name) > 1:
                raise ProtocolError(
                    f"outputs of {self.name} are {', '.join(self._methods)}, each at most once."
                )
        for entry in entries:
            if "classification" in (entry.get("parameters") or {}):
                raise ProtocolError(
                    "the parameter classification is not known here; ask for labels, or for "
                    "probabilities."
                )
        return {entry["name"]: _read_flag(entry, "binary_data", default) for entry in entries}

    def _read_images(self, tensor: Tensor) -> NDArray[Any]:
        n = tensor.values.shape[0]
        if not 1 <= n <= self.limits.max_images:
            raise ProtocolError(
                f"the request has {n} images; this service takes 1 to {self.limits.max_images} at "
                "a time.",
                413 if n else 400,
            )
        if tensor.datatype == "BYTES":
            images = self._decode_files(tensor)
        elif tensor.datatype == "BOOL":
            raise ProtocolError(f"{INPUT} are of datatype BOOL; expected numbers, or PNG as BYTES.")
        else:
            images = tensor.values
            if images.dtype == np.float16:
                images = images.astype(np.float32)
        if images.dtype.kind == "f" and not np.isfinite(images).all():
            raise ProtocolError(f"{INPUT} hold values that are not finite.")
        return self._reshape(images)

    def _reshape(self, images: NDArray[Any]) -> NDArray[Any]:
        """Bring images into the classifier's form: flat ones, and grey ones without channel."""
        given, wanted = images.shape[1:], self.shape
        if -1 in wanted:
            if len(given) in (2, 3):
                return images
            expected = "[n, height, width, channels] or [n, height, width]"
        else:
            flat = (math.prod(wanted),)
            allowed = {wanted, flat, wanted[:2] if wanted[2:] == (1,) else wanted}
            if given in allowed or (len(wanted) == 1 and math.prod(given) == wanted[0]):
                return images.reshape(len(images), *wanted)
            expected = f"[n, {', '.join(map(str, wanted))}]"
        raise ProtocolError(
            f"{INPUT} have the shape {list(images.shape)}; {self.name} expects {expected}."
        )

    def _decode_files(self, tensor: Tensor) -> NDArray[np.uint8]:
        """Decode PNG files, once it is known how large all of them are."""
        if math.prod(tensor.values.shape) != len(tensor.values):
            raise ProtocolError(
                f"{INPUT} have the shape {list(tensor.values.shape)}; image files have [n]."
            )
        files = [_from_base64(file) if tensor.from_json else file for file in tensor.values.flat]
        read = [partial(_read_png, file, i) for i, file in enumerate(files)]
        fixed = self.shape[:2] if len(self.shape) == 3 and -1 not in self.shape else None
        sizes = [one(read_size) for one in read]
        for i, size in enumerate(sizes):
            if size != (fixed or sizes[0]):
                height, width = fixed or sizes[0]
                raise ProtocolError(
                    f"{INPUT}[{i}] has {size[0]}×{size[1]} pixels; expected {height}×{width}."
                )
        if 3 * len(files) * math.prod(sizes[0]) > self.limits.max_values:
            raise ProtocolError(
                f"the images have {sizes[0][0]}×{sizes[0][1]} pixels; this service decodes "
                f"{self.limits.max_values} values in a request. Send fewer at a time.",
                413,
            )
        images = [one(partial(read_image, expected_size=sizes[0])) for one in read]
        if len({image.shape for image in images}) > 1:
            raise ProtocolError(f"some of the {INPUT} are grey and some are not; send them apart.")
        return np.stack(images)


def _read_png(file: bytes, i: int, read: Callable[..., Any]) -> Any:
    try:
        return read(file, name=f"{INPUT}[{i}]", formats=("PNG",))
    except ValueError as error:
        raise ProtocolError(str(error)[:_MAX_EXPLANATION]) from error


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ProtocolError("image files in JSON are to be written in base64.") from None


def _find_shape(classifier: Any) -> tuple[int, ...]:
    """Find the shape of the images that a classifier reads; −1 stands for any size."""
    inner = getattr(classifier, "classifier", classifier)
    shape = getattr(inner, "image_shape_in_", None)
    if shape is not None:
        return tuple(shape)
    is_flat = not isinstance(inner, BaseEstimator) or not get_tags(inner).input_tags.three_d_array
    n_features = getattr(inner, "n_features_in_", None)
    return (int(n_features),) if is_flat and n_features is not None else (-1, -1, -1)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Bring values into dtypes that the protocol has."""
    if values.dtype.kind in "OSU":
        return values.astype(str)
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    return values.astype(np.float64) if values.dtype == np.longdouble else values


def _to_tensor(name: str, values: NDArray[Any]) -> Tensor:
    datatype = find_datatype(values.dtype)
    if datatype == "BYTES":
        texts = np.empty(values.shape, object)
        texts[:] = [text.encode() for text in values.tolist()]
        values = texts
    return Tensor(name, datatype, values)


def _read_flag(entry: dict[str, Any], name: str, default: bool) -> bool:
    parameters = entry.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict):
        raise ProtocolError("parameters is not an object.")
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise ProtocolError(f"the parameter {name} is neither true nor false.")
    return value


def _to_int(header_length: str) -> int:
    return int(header_length) if header_length.isascii() and header_length.isdigit() else 0

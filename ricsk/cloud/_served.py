"""A fitted classifier as the protocol sees it: named tensors in, named tensors out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from ricsk._onnx import INPUT, OUTPUTS
from ricsk.cloud._half import CloudHalf
from ricsk.cloud._images import MAX_EXPLANATION, ImageReader
from ricsk.cloud._inventory import refuse_secrets
from ricsk.cloud._limits import Limits
from ricsk.cloud._protocol import Tensor, encode_message, find_datatype
from ricsk.cloud._request import Request, read_head, read_outputs
from ricsk.exceptions import ProtocolError

__all__ = ["VERSION", "ServedModel", "find_shape"]

VERSION = "1"
_METHODS = dict(zip(OUTPUTS, ("predict", "predict_proba", "transform"), strict=True))
# What a network of unknown size is tried with.
_TRIED_SHAPE = (64, 64, 3)


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
        self.shape = find_shape(classifier)
        self._images = ImageReader(name, self.shape, limits)
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
        head, tensors, request_id = read_head(body, header_length, self.limits)
        outputs = read_outputs(head, tuple(self._methods), self.name)
        if len(tensors) != 1 or tensors[0].name != INPUT:
            raise ProtocolError(f"{self.name} takes one input, which is called {INPUT!r}.")
        return Request(self._images.read(tensors[0]), outputs, request_id)

    def compute(self, images: NDArray[Any], request: Request) -> dict[str, NDArray[Any]]:
        """Compute what a request, or several alike, ask of images.

        Raises
        ------
        ProtocolError
            If the classifier refuses them.
        """
        return self._compute(images, tuple(request.outputs))

    def _compute(self, images: NDArray[Any], outputs: tuple[str, ...]) -> dict[str, NDArray[Any]]:
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
                values = self._compute(grey, (name,))[name]
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
            raise ProtocolError(str(error)[:MAX_EXPLANATION]) from error
        except Exception as error:
            if -1 not in self.shape:
                raise
            # Nobody knows which images such a network takes, but itself.
            raise ProtocolError(
                f"{self.name} cannot read images of the shape {list(images.shape[1:])}."
            ) from error


def find_shape(classifier: Any) -> tuple[int, ...]:
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

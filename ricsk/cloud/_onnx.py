"""ONNX files that `ricsk.export_onnx` wrote, run by onnxruntime: no torch, and no code of ours."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if

from ricsk._onnx import CLASSES, OUTPUTS

__all__ = ["OnnxClassifier"]


class OnnxClassifier:
    """A classifier in an ONNX file, with the methods of a `CloudHalf`.

    Parameters
    ----------
    path : path
        Of the file, which `ricsk.export_onnx` wrote.

    Raises
    ------
    ImportError
        If onnxruntime is not installed.
    ValueError
        If it is another file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                "onnxruntime, which runs ONNX files, is not installed. Install it, as pip install "
                "'ricsk[onnx]' does."
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its warnings would show values and names
        name = os.path.basename(os.fspath(path))
        with open(path, "rb") as file:
            data = file.read()
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
            written = self._session.get_modelmeta().custom_metadata_map.get(CLASSES)
            classes = None if written is None else json.loads(written)
            inputs = [(given.name, given.type, given.shape) for given in self._session.get_inputs()]
            outputs = tuple(output.name for output in self._session.get_outputs())
        except Exception as error:  # of classes of its own; texts may be no UTF-8, or no JSON
            raise ValueError(f"{name} cannot be read as an ONNX file, or is damaged.") from error
        if not _are_classes(classes) or len(inputs) != 1 or outputs not in (OUTPUTS, OUTPUTS[:2]):
            raise ValueError(
                f"{name} was not written by ricsk.export_onnx, so it is not known what its inputs "
                "and outputs mean. Load it by PretrainedClassifier.from_onnx, and serve that."
            )
        self._input, type, shape = inputs[0]
        self._outputs = outputs
        self.dtype = np.dtype(np.uint8 if type == "tensor(uint8)" else np.float32)
        self.classes_ = np.array(classes)
        self.image_shape_in_ = tuple(shape[1:])

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Classify images, as `CloudHalf.predict`."""
        return self._ask("labels", X)

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Estimate probabilities, as `CloudHalf.predict_proba`."""
        return self._ask("probabilities", X)

    @available_if(lambda self: "features" in self._outputs)
    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Compute features, as `CloudHalf.transform`."""
        return self._ask("features", X)

    def _ask(self, output: str, X: NDArray[Any]) -> NDArray[Any]:
        if self.dtype == np.uint8 and X.dtype != np.uint8:
            if X.dtype.kind not in "iu" or X.min() < 0 or X.max() > 255:
                raise ValueError(
                    f"images have dtype {X.dtype}; this model reads whole numbers from 0 to 255."
                )
        elif self.dtype != np.uint8 and X.dtype.kind != "f":
            raise ValueError(
                f"images have dtype {X.dtype}; this model reads floating-point values."
            )
        try:
            (found,) = self._session.run([output], {self._input: X.astype(self.dtype)})
        except Exception as error:  # of classes of its own
            raise ValueError(
                f"the model cannot compute {output} of images of shape {X.shape[1:]}: it is made "
                f"for {self.image_shape_in_}, or damaged."
            ) from error
        return found


def _are_classes(value: Any) -> bool:
    """Tell whether a value is a list of labels of one kind."""
    kinds = {type(label) for label in value} if isinstance(value, list) else set()
    return len(kinds) == 1 and kinds <= {bool, float, int, str}

"""Fitted classifiers as ONNX files, which any server of models can host."""

from __future__ import annotations

import copy
import io
import json
import os
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ricsk._atomic import write_whole
from ricsk._onnx import CLASSES, INPUT, OUTPUTS
from ricsk.classifiers import TorchClassifier
from ricsk.cloud import CloudHalf
from ricsk.exceptions import NotExportableError
from ricsk.pretrained import PretrainedClassifier

__all__ = ["export_onnx"]

_OPSET = 17
# By how much the file may answer otherwise, as a part of the largest value.
_SAME = 1e-3

Shape = tuple[int, int, int]


def export_onnx(
    classifier: Any,
    path: str | os.PathLike[str],
    *,
    dtype: Literal["uint8", "float32"] = "uint8",
    image_shape: tuple[int, ...] | None = None,
) -> None:
    """Write a fitted classifier into an ONNX file that answers as it does.

    Its input is ``images``, any number of them, channels last. Its outputs are ``labels``,
    ``probabilities``, in the order of ``classes_``, and ``features``, where the network ends in a
    linear layer. That is what `ricsk.cloud.create_app` names them, so that a
    `ricsk.cloud.RemoteClassifier` asks whatever server hosts the file. What is before and behind
    the network is in it, too: scaling, normalization, resizing, softmax, and the labels. Nothing of
    the training is.

    What was written is run by onnxruntime, and compared with the classifier.

    Read more in the :ref:`User Guide <guide-service>`.

    Parameters
    ----------
    classifier : CloudHalf, TorchClassifier or PretrainedClassifier
        Fitted; also within scikit-learn's `FrozenEstimator`.
    path : path
        Where to write. A file that is there is replaced.
    dtype : {"uint8", "float32"}
        What images the file reads: 8-bit values, or floats on the value range of the classifier.
    image_shape : (int, int) or (int, int, int), optional
        Height, width and channels of an image. By default those that the classifier was fitted on,
        or the `size` of a `PretrainedClassifier`.

    Raises
    ------
    ImportError
        If the packages of ``pip install 'ricsk[onnx]'`` are not installed.
    TypeError
        If it is another classifier. Those of scikit-learn are written by the package skl2onnx.
    ValueError
        If the shape of the images is not known, or is another than the fitted one.
    NotExportableError
        If the network cannot be written, or the file answers otherwise.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ricsk import CNNClassifier, export_onnx
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> classifier = CNNClassifier(width=8, depth=1, epochs=1).fit(X[:500], y[:500])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_onnx(classifier, Path(folder) / "digits.onnx")
    ...     (Path(folder) / "digits.onnx").stat().st_size > 1000
    True
    """
    if dtype not in ("uint8", "float32"):
        raise ValueError(f"dtype={dtype!r}: expected 'uint8' or 'float32'.")
    onnx = _import("onnx")
    while isinstance(classifier, CloudHalf | FrozenEstimator):
        classifier = (
            classifier.classifier if isinstance(classifier, CloudHalf) else classifier.estimator
        )
    if not isinstance(classifier, TorchClassifier | PretrainedClassifier):
        raise TypeError(
            f"a {type(classifier).__name__} cannot be written by export_onnx; expected a CloudHalf "
            "with a network in it, a classifier of ricsk.classifiers, or a PretrainedClassifier. "
            "Classifiers of scikit-learn are written by the package skl2onnx."
        )
    check_is_fitted(classifier)
    shape = _find_shape(classifier, image_shape)
    images = _draw_images(classifier, shape, dtype)
    model = _trace(_make_network(classifier, shape), torch.from_numpy(images[:2]), onnx)
    _add_labels(model, classifier.classes_, shape, onnx)
    data = model.SerializeToString()
    _compare(data, classifier, images)
    write_whole(path, data)


class _Network(nn.Module):
    """From images to scores, probabilities and features."""

    def __init__(
        self,
        compute: Callable[[Tensor], tuple[Tensor, Tensor | None]],
        module: nn.Module,
        value_range: tuple[float, float],
    ) -> None:
        super().__init__()
        self.module = module  # so that its weights are found
        self._compute = compute
        self._low, self._high = value_range

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if images.dtype == torch.uint8:
            pixels = images.float() / 255
        else:
            pixels = (images - self._low) / (self._high - self._low)
        scores, features = self._compute(pixels)
        found = scores, scores.softmax(dim=1)
        return found if features is None else (*found, features)


def _make_network(classifier: TorchClassifier | PretrainedClassifier, shape: Shape) -> _Network:
    if isinstance(classifier, TorchClassifier):
        network = copy.deepcopy(classifier.module_).cpu().eval()
        _fuse(network)
        values = classifier.value_range_

        def compute(pixels: Tensor) -> tuple[Tensor, Tensor]:
            return network(pixels), network.forward_features(pixels)

        return _Network(compute, network, (values.low, values.high))
    if not classifier.white_box_:
        raise NotExportableError(
            "this PretrainedClassifier runs an ONNX file as a black box. Load the file with "
            "gradients=True, which converts it, or serve the classifier itself."
        )
    graph = classifier.graph_.fix_size(*shape[:2]).cpu().eval()
    _fuse(graph)
    ends_in_linear = any(isinstance(layer, nn.Linear) for layer in graph.modules())

    def compute_graph(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        if not ends_in_linear:
            return graph(pixels), None
        features, scores = graph.features_and_scores(pixels)
        return scores, features

    low, high = classifier.value_range or (0.0, 1.0)
    return _Network(compute_graph, graph, (low, high))


def _fuse(network: nn.Module) -> None:
    """Compute weights that are computed anew in each call, such as those of a spectral norm."""
    for module in list(network.modules()):
        if not parametrize.is_parametrized(module):
            continue
        names = list(dict(module.get_submodule("parametrizations").named_children()))
        weights = {name: getattr(module, name) for name in names}
        # torch's own removal changes the class, which the original shares with its copy.
        module.__class__ = type(module).__bases__[0]
        del module.parametrizations
        for name, weight in weights.items():
            module.register_parameter(name, nn.Parameter(weight.detach().clone()))


def _find_shape(
    classifier: TorchClassifier | PretrainedClassifier, image_shape: tuple[int, ...] | None
) -> Shape:
    fitted = getattr(classifier, "image_shape_in_", None)
    if fitted is None:
        assert isinstance(classifier, PretrainedClassifier)
        n_channels = classifier.graph_.n_channels or 3
        sides = classifier.graph_.size if image_shape is None else tuple(image_shape)
        if sides is None:
            raise ValueError(
                "the size of the images is not known. Give image_shape=(height, width)."
            )
    else:
        n_channels = fitted[2]
        sides = fitted if image_shape is None else tuple(image_shape)
    shape = (*sides, n_channels) if len(sides) == 2 else sides
    if len(shape) != 3 or any(side < 1 for side in shape) or (fitted or shape) != shape:
        raise ValueError(
            f"image_shape={image_shape!r}: expected (height, width) or (height, width, channels)"
            + (f", and here {fitted}." if fitted else ".")
        )
    height, width, channels = map(int, shape)
    return height, width, channels


def _draw_images(
    classifier: TorchClassifier | PretrainedClassifier, shape: Shape, dtype: str
) -> NDArray[Any]:
    """Draw images to compare on: more of them than the network is traced with."""
    levels = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    if dtype == "uint8":
        return levels
    if isinstance(classifier, TorchClassifier):
        low, high = classifier.value_range_.low, classifier.value_range_.high
    else:
        low, high = classifier.value_range or (0.0, 1.0)
    return (low + (high - low) * (levels / 255)).astype(np.float32)


def _trace(network: _Network, images: Tensor, onnx: Any) -> Any:
    with torch.inference_mode():
        n_outputs = len(network(images))
    names = ["scores", *OUTPUTS[1:]][:n_outputs]
    file = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of tracing; the file is compared
            torch.onnx.export(
                network,
                (images,),
                file,  # type: ignore[arg-type]  # it may be a stream
                dynamo=False,
                opset_version=_OPSET,
                input_names=[INPUT],
                output_names=names,
                dynamic_axes={name: {0: "n"} for name in (INPUT, *names)},
            )
    except Exception as error:  # of whatever type
        first = (str(error).splitlines() or [""])[0][:200]
        raise NotExportableError(
            f"the network cannot be written: {type(error).__name__}: {first}"
        ) from error
    return onnx.load_from_string(file.getvalue())


def _add_labels(model: Any, classes: NDArray[Any], shape: Shape, onnx: Any) -> None:
    """Let the graph end in labels in the place of scores, and say what they are."""
    if classes.dtype.kind in "OSU":
        classes = classes.astype(str)
        element, values = onnx.TensorProto.STRING, [label.encode() for label in classes.tolist()]
    else:
        kinds = {"b": onnx.TensorProto.BOOL, "f": onnx.TensorProto.DOUBLE}
        element, values = kinds.get(classes.dtype.kind, onnx.TensorProto.INT64), classes.tolist()
    graph, helper = model.graph, onnx.helper
    graph.initializer.append(helper.make_tensor("classes", element, [len(classes)], values))
    graph.node.extend(
        [
            helper.make_node("ArgMax", ["scores"], ["place"], axis=1, keepdims=0),
            helper.make_node("Gather", ["classes", "place"], ["labels"], axis=0),
        ]
    )
    rest = [output for output in graph.output if output.name != "scores"]
    labels = helper.make_tensor_value_info("labels", element, ["n"])
    del graph.output[:]
    graph.output.extend([labels, *rest])
    for side, value in zip(graph.input[0].type.tensor_type.shape.dim[1:], shape, strict=True):
        side.dim_value = value
    helper.set_model_props(model, {CLASSES: json.dumps(classes.tolist())})
    onnx.checker.check_model(model)


def _compare(data: bytes, classifier: Any, images: NDArray[Any]) -> None:
    """Hold what the file answers against what the classifier does."""
    onnxruntime = _import("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        labels, probabilities, *features = session.run(None, {INPUT: images})
    except Exception as error:  # of classes of its own
        raise NotExportableError(
            f"onnxruntime cannot run what was written: {str(error)[:200]}"
        ) from error
    expected = classifier.predict_proba(images)
    pairs = [(probabilities, expected)]
    if features:
        pairs.append((features[0], classifier.features(images)))
    difference = max(
        float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-6))
        for found, wanted in pairs
    )
    # Where two classes are as probable as each other, rounding may decide.
    top = np.sort(expected, axis=1)[:, -2:]
    clear = top[:, 1] - top[:, 0] > _SAME
    wrong = (labels != classifier.predict(images))[clear].any()
    if wrong or not difference <= _SAME:
        raise NotExportableError(
            "the file answers otherwise than the classifier, by "
            f"{difference:.2g} of the largest value. Does the network do something that depends on "
            "the images, or on their number, by Python's own if or for?"
        )


def _import(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{package} is not installed. Install it, as pip install 'ricsk[onnx]' does."
        ) from error

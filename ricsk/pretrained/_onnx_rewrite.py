"""ONNX graphs of today, written with the operators that onnx2torch knows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["TARGET_OPSET", "rewrite"]

TARGET_OPSET = 17
"""The last version of ONNX's operators most of which onnx2torch knows."""


def rewrite(model: Any, onnx: Any) -> Any:
    """Rewrite what later versions of ONNX say in another way, in place.

    Identities are left out, and `allowzero` of `Reshape` where nothing is zero; a shape of one
    image becomes that of any number; axes of `Reduce...` become attributes again; and `Gelu` is
    written out.

    Parameters
    ----------
    model : onnx.ModelProto
    onnx : module
        The package.

    Returns
    -------
    onnx.ModelProto
        The same, said to be of `TARGET_OPSET`. Where it says other things then, the answers differ.
    """
    graph = model.graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    kept: list[Any] = []
    alias: dict[str, str] = {}
    outputs = {value.name for value in graph.output}
    for node in graph.node:
        inputs = [alias.get(name, name) for name in node.input]
        if node.op_type == "Identity" and node.output[0] not in outputs:
            alias[node.output[0]] = inputs[0]
            continue
        node.input[:] = inputs
        if node.op_type == "Gelu":
            kept.extend(_write_gelu(node, graph, onnx))
            continue
        if node.op_type == "Reshape" and (constants.get(inputs[1], np.zeros(1)) != 0).all():
            _drop_attribute(node, "allowzero")
            _free_batch(node, constants[inputs[1]], graph, onnx)
        elif node.op_type.startswith("Reduce") and node.op_type != "ReduceSum" and len(inputs) == 2:
            axes = constants.get(inputs[1])
            if axes is not None:
                node.input[:] = inputs[:1]
                node.attribute.append(onnx.helper.make_attribute("axes", axes.tolist()))
                _drop_attribute(node, "noop_with_empty_axes")
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    for opset in model.opset_import:
        if not opset.domain:
            opset.version = min(opset.version, TARGET_OPSET)
    return model


def _free_batch(node: Any, shape: np.ndarray, graph: Any, onnx: Any) -> None:
    """Let a reshaping take any number of images, where it was written for one."""
    if shape[0] != 1 or len(shape) < 2:
        return
    free = shape.copy()
    free[0] = 0 if -1 in shape else -1  # as many as came in, or as many as there are
    name = f"{node.output[0]}/shape"
    graph.initializer.append(onnx.numpy_helper.from_array(free, name))
    node.input[1] = name


def _drop_attribute(node: Any, name: str) -> None:
    rest = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(rest)


def _write_gelu(node: Any, graph: Any, onnx: Any) -> list[Any]:
    """Write x/2 (1 + erf(x/√2)) as five operators; the approximation by tanh differs from it."""
    (x,), (y,) = node.input, node.output
    names = {"root": math.sqrt(2), "one": 1.0, "half": 0.5}
    for name, value in names.items():
        array = np.array(value, np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(array, f"{y}/{name}"))
    steps = [
        ("Div", [x, f"{y}/root"], f"{y}/1"),
        ("Erf", [f"{y}/1"], f"{y}/2"),
        ("Add", [f"{y}/2", f"{y}/one"], f"{y}/3"),
        ("Mul", [f"{y}/3", x], f"{y}/4"),
        ("Mul", [f"{y}/4", f"{y}/half"], y),
    ]
    return [
        onnx.helper.make_node(kind, inputs, [output], name=output) for kind, inputs, output in steps
    ]

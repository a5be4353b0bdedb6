"""ONNX files as torch modules: with gradients where they convert, or as black boxes."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ricsk.pretrained._onnx_rewrite import rewrite

__all__ = ["BlackBox", "OnnxModule", "load_onnx", "read_input"]

# By how much a converted network may differ, as a part of the largest score.
_SAME = 1e-3


class BlackBox(nn.Module):
    """Base of modules that answer and have no gradients."""


class OnnxModule(BlackBox):
    """An ONNX file, run by onnxruntime on the CPU. It has no gradients.

    Parameters
    ----------
    data : bytes
        What is in the file.
    """

    file: Tensor

    def __init__(self, data: bytes) -> None:
        super().__init__()
        # A buffer, so that pickles, copies and digests hold it as they do weights.
        self.register_buffer("file", torch.from_numpy(np.frombuffer(data, np.uint8).copy()))
        self._session: Any = None

    @property
    def session(self) -> Any:
        """The session of onnxruntime, which runs in one thread."""
        if self._session is None:
            onnxruntime = _import("onnxruntime", "runs ONNX files")
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.log_severity_level = 4  # what is wrong is raised, and not printed, too
            try:
                session = onnxruntime.InferenceSession(
                    self.file.cpu().numpy().tobytes(), options, providers=["CPUExecutionProvider"]
                )
                # Whether names are texts is seen when they are read.
                for tensor in (*session.get_inputs(), *session.get_outputs()):
                    _ = tensor.name, tensor.shape
            except Exception as error:  # of classes of its own
                raise ValueError(f"onnxruntime cannot run the ONNX file: {error}") from error
            self._session = session
        return self._session

    @property
    def input_shape(self) -> list[int | str | None]:
        """Shape of the input; names and None stand for sizes that are left open.

        Raises
        ------
        ValueError
            If the network does not read images, one input of four dimensions.
        """
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            found = ", ".join(f"{given.name} of shape {given.shape}" for given in inputs)
            raise ValueError(
                f"the ONNX file reads {found or 'nothing'}; expected one input of images, (n, "
                "channels, height, width) or (n, height, width, channels)."
            )
        return inputs[0].shape

    @property
    def in_channels(self) -> int | None:
        """Number of channels that the network reads; None where it is left open."""
        shape = self.input_shape
        channels = shape[3] if _is_channels_last(shape) else shape[1]
        return channels if isinstance(channels, int) else None

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute all outputs that are numbers, by name.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)

        Returns
        -------
        dict of Tensor

        Raises
        ------
        ValueError
            If onnxruntime cannot run the network on such images, or it returns no numbers.
        """
        n, shape, given = len(x), self.input_shape, self.session.get_inputs()[0]
        array = (x.permute(0, 2, 3, 1) if _is_channels_last(shape) else x).detach().cpu().numpy()
        array = np.ascontiguousarray(array, _TYPES.get(given.type, np.float32))
        # Many files are for one image at a time, or for so many.
        fixed = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else n
        array = np.concatenate([array, array[:1].repeat(-n % fixed, axis=0)])
        parts = np.split(array, len(array) // fixed)
        # Names of classes and tables of them are outputs of some files, too.
        names = [output.name for output in self.session.get_outputs() if _is_numeric(output.type)]
        if not names:
            raise ValueError("the ONNX file returns no numbers; expected a score for each class.")
        try:
            found = [self.session.run(names, {given.name: part}) for part in parts]
        except Exception as error:  # of classes of its own
            raise ValueError(f"onnxruntime cannot run the ONNX file: {error}") from error
        outputs = [np.concatenate(arrays)[:n] for arrays in zip(*found, strict=True)]
        return {
            name: torch.from_numpy(output.astype(np.float32, copy=False)).to(x.device)
            for name, output in zip(names, outputs, strict=True)
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}


_TYPES = {"tensor(float16)": np.float16, "tensor(double)": np.float64}


def load_onnx(path: str | os.PathLike[str], *, gradients: bool | None = None) -> nn.Module:
    """Load a classifier from an ONNX file.

    Parameters
    ----------
    path : path
        Of the file; one with the weights that it may refer to is read, too.
    gradients : bool, optional
        True to convert it into a differentiable module, by onnx2torch, or to say why this cannot be
        done. False to run it as a black box, by onnxruntime. None to convert it where this can be
        done, and to warn where not.

    Returns
    -------
    torch.nn.Module
        What was converted was seen to answer as onnxruntime does.

    Raises
    ------
    ImportError
        If the package that is needed is not installed.
    ValueError
        If it is not an ONNX file, or not one of a network that reads images. With
        ``gradients=True``, if what it was converted into answers otherwise than the file.
    Exception
        With ``gradients=True``, whatever onnx2torch raises of a file that it cannot convert.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    UserWarning
        With ``gradients=None``, if it is a black box.
    """
    model = _read(path)
    black_box = OnnxModule(model.SerializeToString())
    _ = black_box.input_shape  # refuses what does not read images
    if gradients is False:
        return black_box
    try:
        return _convert(model, black_box)
    except Exception as error:  # whatever a converter of somebody else raises
        if gradients:
            raise
        reason = f"{type(error).__name__}: {error}"
    name = os.path.basename(os.fspath(path))
    warnings.warn(
        f"{name} is run by onnxruntime, as a black box without gradients, so "
        "guided encryptors will search by queries, which takes thousands of them for an image. It "
        f"was not converted: {reason}. Give gradients=False if that is meant.",
        stacklevel=2,
    )
    return black_box


def read_input(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read height and width off the input of an ONNX file, and whether it ends in a softmax.

    Parameters
    ----------
    path : path
        Of the file.

    Returns
    -------
    dict
        Parameters of `PretrainedClassifier`, those that are known.
    """
    graph = _read(path).graph
    known = {tensor.name for tensor in graph.initializer}
    (given, *_) = [value for value in graph.input if value.name not in known]
    shape = [side.dim_value or None for side in given.type.tensor_type.shape.dim]
    height, width = shape[1:3] if _is_channels_last(shape) else shape[2:]
    found: dict[str, Any] = {}
    if height and width:
        found["size"] = (height, width)
    if graph.node and graph.node[-1].op_type == "Softmax":
        found["from_logits"] = False
    return found


class _ChannelsLast(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Any:
        return self.module(x.permute(0, 2, 3, 1))


def _read(path: str | os.PathLike[str]) -> Any:
    onnx = _import("onnx", "reads ONNX files")
    with open(path, "rb"):
        pass  # a file that is not there is named by Python's own error
    try:
        return onnx.load(os.fspath(path))
    except Exception as error:  # of protobuf, by classes of its own
        raise ValueError(
            f"{os.fspath(path)!r} cannot be read as an ONNX file, and the weights that it may "
            f"refer to: {error}."
        ) from error


def _convert(model: Any, black_box: OnnxModule) -> nn.Module:
    convert = _import("onnx2torch", "converts ONNX files to torch modules").convert
    onnx = _import("onnx", "reads ONNX files")
    try:
        return _check(convert(model).eval(), black_box)
    except (NotImplementedError, KeyError, RuntimeError):
        # It knows the operators of earlier versions better, and some files are for one image.
        return _check(convert(rewrite(model, onnx)).eval(), black_box)


def _check(module: nn.Module, black_box: OnnxModule) -> nn.Module:
    shape = black_box.input_shape
    if _is_channels_last(shape):
        module = _ChannelsLast(module)
        shape = [shape[0], shape[3], *shape[1:3]]
    sides = [side if isinstance(side, int) and side > 0 else 64 for side in shape[1:]]
    x = torch.rand((2, *sides), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = module(x)
        found = found if isinstance(found, Tensor) else next(iter(found))
        expected = next(iter(black_box(x).values()))
    difference = float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-6))
    if not difference <= _SAME:
        raise ValueError(
            f"what onnx2torch made of the file answers otherwise than onnxruntime, by "
            f"{difference:.2g} of the largest score."
        )
    return module


def _is_numeric(type: str) -> bool:
    return type.startswith("tensor(") and type != "tensor(string)"


def _is_channels_last(shape: Any) -> bool:
    return len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)


def _import(package: str, what: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{package}, which {what}, is not installed, or cannot be imported: {error}. Install "
            "it, as pip install 'ricsk[onnx]' does."
        ) from error

"""Classifiers that a command is given by file or name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ricsk.command._errors import ExitCode
from ricsk.exceptions import CommandError

__all__ = ["load_classifier"]


def load_classifier(model: str, weights: Path | None, trust_model: bool, *, to_seal: bool) -> Any:
    """Load a classifier.

    Parameters
    ----------
    model : str
        A file, or ``timm:NAME``. Beside a ``.safetensors`` file there must be timm's
        ``config.json``, which says of which network its weights are.
    weights : Path, optional
        For the latter.
    trust_model : bool
        Whether a pickle is read.
    to_seal : bool
        Whether images are to be sealed for it, which takes gradients: ONNX files are converted
        then, and run as they are otherwise.

    Returns
    -------
    classifier
        Fitted.

    Raises
    ------
    CommandError
        If it cannot be loaded.
    """
    kind, colon, name = model.partition(":")
    try:
        if colon and kind == "timm":
            return _load_timm(name, weights)
        if weights is not None:
            raise ValueError("--weights is for timm:NAME.")
        if model.lower().endswith(".safetensors"):
            return _load_safetensors(Path(model))
        if to_seal and model.lower().endswith(".onnx"):
            from ricsk.pretrained import PretrainedClassifier

            return PretrainedClassifier.from_onnx(model)
        from ricsk.cloud.serve import load_model

        return load_model(model, allow_pickle=trust_model)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        hint = str(error).replace("--allow-pickle", "--trust-model")
        raise CommandError(f"cannot load the model {model!r}: {hint}", ExitCode.MODEL) from None


def _load_timm(name: str, weights: Path | None) -> Any:
    if weights is None:
        return _as_classifier(_import_timm().create_model(name, pretrained=True))
    return _as_classifier(_import_timm().create_model(name, pretrained=False), weights)


def _load_safetensors(path: Path) -> Any:
    """Load weights in the layout of a repository of models: beside them is what they are of."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}.")
    config = path.with_name("config.json")
    try:
        said = json.loads(config.read_bytes())
        name = str(said["architecture"])
        expects = {**said.get("pretrained_cfg", {}), "label_names": said.get("label_names")}
        parameters = {
            "num_classes": said.get("num_classes", expects.get("num_classes")),
            "pretrained_cfg_overlay": expects,
            **said.get("model_args", {}),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path.name} holds weights alone, and there is no config.json of timm beside it that "
            "says of which network. Put it there, or give --model timm:NAME --weights "
            f"{path.name}."
        ) from None
    return _as_classifier(_import_timm().create_model(name, pretrained=False, **parameters), path)


def _import_timm() -> Any:
    try:
        import timm
    except ImportError:
        raise ImportError("timm is not installed; pip install 'ricsk[timm]'.") from None
    return timm


def _as_classifier(network: Any, weights: Path | None = None) -> Any:
    from ricsk.pretrained import PretrainedClassifier

    if weights is not None:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(weights))
    return PretrainedClassifier.from_timm(network)

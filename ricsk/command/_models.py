"""Classifiers that a command is given by file or name."""

from __future__ import annotations

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
        A file, or ``timm:NAME``.
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
        if to_seal and model.lower().endswith(".onnx"):
            from ricsk.pretrained import PretrainedClassifier

            return PretrainedClassifier.from_onnx(model)
        from ricsk.cloud.serve import load_model

        return load_model(model, allow_pickle=trust_model)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        hint = str(error).replace("--allow-pickle", "--trust-model")
        raise CommandError(f"cannot load the model {model!r}: {hint}", ExitCode.MODEL) from None


def _load_timm(name: str, weights: Path | None) -> Any:
    try:
        import timm
    except ImportError:
        raise ImportError("timm is not installed; pip install 'ricsk[timm]'.") from None
    from ricsk.pretrained import PretrainedClassifier

    network = timm.create_model(name, pretrained=weights is None)
    if weights is not None:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(weights))
    return PretrainedClassifier.from_timm(network)

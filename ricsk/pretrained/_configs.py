"""What the models of timm and of Hugging Face say of the images they expect, and of their labels.

Neither package is imported: their models and processors carry it along.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

__all__ = ["read_timm", "read_transformers"]

# Pillow's numbers for ways to resample. Lanczos' differs little from bicubic.
_RESAMPLING = {0: "nearest", 1: "bicubic", 2: "bilinear", 3: "bicubic"}


def read_timm(model: nn.Module) -> dict[str, Any]:
    """Read the configuration of a timm model, as ``timm.data.resolve_model_data_config`` does.

    Parameters
    ----------
    model : torch.nn.Module
        With the attribute `pretrained_cfg` of timm's models.

    Returns
    -------
    dict
        Parameters of `PretrainedClassifier`.
    """
    config = getattr(model, "pretrained_cfg", None)
    if config is None:
        raise TypeError(
            f"{type(model).__name__} is not a model of timm: it has no pretrained_cfg. Say what it "
            "expects: PretrainedClassifier(model, size=..., mean=..., std=...)."
        )
    config = config if isinstance(config, Mapping) else vars(config)
    _, height, width = config.get("input_size") or (3, 224, 224)
    squash = config.get("crop_mode") == "squash"
    interpolation = config.get("interpolation") or "bicubic"
    return {
        "size": (height, width),
        "crop": None if squash else config.get("crop_pct") or 0.875,
        "interpolation": interpolation if interpolation in ("nearest", "bilinear") else "bicubic",
        "mean": _as_tuple(config.get("mean")),
        "std": _as_tuple(config.get("std")),
        "classes": _find_timm_labels(model, config),
    }


def read_transformers(model: nn.Module, processor: Any) -> dict[str, Any]:
    """Read the labels of a Hugging Face model, and what its image processor does.

    Parameters
    ----------
    model : torch.nn.Module
        With the `config` of Hugging Face's models.
    processor : image processor
        Of the same checkpoint.

    Returns
    -------
    dict
        Parameters of `PretrainedClassifier`.
    """
    config = getattr(model, "config", None)
    if config is None or not hasattr(processor, "image_mean"):
        raise TypeError(
            f"expected an image classifier of transformers and its image processor, but got a "
            f"{type(model).__name__} and a {type(processor).__name__}. For other modules say what "
            "they expect: PretrainedClassifier(model, size=..., mean=..., std=...)."
        )
    labels = getattr(config, "id2label", None) or {}
    names = [str(labels[i]) for i in sorted(labels, key=int)]
    return {
        **_read_resizing(processor),
        **_read_normalization(processor),
        "interpolation": _RESAMPLING.get(int(getattr(processor, "resample", None) or 0), "bicubic"),
        "classes": _make_unique(names) or None,
    }


def _read_resizing(processor: Any) -> dict[str, Any]:
    size = _read_sides(getattr(processor, "size", None))
    if not getattr(processor, "do_resize", True) or not size:
        size = {}
    crop_size = None
    if getattr(processor, "do_center_crop", False):
        crop_size = _read_sides(getattr(processor, "crop_size", None))
    shortest = size.get("shortest_edge")
    part = getattr(processor, "crop_pct", None)
    if shortest and part and crop_size is None:
        # As ConvNeXT's processor has it: below 384 pixels a crop, from there the whole image.
        return {"size": (shortest, shortest), "crop": part if shortest < 384 else None}
    if crop_size:
        height, width = _read_box(crop_size)
        if shortest:
            return {"size": (height, width), "crop": max(height, width) / shortest}
        if size and _read_box(size) != (height, width):
            raise ValueError(
                f"the processor resizes images to {size} and crops {crop_size}; only a crop of "
                "what keeps its proportions is known here. Give size= and crop= yourself."
            )
        return {"size": (height, width), "crop": None if size else 1.0}
    if shortest:
        return {"size": (shortest, shortest), "crop": 1.0}
    return {"size": _read_box(size) if size else None, "crop": None}


def _read_sides(size: Any) -> dict[str, int]:
    """Read the size of a processor: a number, a dictionary or an object, by version."""
    if size is None:
        return {}
    if isinstance(size, int):
        return {"height": size, "width": size}
    names = ("height", "width", "shortest_edge")
    if isinstance(size, Mapping):
        return {name: size[name] for name in names if size.get(name)}
    return {name: getattr(size, name) for name in names if getattr(size, name, None)}


def _read_box(size: Mapping[str, int]) -> tuple[int, int]:
    if "shortest_edge" in size:
        return size["shortest_edge"], size["shortest_edge"]
    return size["height"], size["width"]


def _read_normalization(processor: Any) -> dict[str, Any]:
    """Turn a processor's factors for levels on 0..255 into a normalization of values on [0, 1]."""
    factor = getattr(processor, "rescale_factor", None) or 1 / 255
    factor = 255 * factor if getattr(processor, "do_rescale", True) else 255.0
    offset = 1.0 if getattr(processor, "rescale_offset", False) else 0.0
    mean, std = np.zeros(3), np.ones(3)
    if getattr(processor, "do_normalize", True):
        mean, std = np.asarray(processor.image_mean), np.asarray(processor.image_std)
    return {
        "mean": tuple(((mean + offset) / factor).tolist()),
        "std": tuple((std / factor).tolist()),
    }


def _find_timm_labels(model: nn.Module, config: Mapping[str, Any]) -> list[str] | None:
    """Take the labels that a checkpoint names, or else those of timm's own lists."""
    names = config.get("label_names")
    descriptions = config.get("label_descriptions")
    if names:
        if descriptions:
            names = [descriptions.get(name, name) for name in names]
        return _make_unique(list(names))
    data = sys.modules.get("timm.data")  # loaded wherever there is a model of timm
    subset = None if data is None else data.infer_imagenet_subset(model)
    if data is None or subset is None:
        return None
    return _make_unique(data.ImageNetInfo(subset).label_descriptions())


def _make_unique(names: Sequence[str]) -> list[str]:
    """Put numbers behind names that are there twice, such as ImageNet's two cranes."""
    counts = Counter(names)
    return [f"{name} ({i})" if counts[name] > 1 else name for i, name in enumerate(names)]


def _as_tuple(values: Any) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(value) for value in values)

"""From the values of images to scores: what a pretrained module needs before and behind it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ricsk.pretrained._onnx import OnnxModule

__all__ = ["ImageGraph", "Interpolation", "Size", "check_size", "count_channels"]

Interpolation = Literal["nearest", "bilinear", "bicubic"]
Size = int | tuple[int, int]

# Logarithms are taken of probabilities, which may be 0.
_MIN_PROBABILITY = 1e-38
# What rounding errors take off a number of pixels.
_SLACK = 1e-6


class ImageGraph(nn.Module):
    """Resize, crop and normalize images, ask a module, and take the scores out of its answer.

    All of it is differentiable.

    Parameters
    ----------
    model : torch.nn.Module
        From normalized images, channels first, to anything that holds one score for each class.
    size : (int, int) or None
        Height and width of what `model` is given. None leaves images as they are.
    crop : float or None
        See `PretrainedClassifier`, as for all that follows.
    interpolation : {"nearest", "bilinear", "bicubic"}
    mean, std : float or sequence of float
    output : int, str or None
    from_logits : bool
    """

    mean: Tensor
    std: Tensor
    rows: Tensor | None
    columns: Tensor | None

    def __init__(
        self,
        model: nn.Module,
        *,
        size: tuple[int, int] | None,
        crop: float | None,
        interpolation: Interpolation,
        mean: float | Sequence[float] | None,
        std: float | Sequence[float] | None,
        output: int | str | None,
        from_logits: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.size = size
        self.crop = crop
        self.interpolation = interpolation
        self.output = output
        self.from_logits = from_logits
        means, stds = _per_channel(mean, 0.0, "mean"), _per_channel(std, 1.0, "std")
        if not (means.isfinite().all() and stds.isfinite().all() and (stds > 0).all()):
            raise ValueError(
                f"mean={mean}, std={std} is not a normalization; expected finite numbers, for "
                "values on [0, 1], with std above 0."
            )
        try:
            means, stds = torch.broadcast_tensors(means, stds)
        except RuntimeError:
            raise ValueError(
                f"mean={mean} and std={std} are for different numbers of channels."
            ) from None
        self.register_buffer("mean", means[:, None, None].clone())
        self.register_buffer("std", stds[:, None, None].clone())
        self.register_buffer("rows", None)
        self.register_buffer("columns", None)
        self.n_channels = len(means) if len(means) > 1 else count_channels(model)

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute the scores.

        Parameters
        ----------
        pixels : Tensor of shape (n, height, width, channels)
            Floats on [0, 1].

        Returns
        -------
        Tensor of shape (n, n_classes)
        """
        x = self._resize(self._match_channels(pixels.permute(0, 3, 1, 2)))
        try:
            found = self.model((x - self.mean) / self.std)
        except (RuntimeError, ValueError, TypeError) as error:
            error.add_note(
                f"The module was given a tensor of shape {tuple(x.shape)}. If it expects images of "
                "another size, say so by size=(height, width)."
            )
            raise
        return self._read_scores(found, len(x))

    def features_and_scores(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what the last linear layer reads, and the scores.

        Parameters
        ----------
        pixels : Tensor of shape (n, height, width, channels)
            Floats on [0, 1].

        Returns
        -------
        tuple of Tensor
            Of shapes (n, n_features) and (n, n_classes).
        """
        linear = [layer for layer in self.model.modules() if isinstance(layer, nn.Linear)]
        if not linear:
            raise TypeError(
                f"{type(self.model).__name__} has no linear layer, whose input would be the "
                "features. Take a module that ends in one."
            )
        read: list[Tensor] = []
        hook = linear[-1].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        try:
            scores = self(pixels)
        finally:
            hook.remove()
        return read[-1].flatten(1), scores

    def _match_channels(self, x: Tensor) -> Tensor:
        given, wanted = x.shape[1], self.n_channels
        if given == 1 and wanted == 3:
            return x.expand(-1, 3, -1, -1)
        if wanted is not None and given != wanted:
            raise ValueError(
                f"the images have {given} channels, but the module reads {wanted}. Give images "
                "with as many, or grey ones to a module of three."
            )
        return x

    def fix_size(self, height: int, width: int) -> ImageGraph:
        """Make a copy for images of one size, which resizes them by two matrices.

        It answers alike, up to rounding, and has no operator that only torch knows.

        Parameters
        ----------
        height, width : int
            Of the images, in pixels.

        Returns
        -------
        ImageGraph
        """
        fixed = copy.deepcopy(self)
        if self.size is not None:
            sides, corner = self._plan(height, width)
            matrices = []
            for n, n_resized, start, n_kept in zip(
                (height, width), sides, corner, self.size, strict=True
            ):
                # What becomes of each pixel of a side; the other side stays as it is.
                identity = torch.eye(n, device=self.mean.device)[None, None]
                found = self._interpolate(identity, n_resized, n, clamp=False)
                matrices.append(found[0, 0, start : start + n_kept])
            fixed.rows, fixed.columns = matrices
        return fixed

    def _resize(self, x: Tensor) -> Tensor:
        """Bring images to `size`: whole, or only their middle."""
        if self.size is None:
            return x
        if self.rows is not None and self.columns is not None:
            x = self.rows @ x @ self.columns.T
            return x.clamp(0, 1) if self.interpolation == "bicubic" else x
        sides, (top, left) = self._plan(x.shape[2], x.shape[3])
        x = self._interpolate(x, *sides)
        return x[:, :, top : top + self.size[0], left : left + self.size[1]]

    def _plan(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Find to what sides images are resized, and the corner of what is kept of them."""
        assert self.size is not None
        if self.crop is None:
            return self.size, (0, 0)
        # Rounded as torchvision and timm do it.
        box = [int(side / self.crop + _SLACK) for side in self.size]
        scale = max(box[0] / height, box[1] / width) + _SLACK / max(height, width)
        sides = int(scale * height), int(scale * width)
        top, left = (round((n - kept) / 2) for n, kept in zip(sides, self.size, strict=True))
        return sides, (top, left)

    def _interpolate(self, x: Tensor, height: int, width: int, *, clamp: bool = True) -> Tensor:
        if x.shape[2:] == (height, width):
            return x
        if self.interpolation == "nearest":
            return nn.functional.interpolate(x, (height, width), mode="nearest-exact")
        x = nn.functional.interpolate(
            x, (height, width), mode=self.interpolation, antialias=True, align_corners=False
        )
        # Cubic curves overshoot, and image files do not.
        return x.clamp(0, 1) if clamp and self.interpolation == "bicubic" else x

    def _read_scores(self, found: Any, n: int) -> Tensor:
        scores = _find_tensor(found, self.output)
        scores = scores[:, None] if scores.ndim == 1 else scores
        if scores.ndim > 2 and scores.shape[2:].numel() == 1:
            scores = scores.flatten(1)  # of a convolution in the place of a linear layer
        if scores.ndim != 2 or len(scores) != n:
            raise ValueError(
                f"the module returned a tensor of shape {tuple(scores.shape)} for {n} images; "
                "expected one score for each class, (n, n_classes). Say by output= which of "
                "several to take, or wrap the module so that it classifies."
            )
        if scores.shape[1] == 1:
            return torch.cat([torch.zeros_like(scores), scores], dim=1)
        return scores if self.from_logits else scores.clamp_min(_MIN_PROBABILITY).log()


def count_channels(model: nn.Module) -> int | None:
    """Count the channels of the images that a module reads, by its first convolution or ONNX file.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    int or None
        None if there is none, or if it reads neither grey nor colour images.
    """
    readers = nn.Conv2d | OnnxModule
    first = next((layer for layer in model.modules() if isinstance(layer, readers)), None)
    channels = None if first is None else first.in_channels
    return channels if channels in (1, 3) else None


def _per_channel(value: float | Sequence[float] | None, default: float, name: str) -> Tensor:
    try:
        values = torch.as_tensor(default if value is None else value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        values = torch.empty(0)
    if values.ndim > 1 or values.numel() not in (1, 3):
        raise ValueError(
            f"{name}={value!r}: expected one number, or one for each of three channels."
        )
    return values.reshape(-1)


def _find_tensor(found: Any, output: int | str | None) -> Tensor:
    """Take the scores out of what a module returned."""
    if output is not None:
        try:
            # The outputs of Hugging Face are dictionaries and objects, others one of the two.
            named = isinstance(output, str) and not isinstance(found, Mapping)
            chosen = getattr(found, str(output)) if named else found[output]
        except (AttributeError, KeyError, IndexError, TypeError):
            raise ValueError(
                f"output={output!r} is not in what the module returned, {_describe(found)}."
            ) from None
    elif isinstance(found, Tensor):
        chosen = found
    elif isinstance(found, Mapping):
        chosen = found.get("logits")
        if chosen is None and len(found) == 1:
            (chosen,) = found.values()
    elif hasattr(found, "logits"):
        chosen = found.logits
    else:
        chosen = found[0] if isinstance(found, tuple | list) and found else None
    if not isinstance(chosen, Tensor):
        raise ValueError(
            f"the module returned {_describe(found)}, in which it is not known where the scores "
            "are. Say it by output=, the name or position of a tensor."
        )
    return chosen


def _describe(found: Any) -> str:
    if isinstance(found, Mapping):
        return f"a {type(found).__name__} of {', '.join(map(repr, found))}"
    if isinstance(found, tuple | list):
        parts = ", ".join(type(part).__name__ for part in found)
        return f"a {type(found).__name__} of {len(found)} ({parts})"
    return f"a {type(found).__name__}"


def check_size(size: Size | None) -> tuple[int, int] | None:
    """Read a size as height and width."""
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, Integral) and side > 0 for side in sides):
        raise ValueError(f"size={size!r}: expected (height, width) in pixels, or one number.")
    return int(sides[0]), int(sides[1])

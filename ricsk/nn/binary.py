"""A network of signs: its layers count, compare and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ricsk.nn._network import ImageNetwork
from ricsk.nn._registry import register

__all__ = ["BinaryLayer", "BinaryNetwork", "BinaryScores"]

_ROUNDING = 1e-5


class BinaryLayer(NamedTuple):
    """A hidden layer in whole numbers: +1 where the sum reaches the threshold, and −1 elsewhere.

    Parameters
    ----------
    weights : Tensor of shape (n_out, n_in), int8
        −1 and 1.
    thresholds : Tensor of shape (n_out,), int64
        What each sum is compared with.
    """

    weights: Tensor
    thresholds: Tensor


class BinaryScores(NamedTuple):
    """The last layer: logits are ``scale * sum + shift``, with sums of whole numbers.

    Parameters
    ----------
    weights : Tensor of shape (n_classes, n_in), int8
        −1 and 1.
    scale, shift : Tensor of shape (n_classes,)
        Real numbers, for whoever reads the sums.
    """

    weights: Tensor
    scale: Tensor
    shift: Tensor


@register("binary")
class BinaryNetwork(ImageNetwork):
    """Layers of weights −1 and 1, each behind a sign, as in TAPAS.

    Values of the image are −1 or 1, by a threshold. In training, weights and values have signs in
    the forward pass and are what they are in the backward pass, where they lie on [−1, 1]. In
    evaluation mode batch normalization and sign are one comparison with a whole number, so that
    sums are exact, and what is computed does not depend on the batch.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    n_classes : int
        Number of logits.
    hidden : sequence of int
        Neurons of each hidden layer.
    threshold : float
        Values above it, between 0 for black and 1 for white, are 1.

    References
    ----------
    A. Sanyal, M. J. Kusner, A. Gascón and V. Kanade, "TAPAS: tricks to accelerate (encrypted)
    prediction as a service", ICML, 2018, sections 3 and 4.

    I. Hubara, M. Courbariaux, D. Soudry, R. El-Yaniv and Y. Bengio, "Binarized neural networks",
    NeurIPS, 2016, section 1.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import BinaryNetwork
    >>> network = BinaryNetwork((8, 8, 1), 10, hidden=(16,)).eval()
    >>> network.forward_features(torch.rand(2, 1, 8, 8)).abs().unique()
    tensor([1.])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        hidden: Sequence[int] = (64,),
        threshold: float = 0.25,
    ) -> None:
        height, width, channels = image_shape
        sizes = [height * width * channels, *hidden]
        super().__init__(sizes[-1], n_classes)
        self.threshold = threshold
        self.layers = nn.ModuleList(_Layer(n_in, n_out) for n_in, n_out in pairwise(sizes))
        # Its weights are signs, so it is no torch.nn.Linear as in other networks.
        self.head = _Layer(sizes[-1], n_classes)  # type: ignore[assignment]

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the signs of the last hidden layer.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images on [−1, 1].

        Returns
        -------
        Tensor of shape (n, n_neurons)
        """
        # A level that is equal to the threshold is black, in any precision.
        x = _sign((x - (2 * self.threshold - 1 + _ROUNDING)).flatten(1))
        for layer in cast("list[_Layer]", self.layers):
            x = _sign(layer(x) if self.training else layer.compare(x))
        return x

    def fold(self) -> tuple[list[BinaryLayer], BinaryScores]:
        """Say what the network computes in evaluation mode, in whole numbers.

        Returns
        -------
        layers : list of BinaryLayer
            Of hidden neurons.
        scores : BinaryScores
            What gives the logits.
        """
        with torch.no_grad():
            layers, last = cast("list[_Layer]", self.layers), cast("_Layer", self.head)
            folded = [BinaryLayer(*layer.fold()) for layer in layers]
            weights = _sign(last.weight).to(torch.int8)
            return folded, BinaryScores(weights, *last.get_scale())


class _Layer(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in).uniform_(-1, 1))
        self.norm = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        sums = F.linear(x, _sign(self.weight))
        if self.training:
            return self.norm(sums)
        scale, shift = self.get_scale()
        return sums * scale.to(sums) + shift.to(sums)

    def compare(self, x: Tensor) -> Tensor:
        """Make what is positive where the normalized sum is, from sums and whole numbers alone."""
        weights, thresholds = self.fold()
        # The half keeps a sum that is equal to its threshold clear of zero. The root brings sums to
        # where gradients pass, for those who look for noise that the network reads as an image.
        compared = F.linear(x, weights.to(x)) - thresholds.to(x) + 0.5
        return compared / math.sqrt(x.shape[1])

    def get_scale(self) -> tuple[Tensor, Tensor]:
        """Write batch normalization as a line, in double precision."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        return scale, norm.bias.double() - scale * norm.running_mean.double()

    def fold(self) -> tuple[Tensor, Tensor]:
        """Write normalization and sign as a comparison: weights −1 and 1, and thresholds."""
        scale, shift = self.get_scale()
        weights, n_in = _sign(self.weight), self.weight.shape[1]
        # A line that falls is one that rises, of the negative sum.
        rises = torch.where(scale < 0, -1.0, 1.0)
        zero = torch.where(scale == 0, torch.where(shift >= 0, -n_in, n_in + 1), -shift / scale)
        thresholds = (rises * zero).where(scale != 0, zero).ceil()
        thresholds = thresholds.clamp(-n_in, n_in + 1).long()
        return (weights * rises.to(weights)[:, None]).to(torch.int8), thresholds


def _sign(x: Tensor) -> Tensor:
    """Take signs, −1 and 1, that let gradients pass where values lie on [−1, 1]."""
    passing = F.hardtanh(x)
    return passing - passing.detach() + torch.where(x >= 0, 1.0, -1.0).to(x)

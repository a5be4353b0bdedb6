"""The networks of the classifiers behind the scaling that their input needs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ricsk.images import ValueRange
from ricsk.nn import ImageNetwork, from_pixels, to_tensor
from ricsk.training import find_half_precision

__all__ = ["PenalizedLoss", "PixelNetwork", "TrainedNetwork", "read_pixels"]


class PixelNetwork(nn.Module):
    """From channel-last pixels to logits: a scaling to [−1, 1], and a network.

    So the negative of an image is the image times −1.

    Parameters
    ----------
    network : ImageNetwork
        The network.
    """

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Any:
        """Compute the logits.

        Parameters
        ----------
        pixels : Tensor of shape (n, height, width, channels)
            uint8, or floats on [0, 1].

        Returns
        -------
        Tensor of shape (n, n_classes)
        """
        return self.network(2 * from_pixels(pixels) - 1)

    def forward_features(self, pixels: Tensor) -> Tensor:
        """Compute what the last layer reads.

        Parameters
        ----------
        pixels : Tensor of shape (n, height, width, channels)
            uint8, or floats on [0, 1].

        Returns
        -------
        Tensor of shape (n, n_features)
        """
        return self.network.forward_features(2 * from_pixels(pixels) - 1)


class TrainedNetwork(PixelNetwork):
    """A network as it is trained: with what it wants to have added to the loss.

    It computes in half precision where the device is built for it; weights, loss and gradients
    stay in 32 bits.
    """

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the logits, and the penalty, which is zero in evaluation mode."""
        if not self.training:
            logits = super().forward(pixels).float()
            return logits, logits.new_zeros(())
        dtype = find_half_precision(pixels.device)
        with torch.autocast(pixels.device.type, dtype) if dtype else nullcontext():
            logits, penalty = self.network.forward_with_penalty(2 * from_pixels(pixels) - 1)
        return logits.float(), penalty.float()


class PenalizedLoss(nn.Module):
    """The cross-entropy of the logits, plus the penalty."""

    def forward(self, output: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
        """Compute the loss; targets are numbers of classes, or shares of each."""
        logits, penalty = output
        return nn.functional.cross_entropy(logits, targets) + penalty


def read_pixels(pixels: NDArray[Any], value_range: ValueRange) -> Tensor:
    """Turn images into tensors: uint8 as it is, and floats in 32 bits on [0, 1].

    Parameters
    ----------
    pixels : ndarray of shape (n, height, width, channels)
        uint8, or floats.
    value_range : ValueRange
        The floating-point values of black and white.

    Returns
    -------
    Tensor of the same shape

    Examples
    --------
    >>> import numpy as np
    >>> read_pixels(np.array([[[[-1.0], [1.0]]]]), ValueRange(-1.0, 1.0)).flatten()
    tensor([0., 1.])
    """
    if pixels.dtype != np.uint8:
        low, high = value_range.low, value_range.high
        pixels = ((pixels - low) / (high - low)).astype(np.float32)
    return to_tensor(pixels)

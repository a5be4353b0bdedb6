"""A network from vectors to images."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Decoder"]

_INNER_SIDE = 4


class Decoder(nn.Module):
    """A linear layer to a small image, which is upsampled and convolved up to the full size.

    The last doubling puts channels into squares of 2 × 2 pixels, as in `UNet`: convolutions at the
    full size would take longer than all others together.

    Parameters
    ----------
    n_inputs : int
        Length of the vectors.
    image_shape : tuple of int
        ``(height, width, channels)`` of the images.
    width : int
        Half the number of channels at half the size. With each further halving of the size that
        number doubles, up to four times `width`.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import Decoder
    >>> Decoder(10, (28, 20, 1), width=8)(torch.rand(2, 10)).shape
    torch.Size([2, 1, 28, 20])
    """

    def __init__(self, n_inputs: int, image_shape: tuple[int, int, int], width: int = 32) -> None:
        super().__init__()
        self.image_shape = image_shape
        height, width_out, channels = image_shape
        n_levels = max(1, math.ceil(math.log2(max(height, width_out) / _INNER_SIDE)))
        rows, columns = (math.ceil(side / 2**n_levels) for side in (height, width_out))
        widths = [width * min(2**level, 4) for level in range(n_levels, 0, -1)]
        self.first = nn.Sequential(
            nn.Linear(n_inputs, widths[0] * rows * columns),
            nn.Unflatten(1, (widths[0], rows, columns)),
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(before),
                nn.ReLU(),
                nn.Conv2d(before, after, 3, padding=1, bias=False),
            )
            for before, after in pairwise(widths)
        )
        self.last = nn.Sequential(
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * channels, 3, padding=1),
            nn.PixelShuffle(2),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute images.

        Parameters
        ----------
        x : Tensor of shape (n, n_inputs)
            Vectors.

        Returns
        -------
        Tensor of shape (n, channels, height, width)
            Images on [0, 1].
        """
        x = self.first(x)
        for convolutions in self.up:
            x = convolutions(F.interpolate(x, scale_factor=2))
        height, width, _ = self.image_shape
        return self.last(x)[:, :, :height, :width]

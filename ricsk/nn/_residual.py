"""Residual blocks with poolings, of which small networks are made."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["make_blocks", "make_convolution"]


def make_blocks(n_channels: int, width: int, depth: int) -> nn.Sequential:
    """Build residual blocks with poolings: the first of `width` channels, each other of twice.

    Parameters
    ----------
    n_channels : int
        Channels of what the first block reads.
    width : int
        Channels of the first block.
    depth : int
        Number of blocks.

    Returns
    -------
    torch.nn.Sequential
    """
    widths = [n_channels, *(width * 2**block for block in range(depth))]
    return nn.Sequential(*(_Block(before, after) for before, after in pairwise(widths)))


class _Block(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.widen = make_convolution(before, after)
        self.residual = make_convolution(after, after)

    def forward(self, x: Tensor) -> Tensor:
        # Strides in place of pooling are quicker, but cost ten points of accuracy on 5,000 images
        # of CIFAR-10.
        x = F.max_pool2d(self.widen(x), 2, ceil_mode=True)
        return x + self.residual(x)


def make_convolution(before: int, after: int) -> nn.Sequential:
    """Build a 3×3 convolution with batch normalization and ReLU, which keeps the size.

    Parameters
    ----------
    before, after : int
        Channels of what it reads and returns.

    Returns
    -------
    torch.nn.Sequential
    """
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )

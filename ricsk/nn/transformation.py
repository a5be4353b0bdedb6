"""The U-Net that turns images into ones that only a classifier reads."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["TransformationUNet"]

_N_LEVELS = 5
_STEP = 2 ** (_N_LEVELS - 1)


class TransformationUNet(nn.Module):
    """The U-Net of Ito et al., whose output has the shape of its input.

    It has five levels; each has half the side lengths and twice the channels of the one above. A
    level is two 3×3 convolutions with batch normalization and ReLU. Max-pooling leads down;
    nearest-neighbour upsampling and one more such convolution lead up, where the level's own output
    is concatenated. A 1×1 convolution and a sigmoid come last.

    Images are edge-padded to a multiple of 16 and to at least 32 pixels a side, and cropped
    afterwards.

    Parameters
    ----------
    n_channels : int
        Channels of the images.
    width : int
        Channels of the first level; 64 in the paper.

    References
    ----------
    H. Ito, Y. Kinoshita, M. AprilPyone and H. Kiya, "Image to perturbation: an image transformation
    network for generating visually protected images for privacy-preserving deep neural networks",
    IEEE Access 9, 2021, section III.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.transformation import TransformationUNet
    >>> TransformationUNet(3, width=4)(torch.rand(2, 3, 30, 40)).shape
    torch.Size([2, 3, 30, 40])
    """

    def __init__(self, n_channels: int, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(_N_LEVELS)]
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, after), _convolution(after, after))
            for before, after in pairwise([n_channels, *widths])
        )
        upward = [*pairwise(reversed(widths))]
        self.enlarge = nn.ModuleList(_convolution(below, here) for below, here in upward)
        self.up = nn.ModuleList(
            nn.Sequential(_convolution(2 * here, here), _convolution(here, here))
            for _, here in upward
        )
        self.last = nn.Conv2d(width, n_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute images.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images on [0, 1].

        Returns
        -------
        Tensor of the same shape
            Images on [0, 1].
        """
        height, width = x.shape[2:]
        # At 16 pixels the lowest level would be one pixel, which has no variance to normalize.
        border = (
            0,
            max(-width % _STEP, 2 * _STEP - width),
            0,
            max(-height % _STEP, 2 * _STEP - height),
        )
        x = F.pad(x, border, mode="replicate")
        skips: list[Tensor] = []
        for level, convolutions in enumerate(self.down):
            x = convolutions(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = skips.pop()
        for enlarge, convolutions in zip(self.enlarge, self.up, strict=True):
            x = enlarge(F.interpolate(x, scale_factor=2))
            x = convolutions(torch.cat([skips.pop(), x], dim=1))
        return self.last(x)[:, :, :height, :width].sigmoid()


def _convolution(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )

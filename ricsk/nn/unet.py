"""A U-Net from images to images in which every pixel can move to every place."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["UNet"]

_INNER_SIDE = 8


class UNet(nn.Module):
    """A U-Net (Ronneberger et al.) around MLP-Mixer layers (Tolstikhin et al.).

    Convolutions alone cannot undo an encryption that moves pixels across the image. Here the image
    is halved until its larger side is at most 8; mixer layers then connect every place with every
    other, with a weight for each pair. A gain and an offset for every value of the input let
    the network treat places differently, as a key that negates some of them does. The first halving
    puts squares of 2 × 2 pixels into channels, which loses nothing and makes a step three times as
    quick.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)`` of the input.
    output_shape : tuple of int, optional
        The shape of the output; by default that of the input.
    width : int
        Channels after the first halving. The second and the third double them.
    n_mixers : int
        Mixer layers at the smallest size.

    References
    ----------
    O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image
    segmentation", MICCAI, 2015, section 2.

    I. Tolstikhin et al., "MLP-Mixer: an all-MLP architecture for vision", NeurIPS, 2021, section 2.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import UNet
    >>> UNet((32, 32, 3), width=8)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        output_shape: tuple[int, int, int] | None = None,
        width: int = 32,
        n_mixers: int = 2,
    ) -> None:
        super().__init__()
        height, width_in, channels = image_shape
        self.output_shape = tuple(output_shape or image_shape)
        n_levels = max(2, math.ceil(math.log2(max(height, width_in) / _INNER_SIDE)))
        step = 2**n_levels
        self.border = (0, -width_in % step, 0, -height % step)
        n_places = math.ceil(height / step) * math.ceil(width_in / step)
        widths = [width * min(2**level, 4) for level in range(n_levels)]
        self.gain = nn.Parameter(torch.ones(channels, height, width_in))
        self.offset = nn.Parameter(torch.zeros(channels, height, width_in))
        self.down = nn.ModuleList(
            _convolutions(before, after) for before, after in pairwise([4 * channels, *widths])
        )
        self.mixers = nn.Sequential(*(_Mixer(n_places, widths[-1]) for _ in range(n_mixers)))
        self.up = nn.ModuleList(
            _convolutions(below + here, here) for here, below in reversed([*pairwise(widths)])
        )
        self.last = nn.Conv2d(width, 4 * self.output_shape[2], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute images.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images on [0, 1].

        Returns
        -------
        Tensor of shape (n, channels, height, width)
            Images of the output shape on [0, 1].
        """
        height, width = x.shape[2:]
        x = F.pad(self.gain * (2 * x - 1) + self.offset, self.border)
        x = F.pixel_unshuffle(x, 2)
        skips = []
        for level, convolutions in enumerate(self.down):
            x = convolutions(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = self.mixers(skips.pop())
        for convolutions, skip in zip(self.up, reversed(skips), strict=True):
            x = convolutions(torch.cat([F.interpolate(x, scale_factor=2), skip], dim=1))
        x = F.pixel_shuffle(self.last(x), 2)[:, :, :height, :width]
        if x.shape[2:] != self.output_shape[:2]:
            x = F.interpolate(x, size=self.output_shape[:2], mode="bilinear")
        return x.sigmoid()


class _Mixer(nn.Module):
    """Connect all places within each channel, then all channels within each place."""

    def __init__(self, n_places: int, width: int) -> None:
        super().__init__()
        self.places = _perceptron(n_places, width)
        self.channels = _perceptron(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.places(self.norms[0](tokens).transpose(1, 2)).transpose(1, 2)
        tokens = tokens + self.channels(self.norms[1](tokens))
        return tokens.transpose(1, 2).reshape(x.shape)


def _perceptron(n_values: int, width: int) -> nn.Sequential:
    n_hidden = 2 * max(n_values, width)
    return nn.Sequential(nn.Linear(n_values, n_hidden), nn.GELU(), nn.Linear(n_hidden, n_values))


def _convolutions(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [
            nn.Conv2d(channels, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)

"""A network from images to images whose weights may be a key."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["KeyGenerator"]

_STEP = 4
_N_RESIDUAL = 3


class KeyGenerator(nn.Module):
    """Two halvings, three residual blocks, and back: the generator of Johnson et al., made small.

    Parameters
    ----------
    n_channels : int
        Channels of the images.
    width : int
        Channels before the first halving. Each halving doubles them.

    References
    ----------
    J. Johnson, A. Alahi and L. Fei-Fei, "Perceptual losses for real-time style transfer and
    super-resolution", ECCV, 2016, supplementary material.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import KeyGenerator
    >>> KeyGenerator(3, width=8)(torch.rand(1, 3, 30, 33)).shape
    torch.Size([1, 3, 30, 33])
    """

    def __init__(self, n_channels: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(n_channels, width),
            *_convolution(width, 2 * width, stride=2),
            *_convolution(2 * width, 4 * width, stride=2),
            *(_Residual(4 * width) for _ in range(_N_RESIDUAL)),
            nn.Upsample(scale_factor=2),
            *_convolution(4 * width, 2 * width),
            nn.Upsample(scale_factor=2),
            *_convolution(2 * width, width),
            nn.Conv2d(width, n_channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute images.

        Parameters
        ----------
        x : Tensor of shape (n, n_channels, height, width)
            Values on [0, 1].

        Returns
        -------
        Tensor of the same shape
            Values that may be beyond [0, 1].
        """
        height, width = x.shape[2:]
        x = F.pad(2 * x - 1, (0, -width % _STEP, 0, -height % _STEP))
        return (self.layers(x)[:, :, :height, :width] + 1) / 2


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        *first, norm, _ = _convolution(width, width) + _convolution(width, width)
        self.layers = nn.Sequential(*first, norm)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _convolution(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]

"""Generators and discriminators of adversarial attacks."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ricsk.nn._network import check_patch_size

__all__ = ["Discriminator", "PixelCNN", "PlacewiseCNN"]


class PixelCNN(nn.Module):
    """The published generator for pixelwise encryption: the same function of every pixel.

    Parameters
    ----------
    channels : int
        Of input and output.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.gan import PixelCNN
    >>> PixelCNN(3)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 3, 16, 16])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for after in (64, 128, 256):
            layers += [nn.Conv2d(before, after, 1), nn.BatchNorm2d(after), nn.ReLU()]
            before = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, channels, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Compute images on [−1, 1] from images, (n, channels, height, width)."""
        return self.layers(x)


class PlacewiseCNN(nn.Module):
    """The generator of SIA-GAN: a function of its own for every block, then residual blocks.

    It can undo an encryption that treats each place differently, but not one that moves blocks
    further than the convolutions reach. The first layer is a locally connected one.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)`` of input and output.
    block_size : int
        Side of the blocks in pixels.
    width : int
        Channels of the convolutions.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.gan import PlacewiseCNN
    >>> PlacewiseCNN((16, 16, 3), width=8)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 3, 16, 16])
    """

    def __init__(
        self, image_shape: tuple[int, int, int], block_size: int = 4, width: int = 64
    ) -> None:
        check_patch_size(image_shape, block_size)
        super().__init__()
        height, width_in, channels = image_shape
        self.grid = height // block_size, width_in // block_size
        n_blocks = math.prod(self.grid)
        n_values = 16 * block_size**2
        self.cut = nn.PixelUnshuffle(block_size)
        # One group for each block, so that each has weights of its own.
        self.own = nn.Sequential(
            spectral_norm(
                nn.Conv1d(
                    n_blocks * channels * block_size**2, n_blocks * n_values, 1, groups=n_blocks
                )
            ),
            nn.BatchNorm1d(n_blocks * n_values),
            nn.LeakyReLU(0.1),
        )
        self.shared = nn.Sequential(
            nn.PixelShuffle(block_size),
            nn.Conv2d(16, width, 3, padding=1),
            *(_Residual(width) for _ in range(3)),
            nn.Conv2d(width, channels, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute images on [−1, 1] from images, (n, channels, height, width)."""
        blocks = self.cut(x).flatten(2).transpose(1, 2)
        y = self.own(blocks.reshape(len(x), -1, 1)).reshape(len(x), blocks.shape[1], -1)
        return self.shared(y.transpose(1, 2).unflatten(2, self.grid))


class Discriminator(nn.Module):
    """Tell real images from generated ones: strided convolutions and a linear layer.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    width : int
        Channels after the first halving; the second doubles them.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.gan import Discriminator
    >>> Discriminator((16, 16, 3))(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2])
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int = 64) -> None:
        super().__init__()
        height, width_in, channels = image_shape
        layers: list[nn.Module] = []
        before = channels
        for after in (width, 2 * width):
            layers += [
                spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.2),
            ]
            before, height, width_in = after, max(height // 2, 1), max(width_in // 2, 1)
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), spectral_norm(nn.Linear(before * height * width_in, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Say how real each of (n, channels, height, width) on [−1, 1] looks: (n,) logits."""
        return self.layers(x)[:, 0]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)

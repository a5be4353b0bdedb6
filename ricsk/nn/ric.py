"""The encoders and decoders of RIC, between which the image is masked."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["REACH", "LightRIC", "PublishedRIC"]

REACH = 5
"""By how many pixels, at most, what `LightRIC` computes of a pixel depends on others."""


class LightRIC(nn.Module):
    """A small encoder and decoder that start as the identity and know how strong the mask is.

    The encoder adds a learnt correction to the image and stays on [0, 1], so the mixing weight
    says how much of the ciphertext is the image. The decoder removes the noise that rounding
    leaves; it is given the size, ``log2(1 / (1 − alpha))``, so one set of weights serves every
    `alpha`. Both are fully convolutional, for images of any size; a grey image goes through them
    as three equal channels, whose outputs are averaged.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _corrections(3, width=8, depth=3)
        self.decoder = _corrections(4, width=32, depth=5)

    def encode(self, x: Tensor, z: Tensor) -> Tensor:
        """Prepare images for mixing.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images on [0, 1].
        z : Tensor of the same shape
            Masks on [0, 1]; not used.

        Returns
        -------
        Tensor of the same shape, on [0, 1].
        """
        return (x + _averaged(self.encoder(2 * _coloured(x) - 1), x)).clamp(0, 1)

    def decode(self, u: Tensor, alpha: Tensor) -> Tensor:
        """Bring images back from what is left when the mask is taken off.

        Parameters
        ----------
        u : Tensor of shape (n, channels, height, width)
            The encoder's images, with rounding noise.
        alpha : Tensor of shape (n,)
            Weight of the mask, on [0, 1).

        Returns
        -------
        Tensor of the same shape as `u`.
        """
        step = -torch.log2(1 - alpha).view(-1, 1, 1, 1).expand(-1, 1, *u.shape[2:])
        return u + _averaged(self.decoder(torch.cat([2 * _coloured(u) - 1, step / 4], dim=1)), u)


class PublishedRIC(nn.Module):
    """The networks of the RIC paper's code.

    Three stacks of convolutions with kernels of 3, 4 and 5 pixels side by side, in the feature
    extractor, the encoder and the decoder alike; squeeze-and-excitation in the extractor. There is
    no batch normalization, and the outputs are unbounded.

    Parameters
    ----------
    width : int
        Channels of each convolution; 50 in the paper.

    References
    ----------
    J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
    through noise-like adversarial examples", arXiv:2310.12707, 2023, section 4.
    """

    def __init__(self, width: int = 50) -> None:
        super().__init__()
        self.extractor = _ThreeKernels(3, width, excite=True)
        self.encoder = nn.Sequential(
            _ThreeKernels(3 * width + 3, width), nn.Conv2d(3 * width, 3, 1)
        )
        self.decoder = nn.Sequential(_ThreeKernels(3, width), nn.Conv2d(3 * width, 3, 1))

    def encode(self, x: Tensor, z: Tensor) -> Tensor:
        """Hide images in masks: the inner part of eq. (5).

        Parameters
        ----------
        x, z : Tensor of shape (n, channels, height, width)
            Images and masks on [0, 1].

        Returns
        -------
        Tensor of the same shape.
        """
        features = self.extractor(2 * _widened(_coloured(x)) - 1)
        encoded = self.encoder(torch.cat([features, _widened(_coloured(z))], dim=1))
        return _averaged(encoded[..., : x.shape[2], : x.shape[3]], x)

    def decode(self, u: Tensor, alpha: Tensor) -> Tensor:
        """Bring images back from what is left when the mask is taken off, eq. (10).

        Parameters
        ----------
        u : Tensor of shape (n, channels, height, width)
            The encoder's images, with rounding noise.
        alpha : Tensor of shape (n,)
            Not used: the paper trains one network for one `alpha`.

        Returns
        -------
        Tensor of the same shape as `u`.
        """
        decoded = self.decoder(_widened(_coloured(u)))
        return _averaged(decoded[..., : u.shape[2], : u.shape[3]], u)


def _coloured(x: Tensor) -> Tensor:
    return x.expand(-1, 3, -1, -1)


def _widened(x: Tensor) -> Tensor:
    """Repeat a single row or column, of which two even kernels leave nothing."""
    height, width = x.shape[2:]
    return nn.functional.pad(x, (0, max(2 - width, 0), 0, max(2 - height, 0)), mode="replicate")


def _averaged(y: Tensor, x: Tensor) -> Tensor:
    """Give `y` as many channels as `x` has."""
    return y if x.shape[1] == 3 else y.mean(dim=1, keepdim=True)


def _corrections(n_channels: int, width: int, depth: int) -> nn.Sequential:
    """Convolutions from `n_channels` to 3 whose output is zero at first."""
    layers: list[nn.Module] = [nn.Conv2d(n_channels, width, 3, padding=1), nn.ReLU()]
    for _ in range(depth - 2):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    last = nn.Conv2d(width, 3, 3, padding=1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class _ThreeKernels(nn.Module):
    """Stacks of four convolutions, then one more on all of them together, for three kernels."""

    def __init__(self, n_channels: int, width: int, *, excite: bool = False) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            _stack([n_channels] + 4 * [width], kernel) for kernel in (3, 4, 5)
        )
        self.heads = nn.ModuleList(
            # Two even kernels are needed to keep the size.
            _stack([3 * width] + (2 if kernel == 4 else 1) * [width], kernel)
            for kernel in (3, 4, 5)
        )
        self.gates = nn.ModuleList(_Excitation(width) for _ in range(3)) if excite else None

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([stack(x) for stack in self.stacks], dim=1)
        heads = [head(x) for head in self.heads]
        if self.gates is not None:
            heads = [gate(head) for gate, head in zip(self.gates, heads, strict=True)]
        return torch.cat(heads, dim=1)


def _stack(widths: list[int], kernel: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        padding = 1 + i % 2 if kernel == 4 else kernel // 2
        layers += [nn.Conv2d(n_in, n_out, kernel, padding=padding), nn.ReLU()]
    return nn.Sequential(*layers)


class _Excitation(nn.Module):
    """Squeeze-and-excitation: each channel weighted by a function of the channels' means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean(dim=(2, 3)))[..., None, None]

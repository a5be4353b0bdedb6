"""Networks that hide an image in another one: DDH, HiNet and IICNet, made small."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["DDH", "HIDING_NETWORKS", "HiNet", "HidingNetwork", "IICNet"]

_N_COUPLINGS = 6
_SLOPES = {"hinet": 0.01, "iicnet": 0.2}
# Of what revealing fills in for what hiding has thrown away. The same for everybody.
_SEED = 0


class HidingNetwork(nn.Module):
    """Base of networks that hide a secret image in a cover, and reveal it without the cover.

    Parameters
    ----------
    n_channels : int
        Channels of cover and secret.
    width : int
        Size of the network.
    """

    step = 2
    """The sides of what the network computes on are multiples of it; others are filled up."""

    def __init__(self, n_channels: int, width: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.width = width

    def hide(self, cover: Tensor, secret: Tensor) -> Tensor:
        """Hide an image.

        Parameters
        ----------
        cover, secret : Tensor of shape (n, n_channels, height, width)
            Images on [0, 1].

        Returns
        -------
        Tensor of the same shape
            Containers, whose values may be beyond [0, 1].
        """
        return self._apply_padded(self._hide, cover - 0.5, secret - 0.5) + 0.5

    def reveal(self, container: Tensor) -> Tensor:
        """Reveal what is hidden.

        Parameters
        ----------
        container : Tensor of shape (n, n_channels, height, width)
            Images on [0, 1].

        Returns
        -------
        Tensor of the same shape
            Secrets, whose values may be beyond [0, 1].
        """
        return self._apply_padded(self._reveal, container - 0.5) + 0.5

    def measure(self, container: Tensor, cover: Tensor, revealed: Tensor, secret: Tensor) -> Tensor:
        """Compute the loss of the network's own paper, as a mean over all values.

        Parameters
        ----------
        container, cover, revealed, secret : Tensor of shape (n, n_channels, height, width)
            Images on [0, 1].

        Returns
        -------
        Tensor of shape ()
        """
        raise NotImplementedError

    def _hide(self, cover: Tensor, secret: Tensor) -> Tensor:
        raise NotImplementedError

    def _reveal(self, container: Tensor) -> Tensor:
        raise NotImplementedError

    def _apply_padded(self, function: Callable[..., Tensor], *images: Tensor) -> Tensor:
        height, width = images[0].shape[2:]
        border = (0, -width % self.step, 0, -height % self.step)
        return function(*(F.pad(x, border) for x in images))[:, :, :height, :width]


class DDH(HidingNetwork):
    """Cover-dependent deep hiding: a U-Net hides, and convolutions reveal.

    Parameters
    ----------
    n_channels : int
        Channels of cover and secret.
    width : int
        Channels after the first halving. The second and the third double them.

    References
    ----------
    C. Zhang, P. Benz, A. Karjauv, G. Sun and I. S. Kweon, "UDH: universal deep hiding for
    steganography, watermarking, and light field messaging", NeurIPS, 2020, section 3.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.hiding import DDH
    >>> network = DDH(3, width=4)
    >>> container = network.hide(torch.rand(2, 3, 30, 32), torch.rand(2, 3, 30, 32))
    >>> network.reveal(container).shape
    torch.Size([2, 3, 30, 32])
    """

    step = 8

    def __init__(self, n_channels: int, width: int = 16) -> None:
        super().__init__(n_channels, width)
        widths = [2 * n_channels, width, 2 * width, 4 * width]
        self.down = nn.ModuleList(_halve(*pair) for pair in pairwise(widths))
        self.up = nn.ModuleList(
            [_double(4 * width, 2 * width), _double(4 * width, width), _double(2 * width, width)]
        )
        self.last = nn.Conv2d(width, n_channels, 3, padding=1)
        revealing = [n_channels, width, 2 * width, 4 * width, 2 * width, width]
        self.layers = nn.Sequential(
            *(_convolution(*pair) for pair in pairwise(revealing)),
            nn.Conv2d(width, n_channels, 3, padding=1),
        )

    def _hide(self, cover: Tensor, secret: Tensor) -> Tensor:
        x = torch.cat([cover, secret], dim=1)
        kept = []
        for halve in self.down:
            x = halve(x)
            kept.append(x)
        x = self.up[0](kept[2])
        for double, skip in zip(self.up[1:], kept[1::-1], strict=True):
            x = double(torch.cat([x, skip], dim=1))
        return self.last(x).sigmoid() - 0.5

    def _reveal(self, container: Tensor) -> Tensor:
        return self.layers(container).sigmoid() - 0.5

    def measure(self, container: Tensor, cover: Tensor, revealed: Tensor, secret: Tensor) -> Tensor:
        """Compute the mean square errors, that of what is revealed times 0.75."""
        return F.mse_loss(container, cover) + 0.75 * F.mse_loss(revealed, secret)


class HiNet(HidingNetwork):
    """An invertible network on the Haar wavelets of cover and secret.

    What it throws away, half of its outputs, is filled in by fixed noise when it runs backwards.

    Parameters
    ----------
    n_channels : int
        Channels of cover and secret.
    width : int
        Channels that each convolution adds inside of a coupling; 32 in the paper, of 16 couplings
        where there are 6 here.

    References
    ----------
    J. Jing, X. Deng, M. Xu, J. Wang and Z. Guan, "HiNet: deep image hiding by invertible network",
    ICCV, 2021, section 3.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.hiding import HiNet
    >>> network = HiNet(3, width=4)
    >>> container = network.hide(torch.rand(2, 3, 31, 32), torch.rand(2, 3, 31, 32))
    >>> network.reveal(container).shape
    torch.Size([2, 3, 31, 32])
    """

    def __init__(self, n_channels: int, width: int = 16) -> None:
        super().__init__(n_channels, width)
        self.couplings = nn.ModuleList(
            _Coupling(4 * n_channels, width, _SLOPES["hinet"], 2.0) for _ in range(_N_COUPLINGS)
        )

    def _hide(self, cover: Tensor, secret: Tensor) -> Tensor:
        pair = _to_bands(cover), _to_bands(secret)
        for coupling in self.couplings:
            pair = coupling(*pair)
        return _from_bands(pair[0])

    def _reveal(self, container: Tensor) -> Tensor:
        bands = _to_bands(container)
        generator = torch.Generator().manual_seed(_SEED)
        noise = torch.randn(bands.shape[1:], generator=generator, dtype=torch.float32)
        pair = bands, noise.to(bands).expand_as(bands)
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, _Coupling)
            pair = coupling.undo(*pair)
        return _from_bands(pair[1])

    def measure(self, container: Tensor, cover: Tensor, revealed: Tensor, secret: Tensor) -> Tensor:
        """Compute the mean square errors: five times of the secret, of cover and its low band."""
        low = F.avg_pool2d(container - cover, 2, ceil_mode=True)
        # The paper's errors are sums. The low band is half of a sum of four: twice their mean.
        return (
            5 * F.mse_loss(revealed, secret)
            + F.mse_loss(container, cover)
            + low.square().sum() * 4 / container.numel()
        )


class IICNet(HidingNetwork):
    """An invertible network on cover and secret as two frames, whose mean is the container.

    Parameters
    ----------
    n_channels : int
        Channels of cover and secret.
    width : int
        Channels that each convolution adds inside of a coupling; 32 in the paper, of 10 couplings
        where there are 6 here.

    References
    ----------
    K. L. Cheng, Y. Xie and Q. Chen, "IICNet: a generic framework for reversible image conversion",
    ICCV, 2021, section 3.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.hiding import IICNet
    >>> network = IICNet(3, width=4)
    >>> container = network.hide(torch.rand(2, 3, 31, 32), torch.rand(2, 3, 31, 32))
    >>> network.reveal(container).shape
    torch.Size([2, 3, 31, 32])
    """

    def __init__(self, n_channels: int, width: int = 16) -> None:
        super().__init__(n_channels, width)
        self.before, self.after = (_Relation(n_channels, width) for _ in range(2))
        self.couplings = nn.ModuleList(
            _Coupling(n_channels, width, _SLOPES["iicnet"], 1.0) for _ in range(_N_COUPLINGS)
        )

    def _hide(self, cover: Tensor, secret: Tensor) -> Tensor:
        pair = self.before(cover, secret)
        for coupling in self.couplings:
            pair = coupling(*pair)
        return (pair[0] + pair[1]) / 2

    def _reveal(self, container: Tensor) -> Tensor:
        pair = container, container
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, _Coupling)
            pair = coupling.undo(*pair)
        return self.after(*pair)[1]

    def measure(self, container: Tensor, cover: Tensor, revealed: Tensor, secret: Tensor) -> Tensor:
        """Compute the mean square error of the container, and thrice a smooth error of the secret.

        The error of the container's spectrum that the paper adds is, by Parseval's theorem, a
        thousandth of the number of pixels times that of the container.
        """
        n_pixels = container.shape[2] * container.shape[3]
        smooth = ((revealed - secret).square() + 1e-6).sqrt().mean()
        return (1 + 1e-3 * n_pixels) * F.mse_loss(container, cover) + 3 * smooth


HIDING_NETWORKS: dict[str, type[HidingNetwork]] = {"ddh": DDH, "hinet": HiNet, "iicnet": IICNet}
"""The networks by the names that `ricsk.baselines.HidingEncryptor` has for them."""


class _Coupling(nn.Module):
    """An affine coupling of two equal halves: each is changed by what is made of the other."""

    def __init__(self, n_channels: int, width: int, slope: float, bound: float) -> None:
        super().__init__()
        self.bound = bound
        self.phi, self.rho, self.eta = (_Dense(n_channels, width, slope) for _ in range(3))

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        a = a + self.phi(b)
        return a, b * self._scale(a).exp() + self.eta(a)

    def undo(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        b = (b - self.eta(a)) * (-self._scale(a)).exp()
        return a - self.phi(b), b

    def _scale(self, a: Tensor) -> Tensor:
        return self.bound * (2 * self.rho(a).sigmoid() - 1)


class _Dense(nn.Module):
    """Five convolutions, each of which reads all that were before it. The last begins as zero."""

    def __init__(self, n_channels: int, width: int, slope: float) -> None:
        super().__init__()
        sizes = [n_channels + i * width for i in range(5)]
        self.layers = nn.ModuleList(nn.Conv2d(size, width, 3, padding=1) for size in sizes[:4])
        self.last = nn.Conv2d(sizes[4], n_channels, 3, padding=1)
        self.slope = slope
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, F.leaky_relu(layer(x), self.slope)], dim=1)
        return self.last(x)


class _Relation(nn.Module):
    """What two frames have in common, added to each."""

    def __init__(self, n_channels: int, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_convolution(n_channels, width) for _ in range(2))
        self.tails = nn.ModuleList(
            nn.Sequential(
                _convolution(2 * width, width), nn.Conv2d(width, n_channels, 3, padding=1)
            )
            for _ in range(2)
        )

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([head(x) for head, x in zip(self.heads, (a, b), strict=True)], dim=1)
        return a + 0.2 * self.tails[0](seen), b + 0.2 * self.tails[1](seen)


def _to_bands(x: Tensor) -> Tensor:
    """Compute the orthonormal Haar wavelets: four bands of half the size for each channel."""
    squares = F.pixel_unshuffle(x, 2).unflatten(1, (-1, 4))
    return torch.einsum("ncshw,bs->ncbhw", squares, _make_haar(x)).flatten(1, 2)


def _from_bands(bands: Tensor) -> Tensor:
    squares = torch.einsum("ncbhw,bs->ncshw", bands.unflatten(1, (-1, 4)), _make_haar(bands))
    return F.pixel_shuffle(squares.flatten(1, 2), 2)


def _make_haar(like: Tensor) -> Tensor:
    haar: list[list[Any]] = [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
    return torch.tensor(haar, dtype=like.dtype, device=like.device) / 2


def _halve(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2),
    )


def _double(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


def _convolution(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )

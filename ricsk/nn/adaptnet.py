"""Adaptation networks: layers before a network that reads encrypted blocks."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ricsk.nn._network import ImageNetwork, check_patch_size
from ricsk.nn._registry import build, register

__all__ = ["AdaptNet", "Adaptation"]

Adaptation = Literal["tanaka", "le", "ele"]

_CHANNELS = 16
_TANAKA_CHANNELS = 32
_WEIGHT_OF_MATRIX, _WEIGHT_OF_SMOOTHNESS = 1e-3, 0.1
_N_SMOOTH = 3


@register("adaptnet")
class AdaptNet(ImageNetwork):
    r"""A network behind an adaptation network, which reads encrypted images block by block.

    The adaptation network turns each block of the image into a block with 16 or 32 channels, at the
    same place. "tanaka" [1]_ and "le" do the same to all blocks. "ele" [2]_ has
    weights for each block, and mixes the N blocks by a matrix U, so that it can undo their
    permutation; training adds to its loss

    .. math:: 10^{-3} L_U + 0.1\, L_s, \qquad
        L_U = \frac{1}{N^2} \sum_{u} (\|u\|_1 - \|u\|_2)

    where u runs over the rows and the columns of U, so that :math:`L_U` is least for permutations
    with any factors, and :math:`L_s` is the sum of squared differences of neighbouring values in
    the first 3 of 16 channels, divided by the number of values.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    n_classes : int
        Number of logits.
    adaptation : {"tanaka", "le", "ele"}, optional
        The kind of adaptation network. With None, the backbone reads the image itself.
    backbone : str
        The name of the network that follows.
    block_size : int
        Side of the encryption's blocks, in pixels.
    **sizes
        The sizes of the backbone.

    Raises
    ------
    ValueError
        If there is an adaptation and `block_size` does not divide the height and the width, or if
        the backbone does not take the sizes.

    References
    ----------
    .. [1] M. Tanaka, "Learnable image encryption", IEEE International Conference on Consumer
       Electronics-Taiwan, 2018.
    .. [2] K. Madono, M. Tanaka, M. Onishi and T. Ogawa, "Block-wise scrambled image recognition
       using adaptation network", AAAI Workshop on Artificial Intelligence of Things, 2020.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import AdaptNet
    >>> network = AdaptNet((32, 32, 3), 10, "ele", "shakepyramid", depth=8, alpha=6)
    >>> network.adaptation(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 16, 32, 32])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        adaptation: Adaptation | None = "ele",
        backbone: str = "shakepyramid",
        block_size: int = 4,
        **sizes: int,
    ) -> None:
        height, width, channels = image_shape
        layers: nn.Module
        if adaptation is None:
            layers, seen = nn.Identity(), channels
        else:
            check_patch_size(image_shape, block_size)
            if adaptation == "tanaka":
                layers, seen = _tanaka(channels, block_size), _TANAKA_CHANNELS
            elif adaptation == "le":
                layers, seen = _le(channels, block_size), _CHANNELS
            else:
                layers, seen = _ELE(image_shape, block_size), _CHANNELS
        network = build(backbone, image_shape=(height, width, seen), n_classes=n_classes, **sizes)
        super().__init__(network.head.in_features, n_classes)
        del network.head
        self.adaptation = layers
        self.backbone = network

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the vectors that the head classifies: the backbone's.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        Tensor of shape (n, n_features)
        """
        return self.backbone.forward_features(self.adaptation(x))

    def forward_with_penalty(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the logits, and with "ele" the two terms that are added to the loss.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        logits : Tensor of shape (n, n_classes)
        penalty : Tensor of shape ()
        """
        if not isinstance(self.adaptation, _ELE):
            return super().forward_with_penalty(x)
        adapted = self.adaptation(x)
        logits = self.head(self.backbone.forward_features(adapted))
        penalty = _WEIGHT_OF_MATRIX * spread(self.adaptation.mixing)
        return logits, penalty + _WEIGHT_OF_SMOOTHNESS * roughness(adapted)


def _tanaka(channels: int, block_size: int) -> nn.Module:
    n_values = channels * block_size**2
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, n_values, block_size, stride=block_size),
        nn.ReLU(),
        nn.BatchNorm2d(n_values),
        nn.Conv2d(n_values, n_values, 1),
        nn.ReLU(),
        nn.BatchNorm2d(n_values),
        nn.Conv2d(n_values, _TANAKA_CHANNELS * block_size**2, 1),
        nn.PixelShuffle(block_size),
    )


def _le(channels: int, block_size: int) -> nn.Module:
    n_out = _CHANNELS * block_size**2
    return nn.Sequential(
        nn.Conv2d(channels, n_out, block_size, stride=block_size, bias=False),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(0.1),
        nn.PixelShuffle(block_size),
    )


class _ELE(nn.Module):
    """A linear map for each block, with batch normalization, and a matrix that mixes blocks.

    A convolution whose kernel is as large as the block is one linear map, so those of all blocks
    are one stack of matrices.
    """

    def __init__(self, image_shape: tuple[int, int, int], block_size: int) -> None:
        super().__init__()
        height, width, channels = image_shape
        self.block_size = block_size
        self.grid = (height // block_size, width // block_size)
        n_blocks, n_in = math.prod(self.grid), channels * block_size**2
        n_out = _CHANNELS * block_size**2
        # As torch draws the weights and biases of convolutions.
        bound = n_in**-0.5
        self.weight = nn.Parameter(torch.empty(n_blocks, n_out, n_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_blocks, n_out).uniform_(-bound, bound))
        parametrize.register_parametrization(self, "weight", _SpectralNorm(n_blocks, n_out))
        self.norm = nn.BatchNorm1d(n_blocks * n_out)
        self.mixing = nn.Parameter(torch.empty(n_blocks, n_blocks))
        nn.init.kaiming_uniform_(self.mixing, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        blocks = F.pixel_unshuffle(x, self.block_size).flatten(2)
        h = torch.einsum("nib,boi->nbo", blocks, self.weight) + self.bias
        h = F.leaky_relu(self.norm(h.flatten(1)).view(h.shape), 0.2)
        h = torch.einsum("nbo,bc->noc", h, self.mixing)
        return F.pixel_shuffle(h.unflatten(2, self.grid), self.block_size)


class _SpectralNorm(nn.Module):
    """Divide every matrix of a stack by its largest singular value, followed by a power iteration.

    torch has the same for one matrix at a time.
    """

    left: Tensor

    def __init__(self, n_matrices: int, n_rows: int) -> None:
        super().__init__()
        left = F.normalize(torch.randn(n_matrices, n_rows, 1), dim=1)
        self.register_buffer("left", left)

    def forward(self, weight: Tensor) -> Tensor:
        with torch.no_grad():
            right = F.normalize(weight.mT @ self.left, dim=1)
            if self.training:
                self.left.copy_(F.normalize(weight @ right, dim=1))
            left = self.left.clone()
        return weight / (left.mT @ weight @ right)


def spread(matrix: Tensor) -> Tensor:
    """Compute L_U: how far rows and columns are from having one entry each, and zero if they have.

    Parameters
    ----------
    matrix : Tensor of shape (n, n)

    Returns
    -------
    Tensor of shape ()

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.adaptnet import spread
    >>> float(spread(torch.eye(3))), float(spread(torch.full((4, 4), 0.5)))
    (0.0, 0.5)
    """
    distances = [
        matrix.abs().sum(dim) - torch.linalg.vector_norm(matrix, dim=dim) for dim in (0, 1)
    ]
    return torch.cat(distances).sum() / matrix.numel()


def roughness(adapted: Tensor) -> Tensor:
    """Compute L_s: the squares of differences to the pixels below and to the right.

    Parameters
    ----------
    adapted : Tensor of shape (n, 16, height, width)
        Only the first 3 channels count.

    Returns
    -------
    Tensor of shape ()
        The sum over the first ``height − 1`` rows and ``width − 1`` columns, divided by
        ``n · 16 · (height − 1) · width``.
    """
    n, channels, height, width = adapted.shape
    x = adapted[:, :_N_SMOOTH]
    here = x[:, :, :-1, :-1]
    differences = (x[:, :, 1:, :-1] - here).square() + (x[:, :, :-1, 1:] - here).square()
    return differences.sum() / (n * channels * max(1, height - 1) * width)

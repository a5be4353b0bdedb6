"""ShakePyramidNet: a residual network that widens step by step, trained with ShakeDrop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ricsk.nn._network import ImageNetwork
from ricsk.nn._registry import register

__all__ = ["ShakePyramid"]

_FIRST_WIDTH = 16
_N_STAGES = 3
_MAX_DROPPED = 0.5


@register("shakepyramid")
class ShakePyramid(ImageNetwork):
    """PyramidNet of Han et al. with the ShakeDrop of Yamada et al. in every block.

    A convolution is followed by three stages with the same number of blocks; the second and the
    third begin by halving the sides. Each block adds the same number of channels. In training a
    block's residual is multiplied by a random number from [−1, 1], and its gradient by another one
    from [0, 1], with a probability that rises linearly to ½ at the last block; in prediction, by
    the expectation.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    n_classes : int
        Number of logits.
    depth : int
        Number of layers, rounded down to 6n + 2 for n blocks in a stage; 110 in the papers.
    alpha : int
        Channels that the blocks add to the first 16, all together; 270 in the papers.

    Raises
    ------
    ValueError
        If `depth` is below 8.

    References
    ----------
    D. Han, J. Kim and J. Kim, "Deep pyramidal residual networks", CVPR, 2017, section 3.

    Y. Yamada, M. Iwamura, T. Akiba and K. Kise, "ShakeDrop regularization for deep residual
    learning", IEEE Access 7, 2019, section III.

    Examples
    --------
    The network of the papers has 28.5 million parameters:

    >>> import torch
    >>> from ricsk.nn import ShakePyramid
    >>> with torch.device("meta"):
    ...     network = ShakePyramid((32, 32, 3), 10, depth=110, alpha=270)
    >>> network.head.in_features
    286
    """

    def __init__(
        self, image_shape: tuple[int, int, int], n_classes: int, depth: int = 20, alpha: int = 48
    ) -> None:
        per_stage = (depth - 2) // (2 * _N_STAGES)
        if per_stage < 1:
            raise ValueError(
                f"depth={depth} is too small for a block in each of the 3 stages; take 8 or more."
            )
        n_blocks = _N_STAGES * per_stage
        widths = [_FIRST_WIDTH + round(alpha * block / n_blocks) for block in range(n_blocks + 1)]
        super().__init__(widths[-1], n_classes)
        self.stem = nn.Sequential(
            nn.Conv2d(image_shape[2], _FIRST_WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(_FIRST_WIDTH),
        )
        self.blocks = nn.Sequential(
            *(
                _Block(
                    widths[block],
                    widths[block + 1],
                    halves=block > 0 and block % per_stage == 0,
                    dropped=_MAX_DROPPED * (block + 1) / n_blocks,
                )
                for block in range(n_blocks)
            )
        )
        self.norm = nn.BatchNorm2d(widths[-1])

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the vectors that the head classifies: the mean of the last block's positions.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        Tensor of shape (n, 16 + alpha)
        """
        return self.norm(self.blocks(self.stem(x))).relu().mean(dim=(2, 3))


class _Block(nn.Module):
    def __init__(self, before: int, after: int, *, halves: bool, dropped: float) -> None:
        super().__init__()
        self.halves = halves
        self.dropped = dropped
        self.added = after - before
        self.residual = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.Conv2d(before, after, 3, stride=2 if halves else 1, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.residual(x)
        if self.training:
            residual = _shaken(residual, self.dropped)
        else:
            residual = residual * (1 - self.dropped)
        if self.halves:
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        return residual + F.pad(x, (0, 0, 0, 0, 0, self.added))


def _shaken(residual: Tensor, dropped: float) -> Tensor:
    """Apply ShakeDrop: with the given probability, drop the residual of all images of the batch.

    Numbers are drawn on the CPU, so that a seed means the same on every device.
    """
    if torch.rand(()) >= dropped:
        return residual
    forward, backward = torch.rand(2, len(residual), 1, 1, 1).to(residual)
    shaken: Tensor = _Shake.apply(residual, 2 * forward - 1, backward)
    return shaken


class _Shake(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        ctx.save_for_backward(backward)
        return x * forward

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (backward,) = ctx.saved_tensors
        return gradients[0] * backward, None, None

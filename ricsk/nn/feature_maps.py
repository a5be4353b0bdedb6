"""Feature maps as one grey image, and the end of a small residual network that reads it."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from ricsk.nn._network import ImageNetwork
from ricsk.nn._registry import register
from ricsk.nn._residual import make_blocks

__all__ = ["FeatureMapCNN", "weave_maps"]


def weave_maps(maps: Tensor) -> Tensor:
    """Put the values that several maps have at a place into a square of one grey image.

    Parameters
    ----------
    maps : Tensor of shape (n, n_maps, height, width)
        Feature maps. Where their number is no square, squares are filled up with zeros.

    Returns
    -------
    Tensor of shape (n, 1, side × height, side × width)
        With the least ``side`` whose square is not less than ``n_maps``.

    Examples
    --------
    >>> import torch
    >>> weave_maps(torch.arange(3.0).reshape(1, 3, 1, 1)).squeeze()
    tensor([[0., 1.],
            [2., 0.]])
    """
    n_maps = maps.shape[1]
    side = math.isqrt(n_maps - 1) + 1
    filled = F.pad(maps, (0, 0, 0, 0, 0, side**2 - n_maps))
    return F.pixel_shuffle(filled, side)


@register("feature_map_cnn")
class FeatureMapCNN(ImageNetwork):
    """The last blocks of a `CNN`, for feature maps that `weave_maps` made one image of.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, 1)`` of the image.
    n_classes : int
        Number of logits.
    side : int
        Side of the squares that hold the values of a place.
    width : int
        Channels of the first block.
    depth : int
        Number of blocks; each but the first doubles the channels.

    Raises
    ------
    ValueError
        If the image does not fall into squares of that side.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import FeatureMapCNN
    >>> network = FeatureMapCNN((64, 64, 1), 10, side=4, width=8, depth=1)
    >>> network(torch.rand(2, 1, 64, 64)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        side: int = 4,
        width: int = 32,
        depth: int = 2,
    ) -> None:
        height, width_in, channels = image_shape
        if height % side or width_in % side:
            raise ValueError(
                f"images of {height}×{width_in} pixels do not fall into squares of {side}×{side}, "
                "so they are no feature maps that were woven with that side."
            )
        super().__init__(width * 2 ** (depth - 1), n_classes)
        self.side = side
        self.blocks = make_blocks(channels * side**2, width, depth)

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the vectors that the head classifies: the mean of the last block's positions.

        Parameters
        ----------
        x : Tensor of shape (n, 1, height, width)
            Woven maps.

        Returns
        -------
        Tensor of shape (n, width × 2^(depth − 1))
        """
        return self.blocks(F.pixel_unshuffle(x, self.side)).mean(dim=(2, 3))

"""A small residual network, quick enough for processors."""

from __future__ import annotations

from torch import Tensor

from ricsk.nn._network import ImageNetwork
from ricsk.nn._registry import register
from ricsk.nn._residual import make_blocks, make_convolution

__all__ = ["CNN"]


@register("cnn")
class CNN(ImageNetwork):
    """A convolution and a few residual blocks, as in He et al., each with a pooling.

    Every block halves the sides of the image, rounding up, so images may have any size, and
    every block but the first doubles the channels.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    n_classes : int
        Number of logits.
    width : int
        Channels of the first block.
    depth : int
        Number of blocks.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR, 2016,
    section 3.

    Examples
    --------
    >>> from ricsk.nn import CNN
    >>> network = CNN((32, 32, 3), 10, width=32, depth=3)
    >>> network.head
    Linear(in_features=128, out_features=10, bias=True)
    >>> sum(parameter.numel() for parameter in network.parameters())
    298026
    """

    def __init__(
        self, image_shape: tuple[int, int, int], n_classes: int, width: int = 32, depth: int = 3
    ) -> None:
        super().__init__(width * 2 ** (depth - 1), n_classes)
        self.stem = make_convolution(image_shape[2], width)
        self.blocks = make_blocks(width, width, depth)

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the vectors that the head classifies: the mean of the last block's positions.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        Tensor of shape (n, width × 2^(depth − 1))
        """
        return self.blocks(self.stem(x)).mean(dim=(2, 3))

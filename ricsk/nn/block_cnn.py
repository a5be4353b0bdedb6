"""A network from images to images that sees one block at a time."""

from __future__ import annotations

from torch import Tensor, nn

from ricsk.nn._network import check_patch_size

__all__ = ["BlockCNN"]


class BlockCNN(nn.Module):
    """The generator of published attacks: the same function of every block of the input.

    A convolution takes each block as a vector, 1 × 1 convolutions follow, and a block comes out
    where the block went in. It cannot undo an encryption that moves blocks or treats them
    differently.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)`` of input and output.
    block_size : int
        Side of the blocks in pixels.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import BlockCNN
    >>> BlockCNN((32, 32, 3))(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(self, image_shape: tuple[int, int, int], block_size: int = 4) -> None:
        check_patch_size(image_shape, block_size)
        super().__init__()
        channels = image_shape[2]
        layers: list[nn.Module] = []
        sides = ((channels, 48, block_size), (48, 48, 1), (48, 32 * block_size**2, 1))
        for before, after, side in sides:
            layers += [nn.Conv2d(before, after, side, side), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(
            *layers, nn.PixelShuffle(block_size), nn.Conv2d(32, channels, 1), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute images.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images.

        Returns
        -------
        Tensor of shape (n, channels, height, width)
            Images on [−1, 1].
        """
        y: Tensor = self.layers(x)
        return y

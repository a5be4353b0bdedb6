"""The first layers of VGG-16, whose outputs say how alike two images are in their details."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["VGGFeatures"]


class VGGFeatures(nn.Module):
    """VGG-16 up to its fourth convolution, "relu2_2", at any width.

    Two convolutions, a pooling that halves the sides, and two convolutions with twice the channels.
    The names of the parameters are those in torchvision's VGG-16 without their prefix "features.".

    Parameters
    ----------
    width : int
        Channels of the first convolutions; 64 in VGG-16.

    References
    ----------
    K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image
    recognition", ICLR, 2015, table 1, column D.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.vgg_features import VGGFeatures
    >>> VGGFeatures(width=32)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 64, 16, 16])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            # At the border a pool holds what there is, so that images of one pixel have features.
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
        )
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images on [0, 1]; grey ones count as three equal channels.

        Returns
        -------
        Tensor of shape (n, 2 × width, height / 2, width / 2)
            Non-negative, sides rounded up.
        """
        return self.layers((x.expand(-1, 3, -1, -1) - self.mean) / self.std)

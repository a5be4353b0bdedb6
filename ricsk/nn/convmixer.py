"""ConvMixer: patches, mixed in space and in channels by convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from ricsk.nn._network import ImageNetwork, check_patch_size
from ricsk.nn._registry import register

__all__ = ["ConvMixer"]


@register("convmixer")
class ConvMixer(ImageNetwork):
    """ConvMixer of Trockman and Kolter, section 2.

    A convolution embeds the patches; each block then mixes positions with a large depthwise
    convolution and a shortcut, and channels with a pointwise one, each followed by GELU and batch
    normalization.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    n_classes : int
        Number of logits.
    dim : int
        Channels of the embedding, h in the paper.
    depth : int
        Number of blocks.
    kernel_size : int
        Side of the depthwise kernels, in patches.
    patch_size : int
        Side of a patch, in pixels.

    Raises
    ------
    ValueError
        If `patch_size` does not divide the height and the width.

    References
    ----------
    A. Trockman and J. Z. Kolter, "Patches are all you need?", Transactions on Machine Learning
    Research, 2023.

    Examples
    --------
    The network for CIFAR-10 has 0.7 million parameters:

    >>> from ricsk.nn import ConvMixer
    >>> network = ConvMixer((32, 32, 3), 10, dim=256, depth=8, kernel_size=9, patch_size=1)
    >>> sum(parameter.numel() for parameter in network.parameters())
    706570
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        dim: int = 256,
        depth: int = 8,
        kernel_size: int = 9,
        patch_size: int = 1,
    ) -> None:
        check_patch_size(image_shape, patch_size)
        super().__init__(dim, n_classes)
        self.patch_embed = nn.Sequential(
            nn.Conv2d(image_shape[2], dim, patch_size, stride=patch_size),
            nn.GELU(),
            nn.BatchNorm2d(dim),
        )
        self.blocks = nn.Sequential(*(_Block(dim, kernel_size) for _ in range(depth)))

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the vectors that the head classifies: the mean of the patches' embeddings.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        Tensor of shape (n, dim)
        """
        return self.blocks(self.patch_embed(x)).mean(dim=(2, 3))


class _Block(nn.Module):
    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size, padding="same", groups=dim),
            nn.GELU(),
            nn.BatchNorm2d(dim),
        )
        self.channels = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.GELU(), nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.channels(x + self.spatial(x))

"""ViT: a transformer with patches as tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ricsk.nn._network import ImageNetwork, check_patch_size
from ricsk.nn._registry import register
from ricsk.nn._transformer import TransformerBlock

__all__ = ["ViT"]


@register("vit")
class ViT(ImageNetwork):
    """Vision transformer of Dosovitskiy et al., section 3.1.

    The patches are embedded by a linear map, a class token is prepended, learned positions are
    added, and pre-norm transformer blocks follow; the head classifies the class token.

    The sub-modules are named as in timm, so its weights can be loaded.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    n_classes : int
        Number of logits.
    dim : int
        Length of a token's vector. 768 in ViT-B, as all defaults here.
    depth : int
        Number of blocks.
    n_heads : int
        Attention heads in a block.
    mlp_ratio : int
        Hidden units of a block's perceptron, in multiples of `dim`.
    patch_size : int
        Side of a patch, in pixels.

    Raises
    ------
    ValueError
        If `patch_size` does not divide the height and the width, or `n_heads` the `dim`.

    References
    ----------
    A. Dosovitskiy et al., "An image is worth 16x16 words: Transformers for image recognition at
    scale", ICLR, 2021.

    Examples
    --------
    >>> from ricsk.nn import ViT
    >>> network = ViT((32, 32, 3), 10, dim=64, depth=2, n_heads=4, patch_size=8)
    >>> network.pos_embed.shape  # 16 patches and the class token
    torch.Size([1, 17, 64])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        dim: int = 768,
        depth: int = 12,
        n_heads: int = 12,
        mlp_ratio: int = 4,
        patch_size: int = 16,
    ) -> None:
        check_patch_size(image_shape, patch_size)
        if dim % n_heads:
            raise ValueError(
                f"dim={dim} is not divisible by n_heads={n_heads}; take a multiple of it, "
                f"such as {-(-dim // n_heads) * n_heads}."
            )
        super().__init__(dim, n_classes)
        height, width, channels = image_shape
        self.patch_embed = _PatchEmbedding(channels, dim, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(
            torch.zeros(1, 1 + (height // patch_size) * (width // patch_size), dim)
        )
        self.blocks = nn.Sequential(
            *(TransformerBlock(dim, n_heads, mlp_ratio) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the vectors that the head classifies: the class token after the last block.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        Tensor of shape (n, dim)
        """
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        return self.norm(self.blocks(tokens + self.pos_embed))[:, 0]


class _PatchEmbedding(nn.Module):
    def __init__(self, channels: int, dim: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)

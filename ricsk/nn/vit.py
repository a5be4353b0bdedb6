"""ViT: a transformer with patches as tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ricsk.nn._network import ImageNetwork, check_patch_size
from ricsk.nn._registry import register

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
        self.blocks = nn.Sequential(*(_Block(dim, n_heads, mlp_ratio) for _ in range(depth)))
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


class _Block(nn.Module):
    def __init__(self, dim: int, n_heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = _Attention(dim, n_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = _Perceptron(dim, dim * mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _Attention(nn.Module):
    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, length, dim = x.shape
        qkv = self.qkv(x).view(n, length, 3, self.n_heads, dim // self.n_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, dim))


class _Perceptron(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))

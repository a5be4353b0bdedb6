"""The block of transformers."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["TransformerBlock"]


class TransformerBlock(nn.Module):
    """Attention among tokens and a perceptron for each, behind a normalization, added to them.

    Parameters
    ----------
    dim : int
        Length of a token's vector.
    n_heads : int
        Number of attention heads, which divides `dim`.
    mlp_ratio : int
        Hidden units of the perceptron, in multiples of `dim`.
    """

    def __init__(self, dim: int, n_heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = _Attention(dim, n_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = _Perceptron(dim, dim * mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """Let tokens, (n, n_tokens, dim), see each other."""
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

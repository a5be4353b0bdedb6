"""A transformer for tokens in no order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ricsk.nn._network import ImageNetwork
from ricsk.nn._registry import register
from ricsk.nn._transformer import TransformerBlock

__all__ = ["TokenTransformer"]


@register("token_transformer")
class TokenTransformer(ImageNetwork):
    """A vision transformer without patches and positions: each row of the image is a token.

    The order of rows changes nothing, so it reads tokens that come in another order each time.

    Parameters
    ----------
    image_shape : tuple of int
        ``(n_tokens, width, channels)``; a token has all channels of a row.
    n_classes : int
        Number of logits.
    dim : int
        Length of a token's vector inside.
    depth : int
        Number of blocks.
    n_heads : int
        Attention heads in a block.
    mlp_ratio : int
        Hidden units of a block's perceptron, in multiples of `dim`.

    Raises
    ------
    ValueError
        If `n_heads` does not divide `dim`.

    References
    ----------
    A. Yala et al., "NeuraCrypt: hiding private health data via random neural networks for public
    training", arXiv:2106.02484, 2021, section 4; its blocks mix heads, too, which these do not.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import TokenTransformer
    >>> network = TokenTransformer((16, 32, 1), 10, dim=8, depth=1, n_heads=2).eval()
    >>> tokens = torch.rand(1, 1, 16, 32)
    >>> torch.allclose(network(tokens), network(tokens.flip(2)), atol=1e-6)
    True
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        dim: int = 64,
        depth: int = 1,
        n_heads: int = 4,
        mlp_ratio: int = 2,
    ) -> None:
        _, width, channels = image_shape
        if dim % n_heads:
            raise ValueError(f"dim={dim} is not divisible by n_heads={n_heads}.")
        super().__init__(dim, n_classes)
        self.embed = nn.Linear(channels * width, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.blocks = nn.Sequential(
            *(TransformerBlock(dim, n_heads, mlp_ratio) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the vectors that the head classifies: the class token after the last block.

        Parameters
        ----------
        x : Tensor of shape (n, channels, n_tokens, width)
            Tokens.

        Returns
        -------
        Tensor of shape (n, dim)
        """
        tokens = self.embed(x.transpose(1, 2).flatten(2))
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        return self.norm(self.blocks(tokens))[:, 0]

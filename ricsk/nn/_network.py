"""The base of all networks: features of an image, and a linear head on them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["ImageNetwork", "check_patch_size"]


class ImageNetwork(nn.Module):
    """Base of all networks: the logits are a linear function, `head`, of `forward_features`.

    Parameters
    ----------
    n_features : int
        Length of the vectors that `forward_features` returns.
    n_classes : int
        Number of logits.
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the vectors that the head classifies.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        Tensor of shape (n, n_features)
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        Tensor of shape (n, n_classes)
        """
        return self.head(self.forward_features(x))

    def forward_with_penalty(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the logits, and a term that training adds to the loss.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Floating-point images.

        Returns
        -------
        logits : Tensor of shape (n, n_classes)
        penalty : Tensor of shape ()
            Zero, unless a network overrides this method.
        """
        return self(x), x.new_zeros(())

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        return super().__call__(*args, **kwargs)


def check_patch_size(image_shape: tuple[int, int, int], patch_size: int) -> None:
    """Refuse images that cannot be cut into whole square patches.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    patch_size : int
        Side of a patch in pixels.

    Raises
    ------
    ValueError
        If they cannot. It names the nearest sizes that can.

    Examples
    --------
    >>> check_patch_size((30, 32, 3), patch_size=4)
    Traceback (most recent call last):
        ...
    ValueError: images of 30×32 pixels do not fall into patches of 4×4; the nearest sizes that do
    are 28×32 and 32×32. Resize the images, or take another patch_size.
    """
    height, width, _ = image_shape
    if height % patch_size or width % patch_size:
        down = [max(1, side // patch_size) * patch_size for side in (height, width)]
        up = [-(-side // patch_size) * patch_size for side in (height, width)]
        sizes = dict.fromkeys(f"{h}×{w}" for h, w in (down, up))
        raise ValueError(
            f"images of {height}×{width} pixels do not fall into patches of "
            f"{patch_size}×{patch_size}; the nearest "
            f"{'size that does is' if len(sizes) == 1 else 'sizes that do are'} "
            f"{' and '.join(sizes)}. Resize the images, or take another patch_size."
        )

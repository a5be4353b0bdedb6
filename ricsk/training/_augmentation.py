"""Data augmentation."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ricsk.nn import from_pixels

__all__ = ["Augmentation", "Recipe"]

Recipe = Literal["crop", "plain", "encrypted"]

# The settings of timm that the original ConvMixer was trained with, on a scale that ends at 30.
_N_OPERATIONS, _MAGNITUDE = 2, 9
_ERASING = 0.25


class Augmentation:
    """Change a batch of training images and mix their labels accordingly, by kornia.

    Parameters
    ----------
    recipe : {"crop", "plain", "encrypted"}
        "crop": shifts by up to an eighth of the image, and mirrors. "plain": the same, RandAugment,
        either mixup or CutMix for each batch, and random erasing. "encrypted": mixup or CutMix
        alone, because all other changes would have to be made before the encryption.
    image_shape : tuple of int
        ``(height, width, channels)``.
    n_classes : int
        Number of classes.

    Notes
    -----
    The share of the second image is uniform on [0, 1] in mixup, and its area in CutMix. Random
    numbers come from torch; in a training, from its `OwnRandomness`.

    References
    ----------
    A. MaungMaung and H. Kiya, "Privacy-preserving image classification using an isotropic
    network", IEEE MultiMedia 29(2), 2022, section IV-A.

    Examples
    --------
    >>> import torch
    >>> from ricsk.training import Augmentation
    >>> pixels = torch.randint(256, (4, 8, 8, 3), dtype=torch.uint8)
    >>> mixed, shares = Augmentation("encrypted", (8, 8, 3), 2)(pixels, torch.tensor([0, 1, 0, 1]))
    >>> mixed.dtype, shares.shape
    (torch.float32, torch.Size([4, 2]))
    """

    def __init__(self, recipe: Recipe, image_shape: tuple[int, int, int], n_classes: int) -> None:
        import kornia.augmentation as K
        from kornia.augmentation.auto import RandAugment

        self.n_classes = n_classes
        height, width, _ = image_shape
        self.moving = []
        self.colouring = []
        self.mixing = []
        self.erasing = []
        if recipe != "encrypted":
            border = (width // 8, height // 8)
            self.moving = [K.RandomCrop((height, width), padding=border), K.RandomHorizontalFlip()]
        if recipe == "plain":
            self.colouring = [RandAugment(_N_OPERATIONS, _MAGNITUDE)]
            self.erasing = [K.RandomErasing(value=0.5, p=_ERASING)]
        if recipe != "crop":
            keys: list[Any] = ["input", "class"]
            self.mixing = [
                K.RandomMixUpV2(data_keys=keys),
                K.RandomCutMixV2(data_keys=keys, use_correct_lambda=True),
            ]

    def __call__(self, pixels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Parameters
        ----------
        pixels : Tensor of shape (n, height, width, channels)
            uint8, or floats on [0, 1].
        targets : Tensor of shape (n,)
            Numbers of the classes.

        Returns
        -------
        pixels : Tensor of shape (n, height, width, channels)
            float32 on [0, 1].
        shares : Tensor of shape (n, n_classes)
            How much of each image belongs to each class; rows sum to 1.
        """
        x = from_pixels(pixels)
        for move in self.moving:
            x = move(x)
        for colour in self.colouring:
            # Operations on colours want three channels, and leave grey grey.
            x = colour(x.expand(-1, 3, -1, -1))[:, : x.shape[1]]
        shares = F.one_hot(targets, self.n_classes).float()
        if self.mixing:
            mix = self.mixing[int(torch.randint(2, ()))]
            x, labels = mix(x, targets)
            own, other, weight = labels.reshape(-1, 3).unbind(dim=1)
            # CutMix tells how much is left of an image, mixup how much of another one was added.
            added = (1 - weight if mix is self.mixing[1] else weight).unsqueeze(1)
            shares = (1 - added) * F.one_hot(own.long(), self.n_classes) + added * F.one_hot(
                other.long(), self.n_classes
            )
        for erase in self.erasing:
            x = erase(x)
        return x.permute(0, 2, 3, 1), shares

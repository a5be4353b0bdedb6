"""How the transformation network is trained for a classifier."""

from __future__ import annotations

from functools import partial

import torch
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.data import TensorDataset

from ricsk.nae import ClassifierView
from ricsk.nn import from_pixels
from ricsk.nn.transformation import TransformationUNet
from ricsk.nn.vgg_features import VGGFeatures
from ricsk.training import OPTIMIZERS, OwnRandomness, check_finite, make_schedule, train_network

__all__ = ["train"]

_WEIGHT_DECAY = 5e-4
# Where the rate falls in the paper's code: epochs 60, 120 and 160 of 200.
_MILESTONES = (0.3, 0.6, 0.8)
_MAX_SHIFT = 4


class _ProtectAndRead(nn.Module):
    """From images to the classifier's scores of protected ones, and how far features are apart."""

    def __init__(
        self,
        network: TransformationUNet,
        view: ClassifierView,
        features: VGGFeatures,
        augmentation: nn.Module | None,
    ) -> None:
        super().__init__()
        self.network = network
        # In a tuple, so that these are not sub-modules, and not trained.
        self.fixed = view, features, augmentation

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        view, features, augmentation = self.fixed
        x = from_pixels(pixels)
        if self.training and augmentation is not None:
            x = augmentation(x)
        protected = self.network(x)
        scores = view.scores(255 * protected.permute(0, 2, 3, 1))
        return scores, (features(protected) - features(x)).square().mean(dim=1)


class _Loss(nn.Module):
    """Cross-entropy less alpha · MSE of the features, which counts at each place up to a margin."""

    def __init__(self, alpha: float, margin: float | None) -> None:
        super().__init__()
        self.alpha = alpha
        self.margin = margin

    def forward(self, output: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
        scores, distances = output
        if self.margin is not None:
            distances = distances.clamp(max=self.margin)
        return nn.functional.cross_entropy(scores, labels) - self.alpha * distances.mean()


def train(
    network: TransformationUNet,
    data: TensorDataset,
    held_out: TensorDataset | None,
    *,
    view: ClassifierView,
    features: VGGFeatures,
    alpha: float,
    margin: float | None,
    augment: bool,
    optimizer: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    device: torch.device,
    randomness: OwnRandomness,
    verbose: int,
) -> list[dict[str, float]]:
    """Train the network in place; of all epochs, the one with the least loss on `held_out` stays.

    Parameters
    ----------
    network : TransformationUNet
        What is trained.
    data, held_out : TensorDataset
        Images, uint8 and channel-last, and labels as positions in the classifier's `classes_`.
    view : ClassifierView
        Of the classifier.
    features : VGGFeatures
        What sees details.
    alpha, margin, augment, optimizer, epochs, batch_size, learning_rate, verbose
        As for `TransformationNetworkEncryptor`.
    device : torch.device
        Where to train.
    randomness : OwnRandomness
        What to draw from.

    Returns
    -------
    list of dict
        For each epoch its number, `epoch`, and the mean losses `train_loss` and `valid_loss`.

    Raises
    ------
    ValueError
        If the training diverges.
    """
    chosen = OPTIMIZERS[optimizer]
    schedule = partial(make_schedule, "triangular", learning_rate, epochs)
    if optimizer == "sgd":
        chosen, schedule = chosen.having(weight_decay=_WEIGHT_DECAY), partial(_fall, epochs)
    history = train_network(
        _ProtectAndRead(
            network,
            view.float().to(device),
            features.to(device),
            _augmentation(data.tensors[0].shape) if augment else None,
        ),
        _Loss(alpha, margin),
        data,
        optimizer=chosen,
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        device=device,
        randomness=randomness,
        schedule=schedule,
        held_out=held_out,
        verbose=verbose,
    )
    network.cpu()
    check_finite(history, learning_rate)
    return history


def _fall(epochs: int, _: int) -> LRScheduler:
    """Make what lowers the rate as the paper's code does, after whole epochs."""
    milestones = [max(1, round(part * epochs)) for part in _MILESTONES]
    return LRScheduler(MultiStepLR, milestones=milestones, gamma=0.2)


def _augmentation(shape: torch.Size) -> nn.Module:
    # Imported here because it takes half a second, which nothing else of the package needs.
    from kornia.augmentation import AugmentationSequential, RandomCrop, RandomHorizontalFlip

    _, height, width, _ = shape
    return AugmentationSequential(
        RandomHorizontalFlip(), RandomCrop((height, width), padding=_MAX_SHIFT)
    )

"""How the transformation network is trained for a classifier: module, criterion, features."""

from __future__ import annotations

import math
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler, ProgressBar
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk.nae import ClassifierView
from ricsk.nn.transformation import TransformationUNet
from ricsk.nn.vgg_features import VGGFeatures
from ricsk.training import OPTIMIZERS, make_schedule

__all__ = ["train"]

# Where the rate falls in the paper's code: epochs 60, 120 and 160 of 200.
_MILESTONES = (0.3, 0.6, 0.8)
_MOST_SHIFT = 4


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
        # In a tuple, so that these are no parts of the module and not trained.
        self.fixed = view, features, augmentation

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        view, features, augmentation = self.fixed
        x = pixels.permute(0, 3, 1, 2).float() / 255
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
    device: str,
    verbose: int,
) -> list[dict[str, Any]]:
    """Train the network in place; of all epochs, the one with the least loss on `held_out` stays.

    Returns
    -------
    list of dict
        For each epoch its number, `epoch`, and the mean losses `train_loss` and `valid_loss`.
    """
    kind, settings = OPTIMIZERS[optimizer]
    if optimizer == "adamw":
        n_batches = math.ceil(len(data) / batch_size)
        schedule: Callback = make_schedule("triangular", learning_rate, epochs, n_batches)
    else:
        settings = {**settings, "weight_decay": 5e-4}
        schedule = LRScheduler(
            torch.optim.lr_scheduler.MultiStepLR,
            milestones=[max(1, round(part * epochs)) for part in _MILESTONES],
            gamma=0.2,
        )
    callbacks: list[tuple[str, Callback]] = [("rate", schedule)]
    if held_out is not None:
        callbacks.append(("best", EarlyStopping(patience=epochs, load_best=True)))
    if verbose:
        callbacks.append(("bar", ProgressBar()))
    net = NeuralNet(
        _ProtectAndRead(
            network,
            view.float().to(device),
            features.to(device),
            _augmentation(data.tensors[0].shape) if augment else None,
        ),
        criterion=_Loss(alpha, margin),
        optimizer=kind,
        **{f"optimizer__{name}": value for name, value in settings.items()},
        lr=learning_rate,
        max_epochs=epochs,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None if held_out is None else predefined_split(held_out),
        callbacks=callbacks,
        device=device,
        verbose=0,
    ).initialize()
    net.fit(data, None)
    network.cpu()
    names = ("epoch", "train_loss", "valid_loss")
    return [{name: epoch[name] for name in names if name in epoch} for epoch in net.history]


def _augmentation(shape: torch.Size) -> nn.Module:
    # Imported here because it takes half a second, which nothing else of the package needs.
    from kornia.augmentation import AugmentationSequential, RandomCrop, RandomHorizontalFlip

    _, height, width, _ = shape
    return AugmentationSequential(
        RandomHorizontalFlip(), RandomCrop((height, width), padding=_MOST_SHIFT)
    )

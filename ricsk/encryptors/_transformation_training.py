"""How the transformation network is trained for a classifier: module, criterion, features."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler, ProgressBar
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk.nae import ClassifierView
from ricsk.nn.transformation import TransformationUNet
from ricsk.nn.vgg_features import VGGFeatures

__all__ = ["load_features", "train"]

# Where the rate falls in the paper's code: epochs 60, 120 and 160 of 200.
_MILESTONES = (0.3, 0.6, 0.8)
_MOST_SHIFT = 4


def load_features(name: str) -> VGGFeatures:
    """Load a feature network by its name: "small", which ships, or "vgg16", which the user has.

    Raises
    ------
    FileNotFoundError
        If the weights of VGG-16 are not where torchvision keeps them.
    """
    if name == "small":
        stored = files("ricsk") / "weights" / "features_small.safetensors"
        weights = load_safetensors(stored.read_bytes())
    else:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        found = sorted(folder.glob("vgg16-*.pth"))
        if not found:
            raise FileNotFoundError(
                f"features='vgg16' reads torchvision's weights, but there is no vgg16-*.pth in "
                f"{folder}. Run torchvision.models.vgg16(weights='IMAGENET1K_V1') once, which "
                "downloads them to there, or take features='small'."
            )
        stored_weights = torch.load(found[0], map_location="cpu", weights_only=True)
        weights = {name.removeprefix("features."): w for name, w in stored_weights.items()}
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn for nothing
        network = VGGFeatures(width=len(weights["0.bias"]))
    network.layers.load_state_dict({name: weights[name] for name in network.layers.state_dict()})
    return network.eval().requires_grad_(False)


class _ProtectAndRead(nn.Module):
    """From images to the classifier's scores of protected images and their features' distance."""

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
        return scores, (features(protected) - features(x)).square().mean()


class _Loss(nn.Module):
    """Cross-entropy of the classifier less alpha · MSE of the features."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, output: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
        scores, distance = output
        return nn.functional.cross_entropy(scores, labels) - self.alpha * distance


def train(
    network: TransformationUNet,
    data: TensorDataset,
    held_out: TensorDataset | None,
    *,
    view: ClassifierView,
    features: VGGFeatures,
    alpha: float,
    augment: bool,
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
    callbacks: list[tuple[str, Callback]] = [
        (
            "rate",
            LRScheduler(
                torch.optim.lr_scheduler.MultiStepLR,
                milestones=[max(1, round(part * epochs)) for part in _MILESTONES],
                gamma=0.2,
            ),
        )
    ]
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
        criterion=_Loss(alpha),
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=5e-4,
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

"""How the networks of RIC are trained for a classifier: module, criterion and masks for skorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, ProgressBar
from torch import Tensor, nn

from ricsk.nae import ClassifierView
from ricsk.nn.ric import LightRIC, PublishedRIC

__all__ = ["train"]

RIC = LightRIC | PublishedRIC
Masks = Callable[[Tensor], Tensor]
"""From labels, as positions in `classes_`, to masks: levels, (n, height, width, channels)."""


class _EncryptAndRecover(nn.Module):
    """From images to recovered images and the classifier's margins on the ciphertexts.

    Rounding to 8 bits is replaced by noise that is uniform over one level.
    """

    def __init__(
        self,
        network: RIC,
        view: ClassifierView | None,
        masks: Masks,
        alpha: float,
        scramble: bool,
    ) -> None:
        super().__init__()
        self.network = network
        # In a tuple, so that the classifier is no part of the module and not trained.
        self.fixed = view, masks
        self.alpha = alpha
        self.scramble = scramble

    def forward(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        view, masks = self.fixed
        x = pixels.permute(0, 3, 1, 2).float() / 255
        z = masks(labels).to(x.device).permute(0, 3, 1, 2) / 255
        e = self.network.encode(x, z)
        order = sign = None
        if self.scramble:
            order = torch.rand(x.flatten(1).shape, device=x.device).argsort(dim=1)
            sign = torch.rand(order.shape, device=x.device) < 0.5
            hidden = e.flatten(1).gather(1, order)
            e = torch.where(sign, 1 - hidden, hidden).view_as(x)
        rounding = (torch.rand_like(x) - 0.5) / 255
        y = ((1 - self.alpha) * e + self.alpha * z + rounding).clamp(0, 1)
        u = (y - self.alpha * z) / (1 - self.alpha)
        if order is not None and sign is not None:
            hidden = u.flatten(1)
            hidden = torch.where(sign, 1 - hidden, hidden)
            u = torch.zeros_like(hidden).scatter(1, order, hidden).view_as(x)
        recovered = self.network.decode(u, torch.full((len(x),), self.alpha, device=x.device))
        levels = 255 * y.permute(0, 2, 3, 1)
        margins = labels.new_zeros(0) if view is None else view.margins(levels, labels)
        return recovered, margins


class _Loss(nn.Module):
    """Eq. (11) of the paper: beta · MSE of the images, eq. (12), + the margin loss, eq. (13)."""

    def __init__(self, beta: float, kappa: float) -> None:
        super().__init__()
        self.beta = beta
        self.kappa = kappa

    def forward(self, output: tuple[Tensor, Tensor], pixels: Tensor) -> Tensor:
        recovered, margins = output
        x = pixels.permute(0, 3, 1, 2).float() / 255
        loss = self.beta * nn.functional.mse_loss(recovered, x)
        return loss + (-margins).clamp_min(-self.kappa).mean() if len(margins) else loss


def train(
    network: RIC,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    view: ClassifierView | None,
    masks: Masks,
    alpha: float,
    scramble: bool,
    beta: float,
    kappa: float,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    device: str,
    seed: int,
    verbose: int,
) -> list[float]:
    """Train the networks in place.

    Returns
    -------
    list of float
        The mean loss of each epoch.
    """
    images = torch.from_numpy(pixels)
    callbacks: list[tuple[str, Callback]] = [("bar", ProgressBar())] if verbose else []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = NeuralNet(
            _EncryptAndRecover(network, view, masks, alpha, scramble),
            criterion=_Loss(beta, kappa),
            optimizer=torch.optim.Adam,
            lr=learning_rate,
            max_epochs=epochs,
            batch_size=batch_size,
            iterator_train__shuffle=True,
            train_split=None,
            callbacks=callbacks,
            device=device,
            verbose=0,
        ).initialize()
        data = {"pixels": images, "labels": torch.from_numpy(labels)}
        net.fit(data, images)
    network.cpu()
    return [epoch["train_loss"] for epoch in net.history]

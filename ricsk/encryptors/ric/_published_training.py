"""How the networks of the RIC paper are trained for a classifier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk.nae import ClassifierView
from ricsk.nn import from_pixels, to_tensor
from ricsk.nn.ric import PublishedRIC
from ricsk.training import Optimizer, OwnRandomness, check_finite, find_device, train_network

__all__ = ["train"]

Masks = Callable[[Tensor], Tensor]
"""From labels, as positions in `classes_`, to masks: levels, (n, height, width, channels)."""


class _EncryptAndRecover(nn.Module):
    """From images to recovered images and the classifier's margins on the ciphertexts.

    Rounding to 8 bits is replaced by noise that is uniform over one level.
    """

    def __init__(
        self,
        network: PublishedRIC,
        view: ClassifierView | None,
        masks: Masks,
        alpha: float,
    ) -> None:
        super().__init__()
        self.network = network
        # In a tuple, so that the classifier is no part of the module and not trained.
        self.fixed = view, masks
        self.alpha = alpha

    def forward(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        view, masks = self.fixed
        x = from_pixels(pixels)
        z = masks(labels).to(x.device).permute(0, 3, 1, 2) / 255
        e = self.network.encode(x, z)
        rounding = (torch.rand_like(x) - 0.5) / 255
        y = ((1 - self.alpha) * e + self.alpha * z + rounding).clamp(0, 1)
        u = (y - self.alpha * z) / (1 - self.alpha)
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
        loss = self.beta * nn.functional.mse_loss(recovered, from_pixels(pixels))
        return loss + (-margins).clamp_min(-self.kappa).mean() if len(margins) else loss


def train(
    network: PublishedRIC,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    view: ClassifierView | None,
    masks: Masks,
    alpha: float,
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

    Parameters
    ----------
    network : PublishedRIC
        What is trained.
    pixels : ndarray of uint8, shape (n, height, width, channels)
        Images.
    labels : ndarray of shape (n,)
        What the classifier reads in them, as positions in its `classes_`.
    view : ClassifierView or None
        What gradients of its margins are taken of, in float32. Without one, only the recovery of
        the images counts.
    masks : callable
        Makes masks for labels. What it draws by torch, it draws from the training's randomness.
    alpha, beta, kappa, epochs, batch_size, learning_rate, device, verbose
        As for `PublishedRICEncryptor`.
    seed : int
        Of the training.

    Returns
    -------
    list of float
        The mean loss of each epoch.

    Raises
    ------
    ValueError
        If there is no such device, or the training diverges.
    """
    place = find_device(device)
    if view is not None:
        view = view.to(place)
    history = train_network(
        _EncryptAndRecover(network, view, masks, alpha),
        _Loss(beta, kappa),
        TensorDataset(to_tensor(pixels), to_tensor(labels)),
        optimizer=Optimizer(torch.optim.Adam, {}),
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        device=place,
        randomness=OwnRandomness(seed),
        prepare=lambda pixels, labels: ((pixels, labels), pixels),
        verbose=verbose,
    )
    network.cpu()
    check_finite(history, learning_rate)
    return [epoch["train_loss"] for epoch in history]

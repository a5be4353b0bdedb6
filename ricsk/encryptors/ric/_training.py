"""How the encoder and decoder that recover images from under a pad are trained."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk.encryptors.ric._mixing import guard_band
from ricsk.nn import from_pixels, to_tensor
from ricsk.nn.ric import LightRIC
from ricsk.training import Optimizer, OwnRandomness, check_finite, find_device, train_network

__all__ = ["hide_and_reveal", "train"]


def hide_and_reveal(network: LightRIC | None, x: Tensor, alpha: Tensor) -> Tensor:
    """Hide images under pad and mask, round to 8 bits, and recover them.

    What that adds to the encoder's image does not depend on the image: uniform noise.

    Parameters
    ----------
    network : LightRIC or None
        Encoder and decoder; the identity without.
    x : Tensor of shape (n, channels, height, width)
        Images on [0, 1].
    alpha : Tensor of shape (n,)
        The weight of each one's mask.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        On [0, 1] and a little beyond. The noise is of torch's default generator.
    """
    guards = torch.tensor([guard_band(a) / 255 for a in alpha.tolist()], device=x.device)
    guards, weights = guards.view(-1, 1, 1, 1), alpha.view(-1, 1, 1, 1)
    e = x if network is None else network.encode(x, x)
    noise = (torch.rand_like(x) - 0.5) * (256 / 255 + 2 * guards) / (255 * (1 - weights))
    u = (e + noise).clamp(-guards, 1 + guards)
    return u if network is None else network.decode(u, alpha)


class _HideAndReveal(nn.Module):
    def __init__(self, network: LightRIC, alpha: float) -> None:
        super().__init__()
        self.network = network
        self.alpha = alpha

    def forward(self, pixels: Tensor) -> Tensor:
        x = from_pixels(pixels)
        return hide_and_reveal(self.network, x, torch.full((len(x),), self.alpha, device=x.device))


class _RecoveryLoss(nn.Module):
    """The squared error in units of the noise, so that one learning rate serves every alpha."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.scale = 255 * (1 - alpha)

    def forward(self, recovered: Tensor, pixels: Tensor) -> Tensor:
        return nn.functional.mse_loss(self.scale * recovered, self.scale * from_pixels(pixels))


def train(
    network: LightRIC,
    pixels: NDArray[np.uint8],
    *,
    alpha: float,
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
    network : LightRIC
        What is trained.
    pixels : ndarray of uint8, shape (n, height, width, channels)
        Images.
    alpha, epochs, batch_size, learning_rate, device, verbose
        As for `RICEncryptor`.
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
    history = train_network(
        _HideAndReveal(network, alpha),
        _RecoveryLoss(alpha),
        TensorDataset(to_tensor(pixels), to_tensor(pixels)),
        optimizer=Optimizer(torch.optim.Adam, {}),
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        device=find_device(device),
        randomness=OwnRandomness(seed),
        verbose=verbose,
    )
    network.cpu()
    check_finite(history, learning_rate)
    return [epoch["train_loss"] for epoch in history]

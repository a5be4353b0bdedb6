"""Which encodings have an image in common: a network that is taught by encodings of one's own."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk._threads import bounded_threads
from ricsk.training import OPTIMIZERS, OwnRandomness, find_device, make_schedule, train_network

__all__ = ["Mixing", "compare_pairs"]

_BATCH = 128
_RATE = 3e-3
_PART = 4096


class Mixing:
    """How encodings are made, as far as everybody knows it.

    Parameters
    ----------
    public_images : ndarray of shape (n, channels, height, width), float32
        Normalized images of the same kind as the private ones.
    k, n_private : int
        How many images are mixed, and how many of these are private.
    largest_weight, private_weight : float
        What weights obey; see `ricsk.baselines.InstaHideEncryptor`.
    """

    def __init__(
        self,
        public_images: NDArray[np.float32],
        k: int,
        n_private: int,
        largest_weight: float,
        private_weight: float,
    ) -> None:
        self.images = torch.from_numpy(public_images)
        self.k, self.n_private = k, n_private
        self.largest_weight, self.private_weight = largest_weight, private_weight

    def draw_pairs(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw pairs of absolute encodings, of which half have one private image in common.

        Parameters
        ----------
        n : int
            How many pairs.

        Returns
        -------
        pairs : Tensor of shape (n, 2 × channels, height, width)
        common : Tensor of shape (n,)
            Whether they have an image in common, as 0 or 1.
        """
        chosen = torch.randint(len(self.images), (2, n, self.k))
        common = torch.rand(n) < 0.5
        slots = torch.randint(self.n_private, (2, n))
        rows = torch.arange(n)[common]
        chosen[1, rows, slots[1, rows]] = chosen[0, rows, slots[0, rows]]
        weights = self._draw_weights(2 * n).reshape(2, n, self.k)
        mixed = torch.einsum("snk,snkchw->nschw", weights, self.images[chosen])
        return mixed.abs().flatten(1, 2), common.float()

    def _draw_weights(self, n: int) -> Tensor:
        weights = torch.empty(n, self.k)
        pending = torch.arange(n)
        while len(pending):
            drawn = torch.randn(len(pending), self.k).abs()
            weights[pending] = drawn / drawn.sum(dim=1, keepdim=True)
            found = weights[pending]
            wrong = (found.amax(dim=1) > self.largest_weight) & (self.k > 1)
            if self.n_private < self.k:
                wrong |= found[:, : self.n_private].sum(dim=1) < self.private_weight
            pending = pending[wrong]
        return weights


def compare_pairs(
    magnitudes: NDArray[np.float32], mixing: Mixing, *, n_steps: int, seed: int, verbose: int
) -> NDArray[np.float32]:
    """Estimate for all pairs of encodings whether they have an image in common.

    Parameters
    ----------
    magnitudes : ndarray of shape (n, channels, height, width)
        Absolute values of encodings, which random signs leave as they are.
    mixing : Mixing
        How such encodings are made.
    n_steps : int
        Steps of the training, of 128 pairs each.
    seed : int
        Of the training.
    verbose : int
        Whether to show its progress.

    Returns
    -------
    ndarray of shape (n, n), float32
        Logits, as if half of all pairs had an image in common.
    """
    randomness, device = OwnRandomness(seed), find_device("auto")
    with randomness:
        network = _build(2 * magnitudes.shape[1])
    # Each batch is drawn anew, so the data set only says how many there are.
    steps = torch.zeros(n_steps * _BATCH, 1)
    train_network(
        network,
        nn.BCEWithLogitsLoss(),
        TensorDataset(steps, steps),
        optimizer=OPTIMIZERS["adamw"],
        learning_rate=_RATE,
        epochs=1,
        batch_size=_BATCH,
        device=device,
        randomness=randomness,
        schedule=partial(make_schedule, "triangular", _RATE, 1),
        prepare=lambda batch, _: mixing.draw_pairs(len(batch)),
        verbose=verbose,
    )
    network.eval()
    values = torch.from_numpy(magnitudes)
    first, second = torch.triu_indices(len(values), len(values), 1)
    logits = []
    with torch.inference_mode(), bounded_threads(_PART * magnitudes[0].size):
        for i, j in zip(first.split(_PART), second.split(_PART), strict=True):
            logits.append(network(torch.cat([values[i], values[j]], dim=1).to(device)).cpu())
    found = np.zeros((len(values), len(values)), np.float32)
    found[first, second] = torch.cat(logits).numpy()
    return found + found.T


def _build(n_channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    for width, stride in ((32, 1), (32, 2), (64, 1), (64, 2), (64, 1)):
        layers += [
            nn.Conv2d(n_channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        n_channels = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_channels, 1), nn.Flatten(0)
    )

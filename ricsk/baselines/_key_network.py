"""Training a network whose weights are a key."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk.datasets import make_street_numbers
from ricsk.keys import Keystream
from ricsk.nn import KeyGenerator, from_pixels, to_tensor
from ricsk.training import OPTIMIZERS, OwnRandomness, train_network

__all__ = ["train_key_network"]

_BATCH, _RATE, _SIZE, _N_IMAGES = 64, 2e-3, 16, 1280


def train_key_network(
    stream: Keystream, n_steps: int, *, n_channels: int, width: int, verbose: int = 0
) -> KeyGenerator:
    """Train a network to turn negatives into images, from weights that follow from a key.

    The images are the same for everybody. It takes a machine to make the same network again:
    another one adds numbers in another order.

    Parameters
    ----------
    stream : Keystream
        What weights and the order of images are drawn from.
    n_steps : int
        Steps of the training, of 64 images of 16×16 pixels each; rounded up to whole passes.
    n_channels : int
        Channels of the images.
    width : int
        See `ricsk.nn.KeyGenerator`.
    verbose : int
        Whether to show a progress bar.

    Returns
    -------
    KeyGenerator

    Examples
    --------
    >>> from ricsk import SecretKey
    >>> stream = SecretKey.generate().keystream("example")
    >>> network = train_key_network(stream, 1, n_channels=1, width=2)
    """
    images, _ = make_street_numbers(min(_N_IMAGES, _BATCH * n_steps), size=_SIZE, random_state=0)
    pixels = from_pixels(to_tensor(images))
    if n_channels == 1:
        pixels = pixels.mean(dim=1, keepdim=True)
    network = KeyGenerator(n_channels, width)
    draw_weights(network, stream)
    seed = int(stream.integers(1 << 62, 1)[0])
    train_network(
        network,
        nn.L1Loss(),
        TensorDataset(1 - pixels, pixels),
        optimizer=OPTIMIZERS["adamw"].having(weight_decay=0.0),
        learning_rate=_RATE,
        epochs=math.ceil(n_steps * _BATCH / len(pixels)),
        batch_size=_BATCH,
        device=torch.device("cpu"),
        randomness=OwnRandomness(seed),
        verbose=verbose,
    )
    return network


def draw_weights(network: nn.Module, stream: Keystream) -> None:
    """Draw the weights of convolutions as torch does, from a keystream."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for values in (module.weight, module.bias):
                if values is not None:
                    _fill(values, bound, stream)


def _fill(values: Tensor, bound: float, stream: Keystream) -> None:
    drawn = bound * (2 * stream.random(tuple(values.shape)) - 1)
    with torch.no_grad():
        values.copy_(torch.from_numpy(drawn))

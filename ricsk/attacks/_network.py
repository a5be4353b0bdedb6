"""Base of the attacks that train a network."""

from __future__ import annotations

import math
from functools import partial
from numbers import Integral
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import TensorDataset

from ricsk._docs import DEVICE, VERBOSE, fill_in
from ricsk._threads import bounded_threads
from ricsk.attacks._base import BaseAttack
from ricsk.nn import from_pixels, to_pixels, to_tensor
from ricsk.training import (
    OPTIMIZERS,
    Batches,
    OwnRandomness,
    draw_seed,
    find_device,
    find_device_again,
    load_weights,
    save_weights,
    train_network,
)

__all__ = ["FITTED", "TRAINING", "NetworkAttack", "ReconstructionLoss"]

_BATCH = 32
_RATE = 2e-3
_WEIGHT_DECAY = 0.05
_MAX_NORM = 1.0
_PART = 256
_SSIM_WINDOW = 11


TRAINING = f"""
budget : {{"quick", "thorough"}} or int, default="quick"
    "quick" takes 400 steps of a network of 32 channels; "thorough" 10,000 steps of 64 channels, for
    a GPU or a night; an int so many steps of the first. A step takes 32 pairs or, against a
    discriminator, 64 ciphertexts and 64 images.
random_state : int, RandomState or None
    Decides on weights and the order of images. An int gives the same result every time, on one
    machine. None gives another one every time.
{VERBOSE.strip()}
{DEVICE.strip()}
"""
FITTED = """
module_ : torch.nn.Module
    The network that makes images.
network_config_ : dict
    Its sizes.
loss_ : float
    Its mean loss in the last epoch; against a discriminator, that in the last step, which says
    little.
device_ : str
    What was asked for as `device`.
ciphertext_shape_, image_shape_ : tuple of int
    Height, width and channels of the ciphertexts, and of the images behind them.
"""


class _Effort(NamedTuple):
    n_steps: int
    width: int


_EFFORTS = {"quick": _Effort(400, 32), "thorough": _Effort(10_000, 64)}


@fill_in(training=TRAINING, fitted=FITTED)
class NetworkAttack(BaseAttack):
    """Base of attacks that train a network from ciphertexts to images.

    A subclass overrides `_build`, calls `_train` in `_fit`, and gets `_reconstruct` and storage:
    a fitted attack's state is its parameters and weights in the safetensors format, and reading it
    back unpickles nothing.

    Parameters
    ----------
    {training}

    Attributes
    ----------
    {fitted}
    """

    _sizes: ClassVar[tuple[str, ...]] = ()
    """Constructor parameters that shape the network."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "budget": [StrOptions(set(_EFFORTS)), Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "device": [str],
    }

    network_config_: dict[str, Any]
    module_: nn.Module
    loss_: float
    device_: str

    def __init__(
        self,
        budget: Literal["quick", "thorough"] | int = "quick",
        *,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        device: str = "auto",
    ) -> None:
        self.budget = budget
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    def _build(self, width: int) -> nn.Module:
        """Build the network, from (n, channels, height, width) on [0, 1] to the same.

        It takes the parameters named in `_sizes` as further arguments, and reads no other.
        """
        raise NotImplementedError

    def _to_input(self, batch: Tensor) -> Tensor:
        """Turn a batch of the first argument of `_train` into what the network reads."""
        return from_pixels(batch)

    def _loss(self) -> nn.Module:
        """Build the criterion, of the network's output and images on [0, 1], channels first."""
        return ReconstructionLoss()

    def _train(self, ciphertexts: NDArray[Any], images: NDArray[np.uint8]) -> None:
        """Train the network for the steps of the budget; sets `module_` and `loss_`."""
        device, randomness = self._begin()
        data = TensorDataset(to_tensor(ciphertexts), to_tensor(images))
        n_batches = len(Batches(data, _BATCH, randomness))
        n_epochs = math.ceil(self._effort().n_steps / n_batches)
        history = train_network(
            self.module_,
            self._loss(),
            data,
            optimizer=OPTIMIZERS["adamw"].having(weight_decay=_WEIGHT_DECAY),
            learning_rate=_RATE,
            epochs=n_epochs,
            batch_size=_BATCH,
            device=device,
            randomness=randomness,
            schedule=partial(_make_schedule, n_epochs),
            clip=_MAX_NORM,
            prepare=lambda read, pixels: (self._to_input(read), from_pixels(pixels)),
            verbose=self.verbose,
        )
        self.module_.eval()
        self.loss_ = history[-1]["train_loss"]

    def _begin(self) -> tuple[torch.device, OwnRandomness]:
        """Build the network; say where to train it, and what to draw from."""
        device, randomness = find_device(self.device), OwnRandomness(draw_seed(self.random_state))
        self.device_ = self.device
        self.network_config_ = {
            "width": self._effort().width,
            **{name: getattr(self, name) for name in self._sizes},
        }
        with randomness:
            self.module_ = self._build(**self.network_config_)
        return device, randomness

    def _reconstruct(self, ciphertexts: NDArray[np.uint8], *_: Any) -> NDArray[np.uint8]:
        return self._apply(ciphertexts)

    def _apply(self, ciphertexts: NDArray[Any]) -> NDArray[np.uint8]:
        """Let the network look at what it was trained on."""
        device = next(self.module_.parameters()).device
        n_values = min(_PART, len(ciphertexts)) * math.prod(self.image_shape_)
        with torch.inference_mode(), bounded_threads(n_values):
            parts = [
                to_pixels(self.module_(self._to_input(part.to(device)))).cpu()
                for part in to_tensor(ciphertexts).split(_PART)
            ]
        return torch.cat(parts).numpy()

    def _effort(self) -> _Effort:
        if isinstance(self.budget, str):
            return _EFFORTS[self.budget]
        return _EFFORTS["quick"]._replace(n_steps=self.budget)

    def _check_state(self) -> None:
        super()._check_state()
        config = vars(self).get("network_config_", {})
        if not all(isinstance(size, int | str | None) for size in config.values()):
            raise ValueError("the sizes of its network are not plain values")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        module = state.pop("module_", None)
        if module is not None:
            state["weights_"] = save_weights(module)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is not None:
            module = load_weights(self._build, weights, **self.network_config_)
            self.module_ = module.to(find_device_again(self.device_))


class ReconstructionLoss(nn.Module):
    """Mean absolute error plus ½ (1 − SSIM): what a picture looks like counts, not blur alone.

    On images smaller than the window of the SSIM the mean absolute error stands alone.
    """

    def forward(self, output: Tensor, images: Tensor) -> Tensor:
        """Compute the loss of (n, channels, height, width) on [0, 1]."""
        # Imported here because it takes half a second, which nothing else of the package needs.
        from kornia.metrics import ssim

        loss = nn.functional.l1_loss(output, images)
        if min(images.shape[2:]) < _SSIM_WINDOW:
            return loss
        similarity = ssim(output, images, _SSIM_WINDOW, padding="valid").mean()
        return loss + (1 - similarity) / 2


def _make_schedule(n_epochs: int, n_batches: int) -> LRScheduler:
    return LRScheduler(
        OneCycleLR,
        step_every="batch",
        event_name=None,
        max_lr=_RATE,
        total_steps=n_epochs * n_batches,
    )

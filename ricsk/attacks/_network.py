"""`NetworkAttack`: what the attacks share that train a network on pairs of images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from skorch import NeuralNet
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler, ProgressBar
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk.attacks._base import BaseAttack

__all__ = ["NetworkAttack", "ReconstructionLoss"]

_BATCH = 32
_SSIM_WINDOW = 11


class _Effort(NamedTuple):
    n_steps: int
    width: int


_EFFORTS = {"quick": _Effort(400, 32), "thorough": _Effort(10_000, 64)}


class NetworkAttack(BaseAttack):
    """Base of attacks that train a network from ciphertexts to images.

    A subclass overrides `_build`, calls `_train` in `_fit`, and gets `_reconstruct` and storage:
    a fitted attack's state is its parameters and weights in the safetensors format, and reading it
    back unpickles nothing.

    Parameters
    ----------
    budget, random_state, verbose, device
        See `KnownPlaintextAttack`.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "budget": [StrOptions(set(_EFFORTS)), Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "device": [str],
    }

    module_: nn.Module
    loss_: float

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
        """Build the network, from (n, channels, height, width) on [0, 1] to the same."""
        raise NotImplementedError

    def _scaled(self, module: nn.Module) -> nn.Module:
        """Put before the network what turns the first argument of `_train` into its input."""
        return _FromPixels(module)

    def _loss(self) -> nn.Module:
        """Build the criterion, of the network's output and images on [0, 1], channels first."""
        return ReconstructionLoss()

    def _train(self, ciphertexts: NDArray[Any], images: NDArray[np.uint8]) -> None:
        """Train the network for the steps of the budget; sets `module_` and `loss_`."""
        effort = self._effort()
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        batches_per_epoch = math.ceil(len(images) / _BATCH)
        n_epochs = math.ceil(effort.n_steps / batches_per_epoch)
        callbacks: list[Callback] = [
            GradientNormClipping(1.0),
            LRScheduler(
                torch.optim.lr_scheduler.OneCycleLR,
                step_every="batch",
                event_name=None,
                max_lr=2e-3,
                total_steps=n_epochs * batches_per_epoch,
            ),
        ]
        if self.verbose:
            callbacks.append(ProgressBar(batches_per_epoch))
        data = TensorDataset(torch.from_numpy(ciphertexts), torch.from_numpy(images))
        # All randomness is drawn on the CPU, so that a seed means the same on every device.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.module_ = self._build(effort.width)
            net = NeuralNet(
                self._scaled(self.module_),
                criterion=_ToPixels(self._loss()),
                optimizer=torch.optim.AdamW,
                optimizer__weight_decay=0.05,
                lr=2e-3,
                max_epochs=n_epochs,
                batch_size=_BATCH,
                iterator_train=_Batches,
                train_split=None,
                callbacks=callbacks,
                device=self._device(),
                verbose=0,
            ).initialize()
            net.notify("on_train_begin", X=data, y=None)
            # Not net.fit, which would take a user's Ctrl-C for the end of training.
            net.fit_loop(data)
            net.notify("on_train_end", X=data, y=None)
        self.module_.eval()
        self.loss_ = net.history[-1]["train_loss"]

    def _reconstruct(self, ciphertexts: NDArray[np.uint8], *_: Any) -> NDArray[np.uint8]:
        return self._apply(ciphertexts)

    def _apply(self, ciphertexts: NDArray[Any]) -> NDArray[np.uint8]:
        """Let the network look at what it was trained on."""
        module = self._scaled(self.module_)
        device = next(module.parameters()).device
        with torch.inference_mode():
            parts = [
                module(part.to(device)).cpu()
                for part in torch.from_numpy(ciphertexts.copy()).split(256)
            ]
        levels = torch.cat(parts).permute(0, 2, 3, 1).mul(255).round().clamp(0, 255)
        return levels.to(torch.uint8).numpy()

    def _effort(self) -> _Effort:
        if isinstance(self.budget, str):
            return _EFFORTS[self.budget]
        return _EFFORTS["quick"]._replace(n_steps=self.budget)

    def _device(self) -> str:
        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        module = state.pop("module_", None)
        if module is not None:
            state["weights_"] = save_safetensors(module.state_dict())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is not None:
            with torch.random.fork_rng(devices=[]):
                self.module_ = self._build(self._effort().width).eval()
            self.module_.load_state_dict(load_safetensors(weights))


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


class _FromPixels(nn.Module):
    """A network behind the scaling that its input needs: channel-last uint8."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network(pixels.permute(0, 3, 1, 2).float() / 255)


class _ToPixels(nn.Module):
    """A loss behind the scaling that its targets need."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Tensor, pixels: Tensor) -> Tensor:
        return self.loss(output, pixels.permute(0, 3, 1, 2).float() / 255)


class _Batches:
    """Shuffled batches of a data set, each taken by one index, which is quick."""

    def __init__(self, dataset: TensorDataset, batch_size: int) -> None:
        self.dataset = dataset
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for chunk in torch.randperm(len(self.dataset)).split(self.batch_size):
            yield self.dataset[chunk]

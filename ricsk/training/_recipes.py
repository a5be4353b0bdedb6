"""The training of a classifier's network: batches, optimizers, schedules and the loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, LRScheduler
from skorch.utils import to_tensor
from torch import Tensor
from torch.optim import lr_scheduler
from torch.utils.data import TensorDataset

__all__ = ["OPTIMIZERS", "SCHEDULES", "Batches", "Net", "make_schedule"]

_Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class _Optimizer(NamedTuple):
    kind: type[torch.optim.Optimizer]
    settings: dict[str, Any]


OPTIMIZERS = {
    "adamw": _Optimizer(torch.optim.AdamW, {}),
    "sgd": _Optimizer(torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": _Optimizer(torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}
SCHEDULES = ("triangular", "cosine", "steps")

_WARMUP = 0.05


class Batches:
    """Batches of a data set, each taken by one index; a DataLoader would stack single images.

    In training they are shuffled and augmented, and a last batch of one image is left out, for it
    has no variance that batch normalization could work with.
    """

    def __init__(
        self,
        dataset: TensorDataset,
        batch_size: int,
        training: bool = False,
        augment: _Augment | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.training = training
        self.augment = augment

    def __len__(self) -> int:
        n_batches, rest = divmod(len(self.dataset), self.batch_size)
        return n_batches + (rest > (1 if self.training and n_batches else 0))

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        n = len(self.dataset)
        order = torch.randperm(n) if self.training else torch.arange(n)
        for chunk in order.split(self.batch_size)[: len(self)]:
            pixels, targets = self.dataset[chunk]
            yield self.augment(pixels, targets) if self.augment else (pixels, targets)


class Net(NeuralNetClassifier):
    """Adds what the network wants to have added to the loss, and computes in half precision.

    The latter where the device is built for it; weights, loss and gradients stay in 32 bits.
    """

    def infer(self, x: Tensor, **fit_params: Any) -> Any:
        """Compute the logits, and in training with them what is added to the loss."""
        x = to_tensor(x, device=self.device)
        dtype = half_precision(torch.device(self.device))
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype) if dtype else nullcontext():
            if not self.module_.training:
                return self.module_(x).float()
            logits, penalty = self.module_.forward_with_penalty(x)
            return logits.float(), penalty.float()

    def get_loss(
        self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False
    ) -> torch.Tensor:
        """Compute the criterion, and in training add the penalty."""
        if not training:
            return super().get_loss(y_pred, y_true, X=X, training=training)
        logits, penalty = y_pred
        return super().get_loss(logits, y_true, X=X, training=training) + penalty


def half_precision(device: torch.device) -> torch.dtype | None:
    """Name the 16-bit type that the device computes with at full range; None if it has none."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return None


def make_schedule(name: str, learning_rate: float, epochs: int, n_batches: int) -> Callback:
    """Make the callback that changes the rate after every batch.

    Parameters
    ----------
    name : str
        One of `SCHEDULES`.
    learning_rate : float
        The largest rate.
    epochs : int
        Number of epochs.
    n_batches : int
        Batches in an epoch.

    Returns
    -------
    skorch.callbacks.LRScheduler

    Examples
    --------
    >>> from ricsk.training._recipes import make_schedule
    >>> rates = make_schedule("cosine", 1.0, 10, 10).simulate(100, 1.0)
    >>> [round(float(rate), 2) for rate in rates[[0, 4, 99]]]
    [0.2, 1.0, 0.0]
    """
    n_steps = epochs * n_batches
    kwargs: dict[str, Any]
    if name == "triangular":
        policy: Any = lr_scheduler.OneCycleLR
        kwargs = {
            "max_lr": learning_rate,
            "total_steps": n_steps,
            "anneal_strategy": "linear",
            "cycle_momentum": False,
        }
    elif name == "cosine":
        policy, kwargs = lr_scheduler.LambdaLR, {"lr_lambda": _Cosine(n_steps)}
    else:
        milestones = sorted({max(1, n_steps * part // 4) for part in (2, 3)})
        policy, kwargs = lr_scheduler.MultiStepLR, {"milestones": milestones}
    return LRScheduler(policy, step_every="batch", event_name=None, **kwargs)


class _Cosine:
    """A linear warm-up over the first twentieth of the steps, then half a cosine to zero."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.n_warmup = max(1, round(_WARMUP * n_steps))

    def __call__(self, step: int) -> float:
        if step < self.n_warmup:
            return (step + 1) / self.n_warmup
        done = (step - self.n_warmup) / max(1, self.n_steps - self.n_warmup)
        return (1 + math.cos(math.pi * done)) / 2

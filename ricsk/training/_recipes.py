"""Optimizers and schedules of learning rates, by name."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import torch
from skorch.callbacks import LRScheduler
from torch.optim import lr_scheduler

__all__ = ["OPTIMIZERS", "SCHEDULES", "Optimizer", "make_schedule"]


class Optimizer(NamedTuple):
    """A kind of optimizer and its settings, but for the learning rate.

    Parameters
    ----------
    kind : type
        A class of `torch.optim`.
    settings : dict
        Keyword arguments for it.
    """

    kind: type[torch.optim.Optimizer]
    settings: dict[str, Any]

    def having(self, **settings: Any) -> Self:
        """Make the same optimizer with more settings.

        Parameters
        ----------
        **settings
            Keyword arguments of the class.

        Returns
        -------
        Optimizer
        """
        return self._replace(settings={**self.settings, **settings})


OPTIMIZERS = {
    "adamw": Optimizer(torch.optim.AdamW, {}),
    "sgd": Optimizer(torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": Optimizer(torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}
SCHEDULES = ("triangular", "cosine", "steps")

_WARMUP = 0.05


def make_schedule(name: str, learning_rate: float, epochs: int, n_batches: int) -> LRScheduler:
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
    >>> from ricsk.training import make_schedule
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

"""The loop that trains a network on pairs of what it reads and what is compared with its output."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
    ProgressBar,
)
from skorch.helper import predefined_split
from skorch.utils import to_tensor
from torch import nn
from torch.utils.data import TensorDataset

from ricsk._threads import bounded_threads
from ricsk.training._batches import Batches, Prepare
from ricsk.training._checkpoint import Checkpoint
from ricsk.training._randomness import OwnRandomness
from ricsk.training._recipes import Optimizer

__all__ = ["check_finite", "train_network"]

_HISTORY = ("epoch", "train_loss", "valid_loss")


def train_network(
    module: nn.Module,
    criterion: nn.Module,
    data: TensorDataset,
    *,
    optimizer: Optimizer,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    device: torch.device,
    randomness: OwnRandomness,
    schedule: Callable[[int], LRScheduler] | None = None,
    clip: float | None = None,
    prepare: Prepare | None = None,
    held_out: TensorDataset | None = None,
    patience: int | None = None,
    checkpoint: Checkpoint | None = None,
    verbose: int = 0,
) -> list[dict[str, float]]:
    """Train a network in place.

    Parameters
    ----------
    module : torch.nn.Module
        It is moved to the device, and stays there, in the mode of training or evaluation that the
        last batch was seen in.
    criterion : torch.nn.Module
        From its output and targets to the loss.
    data : TensorDataset
        Inputs and targets.
    optimizer : Optimizer
        Its class and settings.
    learning_rate : float
        Of the optimizer.
    epochs : int
        Passes over the data.
    batch_size : int
        Samples in a step.
    device : torch.device
        Where to train.
    randomness : OwnRandomness
        What everything random is drawn from.
    schedule : callable, optional
        From the number of batches in an epoch to what changes the rate.
    clip : float, optional
        Largest norm of the gradients.
    prepare : callable, optional
        What is done to each batch of `data`. It may return a tuple of several inputs.
    held_out : TensorDataset, optional
        What the loss is measured on after each epoch; the weights of the best epoch are kept.
    patience : int, optional
        How many epochs to go on without improvement there. None goes on to the end.
    checkpoint : Checkpoint, optional
        Where the training goes on, and is kept after every epoch.
    verbose : int
        Whether to show a progress bar for each epoch.

    Returns
    -------
    list of dict
        For each epoch its number, `epoch`, and the mean losses `train_loss` and, with `held_out`,
        `valid_loss`.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from ricsk.training import OPTIMIZERS, OwnRandomness, train_network
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> history = train_network(
    ...     torch.nn.Linear(1, 1),
    ...     torch.nn.MSELoss(),
    ...     TensorDataset(x, 2 * x + 1),
    ...     optimizer=OPTIMIZERS["adamw"],
    ...     learning_rate=0.1,
    ...     epochs=30,
    ...     batch_size=16,
    ...     device=torch.device("cpu"),
    ...     randomness=OwnRandomness(0),
    ... )
    >>> len(history), bool(history[-1]["train_loss"] < 0.01)
    (30, True)
    """
    n_batches = len(Batches(data, batch_size, randomness))
    callbacks: list[tuple[str, Callback]] = [("clip", GradientNormClipping(clip))]
    stopper = scheduler = None
    if held_out is not None:
        stopper = EarlyStopping(patience=patience or epochs, load_best=True)
        callbacks.append(("stopper", stopper))
    if schedule is not None:
        scheduler = schedule(n_batches)
        callbacks.append(("scheduler", scheduler))
    if verbose:
        n_held = len(Batches(held_out, batch_size)) if held_out else 0
        callbacks.append(("bar", ProgressBar(n_batches + n_held)))
    net = _Net(
        module,
        criterion=criterion,
        optimizer=optimizer.kind,
        **{f"optimizer__{name}": value for name, value in optimizer.settings.items()},
        lr=learning_rate,
        max_epochs=epochs,
        batch_size=batch_size,
        iterator_train=Batches,
        iterator_train__randomness=randomness,
        iterator_train__prepare=prepare,
        iterator_valid=Batches,
        train_split=predefined_split(held_out) if held_out else None,
        callbacks=callbacks,
        device=device,
        verbose=0,
        randomness=randomness,
    ).initialize()
    n_values = max(tensor[0].numel() for tensor in data.tensors)
    with bounded_threads(min(len(data), batch_size) * n_values):
        _run(net, data, stopper, scheduler, checkpoint)
    return [{name: epoch[name] for name in _HISTORY if name in epoch} for epoch in net.history]


def check_finite(history: list[dict[str, float]], learning_rate: float) -> None:
    """Refuse the result of a training that diverged.

    Parameters
    ----------
    history : list of dict
        What `train_network` returned.
    learning_rate : float
        For the error message.

    Raises
    ------
    ValueError
        If the last loss is infinite or not a number.

    Examples
    --------
    >>> from ricsk.training import check_finite
    >>> check_finite([{"epoch": 1, "train_loss": float("nan")}], learning_rate=1e9)
    Traceback (most recent call last):
        ...
    ValueError: the training diverged: its loss became nan with learning_rate=1000000000.0. Take a
    smaller one.
    """
    loss = history[-1]["train_loss"]
    if not math.isfinite(loss):
        raise ValueError(
            f"the training diverged: its loss became {loss} with learning_rate={learning_rate}. "
            "Take a smaller one."
        )


class _Net(NeuralNet):
    """A net of skorch that draws from its training's own generators, and may read several inputs.

    Not all of a training is under their control, which slows each operation a little: optimizers
    do many, and draw nothing.
    """

    def __init__(self, *args: Any, randomness: OwnRandomness, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.randomness = randomness

    def infer(self, x: Any, **fit_params: Any) -> Any:
        inputs = to_tensor(x, device=self.device)
        return self.module_(*inputs) if isinstance(inputs, list) else self.module_(inputs)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        with self.randomness:
            return super().train_step_single(batch, **fit_params)

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        with self.randomness:
            return super().validation_step(batch, **fit_params)


def _run(
    net: NeuralNet,
    data: TensorDataset,
    stopper: EarlyStopping | None,
    scheduler: LRScheduler | None,
    checkpoint: Checkpoint | None,
) -> None:
    """Train epoch by epoch; net.fit would take a user's Ctrl-C for an early stop."""
    net.notify("on_train_begin", X=data, y=None)
    if checkpoint is not None:
        checkpoint.restore(net, scheduler, stopper)
    stopped = _has_stopped(stopper)
    while len(net.history) < net.max_epochs and not stopped:
        try:
            net.fit_loop(data, epochs=1)
        except KeyboardInterrupt:
            stopped = _has_stopped(stopper)
            if not stopped:
                raise
        if checkpoint is not None:
            checkpoint.write(net, scheduler, stopper)
    net.notify("on_train_end", X=data, y=None)


def _has_stopped(stopper: EarlyStopping | None) -> bool:
    return stopper is not None and stopper.misses_ >= stopper.patience

"""A training on disk, so that one that was interrupted goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import Tensor

from ricsk._atomic import write_whole

__all__ = ["Checkpoint", "fingerprint"]

_FORMAT = "ricsk checkpoint 2"
_STOPPER = ("misses_", "dynamic_threshold_", "best_epoch_")
_SCHEDULER = ("last_epoch", "_step_count", "_last_lr")
_HISTORY = ("epoch", "train_loss", "valid_loss", "train_batch_count")


class Checkpoint:
    """A file with all that a training needs to go on as if nothing had happened.

    It is one file in the safetensors format: the tensors of network, optimizer, best epoch and
    random generators, and in its header a JSON text with the numbers. Reading it runs no code. It
    is written beside its place and then moved there, so that an interruption leaves the old one.

    Parameters
    ----------
    path : str or path-like
        The file. It need not exist.
    fingerprint : str
        Names the training: its settings and data.

    Raises
    ------
    ValueError
        If the file is there and is not a checkpoint, or is that of another training.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: str) -> None:
        self.path = Path(path)
        self.fingerprint = fingerprint
        self.tensors: dict[str, Tensor] = {}
        self.numbers: dict[str, Any] = {}
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, framework="pt") as stored:
                self.numbers = json.loads((stored.metadata() or {})["training"])
            # Not from the open file, whose tensors would change with it.
            self.tensors = load_safetensors(self.path.read_bytes())
        except (SafetensorError, KeyError, ValueError):
            self.numbers = {}
        if self.numbers.get("format") != _FORMAT:
            raise ValueError(
                f"checkpoint={str(self.path)!r} is not a checkpoint of a training, is damaged, or "
                "is of another version of ricsk. Take another path, or remove the file to train "
                "from the start."
            )
        if self.numbers["fingerprint"] != fingerprint:
            raise ValueError(
                f"checkpoint={str(self.path)!r} belongs to a training with other parameters, "
                "images or labels. Take another path, or remove the file to train from the start."
            )

    @property
    def seed(self) -> int | None:
        """The seed of the stored training; None if there is none."""
        return self.numbers.get("seed")

    @property
    def n_epochs(self) -> int:
        """Number of the epochs that are done."""
        return len(self.numbers.get("history", ()))

    def restore(
        self, net: NeuralNet, scheduler: LRScheduler | None, stopper: EarlyStopping | None
    ) -> None:
        """Bring a training that has just begun to where the stored one was.

        Parameters
        ----------
        net : skorch.NeuralNet
            With its `randomness`.
        scheduler, stopper : skorch.callbacks.Callback or None
            What changes its rate, and what ends it early.
        """
        if not self.numbers:
            return
        net.module_.load_state_dict(self._named("module"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self._named("optimizer").items():
            number, _, key = name.partition(".")
            state.setdefault(int(number), {})[key] = tensor
        groups = [
            {
                name: tuple(value) if isinstance(value, list) and name != "params" else value
                for name, value in group.items()
            }
            for group in self.numbers["groups"]
        ]
        net.optimizer_.load_state_dict({"state": state, "param_groups": groups})
        if scheduler is not None:
            rates = scheduler.lr_scheduler_
            rates.load_state_dict(rates.state_dict() | self.numbers["scheduler"])
        if stopper is not None:
            for name, value in self.numbers["stopper"].items():
                setattr(stopper, name, value)
            stopper.best_model_weights_ = self._named("best") or None
        for epoch in self.numbers["history"]:
            net.history.new_epoch()
            for name, value in epoch.items():
                net.history.record(name, value)
        net.randomness.set_state(self._named("generator"))

    def write(
        self, net: NeuralNet, scheduler: LRScheduler | None, stopper: EarlyStopping | None
    ) -> None:
        """Put the training as it is now in the place of the file.

        Parameters
        ----------
        net, scheduler, stopper
            As for `restore`.
        """
        optimizer = net.optimizer_.state_dict()
        tensors = {f"module.{name}": value for name, value in net.module_.state_dict().items()}
        for number, state in optimizer["state"].items():
            for name, value in state.items():
                if value is not None:
                    tensors[f"optimizer.{number}.{name}"] = value
        if stopper is not None:
            best = stopper.best_model_weights_ or {}
            tensors |= {f"best.{name}": value for name, value in best.items()}
        for device, state in net.randomness.get_state().items():
            tensors[f"generator.{device}"] = state
        numbers = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint,
            "seed": net.randomness.seed,
            "groups": optimizer["param_groups"],
            "scheduler": (
                {name: getattr(scheduler.lr_scheduler_, name) for name in _SCHEDULER}
                if scheduler
                else {}
            ),
            "stopper": {name: getattr(stopper, name) for name in _STOPPER} if stopper else {},
            "history": [
                {name: epoch[name] for name in _HISTORY if name in epoch} for epoch in net.history
            ],
        }
        data = save_safetensors(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            metadata={"training": json.dumps(numbers, default=float)},
        )
        write_whole(self.path, data, mode=0o600)

    def _named(self, prefix: str) -> dict[str, Tensor]:
        prefix += "."
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def fingerprint(settings: Any, arrays: Iterable[NDArray[Any]]) -> str:
    """Name a training by what decides on its result.

    Parameters
    ----------
    settings : object
        With a `repr` that tells everything.
    arrays : iterable of ndarray
        Images and labels.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.training._checkpoint import fingerprint
    >>> len(fingerprint({"epochs": 3}, [np.zeros((2, 8, 8, 3))]))
    64
    """
    digest = hashlib.sha256(repr(settings).encode())
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

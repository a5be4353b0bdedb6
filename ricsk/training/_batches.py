"""The batches that a network is trained and measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import TensorDataset

from ricsk.training._randomness import OwnRandomness

__all__ = ["Batches", "Prepare"]

Prepare = Callable[..., tuple[Any, Any]]
"""From the tensors of a batch to what the network reads and what the loss compares."""


class Batches:
    """Batches of a data set, each taken by one index; a DataLoader would stack single images.

    Parameters
    ----------
    dataset : TensorDataset
        Of two tensors.
    batch_size : int
        Samples in a batch. The last one may be smaller.
    randomness : OwnRandomness, optional
        Of a training: batches are shuffled and prepared with it, and a last batch of one sample is
        left out, for it has no variance that batch normalization could work with.
    prepare : callable, optional
        What is done to each batch of a training.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from ricsk.training import Batches
    >>> data = TensorDataset(torch.arange(5), torch.arange(5) ** 2)
    >>> [targets.tolist() for _, targets in Batches(data, 2)]
    [[0, 1], [4, 9], [16]]
    """

    def __init__(
        self,
        dataset: TensorDataset,
        batch_size: int,
        randomness: OwnRandomness | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.randomness = randomness
        self.prepare = prepare

    def __len__(self) -> int:
        n_batches, rest = divmod(len(self.dataset), self.batch_size)
        return n_batches + (rest > (1 if self.randomness and n_batches else 0))

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        order = torch.arange(len(self.dataset))
        if self.randomness is not None:
            with self.randomness:
                order = torch.randperm(len(self.dataset))
        for chunk in order.split(self.batch_size)[: len(self)]:
            batch = self.dataset[chunk]
            if self.prepare is not None and self.randomness is not None:
                with self.randomness:
                    batch = self.prepare(*batch)
            yield batch

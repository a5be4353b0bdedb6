"""Images encrypted and decrypted by several processes, which joblib starts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ricsk._callers import find_caller
from ricsk._threads import bounded_threads
from ricsk.base import Part, Task
from ricsk.parallel import deal

__all__ = ["compute_in_parallel"]

# Work is dealt out in so many lots for each process, because images take different times.
_LOTS_PER_JOB = 4

Compute = Callable[[Task, list[Part]], list[NDArray[Any]]]
Told = tuple[str, type[Warning]]


def compute_in_parallel(
    compute: Compute,
    task: Task,
    parts: list[Part],
    *,
    n_jobs: int | None,
    n_workers: int,
    verbose: int,
) -> list[NDArray[Any]]:
    """Let several processes encrypt or decrypt images, in one thread each.

    Parameters
    ----------
    compute : callable
        A method of an encryptor, of which processes are sent copies: from a task and images to
        pixels. Images are sent, too, and are never written to files.
    task : {"encrypt", "decrypt"}
        What to do.
    parts : list of Part
        The images.
    n_jobs : int or None
        As given to `joblib.Parallel`.
    n_workers : int
        How many that are.
    verbose : int
        Whether to show a progress bar, on the standard error stream.

    Returns
    -------
    list of ndarray
        The pixels of each part.
    """
    lots = _deal(parts, _LOTS_PER_JOB * n_workers)
    n_images = sum(len(part.positions) for part in parts)
    work = ((task, lot, os.getpid()) for _, lot in lots)
    results = deal(_compute_lot, compute, work, n_jobs)
    found: list[list[NDArray[Any]]] = [[] for _ in parts]
    with tqdm(total=n_images, desc="images", unit="image", disable=not verbose) as bar:
        for (owners, lot), (pixels, told) in zip(lots, results, strict=True):
            for owner, made in zip(owners, pixels, strict=True):
                found[owner].append(made)
            for text, category in told:
                warnings.warn(text, category, stacklevel=find_caller())
            bar.update(sum(len(part.positions) for part in lot))
    return [np.concatenate(made) for made in found]


def _deal(parts: list[Part], n_lots: int) -> list[tuple[list[int], list[Part]]]:
    """Deal images out in lots, in their order: which parts a lot has images of, and these."""
    starts = np.cumsum([0] + [len(part.positions) for part in parts])
    bounds = np.linspace(0, starts[-1], min(n_lots, starts[-1]) + 1).astype(int)
    lots = []
    for first, last in pairwise(bounds):
        owners, lot = [], []
        for owner, part in enumerate(parts):
            cut = slice(max(first - starts[owner], 0), max(last - starts[owner], 0))
            positions = part.positions[cut]
            if len(positions):
                batch = replace(part.batch, pixels=part.batch.pixels[cut])
                owners.append(owner)
                lot.append(replace(part, batch=batch, positions=positions))
        lots.append((owners, lot))
    return lots


def _compute_lot(
    compute: Compute, task: Task, lot: list[Part], parent: int
) -> tuple[list[NDArray[Any]], list[Told]]:
    if os.getpid() == parent:  # a thread, which warns as any other
        return compute(task, lot), []
    with bounded_threads(0), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels = compute(task, lot)
    return pixels, [(str(each.message), each.category) for each in caught]

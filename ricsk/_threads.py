"""How many threads compute: few for little work, and one in a forked process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["VALUES_PER_THREAD", "bounded_threads"]

VALUES_PER_THREAD = 1 << 17
"""How many pixel values a thread must have at a time to be worth its while."""


@contextmanager
def bounded_threads(n_values: int) -> Iterator[None]:
    """Let few threads compute where there is little to do, and restore their number afterwards.

    OpenMP's threads wait for each other by spinning, after every operation. On a busy machine one
    that waits keeps the others from working, and small networks train many times slower than in a
    single thread.

    The bound is of the thread that calls, and of nothing else in the process. It never raises a
    number that the user has set.

    Parameters
    ----------
    n_values : int
        Values of the pixels that are computed on at a time, such as those of a batch.

    Examples
    --------
    >>> import torch
    >>> before = torch.get_num_threads()
    >>> with bounded_threads(64 * 32 * 32 * 3):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    # A thread's first question also sets its number, which would undo the bound if asked later.
    allowed = torch.get_num_threads()
    bound = max(1, n_values // VALUES_PER_THREAD)
    if bound >= allowed:
        yield
        return
    # Not by torch.set_num_threads, which new threads of the process would inherit.
    with _find_openmp().limit(limits=bound):
        yield


@cache
def _find_openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")


# OpenMP's threads do not survive a fork, and a child that computes with several waits for them for
# ever. The libraries are looked for in the parent, where other threads can do no harm.
_before_fork: list[ThreadpoolController] = []


def _look_for_libraries() -> None:
    _before_fork[:] = [ThreadpoolController().select(user_api="openmp")]


def _compute_in_one_thread() -> None:
    torch.set_num_threads(1)
    for libraries in _before_fork:
        libraries.limit(limits=1)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_look_for_libraries, after_in_child=_compute_in_one_thread)

"""Work dealt out to other processes and machines, by the backends of joblib.

`transform`, `inverse_transform`, folders and frames run where ``joblib.parallel_config`` says: in
processes of this machine, by default, or on a cluster of Dask or Ray. What they share is sent to
each worker once, and keys stay where they are: other machines get the paths of their files.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cloudpickle import CloudPickler
from joblib import Parallel, delayed, parallel_config
from joblib.parallel import BACKENDS, get_active_backend

from ricsk.exceptions import KeyReferenceError
from ricsk.keys import PrivateKey, SecretKey, SigningKey

__all__ = ["deal"]

_LOCAL = ("loky", "multiprocessing", "threading", "sequential")


def deal(
    function: Callable[..., Any],
    shared: Any,
    lots: Iterable[tuple[Any, ...]],
    n_jobs: int | None = None,
) -> Iterator[Any]:
    """Deal work out to workers, and take the results in order as they come.

    Parameters
    ----------
    function : callable
        What a worker calls with `shared` and the arguments of a lot.
    shared : object
        What is the same for all, such as the method of an encryptor with its classifier. Each
        worker of Dask gets it once.
    lots : iterable of tuple
        The arguments of each lot. They are taken as workers become free.
    n_jobs : int, optional
        As given to `joblib.Parallel`.

    Yields
    ------
    object
        What `function` returned. No arguments are written to files on their way to local processes,
        for they hold plain images.

    Raises
    ------
    KeyReferenceError
        If the workers are on other machines and `shared` holds a key that is in memory alone: its
        bytes would have to travel.

    Examples
    --------
    >>> from ricsk.parallel import deal
    >>> list(deal(pow, 2, [(3,), (4,)]))
    [8, 16]
    """
    given = _Shared(shared)
    run = _make_pool(given, n_jobs)
    yield from run(delayed(_call)(function, given, lot) for lot in lots)


@dataclass(frozen=True)
class _Shared:
    """What all workers share, with a name that no other has.

    Dask names what it is given by the content. While it drops what a former call has shared, it
    would drop the same content of the next one, too.
    """

    value: Any
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


def _call(function: Callable[..., Any], shared: _Shared, lot: tuple[Any, ...]) -> Any:
    return function(shared.value, *lot)


def _make_pool(shared: _Shared, n_jobs: int | None) -> Parallel:
    backend, n_workers = get_active_backend()
    if isinstance(backend, tuple(BACKENDS[name] for name in _LOCAL if name in BACKENDS)):
        return _make_parallel(n_jobs)
    _Inspector(_Nowhere()).dump(shared)
    if type(backend).__name__ != "DaskDistributedBackend":
        return _make_parallel(n_jobs)
    with parallel_config(backend="dask", n_jobs=n_workers, scatter=[shared]):
        return _make_parallel(n_jobs)


def _make_parallel(n_jobs: int | None) -> Parallel:
    try:
        return Parallel(n_jobs=n_jobs, max_nbytes=None, return_as="generator")
    except ValueError:  # of a backend that returns all at the end
        return Parallel(n_jobs=n_jobs, max_nbytes=None)


class _Inspector(CloudPickler):
    """Refuses what takes the bytes of a key along when it is sent to another machine."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, SecretKey | PrivateKey | SigningKey) and not obj.is_reference:
            raise KeyReferenceError(
                f"{obj!r} is in memory alone, and its bytes would travel to other machines. Save "
                "it, put the file on each of them, and give its path as key."
            )
        return super().reducer_override(obj)


class _Nowhere(io.RawIOBase):
    def write(self, data: Any) -> int:
        return memoryview(data).nbytes

"""The thread that computes: one for each model, which takes together what waits."""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ricsk.cloud._request import Request
from ricsk.cloud._served import ServedModel
from ricsk.cloud._served_index import ServedIndex

__all__ = ["Answer", "Worker"]


@dataclass(frozen=True)
class Answer:
    """An encoded answer.

    Parameters
    ----------
    body : bytes
    header_length : str or None
        Length of the JSON in it, if bytes follow.
    n_images : int
    """

    body: bytes
    header_length: str | None
    n_images: int


@dataclass
class _Job:
    body: bytes
    header_length: str | None
    future: Future[Answer] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.future.add_done_callback(self._release)

    def _release(self, _: Future[Answer]) -> None:
        self.body = b""  # or what was given up would be kept until its turn comes


class Worker:
    """A thread that reads requests, asks the model, and encodes the answers.

    What waits while it computes is computed together the next time, in batches of up to
    ``max_images`` of the model's limits. Nothing waits for others to come.

    Parameters
    ----------
    model : ServedModel or ServedIndex
    observe : callable
        Called with the number of images of each batch.
    """

    def __init__(self, model: ServedModel | ServedIndex, observe: Callable[[int], None]) -> None:
        self.model = model
        self._observe = observe
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"ricsk-{model.name}", daemon=True)
        self._thread.start()

    def submit(self, body: bytes, header_length: str | None) -> Future[Answer]:
        """Have a request answered. Its errors are those of the future."""
        job = _Job(body, header_length)
        self._jobs.put(job)
        return job.future

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def close(self, timeout: float) -> None:
        """Answer what waits, and end."""
        self._jobs.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            waiting = [self._jobs.get()]
            while not self._jobs.empty():
                waiting.append(self._jobs.get())
            self._answer([job for job in waiting if job is not None])
            if None in waiting:
                return
            del waiting  # which may be large, until the next one comes

    def _answer(self, jobs: list[_Job]) -> None:
        groups: dict[Any, list[tuple[_Job, Request]]] = defaultdict(list)
        for job in jobs:
            if not job.future.set_running_or_notify_cancel():
                continue  # nobody waits for it any longer
            try:
                request = self.model.read(job.body, job.header_length)
            except Exception as error:
                job.future.set_exception(error)
                continue
            groups[request.group].append((job, request))
        for group in groups.values():
            for batch in _split(group, self.model.limits.max_images):
                self._compute(batch)

    def _compute(self, batch: list[tuple[_Job, Request]]) -> None:
        requests = [request for _, request in batch]
        images = np.concatenate([request.images for request in requests])
        try:
            found = self.model.compute(images, requests[0])
        except Exception as error:
            if len(batch) > 1:  # the fault may be in one of them alone
                for one in batch:
                    self._compute([one])
            else:
                batch[0][0].future.set_exception(error)
            return
        self._observe(len(images))
        start = 0
        for job, request in batch:
            stop = start + len(request.images)
            part = {name: values[start:stop] for name, values in found.items()}
            start = stop
            try:
                answer = Answer(*self.model.encode(request, part), len(request.images))
            except Exception as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(answer)


def _split(group: list[tuple[_Job, Request]], max_images: int) -> list[list[tuple[_Job, Request]]]:
    batches: list[list[tuple[_Job, Request]]] = []
    n_images = max_images
    for job, request in group:
        n_images += len(request.images)
        if n_images > max_images:
            batches.append([])
            n_images = len(request.images)
        batches[-1].append((job, request))
    return batches

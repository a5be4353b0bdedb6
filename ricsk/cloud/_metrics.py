"""What the service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

__all__ = ["Metrics"]

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters of one service. Their labels are names of what exists here, so they stay few."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "ricsk_requests", "Requests.", ("endpoint", "model", "status"), registry=registry
        )
        self.seconds = Histogram(
            "ricsk_request_seconds", "Time of a request.", ("endpoint", "model"), registry=registry
        )
        self.images = Counter("ricsk_images", "Images answered.", ("model",), registry=registry)
        self.pending = Gauge(
            "ricsk_pending_requests",
            "Requests that are read, wait or are computed.",
            ("model",),
            registry=registry,
        )
        self._batches = Histogram(
            "ricsk_batch_images",
            "Images computed at a time.",
            ("model",),
            buckets=_SIZES,
            registry=registry,
        )

    def count_batch(self, model: str) -> Callable[[int], None]:
        """Make what a model's thread calls with the number of images of each batch."""
        return self._batches.labels(model).observe

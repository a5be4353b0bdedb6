"""What a service takes from a stranger at most."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What a service takes from a stranger at most, in one request and in all.

    Parameters
    ----------
    max_bytes : int
        Bytes of a request.
    max_json_bytes : int
        Bytes of its JSON, which takes some twenty times as much memory when it is read.
    max_images : int
        Images of a request, and of a batch that is computed at a time.
    max_values : int
        Pixel values of the image files in a request, once they are decoded.
    max_pending : int
        Requests that are read, wait or are computed at a time, for each model. Others are told to
        come again.
    read_timeout : float
        Seconds until a request must have arrived.
    timeout : float
        Seconds until it must have been answered. What has begun is computed to its end.

    Examples
    --------
    >>> from ricsk.cloud import Limits
    >>> Limits(max_images=8).max_bytes
    67108864
    """

    max_bytes: int = 2**26
    max_json_bytes: int = 2**24
    max_images: int = 256
    max_values: int = 2**27
    max_pending: int = 64
    read_timeout: float = 30.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"{field.name}={value!r}: expected a number above 0.")

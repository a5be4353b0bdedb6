"""Sizes that images are brought to."""

from __future__ import annotations

from numbers import Integral

from ricsk._secrets import show_value
from ricsk.codecs import MAX_PIXELS

__all__ = ["check_size"]


def check_size(size: tuple[int, int] | None) -> None:
    """Raise ValueError unless `size` is (height, width), of at most MAX_PIXELS, or None."""
    if size is None:
        return
    if (
        not isinstance(size, tuple)
        or len(size) != 2
        or not all(
            isinstance(side, Integral) and not isinstance(side, bool) and side > 0 for side in size
        )
    ):
        raise ValueError(
            f"size={show_value(size)}: expected a tuple (height, width) of two positive integers, "
            "or None to leave the images as they are."
        )
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"size={show_value(size)}: expected at most {MAX_PIXELS:,} pixels in all.")

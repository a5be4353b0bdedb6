"""The values of floating-point images that stand for black to white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["ValueRange"]

# Scikit-learn's digits run from 0 to 16; whole numbers above that are taken for 8-bit values.
_MAX_SMALL_SCALE = 16
# What rounding errors may do to a value, as a part of the range.
_SLACK = 1e-6
# The widths of a range in which whole numbers fall on levels: the divisors of 255.
_WHOLE_WIDTHS = (1.0, 3.0, 5.0, 15.0, 17.0, 51.0, 85.0, 255.0)


@dataclass(frozen=True)
class ValueRange:
    """The interval of floating-point pixel values that stands for black to white.

    Parameters
    ----------
    low, high : float
        Black and white.
    learned : bool
        Whether the interval was read off the fitted images, because they did not lie in [0, 1].
        Later images may then leave it; an interval that was agreed on they may not leave.
    """

    low: float
    high: float
    learned: bool = False

    @classmethod
    def of(cls, pixels: NDArray[Any], value_range: tuple[float, float] | None) -> ValueRange:
        """Find the range of the images that an estimator is fitted on.

        Parameters
        ----------
        pixels : ndarray
            The images; uint8 images always run from 0 to 255 and stand for floats on [0, 1].
        value_range : (float, float) or None
            What the user asked for. None takes [0, 1] where the images lie in it; [0, 255] where
            they hold whole numbers up to 255, and some above 16; and their own smallest and largest
            value otherwise. Around whole numbers the last is widened so that each is a level.

        Raises
        ------
        ValueError
            If `value_range` is not a pair of finite numbers, the smaller first, or if the images
            do not lie in it.

        Examples
        --------
        >>> import numpy as np
        >>> ValueRange.of(np.array([0.2, 0.9]), None)
        ValueRange(low=0.0, high=1.0, learned=False)
        >>> ValueRange.of(np.array([-3.5, 5.0]), None)
        ValueRange(low=-3.5, high=5.0, learned=True)
        >>> ValueRange.of(np.array([0.0, 16.0]), None)
        ValueRange(low=0.0, high=17.0, learned=True)
        """
        if value_range is not None:
            try:
                low, high = (float(value) for value in value_range)
            except (TypeError, ValueError):
                low = high = math.nan
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(
                    f"value_range={value_range!r} is not a pair (low, high) of finite numbers with "
                    "low < high. Give the values of black and white, or None for [0, 1]."
                )
            agreed = cls(low, high)
            agreed.check(pixels)
            return agreed
        if pixels.dtype == np.uint8:
            return cls(0.0, 1.0)
        low, high = float(pixels.min()), float(pixels.max())
        if low >= 0 and high <= 1:
            return cls(0.0, 1.0)
        whole = bool((pixels == np.rint(pixels)).all())
        if whole and low >= 0 and _MAX_SMALL_SCALE < high <= 255:
            return cls(0.0, 255.0)
        span = high - low or 1.0
        if whole and span <= 255:
            span = min(width for width in _WHOLE_WIDTHS if width >= span)
        return cls(low, low + span, learned=True)

    def check(self, pixels: NDArray[Any]) -> None:
        """Refuse floating-point images that leave the range, beyond rounding errors.

        Raises
        ------
        ValueError
            With the values found and what to do about them.
        """
        if pixels.dtype == np.uint8:
            return
        slack = (self.high - self.low) * (1e-3 if pixels.dtype == np.float16 else _SLACK)
        low, high = float(pixels.min()), float(pixels.max())
        if low < self.low - slack or high > self.high + slack:
            raise ValueError(
                f"floating-point images have values from {low:g} to {high:g}, outside of the range "
                f"{self.low:g} to {self.high:g} that they were fitted with. Scale them to it, give "
                "the true range as value_range=(low, high), or pass 8-bit images as uint8."
            )

    def to_uint8(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Round floating-point images to the 256 levels of the range; uint8 passes unchanged."""
        if pixels.dtype == np.uint8:
            return pixels
        self.check(pixels)
        levels = (pixels.astype(np.float64) - self.low) * (255 / (self.high - self.low))
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)

    def from_uint8(self, pixels: NDArray[np.uint8], dtype: DTypeLike) -> NDArray[Any]:
        """Turn the 256 levels back into floating-point values; uint8 passes unchanged.

        On [0, 1] level k is ``k / 255`` as NumPy computes it, so that ``(X * 255).astype(uint8)``
        gives k back.
        """
        if np.dtype(dtype) == np.uint8:
            return pixels
        levels = self.low + np.arange(256) * (self.high - self.low) / 255
        return levels.astype(dtype)[pixels]

    def are_levels(self, pixels: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell of each image whether its values are levels, up to the rounding of their dtype.

        Parameters
        ----------
        pixels : ndarray of shape (n_samples, height, width, channels)
            uint8, which always are, or floating-point images within the range.

        Returns
        -------
        ndarray of shape (n_samples,), bool

        Examples
        --------
        >>> import numpy as np
        >>> images = np.array([7.0, 7.4]).reshape(2, 1, 1, 1) / 255
        >>> ValueRange(0.0, 1.0).are_levels(images)
        array([ True, False])
        """
        if pixels.dtype == np.uint8:
            return np.ones(len(pixels), np.bool_)
        distance = np.abs(pixels - self.from_uint8(self.to_uint8(pixels), pixels.dtype))
        return distance.reshape(len(pixels), -1).max(axis=1) <= _SLACK * (self.high - self.low)

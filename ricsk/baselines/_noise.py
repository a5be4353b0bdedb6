"""Random numbers that are not uniform, from keystreams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ricsk.keys import Keystream

__all__ = ["draw_laplace", "draw_normal"]


def draw_normal(stream: Keystream, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Draw standard normal numbers: the quantiles of uniform ones.

    Parameters
    ----------
    stream : Keystream
        What to draw from.
    shape : tuple of int
        Shape of the array.

    Returns
    -------
    ndarray of float64
        Finite.

    Examples
    --------
    >>> from ricsk import SecretKey
    >>> draw_normal(SecretKey(bytes(32)).keystream("example"), (2,)).round(3)
    array([ 1.303, -0.344])
    """
    # In the middle between two of the numbers that are drawn. The largest is one by rounding.
    uniform = np.minimum(stream.random(shape) + 2.0**-54, 1 - 2.0**-53)
    normal: NDArray[np.float64] = ndtri(uniform)
    return normal


def draw_laplace(stream: Keystream, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Draw numbers of the Laplace distribution with scale 1.

    Parameters
    ----------
    stream : Keystream
        What to draw from.
    shape : tuple of int
        Shape of the array.

    Returns
    -------
    ndarray of float64
        Finite.

    Examples
    --------
    >>> from ricsk import SecretKey
    >>> draw_laplace(SecretKey(bytes(32)).keystream("example"), (2,)).round(3)
    array([ 1.647, -0.313])
    """
    uniform = stream.random(shape)
    # How much of the distribution is beyond, on the nearer side; exact, and never 0.
    beyond = np.where(uniform < 0.5, uniform + 2.0**-54, (1 - uniform) - 2.0**-54)
    laplace: NDArray[np.float64] = np.copysign(np.log(2 * beyond), uniform - 0.5)
    return laplace

"""From pixels, as users have them, to the tensors that networks take, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["from_pixels", "to_pixels", "to_tensor"]


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Turn an array into a tensor, and copy it where torch cannot share its memory.

    The array may be a view in any order, read-only, memory-mapped or of another byte order.

    Parameters
    ----------
    array : ndarray
        Of numbers.

    Returns
    -------
    Tensor
        Of the same shape and type.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.nn import to_tensor
    >>> to_tensor(np.arange(3, dtype=">f4")[::-1])
    tensor([2., 1., 0.])
    """
    native = np.asarray(array, array.dtype.newbyteorder("="))
    # NumPy, unlike torch, calls an array contiguous that goes backwards along an axis of length 1.
    shared = native.flags.carray and min(native.strides, default=0) >= 0
    return torch.from_numpy(native if shared else native.copy(order="C"))


def from_pixels(pixels: Tensor) -> Tensor:
    """Turn channel-last pixels into channel-first floats on [0, 1].

    Parameters
    ----------
    pixels : Tensor of shape (n, height, width, channels)
        uint8, or floats on [0, 1].

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        float32 from uint8; floats keep their type.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import from_pixels
    >>> from_pixels(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)).flatten()
    tensor([0.0000, 0.2000, 1.0000])
    """
    x = pixels.permute(0, 3, 1, 2)
    return x.float() / 255 if pixels.dtype == torch.uint8 else x


def to_pixels(images: Tensor) -> Tensor:
    """Round channel-first images on [0, 1] to channel-last levels.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Floats; values outside [0, 1] become black or white.

    Returns
    -------
    Tensor of uint8, shape (n, height, width, channels)

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn import to_pixels
    >>> to_pixels(torch.tensor([[[[-1.0, 0.2, 1.0]]]])).flatten()
    tensor([  0,  51, 255], dtype=torch.uint8)
    """
    return images.permute(0, 2, 3, 1).mul(255).round().clamp(0, 255).to(torch.uint8)

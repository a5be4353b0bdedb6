"""Square blocks of an image: cut it into them, and put them together again."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from ricsk.images import ImageShape

__all__ = ["from_blocks", "pad_to_blocks", "to_blocks"]


def pad_to_blocks(shape: ImageShape, block_size: int, pad: bool) -> ImageShape:
    """Find the image size that whole blocks fill.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels of an image.
    block_size : int
        Side of the blocks in pixels.
    pad : bool
        Whether the image may be enlarged.

    Returns
    -------
    (int, int, int)
        Height and width, which are multiples of `block_size`, and channels.

    Raises
    ------
    ValueError
        If `pad` is false and the blocks do not fill the image; names the nearest sizes.

    Examples
    --------
    >>> pad_to_blocks((30, 41, 3), 16, pad=True)
    (32, 48, 3)
    """
    height, width, channels = shape
    if height % block_size == 0 and width % block_size == 0:
        return shape
    fewer, more = (
        (step(height / block_size) * block_size, step(width / block_size) * block_size)
        for step in (math.floor, math.ceil)
    )
    if pad:
        return (*more, channels)
    nearest = " or ".join(f"{h}×{w}" for h, w in (fewer, more) if h and w)
    hint = (
        " If each row of X is a flattened image, give its shape: image_shape=(height, width, "
        "channels)."
        if height == 1
        else ""
    )
    raise ValueError(
        f"blocks of {block_size}×{block_size} pixels do not fill images of {height}×{width}. "
        f"Resize them to {nearest}, choose another block_size, or set pad=True.{hint}"
    )


def to_blocks(image: NDArray[Any], block_size: int) -> NDArray[Any]:
    """Cut an image into blocks, row by row.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)
        Height and width are multiples of `block_size`.
    block_size : int
        Side of the blocks in pixels.

    Returns
    -------
    ndarray of shape (n_blocks, block_size, block_size, channels)

    Examples
    --------
    >>> import numpy as np
    >>> to_blocks(np.arange(8).reshape(2, 4, 1), 2)[..., 0].tolist()
    [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    """
    height, width, channels = image.shape
    return (
        image.reshape(height // block_size, block_size, width // block_size, block_size, channels)
        .swapaxes(1, 2)
        .reshape(-1, block_size, block_size, channels)
    )


def from_blocks(blocks: NDArray[Any], shape: ImageShape) -> NDArray[Any]:
    """Undo `to_blocks`.

    Parameters
    ----------
    blocks : ndarray of shape (n_blocks, block_size, block_size, channels)
        Row by row.
    shape : (int, int, int)
        Height, width and channels of the image.

    Returns
    -------
    ndarray of shape (height, width, channels)

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(8).reshape(2, 4, 1)
    >>> bool((from_blocks(to_blocks(image, 2), (2, 4, 1)) == image).all())
    True
    """
    height, width, channels = shape
    side = blocks.shape[1]
    return (
        blocks.reshape(height // side, width // side, side, side, channels)
        .swapaxes(1, 2)
        .reshape(shape)
    )

"""A border under each image that carries its nonce, in squares that JPEG leaves black or white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ricsk.images import ImageShape

__all__ = ["NONCE_BYTES", "count_rows", "draw_border", "read_border"]

NONCE_BYTES = 8

# Pixels of a square: the least that JPEG's chroma subsampling does not blur.
_SIDE = 2


def count_rows(width: int, unit: int) -> int:
    """Count the rows of pixels that a border takes.

    Parameters
    ----------
    width : int
        Of the images, in pixels.
    unit : int
        What the number is a multiple of.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the images are narrower than a square.
    """
    if width < _SIDE:
        raise ValueError(
            f"rows of images have {width} feature(s), and the border that carries an image's nonce "
            f"has squares of {_SIDE}×{_SIDE}. Leave per_image_keys out, or take larger images."
        )
    rows = _SIDE * -(-8 * NONCE_BYTES // (width // _SIDE))
    return unit * -(-rows // unit)


def draw_border(nonces: NDArray[np.uint8], shape: ImageShape) -> NDArray[np.uint8]:
    """Draw nonces as borders: row by row, the highest bit first, black for 0 and white for 1.

    Parameters
    ----------
    nonces : ndarray of shape (n, 8), uint8
        One for each image.
    shape : (int, int, int)
        Rows, columns and channels of a border. What is not needed is black.

    Returns
    -------
    ndarray of shape (n, rows, columns, channels), uint8

    Examples
    --------
    >>> import numpy as np
    >>> nonces = np.arange(16, dtype=np.uint8).reshape(2, 8)
    >>> bool((read_border(draw_border(nonces, (8, 33, 3))) == nonces).all())
    True
    """
    rows, columns, _ = shape
    squares = np.zeros((len(nonces), rows // _SIDE, columns // _SIDE), np.uint8)
    bits = np.unpackbits(nonces, axis=1)
    squares.reshape(len(nonces), -1)[:, : bits.shape[1]] = 255 * bits
    border = np.zeros((len(nonces), *shape), np.uint8)
    drawn = squares.repeat(_SIDE, axis=1).repeat(_SIDE, axis=2)
    border[:, : drawn.shape[1], : drawn.shape[2]] = drawn[..., np.newaxis]
    return border


def read_border(border: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Read nonces from borders, also from such as JPEG has coded.

    Parameters
    ----------
    border : ndarray of shape (n, rows, columns, channels), uint8
        Whatever is in the place of borders.

    Returns
    -------
    ndarray of shape (n, 8), uint8
    """
    n, rows, columns, channels = border.shape
    rows, columns = rows // _SIDE, columns // _SIDE
    squares = border[:, : _SIDE * rows, : _SIDE * columns]
    squares = squares.reshape(n, rows, _SIDE, columns, _SIDE, channels)
    bits = squares.mean(axis=(2, 4, 5)).reshape(n, -1)[:, : 8 * NONCE_BYTES] >= 128
    return np.packbits(bits, axis=1)

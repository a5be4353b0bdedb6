"""The encoder and decoder of RIC, with the weights that ship: by tiles, to bound the memory."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricsk._threads import bounded_threads
from ricsk.nn.ric import REACH, LightRIC
from ricsk.training import load_weights

__all__ = ["Networks", "read_pretrained"]

# Pixels that go through a network at a time, and the height and width of a tile.
_BATCH_PIXELS, _TILE = 1 << 16, 256


def read_pretrained() -> bytes:
    """Read the weights that ship.

    Returns
    -------
    bytes
        In the safetensors format.
    """
    return (files("ricsk") / "weights" / "ric_light.safetensors").read_bytes()


class Networks:
    """The encoder and the decoder as functions of arrays.

    Images are computed tile by tile, each with as much around it as the convolutions see, so that
    the values are those of the whole image.

    The encoder computes in double precision, so that the ciphertext of an image is the same in any
    batch and on every machine. The decoder computes in single precision: a value that lies between
    two levels may be rounded to the other on another machine.

    Parameters
    ----------
    weights : bytes
        Of a `ricsk.nn.ric.LightRIC`, in the safetensors format.
    device : torch.device
        Where to compute; the encoder on the processor, where a device has no double precision.
    """

    def __init__(self, weights: bytes, device: torch.device) -> None:
        has_double = device.type != "mps"
        self.encoder_device = device if has_double else torch.device("cpu")
        self.device = device
        self.encoder = load_weights(LightRIC, weights).double().to(self.encoder_device)
        self.decoder = load_weights(LightRIC, weights).to(device)

    def encode(self, levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Prepare images for mixing.

        Parameters
        ----------
        levels : ndarray of shape (n, height, width, channels), uint8
            Images.

        Returns
        -------
        ndarray of the same shape, float64
            On [0, 1].
        """

        def encode(x: Tensor) -> Tensor:
            x = x.to(self.encoder_device).double() / 255
            return self.encoder.encode(x, x)

        return _apply(encode, levels, np.float64)

    def decode(self, values: NDArray[np.float32], alpha: float) -> NDArray[np.float32]:
        """Remove the noise that rounding has left.

        Parameters
        ----------
        values : ndarray of shape (n, height, width, channels), float32
            What is left when mask and pad are taken off, on [0, 1] and a little beyond.
        alpha : float
            The weight of the mask, which says how much noise there is.

        Returns
        -------
        ndarray of the same shape, float32
        """

        def decode(u: Tensor) -> Tensor:
            u = u.to(self.device)
            return self.decoder.decode(u, torch.full((len(u),), alpha, device=self.device))

        return _apply(decode, values, np.float32)


def _apply(
    function: Callable[[Tensor], Tensor], images: NDArray[Any], dtype: type[np.floating]
) -> NDArray[Any]:
    """Apply a network to images, a few tiles at a time."""
    result = np.empty(images.shape, dtype)
    _, height, width, _ = images.shape
    size = max(1, _BATCH_PIXELS // min(height * width, _TILE**2))
    with torch.inference_mode(), bounded_threads(_BATCH_PIXELS):
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            for rows, given_rows in _cut(height):
                for columns, given_columns in _cut(width):
                    given = images[part, given_rows, given_columns]
                    found = function(torch.from_numpy(np.moveaxis(given, -1, 1).copy()))
                    found = found[:, :, _within(rows, given_rows), _within(columns, given_columns)]
                    result[part, rows, columns] = np.moveaxis(found.cpu().numpy(), 1, -1)
    return result


def _cut(length: int) -> list[tuple[slice, slice]]:
    """Cut an axis into tiles: each with what it is computed from."""
    tiles = (slice(at, min(at + _TILE, length)) for at in range(0, length, _TILE))
    return [
        (tile, slice(max(tile.start - REACH, 0), min(tile.stop + REACH, length))) for tile in tiles
    ]


def _within(tile: slice, given: slice) -> slice:
    return slice(tile.start - given.start, tile.stop - given.start)

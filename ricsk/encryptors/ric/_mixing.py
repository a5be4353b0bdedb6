"""How an image is hidden under a mask, and revealed again when the mask is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricsk.encryptors.ric._training import RIC
from ricsk.keys import SecretKey

__all__ = ["Mixing", "Scrambling"]


class Mixing:
    r"""The mixture :math:`y = (1 - \alpha)\, S(E(x)) + \alpha\, z` of an image x and a mask z.

    E is an encoder, S scrambles, and a decoder D gives
    :math:`D(S^{-1}((y - \alpha z) / (1 - \alpha)))`. Any other way to hide an image in a mask, with
    the same two methods, can stand in this place.

    Parameters
    ----------
    key : SecretKey
        Of the scrambling.
    network : LightRIC or PublishedRIC
        Encoder and decoder, in float64.
    alpha : float
        The weight of the mask.
    scramble : bool
        Whether S permutes and negates values; the identity otherwise.
    """

    def __init__(self, key: SecretKey, network: RIC, alpha: float, scramble: bool) -> None:
        self.network = network
        self.alpha = alpha
        self.scrambling = Scrambling(key) if scramble else None

    def hide(
        self, levels: NDArray[np.uint8], masks: NDArray[np.uint8], nonces: Sequence[bytes]
    ) -> NDArray[np.float64]:
        """Hide images under masks: eq. (5) of the paper, with the scrambling.

        Parameters
        ----------
        levels, masks : ndarray of shape (n, height, width, channels), uint8
            Images and masks.
        nonces : sequence of bytes
            One for each image.

        Returns
        -------
        ndarray of the same shape, float64
            Levels on 0..255, before rounding.
        """
        with torch.inference_mode():
            x, z = _to_tensor(levels / 255), _to_tensor(masks / 255)
            encoded = self.network.encode(x, z).permute(0, 2, 3, 1).numpy()
        if self.scrambling is not None:
            encoded = self.scrambling.apply(encoded, nonces)
        return np.clip((1 - self.alpha) * 255 * encoded + self.alpha * masks, 0, 255)

    def reveal(
        self, levels: NDArray[np.uint8], masks: NDArray[np.number], nonces: Sequence[bytes]
    ) -> NDArray[np.float64]:
        """Take masks off, undo the scrambling and decode: eqs. (9) and (10) of the paper.

        Parameters
        ----------
        levels : ndarray of shape (n, height, width, channels), uint8
            Ciphertexts; or a single one, (height, width, channels), for many masks.
        masks : ndarray of shape (n, height, width, channels)
            Masks, as levels.
        nonces : sequence of bytes
            One for each ciphertext.

        Returns
        -------
        ndarray of shape (n, height, width, channels), float64
            Levels on 0..255, before rounding.
        """
        hidden = (levels - self.alpha * masks.astype(np.float64)) / (255 * (1 - self.alpha))
        if self.scrambling is not None:
            hidden = self.scrambling.undo(hidden, nonces)
        with torch.inference_mode():
            weights = torch.full((len(hidden),), self.alpha, dtype=torch.float64)
            x = self.network.decode(_to_tensor(hidden), weights)
        return 255 * x.permute(0, 2, 3, 1).clamp(0, 1).numpy()


class Scrambling:
    """A permutation and negation of all values of an image, drawn from key and nonce.

    Parameters
    ----------
    key : SecretKey
        The key.
    """

    def __init__(self, key: SecretKey) -> None:
        self.key = key

    def apply(self, values: NDArray[np.float64], nonces: Sequence[bytes]) -> NDArray[np.float64]:
        """Scramble images.

        Parameters
        ----------
        values : ndarray of shape (n, ...)
            Values on [0, 1].
        nonces : sequence of bytes
            One for each image.

        Returns
        -------
        ndarray of the same shape
        """
        flat = values.reshape(len(values), -1)
        order, negated = self._draw(nonces, flat.shape[1])
        flat = np.take_along_axis(flat, order, axis=1)
        return np.where(negated, 1 - flat, flat).reshape(values.shape)

    def undo(self, values: NDArray[np.float64], nonces: Sequence[bytes]) -> NDArray[np.float64]:
        """Undo `apply`.

        Parameters
        ----------
        values : ndarray of shape (n, ...)
            Scrambled values.
        nonces : sequence of bytes
            One for each image, or a single one for all.

        Returns
        -------
        ndarray of the same shape
        """
        flat = values.reshape(len(values), -1)
        order, negated = self._draw(nonces, flat.shape[1])
        shown = np.empty_like(flat)
        np.put_along_axis(shown, order, np.where(negated, 1 - flat, flat), axis=1)
        return shown.reshape(values.shape)

    def _draw(
        self, nonces: Sequence[bytes], n_values: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Draw where each value comes from, and whether it is negated, (n, n_values) both."""
        streams = [self.key.keystream("ric/scramble", nonce) for nonce in nonces]
        orders = np.stack([stream.permutation(n_values) for stream in streams])
        signs = np.stack([stream.integers(2, n_values) for stream in streams])
        return orders, signs == 1


def _to_tensor(values: NDArray[np.float64]) -> Tensor:
    """Make a tensor with the channels first."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1)))

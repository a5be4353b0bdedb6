"""How an image is hidden under a pad and a mask, and revealed again with the key.

All is done in whole numbers, which are the same on every machine. The encoder's image, or the image
itself where the networks lose more than they gain, is taken in sixteenths of a level, and a guard
band of g levels is left free below and above the 256 levels, so that there are 16 · M values, with
M = 256 + 2g. The pad k of an image is uniform on them:

    u = (16 · (v + g) + k) mod 16 · M

is uniform, whatever the image v is. The ciphertext is

    y = round((1 − a) · u · 255 / (16 · M) + a · mask)

with a the nearest multiple of 2⁻¹⁶ to α. Rounding moves u by up to half a level, divided by 1 − a,
and writing the header by up to a level: that is what the guard band is for. Without it, the black
of an image could come back white.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricsk.encryptors.ric._networks import Networks
from ricsk.keys import Keystream, SecretKey
from ricsk.nae import Draw, round_through

__all__ = ["MAX_ALPHA", "Mixing", "draw_mixture", "guard_band"]

MAX_ALPHA = 0.98
"""The largest weight of the mask: beyond it the guard band is wider than the levels."""

_STEPS = 16
_ONE = 1 << 16
# Values that are computed on at a time.
_PART = 1 << 19


def guard_band(alpha: float) -> int:
    """Return how many levels are left free on both sides of the 256.

    Rounding and the header move a ciphertext by one level at most. So the largest error of recovery
    is M / 255 / (1 − alpha) levels, and g is the least number that is as large.

    Parameters
    ----------
    alpha : float
        The weight of the mask, from 0 to `MAX_ALPHA`.

    Returns
    -------
    int

    Examples
    --------
    >>> [guard_band(alpha) for alpha in (0.5, 0.8, 0.9)]
    [3, 6, 11]
    """
    weight = _weight(alpha)
    return -(-256 * _ONE // (255 * (_ONE - weight) - 2 * _ONE))


def draw_mixture(alpha: float) -> Draw:
    """Return what a template goes through: a mixture with what a pad makes of any image.

    Parameters
    ----------
    alpha : float
        The weight of the mask.

    Returns
    -------
    callable
        See `ricsk.nae.find_template`.
    """

    def draw(template: Tensor, n: int, generator: torch.Generator) -> Tensor:
        u = torch.rand((n, *template.shape), generator=generator).mul_(255).to(template.device)
        return round_through(u.mul_(1 - alpha) + alpha * round_through(template))

    return draw


class Mixing:
    r"""The mixture :math:`y = (1 - \alpha)\, u + \alpha\, z` of a padded image u and a mask z.

    See the module's docstring for the numbers. An encoder E prepares the image, and a decoder
    removes what rounding leaves.

    Parameters
    ----------
    key : SecretKey
        Of the pads.
    settings : bytes
        All that changes the scheme, as `ricsk.keys.encode_context` encodes it.
    networks : Networks
        Encoder and decoder.
    alpha : float
        The weight of the mask.
    """

    def __init__(self, key: SecretKey, settings: bytes, networks: Networks, alpha: float) -> None:
        self.key = key
        self.settings = settings
        self.networks = networks
        self.alpha = alpha
        self.guard = guard_band(alpha)
        self.n_values = _STEPS * (256 + 2 * self.guard)

    def prepare(self, levels: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Encode images, but those that come back better without encoder and decoder.

        The networks know how images look. Of those that look otherwise, such as noise, they can
        lose more than rounding does, so they are tried.

        Parameters
        ----------
        levels : ndarray of shape (n, height, width, channels), uint8
            Images.

        Returns
        -------
        prepared : ndarray of the same shape, int16
            What to hide, in sixteenths of a level.
        coded : ndarray of shape (n,), bool
            Which images were encoded.
        """
        encoded = np.rint(255 * _STEPS * self.networks.encode(levels)).astype(np.int16)
        # As large as that of rounding, and the same for every image.
        noise = np.random.default_rng(0).random(levels.shape[1:], np.float32) - np.float32(0.5)
        noise *= np.float32((256 + 2 * self.guard) / 255**2 / (1 - self.alpha))
        decoded = self.networks.decode(encoded / np.float32(255 * _STEPS) + noise, self.alpha)
        decoded -= levels / np.float32(255)
        errors = np.square(decoded, out=decoded).mean(axis=(1, 2, 3))
        coded = errors < np.square(noise).mean()
        prepared = _STEPS * levels.astype(np.int16)
        prepared[coded] = encoded[coded]
        return prepared, coded

    def hide(
        self, prepared: NDArray[np.int16], masks: NDArray[np.uint8], nonces: Sequence[bytes]
    ) -> NDArray[np.float64]:
        """Hide images under pads and masks.

        Parameters
        ----------
        prepared : ndarray of shape (n, height, width, channels), int16
            Images, as `prepare` made them.
        masks : ndarray of the same shape, uint8
            Masks.
        nonces : sequence of bytes
            One for each image.

        Returns
        -------
        ndarray of the same shape, float64
            Levels on 0..255, before rounding.
        """
        exact = np.empty(prepared.shape)
        weight = _weight(self.alpha)
        for values, image, mask, nonce in zip(exact, prepared, masks, nonces, strict=True):
            pad = self._open_pad(nonce)
            for part in _split(values.size):
                v = image.reshape(-1)[part].astype(np.int64) + _STEPS * self.guard
                u = (v + pad.integers(self.n_values, v.size)) % self.n_values
                z = mask.reshape(-1)[part].astype(np.int64)
                mixed = (_ONE - weight) * 255 * u + weight * self.n_values * z
                values.reshape(-1)[part] = mixed / (_ONE * self.n_values)
        return exact

    def reveal(
        self,
        levels: NDArray[np.uint8],
        masks: NDArray[np.uint8],
        nonces: Sequence[bytes],
        coded: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Take masks and pads off, and decode.

        Parameters
        ----------
        levels, masks : ndarray of shape (n, height, width, channels), uint8
            Ciphertexts and masks.
        nonces : sequence of bytes
            One for each ciphertext.
        coded : ndarray of shape (n,), bool
            Which images were encoded.

        Returns
        -------
        ndarray of shape (n, height, width, channels), float32
            Levels on 0..255 and a little beyond, before rounding.
        """
        weight = _weight(self.alpha)
        hidden = np.empty(levels.shape, np.float32)
        for values, level, mask, nonce in zip(hidden, levels, masks, nonces, strict=True):
            pad = self._open_pad(nonce)
            for part in _split(values.size):
                y = level.reshape(-1)[part].astype(np.int64)
                z = mask.reshape(-1)[part].astype(np.int64)
                u = (_ONE * y - weight * z) * self.n_values / (255 * (_ONE - weight))
                padded = (u - pad.integers(self.n_values, y.size)) % self.n_values
                values.reshape(-1)[part] = padded / _STEPS - self.guard
        if coded.any():
            hidden[coded] = 255 * self.networks.decode(hidden[coded] / np.float32(255), self.alpha)
        return hidden

    def _open_pad(self, nonce: bytes) -> Keystream:
        return self.key.keystream("ric/pad", self.settings + nonce)


def _split(n: int) -> list[slice]:
    """Split so many values into parts, to bound the memory."""
    return [slice(start, start + _PART) for start in range(0, n, _PART)]


def _weight(alpha: float) -> int:
    """Bring a weight to whole parts of 2¹⁶."""
    return round(alpha * _ONE)

"""Known plaintexts against schemes that permute, negate or mix values linearly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge, RidgeCV

from ricsk.attacks._base import Adversary, BaseAttack
from ricsk.attacks._found_map import FoundMap

__all__ = ["LinearAttack"]

# More pairs cost the cube of their number, and change little.
_MAX_PAIRS = 3000
_PENALTIES = tuple(10.0**power for power in range(-3, 6))


class LinearAttack(BaseAttack):
    r"""Solve for the map from ciphertexts to images, from known plaintexts of one key.

    EtC, PE, LE and ELE undergo, whatever the key, a permutation of bytes or nibbles and an XOR with
    a mask. Each value of an image then keeps, over the pairs, its series of differences, by which
    it is found in the ciphertext: some dozens of photographs give thousands of places. Values that
    are not found in this way, because the scheme is another or the ciphertexts were compressed, are
    estimated by ridge regression on the bytes and nibbles of the whole ciphertext, with the
    penalty that does best in leave-one-out cross-validation.

    Read more in the :ref:`User Guide <guide-security>`.

    Attributes
    ----------
    adversary : Adversary
        A known-plaintext adversary.
    found_map_ : FoundMap
        Where each value of an image is in the ciphertext, and its mask.
    n_found_ : int
        How many values of an image are read off the ciphertext bit for bit.
    n_ambiguous_ : int
        How many of them have the same series as another one, so that they may be mistaken for it.
        More, or more varied, pairs tell them apart.
    ridge_ : RidgeCV or None
        The regression, where some values are not found.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    See Also
    --------
    FRAttack : Reads the map off chosen plaintexts.
    KnownPlaintextAttack : A network, for maps that are not linear.

    Notes
    -----
    Two differing values agree in the series of n pairs of noise with a probability of
    :math:`256^{1 - n}`, or :math:`16^{1 - n}` for nibbles. Neighbouring values of photographs take
    a few pairs more.

    Examples
    --------
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.attacks import LinearAttack
    >>> from ricsk.datasets import make_street_numbers
    >>> X, _ = make_street_numbers(60, random_state=0)
    >>> C = EtCEncryptor(SecretKey.generate(), block_size=4).fit_transform(X)
    >>> attack = LinearAttack().fit(C[:50], X[:50])
    >>> attack.n_found_, attack.n_ambiguous_
    (3072, 0)
    >>> bool((attack.reconstruct(C[50:]) == X[50:]).all())
    True
    """

    adversary = Adversary(pairs=True)

    found_map_: FoundMap
    n_found_: int
    n_ambiguous_: int
    ridge_: Ridge | None

    def _fit(self, ciphertexts: NDArray[np.uint8], plaintexts: NDArray[np.uint8]) -> None:
        self.found_map_ = FoundMap.of(plaintexts, ciphertexts)
        self.n_found_ = int(self.found_map_.found.sum())
        self.n_ambiguous_ = self.found_map_.n_ambiguous
        self.ridge_ = None
        if not self.found_map_.found.all():
            targets = plaintexts.reshape(len(plaintexts), -1)[:_MAX_PAIRS, ~self.found_map_.found]
            self.ridge_ = RidgeCV(_PENALTIES).fit(
                _extract_features(ciphertexts[:_MAX_PAIRS]), targets
            )

    def _reconstruct(self, ciphertexts: NDArray[np.uint8], *_: Any) -> NDArray[np.uint8]:
        flat = self.found_map_.undo(ciphertexts)
        if self.ridge_ is not None:
            guessed = self.ridge_.predict(_extract_features(ciphertexts)).reshape(len(flat), -1)
            flat[:, ~self.found_map_.found] = np.rint(guessed).clip(0, 255).astype(np.uint8)
        return flat.reshape(len(flat), *self.image_shape_)


def _extract_features(ciphertexts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Take bytes and high nibbles, on [0, 1]; the low nibbles are a linear function of these."""
    flat = ciphertexts.reshape(len(ciphertexts), -1)
    return np.concatenate([flat / 255, (flat >> 4) / 15], axis=1).astype(np.float32)

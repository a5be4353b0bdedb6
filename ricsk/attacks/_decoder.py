"""What everybody reads where there is no key."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk.attacks._base import Adversary, BaseAttack
from ricsk.base import BaseImageEncryptor, get_encryptor_tags

__all__ = ["DecoderAttack"]


class DecoderAttack(BaseAttack):
    """Decode with what everybody has: a scheme that brings images back and has no key.

    The algorithm is known to everybody (Kerckhoffs's principle), and so are the weights of a
    network that goes to every client. Without a key nothing is left to find out. It cannot be run
    against schemes with a key, or without a way back.

    Attributes
    ----------
    adversary : Adversary
        Ciphertexts only.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    See Also
    --------
    BruteForceAttack : The same with a list of keys.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk.attacks import DecoderAttack
    >>> from ricsk.baselines import LSBEncryptor
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.metrics import ssim
    >>> X, y = load_digits(size=16)
    >>> encryptor = LSBEncryptor(LogisticRegression(max_iter=1000)).fit(X[:500], y[:500])
    >>> C = encryptor.transform(X[500:520])
    >>> attack = DecoderAttack().fit(C, encryptor=encryptor)
    >>> bool(ssim(X[500:520], attack.reconstruct(C)).min() > 0.9)
    True
    """

    adversary = Adversary()

    def _learn(self, used: dict[str, Any], encryptor: BaseImageEncryptor | None) -> None:
        if encryptor is None:
            raise ValueError(
                "DecoderAttack needs encryptor: what it decodes with is part of the known "
                "algorithm. Pass it to fit."
            )
        self._encryptor: Any = encryptor
        super()._learn(used, encryptor)

    def _fit(self, ciphertexts: NDArray[np.uint8]) -> None:
        pass

    def _reconstruct(self, ciphertexts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = self._encryptor.inverse_transform(ciphertexts)
        return images.reshape(-1, *self.image_shape_)

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        tags = get_encryptor_tags(encryptor)
        if tags.keyed:
            return "it has a key, without which nothing is decoded."
        if not tags.recoverable:
            return "it has no inverse_transform, so nothing decodes its ciphertexts."
        return None

"""Learning the way back from pairs of ciphertexts and images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ricsk._docs import fill_in
from ricsk.attacks._base import Adversary
from ricsk.attacks._network import FITTED, TRAINING, NetworkAttack
from ricsk.nn import UNet

__all__ = ["KnownPlaintextAttack"]


@fill_in(training=TRAINING, fitted=FITTED)
class KnownPlaintextAttack(NetworkAttack):
    """Train a U-Net on pairs of ciphertexts and images, and let it look at other ciphertexts.

    The attack of section 6 of the RIC paper [1]_, with a network that every adversary of today
    would take: it can move pixels across the whole image (see `ricsk.nn.UNet`), and its range is
    that of images. It is asked for the mean absolute error and the structural similarity. It needs
    to know nothing of the scheme, and says little where it fails: more pairs, steps or thought may
    succeed.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    {training}

    Attributes
    ----------
    adversary : Adversary
        Known plaintexts, same key.
    {fitted}

    References
    ----------
    .. [1] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023.

    Examples
    --------
    >>> from ricsk.attacks import KnownPlaintextAttack
    >>> attack = KnownPlaintextAttack(random_state=0)
    >>> print(attack.adversary)
    known plaintexts, same key

    ``attack.fit(C, X).reconstruct(others)`` trains it and guesses the images behind other
    ciphertexts.
    """

    adversary = Adversary(pairs=True)

    def _build(self, width: int) -> UNet:
        return UNet(self.ciphertext_shape_, self.image_shape_, width=width)

    def _fit(self, ciphertexts: NDArray[np.uint8], plaintexts: NDArray[np.uint8]) -> None:
        self._train(ciphertexts, plaintexts)

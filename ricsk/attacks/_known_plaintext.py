"""Learning the way back from pairs of ciphertexts and images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ricsk.attacks._base import Adversary
from ricsk.attacks._network import NetworkAttack
from ricsk.nn import UNet

__all__ = ["KnownPlaintextAttack"]


class KnownPlaintextAttack(NetworkAttack):
    """Train a U-Net on pairs of ciphertexts and images, and let it look at other ciphertexts.

    The attack of section 6 of the RIC paper [1]_, with a network that every adversary of today
    would take: it can move pixels across the whole image (see `ricsk.nn.UNet`), and its range is
    that of images. It is asked for the mean absolute error and the structural similarity. It needs
    to know nothing of the scheme, and says little where it fails: more pairs, steps or thought may
    succeed.

    Parameters
    ----------
    budget : {"quick", "thorough"} or int, default="quick"
        400 steps of a network of 32 channels, about a minute for images of 32 × 32 pixels on one
        core; 10,000 steps of 64 channels, for a GPU or a night; or a number of steps of the first.
        A step takes 32 pairs.
    random_state : int, RandomState or None
        Of weights and the order of pairs.
    verbose : int, default=0
        Whether to show the progress of the training.
    device : str, default="auto"
        Where to train: "auto" for a CUDA device if there is one.

    Attributes
    ----------
    adversary : Adversary
        Known plaintexts, same key.
    module_ : torch.nn.Module
        The network.
    loss_ : float
        Its mean loss in the last epoch.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

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

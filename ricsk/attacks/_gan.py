"""Learning the way back without pairs: a generator that a discriminator cannot tell from images."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from ricsk._docs import fill_in
from ricsk.attacks._adversarial import AdversarialAttack, OnUnitRange
from ricsk.attacks._base import Adversary
from ricsk.attacks._network import FITTED, TRAINING, NetworkAttack
from ricsk.nn import BlockCNN, UNet
from ricsk.nn.gan import PixelCNN

__all__ = ["GANAttack"]


@fill_in(training=TRAINING, fitted=FITTED)
class GANAttack(AdversarialAttack):
    """Train a generator from ciphertexts to images against a discriminator, without any pair.

    The adversary has many ciphertexts of one key and images of the same kind. What the generator
    makes of ciphertexts must look like such images; that it shows the hidden ones is a hope, and
    comes true where it cannot do otherwise than to undo the encryption. This is the attack behind
    the tables of [1]_, whose generators see single blocks or pixels, in any place the same.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    generator : {"block", "pixel", "unet"}, default="block"
        "block" is the published one for LE, ELE and EtC: the same function of every block, see
        `ricsk.nn.BlockCNN`. "pixel" is the published one for PE: the same function of every pixel,
        which cannot undo what a key does to some pixels only. "unet" is that of
        `KnownPlaintextAttack`, which can undo anything, and may invent images instead. A scheme
        that holds against the first two is not shown to hold.
    block_size : int, default=4
        Side of the blocks of "block", in pixels.
    {training}

    Attributes
    ----------
    adversary : Adversary
        Public images.
    {fitted}

    Notes
    -----
    As published: cross-entropy and Adam with a rate of 2e-4 and β₁ = 0.5. The discriminator
    differs: it ends in a linear layer on the whole image, so that it takes images of any size and
    knows what belongs in which place.

    References
    ----------
    .. [1] H. Ito, Y. Kinoshita, M. AprilPyone and H. Kiya, "Image to perturbation: an image
       transformation network for generating visually protected images for privacy-preserving deep
       neural networks", IEEE Access 9, 2021.

    Examples
    --------
    >>> from ricsk.attacks import GANAttack
    >>> print(GANAttack(random_state=0).adversary)
    public images

    ``attack.fit(C, public_images=P)`` trains it, and ``attack.reconstruct(C)`` guesses the images
    behind ciphertexts of the same key.
    """

    adversary = Adversary(public_images=True)
    _rates = (2e-4, 2e-4)
    _betas = (0.5, 0.999)
    _sizes = ("generator", "block_size")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkAttack._parameter_constraints,
        "generator": [StrOptions({"block", "pixel", "unet"})],
        "block_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        generator: Literal["block", "pixel", "unet"] = "block",
        *,
        block_size: int = 4,
        budget: Literal["quick", "thorough"] | int = "quick",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(budget, random_state=random_state, verbose=verbose, device=device)
        self.generator = generator
        self.block_size = block_size

    def _build(self, width: int, generator: str = "block", block_size: int = 4) -> nn.Module:
        if generator == "unet":
            return UNet(self.body_shape_, width=width)
        if generator == "pixel":
            return OnUnitRange(PixelCNN(self.body_shape_[2]))
        return OnUnitRange(BlockCNN(self.body_shape_, block_size))

    def _fit(self, ciphertexts: NDArray[np.uint8], public_images: NDArray[np.uint8]) -> None:
        self._train_unpaired(ciphertexts, public_images)

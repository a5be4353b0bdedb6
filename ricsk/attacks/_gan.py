"""Learning the way back without pairs: a generator that a discriminator cannot tell from images."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from ricsk.attacks._base import Adversary
from ricsk.attacks._network import NetworkAttack
from ricsk.base import BaseImageEncryptor
from ricsk.nn import BlockCNN, UNet
from ricsk.nn.gan import Discriminator, PixelCNN

__all__ = ["AdversarialAttack", "GANAttack", "OnUnitRange"]

_BATCH = 64


class AdversarialAttack(NetworkAttack):
    """Base of attacks that train a generator against a discriminator, on images without pairs.

    A subclass overrides `_build` as for `NetworkAttack`, says its losses and optimizers, and may
    add to the loss of the generator.
    """

    _rates: ClassVar[tuple[float, float]]
    """Learning rates of generator and discriminator."""
    _betas: ClassVar[tuple[float, float]]
    """The decay rates of Adam."""

    def _losses(self, real: Tensor, fake: Tensor) -> Tensor:
        """Compute the loss of the discriminator from its logits."""
        raise NotImplementedError

    def _realness(self, fake: Tensor) -> Tensor:
        """Compute the loss of the generator from the discriminator's logits."""
        raise NotImplementedError

    def _prepare(self, device: str) -> None:
        """Build what else is trained; called with the seed of the training set."""

    def _extra(self, found: Tensor, chosen: Tensor) -> Tensor | float:
        """Compute what is added to the loss of the generator.

        Parameters
        ----------
        found : Tensor of shape (n, channels, height, width)
            What the generator makes of some ciphertexts, on [0, 1].
        chosen : Tensor of shape (n,), int64
            Which ciphertexts they are.
        """
        return 0.0

    def _train_unpaired(
        self, ciphertexts: NDArray[np.uint8], public_images: NDArray[np.uint8]
    ) -> None:
        """Train for the steps of the budget; sets `module_` and `loss_`."""
        effort = self._effort()
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        device = self._device()
        hidden, public = (torch.from_numpy(images) for images in (ciphertexts, public_images))
        # All randomness is drawn on the CPU, so that a seed means the same on every device.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.module_ = self._build(effort.width).to(device)
            judge = Discriminator(self.image_shape_, effort.width).to(device)
            self._prepare(device)
            ours, theirs = (
                torch.optim.Adam(network.parameters(), rate, self._betas)
                for network, rate in zip((self.module_, judge), self._rates, strict=True)
            )
            generate = self._scaled(self.module_).train()
            for _ in trange(effort.n_steps, disable=not self.verbose):
                chosen = torch.randint(len(hidden), (_BATCH,))
                real = _on_symmetric_range(public[torch.randint(len(public), (_BATCH,))]).to(device)
                found = generate(hidden[chosen].to(device))
                fake = 2 * found - 1

                theirs.zero_grad()
                self._losses(judge(real), judge(fake.detach())).backward()
                theirs.step()

                ours.zero_grad()
                loss = self._realness(judge(fake)) + self._extra(found, chosen)
                loss.backward()
                ours.step()
        self.module_.eval()
        self.loss_ = float(loss.detach())

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        if encryptor.ciphertext_shape_ != encryptor.image_shape_in_:
            return "its ciphertexts have another shape than its images."
        return None


class GANAttack(AdversarialAttack):
    """Train a generator from ciphertexts to images against a discriminator, without any pair.

    The adversary has many ciphertexts of one key and images of the same kind. What the generator
    makes of ciphertexts must look like such images; that it shows the hidden ones is a hope, and
    comes true where it cannot do otherwise than to undo the encryption. This is the attack behind
    the tables of [1]_, whose generators see single blocks or pixels, in any place the same.

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
    budget, random_state, verbose, device
        As for `KnownPlaintextAttack`. A step takes 64 ciphertexts and 64 images.

    Attributes
    ----------
    adversary : Adversary
        Public images.
    module_ : torch.nn.Module
        The generator.
    loss_ : float
        Its loss in the last step, which says little.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

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

    def _build(self, width: int) -> nn.Module:
        if self.generator == "unet":
            return UNet(self.ciphertext_shape_, width=width)
        if self.generator == "pixel":
            return OnUnitRange(PixelCNN(self.ciphertext_shape_[2]))
        return OnUnitRange(BlockCNN(self.ciphertext_shape_, self.block_size))

    def _fit(self, ciphertexts: NDArray[np.uint8], public_images: NDArray[np.uint8]) -> None:
        self._train_unpaired(ciphertexts, public_images)

    def _losses(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def _realness(self, fake: Tensor) -> Tensor:
        return F.softplus(-fake).mean()


class OnUnitRange(nn.Module):
    """A network from and to images on [−1, 1], for those that have images on [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Compute images on [0, 1] from images on [0, 1]."""
        return (self.network(2 * x - 1) + 1) / 2


def _on_symmetric_range(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1

"""Base of the attacks that train a generator against a discriminator."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from ricsk._threads import bounded_threads
from ricsk.attacks._base import find_body_shape
from ricsk.attacks._network import NetworkAttack
from ricsk.base import BaseImageEncryptor
from ricsk.nn import from_pixels, to_tensor
from ricsk.nn.gan import Discriminator

__all__ = ["AdversarialAttack", "Guide", "OnUnitRange"]

_BATCH = 64


class Guide:
    """What else than a discriminator says which images the generator is to make."""

    def build(self, device: torch.device) -> None:
        """Build what is needed on the device; called with the randomness of the training."""
        raise NotImplementedError

    def loss(self, found: Tensor, chosen: Tensor) -> Tensor:
        """Compute what is added to the loss of the generator.

        Parameters
        ----------
        found : Tensor of shape (n, channels, height, width)
            What the generator makes of some ciphertexts, on [0, 1].
        chosen : Tensor of shape (n,), int64
            Which ciphertexts they are.

        Returns
        -------
        Tensor of shape ()
        """
        raise NotImplementedError


class AdversarialAttack(NetworkAttack):
    """Base of attacks that train a generator against a discriminator, on images without pairs.

    A subclass overrides `_build` as for `NetworkAttack`, says the settings of its optimizers, and
    may have other losses than those of [1]_.

    References
    ----------
    .. [1] I. Goodfellow et al., "Generative adversarial nets", NeurIPS, 2014, section 3, with the
       generator's loss that does not saturate.
    """

    _reads_borders = False
    _rates: ClassVar[tuple[float, float]]
    """Learning rates of generator and discriminator."""
    _betas: ClassVar[tuple[float, float]]
    """The decay rates of Adam."""

    def _judge(self, real: Tensor, fake: Tensor) -> Tensor:
        """Compute the loss of the discriminator from its logits."""
        return (F.softplus(-real) + F.softplus(fake)).mean()

    def _deceive(self, fake: Tensor) -> Tensor:
        """Compute the loss of the generator from the discriminator's logits."""
        return F.softplus(-fake).mean()

    def _generate(self, x: Tensor) -> tuple[Tensor, Tensor | float]:
        """Make images of ciphertexts, both on [0, 1], and what is added to the loss."""
        return self.module_(x), 0.0

    def _train_unpaired(
        self,
        ciphertexts: NDArray[np.uint8],
        public_images: NDArray[np.uint8],
        guide: Guide | None = None,
    ) -> None:
        """Train for the steps of the budget; sets `module_` and `loss_`."""
        device, randomness = self._begin()
        effort = self._effort()
        hidden, public = to_tensor(ciphertexts), to_tensor(public_images)
        n_values = _BATCH * math.prod(self.image_shape_)
        with randomness, bounded_threads(n_values):
            generator = self.module_.to(device)
            discriminator = Discriminator(self.image_shape_, effort.width).to(device)
            if guide is not None:
                guide.build(device)
            ours, theirs = (
                torch.optim.Adam(network.parameters(), rate, self._betas)
                for network, rate in zip((generator, discriminator), self._rates, strict=True)
            )
            for _ in trange(effort.n_steps, disable=not self.verbose):
                chosen = torch.randint(len(hidden), (_BATCH,))
                public_chosen = torch.randint(len(public), (_BATCH,))
                real = from_pixels(public[public_chosen].to(device))
                found, extra = self._generate(from_pixels(hidden[chosen].to(device)))

                theirs.zero_grad()
                on_real = discriminator(2 * real - 1)
                on_fake = discriminator(2 * found.detach() - 1)
                self._judge(on_real, on_fake).backward()
                theirs.step()

                ours.zero_grad()
                loss = self._deceive(discriminator(2 * found - 1)) + extra
                if guide is not None:
                    loss = loss + guide.loss(found, chosen)
                loss.backward()
                ours.step()
        generator.eval()
        self.loss_ = float(loss.detach())

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        if find_body_shape(encryptor) != encryptor.image_shape_in_:
            return "its ciphertexts have another shape than its images."
        return None


class OnUnitRange(nn.Module):
    """A network from and to images on [−1, 1], for those that have images on [0, 1].

    Parameters
    ----------
    network : torch.nn.Module
        The network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Compute images on [0, 1] from images on [0, 1]."""
        return (self.network(2 * x - 1) + 1) / 2

"""SIA-GAN: a generator that treats every block in its place, trained without pairs."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from ricsk._docs import fill_in
from ricsk.attacks._adversarial import AdversarialAttack, Guide, OnUnitRange
from ricsk.attacks._base import Adversary
from ricsk.attacks._network import FITTED, TRAINING, NetworkAttack
from ricsk.nn import build, from_pixels, to_tensor
from ricsk.nn.gan import PlacewiseCNN

__all__ = ["SIAGANAttack"]


@fill_in(training=TRAINING, fitted=FITTED)
class SIAGANAttack(AdversarialAttack):
    """Train a generator with weights of its own for every block, without any pair.

    The scrambling-inversion attack of [1]_: as `GANAttack`, but the first layer treats every block
    in its place differently, as a key does, and convolutions over the whole image follow. It can
    undo any scrambling within blocks, also where each block has its own.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    block_size : int, default=4
        Side of the blocks in pixels; 1 against pixelwise encryption.
    label_weight : float, default=0.0
        Weight of the classes. Above 0 the adversary knows the class of each ciphertext, and what
        the generator makes of it must be of that class for a classifier that is trained on public
        images at the same time.
    {training}

    Attributes
    ----------
    adversary : Adversary
        Public images; and labels, if they have a weight.
    {fitted}

    Notes
    -----
    As published: the hinge loss, spectral normalization, Adam with β = (0, 0.9), and a
    discriminator that learns four times as fast as the generator. The rates, 4e-4 and 1.6e-3, are
    four times the published ones and the generator is narrower, because budgets are smaller; the
    classifier differs, which is `ricsk.CNNClassifier`'s network. With the quick budget the attack
    finds a picture of the class where it has labels. Without, what it shows of LE and PE tells some
    images apart, often as negatives, and of schemes that move blocks it shows nothing.

    References
    ----------
    .. [1] K. Madono, M. Tanaka, M. Onishi and T. Ogawa, "SIA-GAN: scrambling inversion attack using
       generative adversarial network", IEEE Access 9, 2021, doi:10.1109/ACCESS.2021.3112684.

    Examples
    --------
    >>> from ricsk.attacks import SIAGANAttack
    >>> print(SIAGANAttack(random_state=0).adversary)
    public images
    >>> print(SIAGANAttack(label_weight=1.0).adversary)
    public images, labels

    ``attack.fit(C, public_images=P)`` trains it, and ``attack.reconstruct(C)`` guesses the images
    behind ciphertexts of the same key.
    """

    _rates = (4e-4, 1.6e-3)
    _betas = (0.0, 0.9)
    _sizes = ("block_size",)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkAttack._parameter_constraints,
        "block_size": [Interval(Integral, 1, None, closed="left")],
        "label_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        block_size: int = 4,
        *,
        label_weight: float = 0.0,
        budget: Literal["quick", "thorough"] | int = "quick",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(budget, random_state=random_state, verbose=verbose, device=device)
        self.block_size = block_size
        self.label_weight = label_weight

    @property
    def adversary(self) -> Adversary:
        """Public images; and labels, if they have a weight."""
        return Adversary(public_images=True, labels=self.label_weight > 0)

    def _build(self, width: int, block_size: int = 4) -> nn.Module:
        return OnUnitRange(PlacewiseCNN(self.body_shape_, block_size, width // 2))

    def _fit(
        self,
        ciphertexts: NDArray[np.uint8],
        public_images: NDArray[np.uint8],
        public_labels: NDArray[Any] | None = None,
        labels: NDArray[Any] | None = None,
    ) -> None:
        guide = None
        if public_labels is not None and labels is not None:
            guide = _Classes(public_images, public_labels, labels, self.label_weight)
        self._train_unpaired(ciphertexts, public_images, guide)

    def _judge(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def _deceive(self, fake: Tensor) -> Tensor:
        return -fake.mean()


class _Classes(Guide):
    """A classifier that learns from public images while it says what the generator makes.

    Parameters
    ----------
    images : ndarray of uint8, shape (n_public, height, width, channels)
        Public images.
    image_labels : ndarray of shape (n_public,)
        Their classes.
    labels : ndarray of shape (n,)
        The classes of the ciphertexts.
    weight : float
        Of its part of the loss.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        image_labels: NDArray[Any],
        labels: NDArray[Any],
        weight: float,
    ) -> None:
        classes, numbers = np.unique(np.concatenate([image_labels, labels]), return_inverse=True)
        self.n_classes = len(classes)
        self.weight = weight
        self.images = to_tensor(images)
        self.image_labels, self.labels = to_tensor(numbers).split([len(image_labels), len(labels)])

    def build(self, device: torch.device) -> None:
        shape = tuple(self.images.shape[1:])
        self.network = build("cnn", image_shape=shape, n_classes=self.n_classes).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)

    def loss(self, found: Tensor, chosen: Tensor) -> Tensor:
        own = torch.randint(len(self.images), (len(found),))
        real = from_pixels(self.images[own].to(found.device))
        targets, wanted = (
            labels.to(found.device) for labels in (self.image_labels[own], self.labels[chosen])
        )
        self.optimizer.zero_grad()
        F.cross_entropy(self.network(2 * real - 1), targets).backward()
        self.optimizer.step()
        return self.weight * F.cross_entropy(self.network(2 * found - 1), wanted)

"""The attack of a cloud that classifies: images that the classifier reads like the ciphertext."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from ricsk.attacks._base import Adversary
from ricsk.attacks._network import NetworkAttack
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.images import ImageShape
from ricsk.nae import view_classifier
from ricsk.nn import Decoder
from ricsk.nn.gan import Discriminator

__all__ = ["CloudAttack"]

_BATCH = 64
_N_LATENTS = 64
# Weights of realness and of the variance of latents, which the paper does not state.
_REALNESS, _VARIANCE = 0.5, 1.0


class CloudAttack(NetworkAttack):
    r"""Train encoder and generator so that images look real and are classified like ciphertexts.

    The cloud has the classifier ψ, ciphertexts and images of the same kind, and no pair. With an
    encoder E from ciphertexts to latents and a generator G from latents to images, it minimizes

    .. math:: \mathrm{CE}(\psi(G(E(y))), \psi(y)) + \lambda_1 \, \mathrm{softplus}(-D(G(E(y))))
              + \lambda_2 \, \mathrm{mean}_k \, \max(0, 1 - \mathrm{std}_k E(y))

    where ψ(y) is the class that the classifier reads in the ciphertext, D a discriminator, and the
    last term keeps each of the latents k from being the same for all ciphertexts (appendix B of
    [1]_). What it finds beyond a picture of the class must come from the ciphertext.

    Parameters
    ----------
    classifier : classifier
        Fitted, and best in a `sklearn.frozen.FrozenEstimator`, for `clone` forgets fits; one of
        those that `ricsk.nae.view_classifier` makes differentiable. scikit-learn's are taken to
        read levels as floats on [0, 1].
    budget, random_state, verbose, device
        As for `KnownPlaintextAttack`. A step takes 64 ciphertexts and 64 images.

    Attributes
    ----------
    adversary : Adversary
        Public images and the classifier.
    module_ : torch.nn.Module
        Encoder and generator.
    loss_ : float
        Their loss in the last step.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    Notes
    -----
    The paper's generator and discriminator are a StyleALAE that was trained before on faces. Here
    both are small and trained in `fit`: the discriminator on the public images, against G. λ₁ = ½
    and λ₂ = 1, which the paper leaves open.

    References
    ----------
    .. [1] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk.attacks import CloudAttack
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> classifier = LogisticRegression(max_iter=1000).fit(X.reshape(len(X), -1) / 255, y)
    >>> attack = CloudAttack(FrozenEstimator(classifier), budget=2)
    >>> print(attack.adversary)
    public images, the classifier
    >>> C = X[:100]  # ciphertexts that the classifier reads like their images
    >>> attack.fit(C, public_images=X[100:]).reconstruct(C).shape
    (100, 8, 8, 1)
    """

    adversary = Adversary(public_images=True, classifier=True)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkAttack._parameter_constraints,
        "classifier": [HasMethods("predict"), nn.Module],
    }

    def __init__(
        self,
        classifier: Any,
        *,
        budget: Literal["quick", "thorough"] | int = "quick",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(budget, random_state=random_state, verbose=verbose, device=device)
        self.classifier = classifier

    def _build(self, width: int) -> _EncodeGenerate:
        return _EncodeGenerate(self.ciphertext_shape_, self.image_shape_, width)

    def _fit(self, ciphertexts: NDArray[np.uint8], public_images: NDArray[np.uint8]) -> None:
        if self.ciphertext_shape_ != self.image_shape_:
            raise ValueError(
                f"ciphertexts are of shape {self.ciphertext_shape_} and images of shape "
                f"{self.image_shape_}; expected the same, for one classifier reads both."
            )
        effort = self._effort()
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        device = self._device()
        view = view_classifier(self.classifier, value_range=(0.0, 1.0)).float().to(device)
        hidden, public = (torch.from_numpy(images) for images in (ciphertexts, public_images))
        with torch.inference_mode():
            labels = torch.cat(
                [view.scores(part.to(device).float()).argmax(dim=1) for part in hidden.split(256)]
            )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.module_ = network = self._build(effort.width).to(device)
            judge = Discriminator(self.image_shape_, effort.width).to(device)
            ours, theirs = (
                torch.optim.Adam(part.parameters(), rate, (0.5, 0.999))
                for part, rate in ((network, 1e-3), (judge, 4e-4))
            )
            for _ in trange(effort.n_steps, disable=not self.verbose):
                chosen = torch.randint(len(hidden), (_BATCH,))
                real = _channels_first(public[torch.randint(len(public), (_BATCH,))]).to(device)
                latents = network.encode(_channels_first(hidden[chosen]).to(device))
                fake = network.generate(latents)

                theirs.zero_grad()
                on_real, on_fake = judge(2 * real - 1), judge(2 * fake.detach() - 1)
                (F.softplus(-on_real) + F.softplus(on_fake)).mean().backward()
                theirs.step()

                ours.zero_grad()
                scores = view.scores(255 * fake.permute(0, 2, 3, 1))
                loss = (
                    F.cross_entropy(scores, labels[chosen.to(device)])
                    + _REALNESS * F.softplus(-judge(2 * fake - 1)).mean()
                    + _VARIANCE * F.relu(1 - latents.std(dim=0)).mean()
                )
                loss.backward()
                ours.step()
        self.module_.eval()
        self.loss_ = float(loss.detach())

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        if get_encryptor_tags(encryptor).learns_on != "plain":
            return "its classifier reads ciphertexts alone, so it says nothing of images."
        return None


class _EncodeGenerate(nn.Module):
    def __init__(self, ciphertext_shape: ImageShape, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        height, width_in, channels = ciphertext_shape
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        n_values = 2 * width * max(height // 2, 1) * max(width_in // 2, 1)
        self.latents = nn.Linear(n_values, _N_LATENTS)
        self.generate = Decoder(_N_LATENTS, image_shape, width)

    def encode(self, x: Tensor) -> Tensor:
        return self.latents(self.convolutions(2 * x - 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.generate(self.encode(x))


def _channels_first(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255

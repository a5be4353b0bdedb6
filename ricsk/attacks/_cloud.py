"""The attack of a cloud that classifies: images that the classifier reads like the ciphertext."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import HasMethods
from torch import Tensor, nn
from torch.nn import functional as F

from ricsk._docs import fill_in
from ricsk.attacks._adversarial import AdversarialAttack, Guide
from ricsk.attacks._base import Adversary
from ricsk.attacks._network import FITTED, TRAINING, NetworkAttack
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.images import ImageShape
from ricsk.nae import ClassifierView, view_classifier
from ricsk.nn import Decoder, to_tensor

__all__ = ["CloudAttack"]

_N_LATENTS = 64
# Weights of realness and of the variance of latents, which the paper does not state.
_REALNESS, _VARIANCE = 0.5, 1.0


@fill_in(training=TRAINING, fitted=FITTED)
class CloudAttack(AdversarialAttack):
    r"""Train encoder and generator so that images look real and are classified like ciphertexts.

    The cloud has the classifier ψ, ciphertexts and images of the same kind, and no pair. With an
    encoder E from ciphertexts to latents and a generator G from latents to images, it minimizes

    .. math:: \mathrm{CE}(\psi(G(E(y))), \psi(y)) + \lambda_1 \, \mathrm{softplus}(-D(G(E(y))))
              + \lambda_2 \, \mathrm{mean}_k \, \max(0, 1 - \mathrm{std}_k E(y))

    where ψ(y) is the class that the classifier reads in the ciphertext, D a discriminator, and the
    last term keeps each of the latents k from being the same for all ciphertexts (appendix B of
    [1]_). What it finds beyond a picture of the class must come from the ciphertext.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    classifier : classifier
        Fitted, and best in a `sklearn.frozen.FrozenEstimator`, for `clone` forgets fits; one of
        those that `ricsk.nae.view_classifier` makes differentiable. scikit-learn's are taken to
        read levels as floats on [0, 1].
    {training}

    Attributes
    ----------
    adversary : Adversary
        Public images and the classifier.
    {fitted}

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
    _rates = (1e-3, 4e-4)
    _betas = (0.5, 0.999)
    module_: _EncodeGenerate

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
        view = view_classifier(self.classifier, value_range=(0.0, 1.0)).float()
        self._train_unpaired(ciphertexts, public_images, _Reading(view, ciphertexts))

    def _generate(self, x: Tensor) -> tuple[Tensor, Tensor | float]:
        latents = self.module_.encode(x)
        varied = F.relu(1 - latents.std(dim=0)).mean()
        return self.module_.generate(latents), _VARIANCE * varied

    def _deceive(self, fake: Tensor) -> Tensor:
        return _REALNESS * super()._deceive(fake)

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


class _Reading(Guide):
    """What the classifier reads in ciphertexts, it is to read in what the generator makes of them.

    Parameters
    ----------
    view : ClassifierView
        Of the classifier.
    ciphertexts : ndarray of uint8, shape (n, height, width, channels)
        All of them.
    """

    def __init__(self, view: ClassifierView, ciphertexts: NDArray[np.uint8]) -> None:
        self.view = view
        self.hidden = to_tensor(ciphertexts)

    def build(self, device: torch.device) -> None:
        self.view.to(device)
        with torch.inference_mode():
            parts = self.hidden.split(256)
            scores = [self.view.scores(part.to(device).float()) for part in parts]
        self.labels = torch.cat(scores).argmax(dim=1)

    def loss(self, found: Tensor, chosen: Tensor) -> Tensor:
        scores = self.view.scores(255 * found.permute(0, 2, 3, 1))
        return F.cross_entropy(scores, self.labels[chosen.to(scores.device)])

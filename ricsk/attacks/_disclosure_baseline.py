"""What a ciphertext gives away on purpose: a decoder from what the classifier says of it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ricsk._docs import fill_in
from ricsk.attacks._base import Adversary
from ricsk.attacks._network import FITTED, TRAINING, NetworkAttack
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.images import ImageBatch, ImagesLike, flattened_for
from ricsk.nn import Decoder

__all__ = ["DisclosureBaseline"]

_METHODS = {"label": "predict", "proba": "predict_proba", "features": "features"}
_LEAST_PROBABILITY = 1e-6


@fill_in(training=TRAINING, fitted=FITTED)
class DisclosureBaseline(NetworkAttack):
    """Train a decoder from what the classifier says of images to the images.

    A ciphertext that a classifier reads like its image says by that what the classifier says:
    the label, the probabilities, or the features before its last layer. From features much of an
    image can be drawn. This decoder sees nothing else, so it is the most that such a ciphertext
    may give away however well it is encrypted, and what another attack must exceed to have found
    out more.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    classifier : classifier
        Fitted, and best in a `sklearn.frozen.FrozenEstimator`, for `clone` forgets fits. It is
        given images in the form in which `fit` gets `ciphertexts`, uint8 or floats on [0, 1], and
        flattened where it takes flat samples only.
    discloses : {"label", "proba", "features"}, default="label"
        What the decoder sees: what `predict`, `predict_proba` or `features` of the classifier
        returns.
    {training}

    Attributes
    ----------
    adversary : Adversary
        Public images and the classifier.
    {fitted}
    classifier_, discloses_
        As given.
    reads_levels_ : bool
        Whether the classifier is given 8-bit levels, as the ciphertexts of `fit` were, or floats.
    n_disclosed_ : int
        How many numbers it sees of an image: as many as there are classes, or features.

    Notes
    -----
    The decoder is trained on what is said of public images, so encryptors whose classifiers read
    ciphertexts alone are refused by `check`.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk.attacks import DisclosureBaseline
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> classifier = LogisticRegression(max_iter=1000).fit(X.reshape(len(X), -1) / 255, y)
    >>> baseline = DisclosureBaseline(FrozenEstimator(classifier), "proba", budget=5)
    >>> print(baseline.adversary)
    public images, the classifier
    >>> C = X[:100] / 255  # ciphertexts that the classifier reads like their images
    >>> baseline.fit(C, public_images=X[100:]).reconstruct(C).shape
    (100, 16, 16, 1)
    """

    adversary = Adversary(public_images=True, classifier=True)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkAttack._parameter_constraints,
        "classifier": [HasMethods("predict")],
        "discloses": [StrOptions(set(_METHODS))],
    }

    n_disclosed_: int

    def __init__(
        self,
        classifier: Any,
        discloses: Literal["label", "proba", "features"] = "label",
        *,
        budget: Literal["quick", "thorough"] | int = "quick",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(budget, random_state=random_state, verbose=verbose, device=device)
        self.classifier = classifier
        self.discloses = discloses

    def _build(self, width: int) -> nn.Module:
        return Decoder(self.n_disclosed_, self.image_shape_, width)

    def _to_input(self, batch: Tensor) -> Tensor:
        return batch

    def _fit(self, ciphertexts: NDArray[np.uint8], public_images: NDArray[np.uint8]) -> None:
        check_is_fitted(self.classifier)
        if not hasattr(self.classifier, _METHODS[self.discloses]):
            raise TypeError(
                f"discloses={self.discloses!r} needs a classifier with the method "
                f"{_METHODS[self.discloses]}, and {self.classifier!r} has none."
            )
        if self.ciphertext_shape_ != self.image_shape_:
            raise ValueError(
                f"ciphertexts are of shape {self.ciphertext_shape_} and images of shape "
                f"{self.image_shape_}; expected the same, for one classifier reads both."
            )
        self.classifier_, self.discloses_ = self.classifier, self.discloses
        raw = self._ask(public_images)
        self._mean, self._deviation = raw.mean(axis=0), raw.std(axis=0) + 1e-6
        self.n_disclosed_ = raw.shape[1]
        self._train(self._standardized(raw), public_images)

    def _reconstruct(self, ciphertexts: NDArray[np.uint8], *_: Any) -> NDArray[np.uint8]:
        return self._apply(self._standardized(self._ask(ciphertexts)))

    def _ask(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        images = pixels if self.reads_levels_ else pixels / 255
        method = getattr(self.classifier_, _METHODS[self.discloses_])
        answer: NDArray[Any] = np.asarray(method(flattened_for(self.classifier_, images)))
        if self.discloses_ == "label":
            return answer[:, np.newaxis] == self.classifier_.classes_
        if self.discloses_ == "proba":
            return np.log(answer.clip(_LEAST_PROBABILITY))
        return answer.reshape(len(answer), -1)

    def _standardized(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        return ((raw - self._mean) / self._deviation).astype(np.float32)

    def _read(self, images: ImagesLike, name: str) -> NDArray[np.uint8]:
        if name == "ciphertexts" and not hasattr(self, "reads_levels_"):
            dtype = images.dtype if isinstance(images, ImageBatch) else np.asarray(images).dtype
            self.reads_levels_ = dtype == np.uint8
        return super()._read(images, name)

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        if get_encryptor_tags(encryptor).learns_on != "plain":
            return "its classifier reads ciphertexts alone, so it says nothing of public images."
        return None

"""What any adversary has without an attack: an image that looks like the class."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import StrOptions

from ricsk.attacks._base import Adversary, BaseAttack

__all__ = ["LabelOnlyBaseline"]


class LabelOnlyBaseline(BaseAttack):
    """Answer with a picture of the class, without looking at the ciphertext.

    An adversary with the classifier reads the class off a ciphertext, and one with images of that
    class knows what such images look like. No encryption for classification prevents that, so this
    is the baseline: what another attack has found out is its gain over this one.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    strategy : {"class_mean", "mean", "medoid"}, default="class_mean"
        Which picture: the mean of the public images of the class; the mean of all public images,
        which needs no labels; or the public image of the class with the smallest sum of squared
        distances to the others, which is as sharp as a photograph. It is the medoid: without the
        ciphertext no image of the class is nearer to the hidden one than another, and this one is
        near to most.

    Attributes
    ----------
    adversary : Adversary
        Public images and labels; without labels for ``strategy="mean"``.
    classes_ : ndarray
        The classes of the public images; empty for ``strategy="mean"``.
    pictures_ : ndarray of uint8, shape (n_classes + 1, height, width, channels)
        The picture of each class, and that of all public images, for classes without any.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    See Also
    --------
    DisclosureBaseline : What follows from all that the classifier says.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.attacks import LabelOnlyBaseline
    >>> from ricsk.datasets import make_street_numbers
    >>> X, y = make_street_numbers(100, random_state=0)
    >>> C = PixelEncryptor(SecretKey.generate()).fit_transform(X[:10])
    >>> baseline = LabelOnlyBaseline().fit(C, public_images=X[10:], public_labels=y[10:])
    >>> baseline.reconstruct(C, labels=y[:10]).shape
    (10, 32, 32, 3)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "strategy": [StrOptions({"mean", "class_mean", "medoid"})],
    }
    _optional = frozenset({"labels"})

    classes_: NDArray[Any]
    pictures_: NDArray[np.uint8]

    def __init__(self, strategy: Literal["class_mean", "mean", "medoid"] = "class_mean") -> None:
        self.strategy = strategy

    @property
    def adversary(self) -> Adversary:
        """Public images and labels."""
        return Adversary(ciphertexts=False, public_images=True, labels=self.strategy != "mean")

    def _fit(
        self,
        ciphertexts: NDArray[np.uint8],
        public_images: NDArray[np.uint8],
        public_labels: NDArray[Any] | None = None,
        labels: NDArray[Any] | None = None,
    ) -> None:
        choose = _find_medoid if self.strategy == "medoid" else _average
        self.classes_ = np.unique([] if public_labels is None else public_labels)
        groups = [public_images[public_labels == label] for label in self.classes_]
        self.pictures_ = np.stack([choose(images) for images in [*groups, public_images]])

    def _reconstruct(
        self, ciphertexts: NDArray[np.uint8], labels: NDArray[Any] | None = None
    ) -> NDArray[np.uint8]:
        if labels is None:
            return np.repeat(self.pictures_, len(ciphertexts), axis=0)
        numbers = {label: number for number, label in enumerate(self.classes_.tolist())}
        return self.pictures_[[numbers.get(label, len(numbers)) for label in labels.tolist()]]


def _average(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.rint(images.mean(axis=0)).astype(np.uint8)


def _find_medoid(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Squared distances to all others add up to n times that to their mean, plus a constant.
    return images[np.argmin(((images - images.mean(axis=0)) ** 2).sum(axis=(1, 2, 3)))]

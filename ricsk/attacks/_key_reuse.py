"""Average out a mask that several ciphertexts share."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from ricsk.attacks._base import Adversary, BaseAttack, find_body_shape

__all__ = ["KeyReuseAttack"]


class KeyReuseAttack(BaseAttack):
    r"""Subtract what the ciphertexts of a class have in common.

    Where one mask z serves for all images of a class, :math:`y = (1 - \alpha) x + \alpha z`, the
    mean of the ciphertexts is :math:`\bar y = (1 - \alpha) \bar x + \alpha z`, and for each of them

    .. math:: x = \bar x + (y - \bar y) / (1 - \alpha)

    in which the adversary takes the mean :math:`\bar x` of public images of the class for that of
    the hidden ones. Two ciphertexts are enough to see the difference of their images.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    alpha : float, optional
        The weight of the mask. None estimates it: :math:`1 - \alpha` is how much less the
        ciphertexts of a class vary than the public images of it.

    Attributes
    ----------
    adversary : Adversary
        Public images and labels.
    alpha_ : float
        The weight that is used.
    classes_ : ndarray
        The classes of the ciphertexts of `fit`.
    common_ : ndarray, shape (n_classes + 1, height, width, channels)
        What is added to each ciphertext of a class over :math:`1 - \alpha`; the last entry is for
        other classes.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    See Also
    --------
    ricsk.encryptors.PublishedRICEncryptor : The scheme whose shared masks are found.

    Notes
    -----
    RIC as published shares its masks. `ricsk.RICEncryptor` has a template in common for a class,
    which is public, and hides images by pads of their own.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.attacks import KeyReuseAttack
    >>> from ricsk.datasets import make_street_numbers
    >>> from ricsk.metrics import ssim
    >>> X, y = make_street_numbers(600, random_state=0)
    >>> mask = np.random.default_rng(0).integers(0, 256, X.shape[1:])
    >>> C = np.rint(0.2 * X[:300] + 0.8 * mask).astype(np.uint8)
    >>> attack = KeyReuseAttack()
    >>> _ = attack.fit(C, labels=y[:300], public_images=X[300:], public_labels=y[300:])
    >>> bool(ssim(X[:300], attack.reconstruct(C, labels=y[:300])).mean() > 0.6)
    True
    """

    adversary = Adversary(public_images=True, labels=True)
    _reads_borders = False

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "alpha": [Interval(Real, 0, 1, closed="left"), None],
    }

    alpha_: float
    classes_: NDArray[Any]
    common_: NDArray[np.float64]

    def __init__(self, alpha: float | None = None) -> None:
        self.alpha = alpha

    def _fit(
        self,
        ciphertexts: NDArray[np.uint8],
        public_images: NDArray[np.uint8],
        public_labels: NDArray[Any],
        labels: NDArray[Any],
    ) -> None:
        self.classes_ = np.unique(labels)
        seen = [ciphertexts[labels == label] for label in self.classes_] + [ciphertexts]
        known = [public_images[public_labels == label] for label in self.classes_]
        # A class without public images is expected to look like all of them.
        known = [images if len(images) else public_images for images in known] + [public_images]
        if self.alpha is None:
            self.alpha_ = 1 - min(_estimate_spread(seen[:-1]) / _estimate_spread(known[:-1]), 1.0)
        else:
            self.alpha_ = float(self.alpha)
        weight = max(1 - self.alpha_, 1 / 255)
        self.common_ = np.stack(
            [x.mean(axis=0) - y.mean(axis=0) / weight for x, y in zip(known, seen, strict=True)]
        )

    def _reconstruct(
        self, ciphertexts: NDArray[np.uint8], labels: NDArray[Any]
    ) -> NDArray[np.uint8]:
        numbers = {label: number for number, label in enumerate(self.classes_.tolist())}
        common = self.common_[[numbers.get(label, len(numbers)) for label in labels.tolist()]]
        levels = ciphertexts / max(1 - self.alpha_, 1 / 255) + common
        return np.rint(levels).clip(0, 255).astype(np.uint8)

    def _why_not(self, encryptor: Any) -> str | None:
        if find_body_shape(encryptor) != encryptor.image_shape_in_:
            return "its ciphertexts have another shape than its images, so none is a mixture."
        return None


def _estimate_spread(groups: list[NDArray[np.uint8]]) -> float:
    """Estimate the standard deviation within groups, over all values."""
    squares = sum(((group - group.mean(axis=0)) ** 2).sum() for group in groups)
    freedom = sum((len(group) - 1) * group[0].size for group in groups)
    return float(np.sqrt(squares / max(freedom, 1))) or 1.0

"""Known plaintexts against NeuraCrypt: orders undone, and a linear map back."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import RidgeCV
from sklearn.utils._param_validation import Interval

from ricsk.attacks._base import Adversary, BaseAttack
from ricsk.base import BaseImageEncryptor
from ricsk.baselines import NeuraCryptEncoder
from ricsk.blocks import from_blocks, to_blocks

__all__ = ["NeuraCryptAttack", "align_tokens", "to_patches"]

_PENALTIES = tuple(10.0**power for power in range(-4, 4))
# Of the mean square of tokens, in the regressions that say which place a token is of.
_PENALTY = 0.1
_ROUNDS = 2


class NeuraCryptAttack(BaseAttack):
    """Undo the order of NeuraCrypt's tokens, and read patches off them by ridge regression.

    The vector of its position is most of a token, so tokens of one place are alike in all images:
    matching those of each image with their mean undoes the orders. Which place that is, is found
    by how well each patch is predicted from each token; and one linear map for all places, learnt
    from the pairs, reads other images of the same key.

    The pairs have to be known. Where images and codes are known in no order, as in the published
    attack [1]_, `match_neuracrypt` pairs them first.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    patch_size : int, default=4
        Side of a patch, which is known as all of the algorithm.

    See Also
    --------
    match_neuracrypt : Finds the pairs.

    Attributes
    ----------
    adversary : Adversary
        A known-plaintext adversary.
    mean_code_ : ndarray of shape (n_tokens, width)
        The mean token of each place.
    mean_patch_ : ndarray of shape (n_tokens, n_values)
        The mean patch of each place.
    coefficients_ : ndarray of shape (n_values, width)
        The linear map, from tokens to patches, both less their means.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    References
    ----------
    .. [1] N. Carlini, S. Garg, S. Jha, S. Mahloujifar, M. Mahmoody and F. Tramèr, "NeuraCrypt is
       not private", arXiv:2108.07256, 2021.

    Examples
    --------
    >>> from ricsk import SecretKey
    >>> from ricsk.attacks import NeuraCryptAttack
    >>> from ricsk.baselines import NeuraCryptEncoder
    >>> from ricsk.datasets import make_street_numbers
    >>> from ricsk.metrics import ssim
    >>> X, _ = make_street_numbers(150, size=16, random_state=0)
    >>> C = NeuraCryptEncoder(SecretKey.generate(), width=64, depth=1).fit_transform(X)
    >>> attack = NeuraCryptAttack().fit(C[:100], X[:100])
    >>> bool(ssim(X[100:], attack.reconstruct(C[100:])).mean() > 0.5)
    True
    """

    adversary = Adversary(pairs=True)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "patch_size": [Interval(Integral, 1, None, closed="left")],
    }

    mean_code_: NDArray[np.float64]
    mean_patch_: NDArray[np.float64]
    coefficients_: NDArray[np.float64]

    def __init__(self, patch_size: int = 4) -> None:
        self.patch_size = patch_size

    def _fit(self, ciphertexts: NDArray[np.uint8], plaintexts: NDArray[np.uint8]) -> None:
        self.patch_size_ = self.patch_size
        codes = ciphertexts[..., 0].astype(np.float64)
        patches = to_patches(plaintexts, self.patch_size_)
        aligned, mean = align_tokens(codes)
        self.mean_patch_ = patches.mean(axis=0)
        shown = patches - self.mean_patch_
        places = _find_places(aligned - mean, shown)
        self.mean_code_ = mean[places]
        read = (aligned - mean)[:, places]
        ridge = RidgeCV(_PENALTIES, fit_intercept=False)
        ridge.fit(read.reshape(-1, read.shape[2]), shown.reshape(-1, shown.shape[2]))
        self.coefficients_ = ridge.coef_

    def _reconstruct(self, ciphertexts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        tokens = _align(ciphertexts[..., 0].astype(np.float64), self.mean_code_)
        patches = (tokens - self.mean_code_) @ self.coefficients_.T + self.mean_patch_
        levels = np.rint(patches.clip(0, 255)).astype(np.uint8)
        size, shape = self.patch_size_, self.image_shape_
        return np.stack(
            [from_blocks(image.reshape(-1, size, size, shape[2]), shape) for image in levels]
        )

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        if not isinstance(encryptor, NeuraCryptEncoder):
            return "it is made for NeuraCrypt's tokens."
        if encryptor.patch_size_ != self.patch_size:
            return f"its patches have a side of {encryptor.patch_size_}: give patch_size."
        return None


def to_patches(images: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Cut images into patches.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels), uint8
        The images.
    size : int
        Side of a patch.

    Returns
    -------
    ndarray of shape (n_images, n_places, n_values), float64
    """
    patches = np.stack([to_blocks(image, size) for image in images])
    return patches.reshape(*patches.shape[:2], -1).astype(np.float64)


def align_tokens(
    codes: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bring the tokens of all codes into one order, which need not be that of the places.

    Parameters
    ----------
    codes : ndarray of shape (n_images, n_tokens, width)
        Tokens in any order.

    Returns
    -------
    aligned : ndarray of the same shape
    mean : ndarray of shape (n_tokens, width)
        Their mean.
    """
    mean = codes[0]
    for _ in range(1 + _ROUNDS):
        aligned = _align(codes, mean)
        mean = aligned.mean(axis=0)
    return aligned, mean


def _align(codes: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring the tokens of each code into the order of a mean code's, one to one."""
    aligned = np.empty_like(codes)
    for code, ordered in zip(codes, aligned, strict=True):
        # Squared distances, but for what does not depend on the pairing.
        _, tokens = linear_sum_assignment(-mean @ code.T)
        ordered[:] = code[tokens]
    return aligned


def _find_places(tokens: NDArray[np.float64], patches: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the token of each place, by leave-one-out errors of ridge regressions.

    Parameters
    ----------
    tokens, patches : ndarray of shape (n_images, n_places, n_values)
        Less their means over the images.

    Returns
    -------
    ndarray of shape (n_places,), int64
    """
    n, n_places = patches.shape[:2]
    values = patches.reshape(n, -1)
    errors = np.empty((n_places, n_places))
    for slot in range(n_places):
        x = tokens[:, slot]
        kernel = x @ x.T
        penalty = _PENALTY * kernel.trace() / n + 1e-12
        hat = np.linalg.solve(kernel + penalty * np.eye(n), kernel)
        left_out = (values - hat.T @ values) / (1 - hat.diagonal())[:, np.newaxis]
        errors[:, slot] = (left_out**2).reshape(n, n_places, -1).sum(axis=(0, 2))
    # Each place counts alike, however much its patches vary.
    errors /= np.maximum((patches**2).sum(axis=(0, 2)), 1e-12)[:, np.newaxis]
    return linear_sum_assignment(errors)[1]

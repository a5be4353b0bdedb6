"""Perceptual distances: how differently networks see two images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from ricsk._secrets import show_value
from ricsk.images import describe
from ricsk.metrics._similarity import UNIT_RANGE, read_pair, scale
from ricsk.nn import from_pixels, to_tensor
from ricsk.nn.vgg_features import find_torchvision_weights, load_features

__all__ = ["lpips", "perceptual_distance"]

_CHUNK_VALUES = 1 << 17
_MIN_SIDE = 4
# By name: what torchvision calls them, and the smallest side of images that they see.
_BACKBONES = {"alex": ("alexnet", 31), "vgg": ("vgg16", 16)}


def perceptual_distance(X_true: ArrayLike, X: ArrayLike) -> NDArray[np.float64]:
    r"""Compute how differently a network sees each image and its counterpart.

    The mean over two layers l and over all places of

    .. math:: \frac{1}{2} \left\lVert \frac{\varphi_l(x)}{\lVert \varphi_l(x) \rVert} -
              \frac{\varphi_l(x')}{\lVert \varphi_l(x') \rVert} \right\rVert^2

    where :math:`\varphi_l` has, at each place, a vector of all channels' features. The network is
    the one behind ``TransformationNetworkEncryptor(features="small")``, VGG-16's layers up to
    "relu2_2" at half of their width, trained on CIFAR-10 and flowers; the layers are "relu1_2" and
    "relu2_2". It sees edges, textures and colours, and no objects.

    This is the form of LPIPS [1]_ with another network and without weights that people's judgements
    were fitted to, so it is not LPIPS, and its figures cannot be compared with those of papers.
    See `lpips`.

    Parameters
    ----------
    X_true, X : array-like
        Images of the same shape, ``(n_samples, height, width, channels)`` or ``(n_samples, height,
        width)``, uint8 or floats on [0, 1], of at least 4 × 4 pixels; grey ones count as three
        equal channels.

    Returns
    -------
    ndarray of shape (n_samples,)
        From 0, where two images are equal, to 1.

    Raises
    ------
    ValueError
        If the shapes differ, the images are smaller, or floats leave [0, 1].

    References
    ----------
    .. [1] R. Zhang, P. Isola, A. A. Efros, E. Shechtman and O. Wang, "The unreasonable
       effectiveness of deep features as a perceptual metric", CVPR, 2018, section 3, eq. (1).

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.datasets import load_photos
    >>> from ricsk.metrics import perceptual_distance
    >>> X = load_photos(size=(64, 96))
    >>> noise = np.random.default_rng(0).integers(0, 256, X.shape, np.uint8)
    >>> faint, strong = X - X // 32, (X // 2 + noise // 2)
    >>> bool((perceptual_distance(X, faint) < perceptual_distance(X, strong)).all())
    True
    """
    images = _read_images(X_true, X, _MIN_SIDE)
    network = load_features("small")
    to_relu1_2, to_relu2_2 = network.layers[:4], network.layers[4:]

    def compare(x: Tensor, y: Tensor) -> Tensor:
        distances = []
        a, b = network.normalized(x), network.normalized(y)
        for layers in (to_relu1_2, to_relu2_2):
            a, b = layers(a), layers(b)
            # Features are not negative, so that unit vectors are at most √2 apart.
            apart = F.normalize(a) - F.normalize(b)
            distances.append(apart.square().sum(dim=1).mean(dim=(1, 2)) / 2)
        return torch.stack(distances).mean(dim=0)

    return _compare(*images, compare)


def lpips(
    X_true: ArrayLike, X: ArrayLike, net: Literal["alex", "vgg"] = "alex"
) -> NDArray[np.float64]:
    """Compute the learned perceptual image patch similarity of each image: LPIPS, version 0.1.

    By the ``lpips`` package of the paper's authors [1]_, on images scaled to [−1, 1] as it wants
    them. Some published figures were computed on images on [0, 1], and are lower.

    It needs that package and torchvision (``pip install "ricsk[lpips]"``), and the ImageNet weights
    of the backbone, which torchvision downloads and this package does not. `perceptual_distance`
    needs neither.

    Parameters
    ----------
    X_true, X : array-like
        Images of the same shape, ``(n_samples, height, width, channels)`` or ``(n_samples, height,
        width)``, uint8 or floats on [0, 1]; grey ones count as three equal channels. At least
        31 × 31 pixels for "alex", 16 × 16 for "vgg".
    net : {"alex", "vgg"}, default="alex"
        The backbone. Papers report both; the authors advise "alex" for measuring.

    Returns
    -------
    ndarray of shape (n_samples,)
        From 0, where two images are equal, upwards; above 0.5 they have little in common.

    Raises
    ------
    ImportError
        If the package or torchvision is missing, or cannot be loaded.
    FileNotFoundError
        If the weights of the backbone are not where torchvision keeps them.
    ValueError
        If the shapes differ, floats leave [0, 1], the images are too small for the backbone, or
        `net` is not the name of one.

    References
    ----------
    .. [1] R. Zhang, P. Isola, A. A. Efros, E. Shechtman and O. Wang, "The unreasonable
       effectiveness of deep features as a perceptual metric", CVPR, 2018.

    Examples
    --------
    .. code-block:: python

        from ricsk.metrics import lpips

        lpips(X, reconstructions).mean()
    """
    if net not in _BACKBONES:
        raise ValueError(
            f"net={show_value(net)} is not a backbone of LPIPS; expected 'alex' or 'vgg'."
        )
    try:
        from lpips import LPIPS
    # A torchvision that does not fit the torch in use fails with a RuntimeError.
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            'LPIPS needs the packages lpips and torchvision: pip install "ricsk[lpips]", with the '
            f"torchvision that belongs to torch {torch.__version__}. "
            "ricsk.metrics.perceptual_distance does without. What failed was: "
            f"{error}"
        ) from error
    backbone, min_side = _BACKBONES[net]
    images = _read_images(X_true, X, min_side)
    find_torchvision_weights(backbone)
    network = LPIPS(net=net, verbose=False)

    def compare(x: Tensor, y: Tensor) -> Tensor:
        return network(2 * x - 1, 2 * y - 1).flatten()

    return _compare(*images, compare)


def _read_images(
    X_true: ArrayLike, X: ArrayLike, min_side: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    pixels = read_pair(X_true, X)
    shape = pixels[0].shape[1:]
    if min(shape[:2]) < min_side:
        raise ValueError(
            f"images of {describe(shape)} are smaller than the {min_side}×{min_side} pixels "
            "that the network can see. Use larger images, unflattened: (n_samples, height, width, "
            "channels)."
        )
    for values in pixels:
        UNIT_RANGE.check(values)
    return pixels


def _compare(
    true: NDArray[Any], other: NDArray[Any], compare: Callable[[Tensor, Tensor], Tensor]
) -> NDArray[np.float64]:
    """Compare images on [0, 1] in three channels, some at a time."""
    size = max(1, _CHUNK_VALUES // max(1, true[0].size))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(true), size):
            chunk = slice(start, start + size)
            x, y = (
                from_pixels(to_tensor(scale(pixels[chunk], UNIT_RANGE)))
                .float()
                .expand(-1, 3, -1, -1)
                for pixels in (true, other)
            )
            parts.append(compare(x, y).double().numpy())
    return np.concatenate(parts)

"""Pictures of what classifiers have learnt; they need matplotlib, ``pip install "ricsk[plot]"``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_patch_embeddings"]

_GAP = 1


def plot_patch_embeddings(
    classifier: Any, *, ax: Axes | None = None, n_filters: int | None = None
) -> Axes:
    """Show the weights by which a classifier embeds the patches of an image.

    A picture for each of the embedding's channels, in a grid: Fig. 5 of [1]_. The weights are
    scaled together, so that mid-grey is 0, and the channels with the largest weights come first.

    Parameters
    ----------
    classifier : ConvMixerClassifier, ViTClassifier or PrivateClassifier
        Fitted; or one in a `FrozenEstimator`.
    ax : matplotlib.axes.Axes, optional
        Where to draw. By default the axes of a new figure, which belongs to nobody else: show it
        by ``ax.figure.savefig(path)``, or in a notebook as the last value of a cell.
    n_filters : int, optional
        Show only so many channels. By default all.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError
        If the classifier embeds no patches.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    References
    ----------
    .. [1] A. P. MaungMaung and H. Kiya, "Privacy-preserving image classification using
       isotropic network", arXiv:2204.07707, 2022.

    Examples
    --------
    >>> from ricsk import ConvMixerClassifier
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.plotting import plot_patch_embeddings
    >>> X, y = load_digits(size=16)
    >>> classifier = ConvMixerClassifier(dim=16, depth=1, patch_size=4, epochs=1)
    >>> plot_patch_embeddings(classifier.fit(X[:200], y[:200])).get_title()
    '16 filters of 4×4 pixels'
    """
    weights = _patch_embedding(classifier)
    if ax is None:
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                'plot_patch_embeddings needs matplotlib; run pip install "ricsk[plot]".'
            ) from error
        ax = Figure(figsize=(5, 5), layout="constrained").subplots()
    order = np.argsort(-np.square(weights).sum(axis=(1, 2, 3)), kind="stable")
    chosen = weights[order[:n_filters]]
    side = weights.shape[1]
    ax.imshow(_grid(0.5 + chosen / (2 * np.abs(chosen).max())), interpolation="nearest")
    ax.set_title(f"{len(chosen)} filters of {side}×{side} pixels")
    ax.set_axis_off()
    return ax


def _patch_embedding(classifier: Any) -> NDArray[np.floating]:
    """Find the weights, as (n_filters, side, side, 3), grey ones repeated."""
    while isinstance(classifier, FrozenEstimator):
        classifier = classifier.estimator
    check_is_fitted(classifier)
    # A PrivateClassifier has the classifier inside.
    name = type(classifier).__name__
    inner = getattr(classifier, "classifier_", classifier)
    if inner is not classifier:
        return _patch_embedding(inner)
    network = getattr(getattr(classifier, "module_", None), "network", None)
    embedding = getattr(network, "patch_embed", nn.Identity())
    layer = next((part for part in embedding.modules() if isinstance(part, nn.Conv2d)), None)
    if layer is None:
        raise TypeError(
            f"{name} embeds no patches. Give a fitted ConvMixerClassifier or ViTClassifier, or a "
            "PrivateClassifier around one."
        )
    weights = layer.weight.detach().cpu().numpy().transpose(0, 2, 3, 1)
    return np.broadcast_to(weights, (*weights.shape[:3], 3))


def _grid(pictures: NDArray[np.floating]) -> NDArray[np.floating]:
    """Put square pictures side by side in a square, with white lines between."""
    n, side, _, channels = pictures.shape
    n_columns = math.ceil(math.sqrt(n))
    n_rows = math.ceil(n / n_columns)
    step = side + _GAP
    grid = np.ones((n_rows * step - _GAP, n_columns * step - _GAP, channels))
    for i, picture in enumerate(pictures):
        top, left = step * (i // n_columns), step * (i % n_columns)
        grid[top : top + side, left : left + side] = picture
    return grid

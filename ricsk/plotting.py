"""Pictures: images on their way through encryptors, and what classifiers have learnt.

They need matplotlib, ``pip install "ricsk[plot]"``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ricsk._secrets import show_object
from ricsk.base import BaseImageEncryptor
from ricsk.exceptions import NoPrivateKeyError, NotSealedError, WrongKeyWarning
from ricsk.images import check_images
from ricsk.keys import SecretKey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["plot_patch_embeddings", "plot_round_trip"]

_COLUMNS = ("plain", "encrypted", "decrypted", "wrong key")
_REFUSED = "refused"
_NO_WAY_BACK = "no way back"
_SEALS_ONLY = "by recipients"
_GAP = 1


def plot_round_trip(
    encryptors: BaseImageEncryptor | Mapping[str, BaseImageEncryptor],
    X: ArrayLike,
    *,
    wrong_key: SecretKey | bytes | str | PathLike[str] | None = None,
    figure: Figure | SubFigure | None = None,
) -> NDArray[Any]:
    """Show images plain, encrypted, decrypted, and decrypted with a wrong key, side by side.

    One row for each image, and four pictures in a row. Where an encryptor refuses the wrong key,
    the last one reads "refused"; where it cannot decrypt at all, the last two read "no way back",
    and where only others can, the third reads "by recipients".

    Parameters
    ----------
    encryptors : encryptor or dict of encryptors
        Fitted. Each encryptor of a dict has rows of its own, labelled with its name.
    X : array-like
        Images of the shape that the encryptors were fitted on: ``(n_samples, height, width,
        channels)``, ``(n_samples, height, width)`` or flattened. A few: all of them are drawn.
    wrong_key : SecretKey, bytes or path, optional
        The key to fail with. By default a new random one.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where to draw. By default a new figure of pyplot.

    Returns
    -------
    ndarray of matplotlib.axes.Axes of shape (n_encryptors × n_samples, 4)
        The picture is ``axes[0, 0].figure``; to save it, call its ``savefig(path)``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If an encryptor is not a ricsk encryptor.
    ValueError
        If `X` does not hold images of the fitted shape.
    sklearn.exceptions.NotFittedError
        If an encryptor is not fitted.

    See Also
    --------
    ricsk.audit.audit : Measures what an adversary gets back; a picture shows only what eyes see.

    Examples
    --------
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.plotting import plot_round_trip
    >>> X, y = load_digits(size=32)
    >>> encryptor = EtCEncryptor(SecretKey.generate(), block_size=4).fit(X)
    >>> axes = plot_round_trip(encryptor, X[:2])
    >>> [ax.get_title() for ax in axes[0]]
    ['plain', 'encrypted', 'decrypted', 'wrong key']
    """
    named = dict(encryptors) if isinstance(encryptors, Mapping) else {"": encryptors}
    key = SecretKey.generate() if wrong_key is None else SecretKey.coerce(wrong_key)
    rows = [
        (name, row)
        for name, encryptor in named.items()
        for row in _make_pictures(encryptor, X, key)
    ]
    if figure is None:
        figure = _import_pyplot("plot_round_trip").figure(
            figsize=(8, 2.1 * len(rows)), layout="constrained"
        )
    axes = figure.subplots(len(rows), len(_COLUMNS), squeeze=False)
    for line, (name, pictures) in zip(axes, rows, strict=True):
        line[0].set_ylabel(name)
        height, width, _ = pictures[0].shape
        for ax, picture in zip(line, pictures, strict=True):
            _draw(ax, picture)
            ax.set_box_aspect(height / width)
    for ax, title in zip(axes[0], _COLUMNS, strict=True):
        ax.set_title(title)
    return axes


def _make_pictures(encryptor: Any, X: ArrayLike, wrong_key: SecretKey) -> list[tuple[Any, ...]]:
    """Make what is to be seen of each image: 8-bit pixels, or words where there are none."""
    if not isinstance(encryptor, BaseImageEncryptor):
        raise TypeError(
            f"{show_object(encryptor)} is not a ricsk encryptor. Give a fitted one, or a "
            "dict of them; of a Pipeline, the step that encrypts; of a PrivateClassifier, its "
            "encryptor_."
        )
    check_is_fitted(encryptor)
    C = encryptor.transform(X)
    if hasattr(encryptor, "inverse_transform"):
        try:
            decrypted = _to_levels(encryptor, encryptor.inverse_transform(C))
        except NoPrivateKeyError:
            decrypted = [_SEALS_ONLY] * len(C)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", WrongKeyWarning)
                wrong = _to_levels(encryptor, encryptor.imitate(wrong_key).inverse_transform(C))
        except NotSealedError:
            wrong = [_REFUSED] * len(C)
    else:
        decrypted = wrong = [_NO_WAY_BACK] * len(C)
    plain = _to_levels(encryptor, X)
    ciphertexts = _to_levels(encryptor, C, encryptor.ciphertext_shape_)
    return list(zip(plain, ciphertexts, decrypted, wrong, strict=True))


def _to_levels(
    encryptor: BaseImageEncryptor, images: ArrayLike, shape: tuple[int, ...] | None = None
) -> list[Any]:
    batch = check_images(images, image_shape=shape or encryptor.image_shape_in_)
    return list(encryptor.value_range_.to_uint8(batch.pixels))


def _draw(ax: Axes, picture: Any) -> None:
    ax.set(xticks=[], yticks=[])
    if isinstance(picture, str):
        ax.text(0.5, 0.5, picture, ha="center", va="center", transform=ax.transAxes)
        ax.spines[:].set_color("lightgrey")
    else:
        ax.imshow(np.broadcast_to(picture, (*picture.shape[:2], 3)), interpolation="nearest")
        ax.spines[:].set_visible(False)


def plot_patch_embeddings(
    classifier: Any, *, ax: Axes | None = None, n_filters: int | None = None
) -> Axes:
    """Show what a classifier looks for in each patch of an image: its patch-embedding filters.

    A ConvMixer or a vision transformer cuts an image into patches, and compares each patch with a
    set of filters, which it learns. Each small square is one filter: the brighter a pixel of it,
    the more a bright pixel at that place of a patch speaks for the filter; mid-grey pixels do not
    matter. Smooth blobs, edges and colours say that the network found structure in the patches;
    squares that look like noise say that it found little.

    All filters have one scale, and those with the largest weights come first. This is Fig. 5 of
    [1]_.

    Parameters
    ----------
    classifier : ConvMixerClassifier, ViTClassifier or PrivateClassifier
        Fitted; or one in a `FrozenEstimator`.
    ax : matplotlib.axes.Axes, optional
        Where to draw. By default the axes of a new figure of pyplot.
    n_filters : int, optional
        How many filters to show at most. By default all.

    Returns
    -------
    matplotlib.axes.Axes
        To save the picture, call ``ax.figure.savefig(path)``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If the classifier does not embed patches.
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
    'What it looks for in a patch: 16 filters of 4×4 pixels'
    """
    weights = _find_filters(classifier)
    if ax is None:
        pyplot = _import_pyplot("plot_patch_embeddings")
        ax = pyplot.figure(figsize=(5, 5), layout="constrained").subplots()
    order = np.argsort(-np.square(weights).sum(axis=(1, 2, 3)), kind="stable")
    chosen = weights[order[:n_filters]]
    side = weights.shape[1]
    ax.imshow(_arrange(0.5 + chosen / (2 * np.abs(chosen).max())), interpolation="nearest")
    count = f"{len(chosen)} filter{'s' * (len(chosen) > 1)}"
    ax.set_title(f"What it looks for in a patch: {count} of {side}×{side} pixels")
    ax.set_axis_off()
    return ax


def _import_pyplot(caller: str) -> Any:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(f'{caller} needs matplotlib; run pip install "ricsk[plot]".') from error
    return pyplot


def _find_filters(classifier: Any) -> NDArray[np.floating]:
    """Find the weights, as (n_filters, side, side, 3), grey ones repeated."""
    while isinstance(classifier, FrozenEstimator):
        classifier = classifier.estimator
    if not hasattr(classifier, "fit"):
        raise TypeError(
            f"classifier={show_object(classifier)} is not a classifier. Give a fitted one, such as "
            "a ConvMixerClassifier."
        )
    check_is_fitted(classifier)
    # A PrivateClassifier has the classifier inside.
    name = type(classifier).__name__
    inner = getattr(classifier, "classifier_", classifier)
    if inner is not classifier:
        return _find_filters(inner)
    network = getattr(getattr(classifier, "module_", None), "network", None)
    embedding = getattr(network, "patch_embed", nn.Identity())
    layer = next((part for part in embedding.modules() if isinstance(part, nn.Conv2d)), None)
    if layer is None:
        raise TypeError(
            f"{name} does not embed patches. Give a fitted ConvMixerClassifier or ViTClassifier, "
            "or a PrivateClassifier around one."
        )
    weights = layer.weight.detach().cpu().numpy().transpose(0, 2, 3, 1)
    return np.broadcast_to(weights, (*weights.shape[:3], 3))


def _arrange(pictures: NDArray[np.floating]) -> NDArray[np.floating]:
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

"""`PrivateIndex`: the owner's half of a search, with the key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from ricsk.search._features import compute_features, find_features, to_images
from ricsk.search._neighbors import Neighbors

__all__ = ["PrivateIndex"]


class PrivateIndex:
    """The owner's half of a search: seal what is kept elsewhere, ask, and open what comes back.

    Parameters
    ----------
    encryptor : encryptor
        Fitted, whose ciphertexts are read with the features of their images:
        ``SealedEncryptor(key, classifier, match="features")``, and best with ``nonce="random"``.
    index : ImageIndex or RemoteIndex
        Where the ciphertexts are.
    oversampling : int
        How many times as many images as are asked for are fetched and opened, to find the nearest
        among them. With 1, the order is that of the index.

    Raises
    ------
    TypeError
        If `encryptor` is not an encryptor.
    ValueError
        If its ciphertexts are not read with the features of their images, or are larger than these,
        or `oversampling` is below 1.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    See Also
    --------
    ImageIndex : What the other machine has.

    Notes
    -----
    A plain image is not sealed to ask about it: its features are computed here, and sent. They are
    what its ciphertext would tell the index, and cost one pass through the network, not a search
    for noise. Ciphertexts have the features of their images nearly, so more are fetched than are
    asked for, and sorted here by the features of the images that are in them.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from ricsk import CNNClassifier, SealedEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.search import ImageIndex, PrivateIndex
    >>> X, y = load_digits(size=32)
    >>> classifier = CNNClassifier(width=8, epochs=1, random_state=0).fit(X[:1000], y[:1000])
    >>> encryptor = SealedEncryptor(
    ...     SecretKey.generate(), FrozenEstimator(classifier), match="features"
    ... ).fit(X[:100])
    >>> private = PrivateIndex(encryptor, ImageIndex(classifier))
    >>> ids = private.add(X[1000:1009])
    >>> found = private.query(X[1004:1005], k=3)
    >>> int(found.ids[0, 0]), bool((found.images[0][0] == X[1004]).all())
    (4, True)
    """

    def __init__(self, encryptor: Any, index: Any, *, oversampling: int = 2) -> None:
        _check(encryptor)
        if not isinstance(oversampling, int | np.integer) or oversampling < 1:
            raise ValueError(
                f"oversampling={oversampling!r}: expected a whole number of 1 or more."
            )
        self.encryptor = encryptor
        self.index = index
        self.oversampling = oversampling
        self._compute = find_features(encryptor.classifier_)

    def add(self, X: ArrayLike, ids: Iterable[int | str] | None = None) -> NDArray[Any]:
        """Seal images, and add them to the index.

        Parameters
        ----------
        X : array-like of shape (n, height, width) or (n, height, width, channels), uint8
            Plain images, or a list of some of different sizes.
        ids : iterable of int or str, optional
            What they are to be called. The index sees that: take no names that say something. By
            default numbers, which only an `ImageIndex` counts by itself.

        Returns
        -------
        ndarray of shape (n,)
            The ids.

        Raises
        ------
        ValueError, TypeError
            Those of the encryptor's `transform` and of `ImageIndex.add`.
        """
        return self.index.add(self.encryptor.transform(X), ids)

    def query(self, X: ArrayLike, k: int = 10, *, sealed: bool = False) -> Neighbors:
        """Find the nearest images, and open them.

        Parameters
        ----------
        X : array-like
            Plain images, or sealed ones.
        k : int
            How many to find for each.
        sealed : bool
            Whether `X` holds ciphertexts, which are opened here. In either case features are sent,
            and no image.

        Returns
        -------
        Neighbors
            With plain images, and the distances of their own features.

        Raises
        ------
        NotSealedError
            If a ciphertext, given or found, was not sealed with this key, or has been changed.
        ValueError, TypeError
            Those of `ImageIndex.query`.
        """
        images = to_images(self.encryptor.inverse_transform(X) if sealed else X)
        features = compute_features(self._compute, images)
        found = self.index.query_features(features, k * self.oversampling)
        return self._sort(features, replace(found, images=self._open(found.images)), k)

    def _sort(self, features: NDArray[np.float32], found: Neighbors, k: int) -> Neighbors:
        """Sort opened images by their own features, and keep the nearest."""
        if not found.ids.size:
            return found
        n, n_found = found.ids.shape
        opened = [image for row in found.images for image in row]
        own = _normalize(compute_features(self._compute, opened)).reshape(n, n_found, -1)
        distances = 1 - np.einsum("nf,nkf->nk", _normalize(features), own)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return Neighbors(
            np.take_along_axis(found.ids, order, axis=1),
            np.take_along_axis(distances, order, axis=1).clip(0, 2),
            [[row[i] for i in places] for row, places in zip(found.images, order, strict=True)],
        )

    def _open(self, rows: list[list[NDArray[np.uint8]]]) -> list[list[NDArray[np.uint8]]]:
        if not any(rows):
            return rows
        # The same image is often near to several.
        each = {(image.shape, image.tobytes()): image for row in rows for image in row}
        images = self.encryptor.inverse_transform(list(each.values()))
        opened = dict(zip(each, images, strict=True))
        return [[opened[image.shape, image.tobytes()] for image in row] for row in rows]


def _check(encryptor: Any) -> None:
    # By tag, because nothing here may import encryptors.
    tags: Any = None
    if hasattr(encryptor, "__sklearn_tags__"):
        tags = getattr(get_tags(encryptor), "encryptor_tags", None)
    if tags is None:
        raise TypeError(f"{type(encryptor).__name__} is not an encryptor of ricsk.")
    if tags.discloses != "features" or not tags.recoverable:
        raise ValueError(
            f"in ciphertexts of this {type(encryptor).__name__} a classifier does not read the "
            "features of the plain images. Take SealedEncryptor(key, classifier, "
            "match='features')."
        )
    check_is_fitted(encryptor)
    if encryptor.ciphertext_shape_ != encryptor.image_shape_in_:
        raise ValueError(
            f"ciphertexts are larger than images, {encryptor.ciphertext_shape_} and "
            f"{encryptor.image_shape_in_}, because images are small. Enlarge the images, and fit "
            "the encryptor on these."
        )


def _normalize(features: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, np.finfo(np.float32).tiny)

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

    Raises
    ------
    TypeError
        If `encryptor` is not an encryptor.
    ValueError
        If its ciphertexts are not read with the features of their images, or it cannot open them.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    See Also
    --------
    ImageIndex : What the other machine has.

    Notes
    -----
    A plain image is not sealed to ask about it: its features are computed here, and sent. They are
    what its ciphertext would tell the index, and cost one pass through the network, not a search
    for noise. Only where ciphertexts are larger than images is the image sealed.

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

    def __init__(self, encryptor: Any, index: Any) -> None:
        _check(encryptor)
        self.encryptor = encryptor
        self.index = index

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
            Whether `X` holds ciphertexts. Plain images never leave; their features do.

        Returns
        -------
        Neighbors
            With plain images.

        Raises
        ------
        NotSealedError
            If what comes back was not sealed with this key, or has been changed.
        ValueError, TypeError
            Those of `ImageIndex.query`.
        """
        encryptor = self.encryptor
        if sealed:
            found = self.index.query(X, k)
        elif encryptor.ciphertext_shape_ != encryptor.image_shape_in_:  # it reads enlarged images
            found = self.index.query(encryptor.transform(X), k)
        else:
            compute = find_features(encryptor.classifier_)
            found = self.index.query_features(compute_features(compute, to_images(X)), k)
        return replace(found, images=self._open(found.images))

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

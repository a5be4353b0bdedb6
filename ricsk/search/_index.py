"""`ImageIndex`: ciphertexts by what a classifier reads in them."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ricsk.codecs import read_image
from ricsk.search._features import check_features, compute_features, find_features, to_images
from ricsk.search._ids import Id, read_ids, to_array
from ricsk.search._neighbors import Neighbors
from ricsk.search._store import Store

__all__ = ["ImageIndex"]

# How far, of their length, the features of an image may be from those that were stored with it,
# for the classifier to be the one that read it: more than rounding in 16 bits does.
_SAME_READING = 1e-2


class ImageIndex:
    """Find ciphertexts by what a classifier reads in them: no key, and no plain image.

    It is for ciphertexts in which a classifier reads the features of the plain image, as
    ``SealedEncryptor(match="features")`` makes them. Then the nearest ciphertexts are, nearly,
    those of the nearest images. Features are compared by their cosine, in a graph of usearch [1]_
    [2]_; ciphertexts and features are kept in a file of SQLite.

    **What makes this work is what it gives away**: who has the index has an embedding of every
    image, knows which images are alike, and can draw something like them. The user guide says how
    much. Ids are not encrypted.

    Read more in the :ref:`User Guide <guide-search>`.

    Parameters
    ----------
    classifier : classifier
        Fitted, the one that the ciphertexts were made for: with a method `features`, or a
        `CloudHalf`, whose `transform` computes them.
    path : path, optional
        The file of the index. One that is there is read, and each change is written to it before
        the call returns, wholly or not at all. A process has it to itself. By default the index
        stays in memory.

    Raises
    ------
    ImportError
        If usearch is not installed.
    TypeError
        If the classifier has no features.
    ValueError
        If the file is not an index, is damaged, or was filled by another classifier.
    NewerFormatError
        If a newer version made the file.
    OSError
        If it cannot be opened, or another process has it open.

    See Also
    --------
    PrivateIndex : The owner's half, with the key.
    ricsk.cloud.RemoteIndex : The same index on another machine.

    Notes
    -----
    Several threads may use it at a time. The graph is made again when a file is opened, so nothing
    but numbers and images is read from one.

    References
    ----------
    .. [1] https://github.com/unum-cloud/usearch
    .. [2] Y. A. Malkov and D. A. Yashunin, "Efficient and robust approximate nearest neighbor
       search using hierarchical navigable small world graphs", IEEE TPAMI 42(4), 2020.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from ricsk import CNNClassifier, SealedEncryptor, SecretKey, unseal
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.search import ImageIndex
    >>> X, y = load_digits(size=32)
    >>> classifier = CNNClassifier(width=8, epochs=1, random_state=0).fit(X[:1000], y[:1000])
    >>> key = SecretKey.generate()
    >>> encryptor = SealedEncryptor(key, FrozenEstimator(classifier), match="features")
    >>> C = encryptor.fit(X[:100]).transform(X[1000:1010])
    >>> index = ImageIndex(classifier)
    >>> index.add(C[:9])
    array([0, 1, 2, 3, 4, 5, 6, 7, 8])
    >>> found = index.query(C[4:5], k=3)
    >>> int(found.ids[0, 0]), found.ids.shape
    (4, (1, 3))
    >>> bool((unseal(found.images[0][:1], key)[0] == X[1004]).all())
    True
    """

    def __init__(self, classifier: Any, path: str | os.PathLike[str] | None = None) -> None:
        self._make_graph = _import_usearch()
        self.classifier = classifier
        self._compute = find_features(classifier)
        self._lock = threading.RLock()
        self._store = Store(path)
        try:
            self._fill()
        except BaseException:
            self._store.close()
            raise

    def _fill(self) -> None:
        self._keys, vectors = self._store.read_vectors()
        self._ids = {key: id_ for id_, key in self._keys.items()}
        self._next_key = max(self._ids, default=0) + 1
        self._graph: Any = None
        if len(vectors):
            self._check_reader(vectors[0])
            self._insert(list(self._ids), vectors)

    def _check_reader(self, vector: NDArray[np.float32]) -> None:
        """Refuse a classifier that reads the first image in another way than the index says."""
        image = self._read_images([next(iter(self._ids))])[0]
        try:
            found = compute_features(self._compute, [image])[0]
            is_same = bool(np.linalg.norm(found - vector) <= _SAME_READING * np.linalg.norm(vector))
        except ValueError:  # it takes images of another size, or has other features
            is_same = False
        if not is_same:
            raise ValueError(
                "the index was filled by another classifier, whose features say something else. "
                "Give that one, or fill a new index."
            )

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, id: object) -> bool:
        return id in self._keys

    def __repr__(self) -> str:
        return f"<ImageIndex of {len(self)} images>"

    @property
    def ids(self) -> NDArray[Any]:
        """The ids of all images, in the order in which they came."""
        return to_array(list(self._keys), (len(self._keys),))

    @property
    def n_features(self) -> int | None:
        """The number of features; None as long as nothing was added."""
        return None if self._graph is None else self._graph.ndim

    def add(self, C: ArrayLike, ids: Iterable[Id] | None = None) -> NDArray[Any]:
        """Add ciphertexts.

        Parameters
        ----------
        C : array-like of shape (n, height, width) or (n, height, width, channels), uint8
            Ciphertexts, grey or in colour, or a list of some of different sizes, if the classifier
            takes them.
        ids : iterable of int or str, optional
            What they are to be called: whole numbers, or texts. By default numbers that go on from
            the largest. An image that is there already under the same id is passed over, so a call
            that was interrupted can be repeated.

        Returns
        -------
        ndarray of shape (n,)
            The ids.

        Raises
        ------
        ValueError
            If an id comes twice, or is there with another image; or if `C` does not hold 8-bit
            images that the classifier takes. Nothing is added then.
        TypeError
            If ids are neither numbers nor texts, or not of the kind that the index has.
        """
        images = to_images(C)
        with self._lock:
            given = self._next_ids(len(images)) if ids is None else self._check_ids(ids)
            if len(given) != len(images):
                raise ValueError(f"there are {len(images)} images and {len(given)} ids.")
            new = self._find_new(given, images)
            if new:
                self._add([images[i] for i in new], [given[i] for i in new])
        return to_array(given, (len(given),))

    def _add(self, images: list[NDArray[np.uint8]], ids: list[Id]) -> None:
        vectors = compute_features(self._compute, images)
        if self._graph is not None and vectors.shape[1] != self._graph.ndim:
            raise ValueError(
                f"the classifier has {vectors.shape[1]} features of these images, and the index "
                f"{self._graph.ndim}."
            )
        keys = list(range(self._next_key, self._next_key + len(ids)))
        try:
            with self._store.change():
                self._store.put(keys, ids, vectors, map(_encode, images))
                self._insert(keys, vectors)
        except BaseException:
            if self._graph is not None:
                self._graph.remove(np.array(keys))
            raise
        self._next_key += len(keys)
        self._keys.update(zip(ids, keys, strict=True))
        self._ids.update(zip(keys, ids, strict=True))

    def remove(self, ids: Iterable[Id]) -> int:
        """Remove images.

        Parameters
        ----------
        ids : iterable of int or str
            What they are called. Ids that are not there are passed over.

        Returns
        -------
        int
            How many were removed.
        """
        with self._lock:
            keys = [self._keys[id_] for id_ in dict.fromkeys(read_ids(ids)) if id_ in self._keys]
            if keys:
                with self._store.change():
                    self._store.remove(keys)
                self._graph.remove(np.array(keys))
            for key in keys:
                del self._keys[self._ids.pop(key)]
        return len(keys)

    def query(self, C: ArrayLike, k: int = 10) -> Neighbors:
        """Find the nearest images of ciphertexts.

        Parameters
        ----------
        C : array-like
            Ciphertexts, as for `add`. Those that are in the index find themselves.
        k : int
            How many to find for each; fewer, if the index has fewer.

        Returns
        -------
        Neighbors
            With ciphertexts.

        Raises
        ------
        ValueError
            If `C` does not hold 8-bit images that the classifier takes, or `k` is below 1.
        """
        return self.query_features(self.compute_features(C), k)

    def query_features(self, features: ArrayLike, k: int = 10) -> Neighbors:
        """Find the images whose features are nearest.

        Parameters
        ----------
        features : array-like of shape (n, n_features)
            What the classifier's `features` returns.
        k : int
            As for `query`.

        Returns
        -------
        Neighbors
            With ciphertexts.

        Raises
        ------
        ValueError
            If there are not as many features as the index has, or not finite ones, or `k` is below
            1.
        """
        with self._lock:
            ids, distances = self.find(features, k)
            images = self._read_images([self._keys[id_] for id_ in ids.ravel().tolist()])
        n, k = ids.shape
        return Neighbors(ids, distances, [images[i * k : (i + 1) * k] for i in range(n)])

    def find(self, features: ArrayLike, k: int = 10) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Find what the images with the nearest features are called, without reading them.

        Parameters
        ----------
        features, k
            As for `query_features`, with the same errors.

        Returns
        -------
        ids : ndarray of shape (n, k)
        distances : ndarray of shape (n, k), float32
        """
        if not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"k={k!r}: expected a whole number of 1 or more.")
        vectors = check_features(features)
        with self._lock:
            if not len(self):
                return to_array([], (len(vectors), 0)), np.empty((len(vectors), 0), np.float32)
            if vectors.shape[1] != self._graph.ndim:
                raise ValueError(
                    f"there are {vectors.shape[1]} features; the index has {self._graph.ndim}."
                )
            keys, distances = self._search(vectors, min(int(k), len(self)))
            return to_array(
                [self._ids[key] for key in keys.ravel().tolist()], keys.shape
            ), distances

    def compute_features(self, C: ArrayLike) -> NDArray[np.float32]:
        """Compute what the classifier reads in ciphertexts.

        Parameters
        ----------
        C : array-like
            As for `query`, with the same errors.

        Returns
        -------
        ndarray of shape (n, n_features), float32
        """
        return compute_features(self._compute, to_images(C))

    def read_files(self, ids: Iterable[Id]) -> list[bytes]:
        """Read ciphertexts as PNG files.

        Parameters
        ----------
        ids : iterable of int or str
            What they are called.

        Returns
        -------
        list of bytes

        Raises
        ------
        KeyError
            If one is not there.
        """
        with self._lock:
            try:
                keys = [self._keys[id_] for id_ in read_ids(ids)]
            except KeyError as error:
                raise KeyError(f"there is no image {error}.") from None
            files = self._store.read_files(list(dict.fromkeys(keys)))
        return [files[key] for key in keys]

    def close(self) -> None:
        """Close the file, so that another process can open it."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _search(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        found = self._graph.search(vectors, k)
        n_found = getattr(found, "counts", len(found))  # it has none for a single vector
        if np.min(n_found) < k:  # a graph that much was removed from has dead ends
            found = self._graph.search(vectors, k, exact=True)
        shape = len(vectors), k
        distances = found.distances.reshape(shape).clip(0, 2).astype(np.float32)
        return found.keys.reshape(shape), distances

    def _insert(self, keys: list[int], vectors: NDArray[np.float32]) -> None:
        if self._graph is None:
            self._graph = self._make_graph(ndim=vectors.shape[1], metric="cos", dtype="f32")
        self._graph.add(np.array(keys), vectors)

    def _read_images(self, keys: list[int]) -> list[NDArray[np.uint8]]:
        files = self._store.read_files(list(dict.fromkeys(keys)))
        images = {key: read_image(file, formats=("PNG",)) for key, file in files.items()}
        return [images[key] for key in keys]

    def _next_ids(self, n: int) -> list[Id]:
        if any(isinstance(id_, str) for id_ in self._keys):
            raise TypeError("the index has texts as ids: give such for these images, too.")
        start = max((id_ for id_ in self._keys if isinstance(id_, int)), default=-1) + 1
        return list(range(start, start + n))

    def _check_ids(self, ids: Iterable[Id]) -> list[Id]:
        given = read_ids(ids)
        kinds = {type(id_) for id_ in [*given, *list(self._keys)[:1]]}
        if len(kinds) > 1:
            raise TypeError("ids are to be all whole numbers, or all texts, in one index.")
        if len(set(given)) < len(given):
            raise ValueError("an id comes twice; expected another one for each image.")
        return given

    def _find_new(self, ids: list[Id], images: list[NDArray[np.uint8]]) -> list[int]:
        """Find which images are not there yet; the others must be the same."""
        there = [i for i, id_ in enumerate(ids) if id_ in self._keys]
        stored = self._read_images([self._keys[ids[i]] for i in there])
        for i, image in zip(there, stored, strict=True):
            if not np.array_equal(image, images[i].reshape(*images[i].shape[:2], -1)):
                raise ValueError(
                    f"the id {ids[i]!r} is there with another image. Remove that first, or take "
                    "another id."
                )
        return sorted(set(range(len(ids))) - set(there))


def _import_usearch() -> Callable[..., Any]:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise ImportError(
            "usearch, which finds the nearest vectors, is not installed. Install it, as pip "
            "install 'ricsk[search]' does."
        ) from error
    return Index


def _encode(image: NDArray[np.uint8]) -> bytes:
    """Write a PNG file; noise gets no smaller, so quickly."""
    file = io.BytesIO()
    pixels = image[..., 0] if image.shape[2:] == (1,) else image
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()

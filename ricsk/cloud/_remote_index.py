"""`RemoteIndex`: an index behind a service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.cloud._connection import MAX_ANSWER_BYTES, Connection
from ricsk.cloud._protocol import Tensor
from ricsk.codecs import read_image
from ricsk.exceptions import ServiceError
from ricsk.images import group_by_size
from ricsk.search import Neighbors, read_ids, to_images

__all__ = ["RemoteIndex"]

_OUTPUTS = ("ids", "distances", "images")


class RemoteIndex:
    """An index behind the service of `create_app`, with the methods of an `ImageIndex`.

    **Whatever it is given, it sends.** Give it to a `PrivateIndex`, which seals images before.

    Read more in the :ref:`User Guide <guide-search>`.

    Parameters
    ----------
    url : str
        Where the service is, such as ``"https://cloud.example:8080"``.
    name : str
        Name of the index.
    batch_size : int
        Images of a request.
    timeout : float
        Seconds that a request may wait for its answer.
    retries : int
        How often a request is repeated, as by `RemoteClassifier`. Changes may be repeated as well:
        what was added or removed before stays so.

    Raises
    ------
    ImportError
        If httpx is not installed.
    ValueError
        If `url` is not an address.

    See Also
    --------
    ricsk.search.PrivateIndex : Seals, asks and opens.

    Examples
    --------
    >>> from ricsk.cloud import RemoteIndex
    >>> index = RemoteIndex("http://127.0.0.1:8080", "photos")
    >>> index.close()
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        batch_size: int = 32,
        timeout: float = 60.0,
        retries: int = 4,
    ) -> None:
        self.name = name
        self.batch_size = batch_size
        self._connection = Connection(url, n_connections=1, timeout=timeout, retries=retries)

    def __len__(self) -> int:
        try:
            return int(self._connection.describe(self.name)["parameters"]["n_images"])
        except (KeyError, TypeError, ValueError):
            raise ServiceError(f"{self.name} is not an index of images.") from None

    def add(self, C: ArrayLike, ids: Iterable[int | str] | None = None) -> NDArray[Any]:
        """Send ciphertexts to be added, a batch at a time.

        Parameters
        ----------
        C : array-like
            Ciphertexts, as for `ImageIndex.add`.
        ids : iterable of int or str
            What they are to be called.

        Returns
        -------
        ndarray of shape (n,)
            The ids.

        Raises
        ------
        ServiceError
            If the service refuses them. Batches before may have been added; it may be called again.
        ServiceUnreachableError
            If the service cannot be reached, or is busy after all retries.
        ValueError, TypeError
            If images and ids do not fit, or there are none.
        """
        if ids is None:
            raise TypeError("ids are missing: an index elsewhere does not count by itself.")
        images, given = to_images(C), read_ids(ids)
        if len(given) != len(images):
            raise ValueError(f"there are {len(images)} images and {len(given)} ids.")
        for positions, part in self._split(images):
            names = _to_tensor([given[i] for i in positions])
            self._connection.change(self.name, "add", [Tensor("images", "UINT8", part), names])
        return np.array(given)

    def remove(self, ids: Iterable[int | str]) -> int:
        """Have images removed.

        Parameters
        ----------
        ids : iterable of int or str
            What they are called. Ids that are not there are passed over.

        Returns
        -------
        int
            How many the service says it removed.

        Raises
        ------
        ServiceError, ServiceUnreachableError
            As by `add`.
        """
        given = read_ids(ids)
        if not given:
            return 0
        answer = self._connection.change(self.name, "remove", [_to_tensor(given)])
        n_removed = answer.get("n_removed")
        if not isinstance(n_removed, int):
            raise ServiceError(f"{self.name} did not say how many images it removed.")
        return n_removed

    def query(self, C: ArrayLike, k: int = 10) -> Neighbors:
        """Have the nearest images of ciphertexts found.

        Parameters
        ----------
        C, k
            As for `ImageIndex.query`. The ciphertexts are sent.

        Returns
        -------
        Neighbors
            With ciphertexts.

        Raises
        ------
        ServiceError, ServiceUnreachableError
            As by `add`.
        ValueError
            If `C` does not hold 8-bit images.
        """
        images = to_images(C)
        found: dict[int, Any] = {}
        for positions, part in self._split(images):
            rows = self._ask(Tensor("images", "UINT8", part), k)
            found |= dict(zip(positions, rows, strict=True))
        return _join([found[i] for i in range(len(images))])

    def query_features(self, features: ArrayLike, k: int = 10) -> Neighbors:
        """Have the images with the nearest features found.

        Parameters
        ----------
        features, k
            As for `ImageIndex.query_features`. The features are sent.

        Returns
        -------
        Neighbors
            With ciphertexts.

        Raises
        ------
        ServiceError, ServiceUnreachableError
            As by `add`.
        """
        vectors = np.asarray(features, np.float32)
        rows: list[Any] = []
        for start in range(0, len(vectors), self.batch_size):
            part = vectors[start : start + self.batch_size]
            rows += self._ask(Tensor("features", "FP32", part), k)
        return _join(rows)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _split(
        self, images: list[NDArray[np.uint8]]
    ) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
        """Split images into batches of one size."""
        groups = group_by_size(images)
        parts = (
            [(np.arange(len(images)), np.stack(images))]
            if groups is None
            else [(group.positions, group.images) for group in groups]
        )
        for positions, pixels in parts:
            for start in range(0, len(pixels), self.batch_size):
                stop = start + self.batch_size
                yield positions[start:stop].tolist(), pixels[start:stop]

    def _ask(self, given: Tensor, k: int) -> list[tuple[Any, Any, list[NDArray[np.uint8]]]]:
        n = len(given.values)
        limit = (n * max(k, 1) + 1) * MAX_ANSWER_BYTES
        found = self._connection.ask(self.name, {"parameters": {"k": k}}, given, _OUTPUTS, limit)
        ids, distances, files = (found[name].values for name in _OUTPUTS)
        is_right = (
            ids.shape == distances.shape == files.shape
            and ids.ndim == 2
            and len(ids) == n
            and ids.shape[1] <= k
            and distances.dtype.kind == "f"
            and np.isfinite(distances).all()
            and found["images"].datatype == "BYTES"
        )
        if not is_right:
            raise ServiceError(
                f"{self.name} did not answer with up to {k} neighbours of each of {n} images."
            )
        try:
            images = [read_image(file, formats=("PNG",)) for file in files.ravel().tolist()]
            if ids.dtype == object:
                ids = np.array([one.decode() for one in ids.ravel().tolist()], str)
        except ValueError as error:
            raise ServiceError(f"{self.name} answered with what is no image: {error}") from None
        k = files.shape[1]
        ids = ids.reshape(n, k)
        return [(ids[i], distances[i], images[i * k : (i + 1) * k]) for i in range(n)]


def _to_tensor(ids: list[int | str]) -> Tensor:
    if not all(isinstance(one, str) for one in ids):
        return Tensor("ids", "INT64", np.array(ids, np.int64))
    texts = np.empty(len(ids), object)
    texts[:] = [str(one).encode() for one in ids]
    return Tensor("ids", "BYTES", texts)


def _join(rows: list[tuple[Any, Any, list[NDArray[np.uint8]]]]) -> Neighbors:
    if len({len(ids) for ids, _, _ in rows}) > 1:
        raise ServiceError("the index was changed between two requests. Ask again.")
    ids, distances, images = zip(*rows, strict=True)
    return Neighbors(np.stack(ids), np.stack(distances).astype(np.float32), list(images))

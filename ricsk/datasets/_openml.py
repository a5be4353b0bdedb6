"""Data sets fetched from OpenML."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray

__all__ = ["fetch_cifar10", "fetch_svhn"]

Subset = Literal["all", "train", "test"]


def fetch_cifar10(
    *, data_home: str | Path | None = None, subset: Subset = "all"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Fetch CIFAR-10 from OpenML: 60,000 colour images of ten kinds of things.

    The data set is described in [1]_. The first call downloads some hundred megabytes and keeps
    them in `data_home`. Reading them takes a few gigabytes of memory.

    Parameters
    ----------
    data_home : str or Path, optional
        Where scikit-learn keeps data; by default ``~/scikit_learn_data``.
    subset : {"all", "train", "test"}
        All images, the first 50,000 or the last 10,000. OpenML's copy ("CIFAR_10", version 1,
        data set 40927) does not name its parts; it is taken to have the five training batches
        first and the test batch last, as the authors number them.

    Returns
    -------
    X : ndarray of shape (n_samples, 32, 32, 3), uint8
        The images, RGB on 0..255.
    y : ndarray of shape (n_samples,), int64
        0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    Raises
    ------
    ValueError
        If `subset` is not one of the three.
    Exception
        Whatever `sklearn.datasets.fetch_openml` raises, for instance without a network.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", University of
       Toronto, 2009.

    Examples
    --------
    It downloads, so no test runs it:

    >>> X, y = fetch_cifar10(subset="test")  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (10000, 32, 32, 3)
    """
    rows, y = _fetch_openml(40927, 50_000, subset, data_home)
    return _from_planes(rows), y


def fetch_svhn(
    *, data_home: str | Path | None = None, subset: Subset = "all"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Fetch SVHN from OpenML: 99,289 colour crops of house numbers.

    The data set is described in [1]_. The first call downloads some hundred megabytes and keeps
    them in `data_home`. Reading them takes a few gigabytes of memory. The data may be used for
    non-commercial purposes only.

    Parameters
    ----------
    data_home : str or Path, optional
        Where scikit-learn keeps data; by default ``~/scikit_learn_data``.
    subset : {"all", "train", "test"}
        All images, the first 73,257 or the last 26,032, as many as the training and the test set
        of the authors have. OpenML (data set 41081) does not say in which order its rows are.

    Returns
    -------
    X : ndarray of shape (n_samples, 32, 32, 3), uint8
        The images, RGB on 0..255.
    y : ndarray of shape (n_samples,), int64
        The digits, 0 to 9. The authors' label 10 stands for the digit 0.

    Raises
    ------
    ValueError
        If `subset` is not one of the three.
    Exception
        Whatever `sklearn.datasets.fetch_openml` raises, for instance without a network.

    See Also
    --------
    make_street_numbers : Made-up images of the same kind, without a download.

    Notes
    -----
    OpenML does not say either how an image was written into a row, colour by colour or pixel by
    pixel, so that is read off the images: in the right order, neighbouring rows of pixels differ
    least.

    References
    ----------
    .. [1] Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu and A. Y. Ng, "Reading Digits in
       Natural Images with Unsupervised Feature Learning", NIPS Workshop on Deep Learning and
       Unsupervised Feature Learning, 2011.

    Examples
    --------
    It downloads, so no test runs it:

    >>> X, y = fetch_svhn(subset="test")  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (26032, 32, 32, 3)
    """
    rows, y = _fetch_openml(41081, 73_257, subset, data_home)
    sample = rows[:1000].astype(np.int16)
    # One row of pixels is 32 values away from the next colour by colour, 96 pixel by pixel.
    by_colour, by_pixel = (np.abs(sample[:, step:] - sample[:, :-step]).mean() for step in (32, 96))
    X = _from_planes(rows) if by_colour < by_pixel else rows.reshape(-1, 32, 32, 3)
    return X, y % 10


def _fetch_openml(
    data_id: int, n_train: int, subset: Subset, data_home: str | Path | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Fetch rows of 3072 pixel values, and their labels."""
    parts = {"all": slice(None), "train": slice(n_train), "test": slice(n_train, None)}
    if subset not in parts:
        raise ValueError(f"subset={subset!r}: expected 'all', 'train' or 'test'.")
    fetched = sklearn.datasets.fetch_openml(data_id=data_id, data_home=data_home, as_frame=False)
    part = parts[subset]
    return fetched.data[part].astype(np.uint8), fetched.target[part].astype(np.int64)


def _from_planes(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.moveaxis(rows.reshape(-1, 3, 32, 32), 1, -1))

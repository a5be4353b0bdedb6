"""Encodings that have one image in common, and how much of each image is in each encoding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_clusters", "weigh"]

_STARTS_PER_IMAGE = 8
# Clusters that have more than this share of their members in common are of one image.
_MAX_OVERLAP = 0.35


class Cluster(NamedTuple):
    """Encodings that have an image in common.

    Parameters
    ----------
    members : ndarray of shape (n_members,), int64
        Positions of encodings.
    label : int
        The class of the image.
    """

    members: NDArray[np.int64]
    label: int


def find_clusters(
    likely: NDArray[np.float32],
    shares: NDArray[np.float64],
    n_images: int,
    n_private: int,
    rng: np.random.RandomState,
) -> list[Cluster]:
    """Find a cluster for each private image.

    Clusters grow from random encodings, by the one that is most likely to have an image of a class
    in common with all members so far. The best that overlap least are kept.

    Parameters
    ----------
    likely : ndarray of shape (n, n)
        The probability that two encodings have an image in common, zero on the diagonal.
    shares : ndarray of shape (n, n_classes)
        The mixed labels.
    n_images, n_private : int
        How many private images there are, and in each encoding.
    rng : RandomState
        Decides where clusters start.

    Returns
    -------
    list of Cluster
        As many as there are images, or fewer.
    """
    n = len(likely)
    size = max(2, n_private * n // (2 * n_images))
    grown = []
    for start in rng.permutation(n)[: _STARTS_PER_IMAGE * n_images]:
        for label in np.flatnonzero(shares[start]):
            members = _grow(likely, np.flatnonzero(shares[:, label]), start, size)
            within = likely[np.ix_(members, members)].sum() / (size * (size - 1))
            grown.append((within, Cluster(members, int(label))))
    kept: list[Cluster] = []
    for _, cluster in sorted(grown, key=lambda found: -found[0]):
        if all(
            len(np.intersect1d(cluster.members, other.members)) < _MAX_OVERLAP * size
            for other in kept
        ):
            kept.append(cluster)
        if len(kept) == n_images:
            break
    return kept


def _grow(
    likely: NDArray[np.float32], candidates: NDArray[np.int64], start: int, size: int
) -> NDArray[np.int64]:
    members = [start]
    sums = likely[start].copy()
    outside = np.full(len(likely), -np.inf, likely.dtype)
    outside[candidates] = 0
    outside[start] = -np.inf
    while len(members) < min(size, len(candidates)):
        best = int((sums + outside).argmax())
        members.append(best)
        outside[best] = -np.inf
        sums += likely[best]
    return np.array(members)


def weigh(
    clusters: list[Cluster],
    likely: NDArray[np.float32],
    shares: NDArray[np.float64],
    n_private: int,
) -> NDArray[np.float64]:
    """Say how much of each cluster's image is in each encoding.

    An encoding gets the likeliest cluster of each class in its label, and then the likeliest of
    these classes, until it has as many as it has private images. Clusters of one class share what
    its label says of the class.

    Parameters
    ----------
    clusters : list of Cluster
        From `find_clusters`.
    likely, shares, n_private
        As given to `find_clusters`.

    Returns
    -------
    ndarray of shape (n, n_clusters)
        Weights.
    """
    labels = np.array([cluster.label for cluster in clusters])
    scores = np.stack([likely[:, cluster.members].mean(axis=1) for cluster in clusters], axis=1)
    weights = np.zeros(scores.shape)
    for row, score, share in zip(weights, scores, shares, strict=True):
        order = np.argsort(-score)
        order = order[share[labels[order]] > 0]
        _, firsts = np.unique(labels[order], return_index=True)
        rest = np.setdiff1d(np.arange(len(order)), firsts)
        chosen = order[np.concatenate([np.sort(firsts), rest])[:n_private]]
        counts = np.bincount(labels[chosen], minlength=len(share))
        row[chosen] = share[labels[chosen]] / counts[labels[chosen]]
    return weights

"""How much of a puzzle is right: direct and neighbour comparison, and the largest component."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.attacks.jigsaw._puzzle import put_in_state
from ricsk.blocks import to_blocks

__all__ = ["JigsawScores", "jigsaw_scores"]

# Mean absolute difference, in levels, up to which a block is the same: compression changes some.
_SAME = 8


class JigsawScores(NamedTuple):
    """What `jigsaw_scores` returns; each is a share, from 0 to 1.

    Parameters
    ----------
    direct : float
        :math:`D_c`: blocks in their own place.
    neighbour : float
        :math:`N_c`: pairs of adjacent blocks that are adjacent, in the same way, in the image.
    largest_component : float
        :math:`L_c`: blocks in the largest part in which all such pairs are right.
    """

    direct: float
    neighbour: float
    largest_component: float


def jigsaw_scores(X_true: ArrayLike, X: ArrayLike, block_size: int) -> JigsawScores:
    """Compare reassembled images with the true ones, block by block.

    Nothing in a puzzle tells which way up the whole is, whether it is a negative, or in which
    order its channels are. So each measure is that of the best of these states of the whole.

    Parameters
    ----------
    X_true, X : array-like of uint8, shape (n_samples, height, width, channels)
        Images, and what an attack made of their ciphertexts. A block is right if it is in all
        images, up to 8 levels of 255 in the mean.
    block_size : int
        Side of the blocks in pixels; it divides height and width.

    Returns
    -------
    JigsawScores
        The measures of [1]_.

    Raises
    ------
    ValueError
        If the shapes differ, or blocks do not fill the images.

    References
    ----------
    .. [1] A. C. Gallagher, "Jigsaw puzzles with pieces of unknown orientation", CVPR, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    >>> jigsaw_scores(images, np.roll(255 - images[:, ::-1], 8, axis=2), 8)
    JigsawScores(direct=0.0, neighbour=0.833..., largest_component=0.75)
    """
    true, found = (np.asarray(images) for images in (X_true, X))
    for images in (true, found):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape != true.shape:
            raise ValueError(
                f"X_true is {true.dtype} of shape {true.shape} and X {found.dtype} of shape "
                f"{found.shape}; expected two uint8 arrays of shape (n_samples, height, width, "
                "channels)."
            )
    height, width, channels = true.shape[1:]
    if height % block_size or width % block_size:
        raise ValueError(
            f"blocks of {block_size}×{block_size} pixels do not fill images of {height}×{width}."
        )
    frame = height // block_size, width // block_size
    pieces = _cut_pieces(true, block_size)
    number = _number_pieces(pieces, pieces)
    scores = []
    for symmetry, negated, order in product(range(8), range(2), range(6 if channels == 3 else 1)):
        if height != width and symmetry % 2:
            continue
        picture = put_in_state(found, 12 * symmetry + 6 * negated + order)
        scores.append(
            _score(number, _number_pieces(_cut_pieces(picture, block_size), pieces), frame)
        )
    return JigsawScores(*(float(best) for best in np.max(scores, axis=0)))


def _cut_pieces(images: NDArray[np.uint8], block_size: int) -> NDArray[np.int16]:
    """Cut images into (n_blocks, values of the block in all images)."""
    blocks = np.stack([to_blocks(image, block_size) for image in images], axis=1)
    return blocks.reshape(len(blocks), -1).astype(np.int16)


def _number_pieces(pieces: NDArray[np.int16], among: NDArray[np.int16]) -> NDArray[np.intp]:
    """Name each piece by the first one that it equals; -1 if there is none."""
    distances = np.stack([np.abs(among - piece).mean(axis=1) for piece in pieces])
    nearest = distances.argmin(axis=1)
    return np.where(distances.min(axis=1) <= _SAME, nearest, -1)


def _score(
    true: NDArray[np.intp], found: NDArray[np.intp], frame: tuple[int, int]
) -> tuple[float, float, float]:
    places = np.arange(len(true)).reshape(frame)
    right = []
    n_pairs = 0
    for ones, others in ((places[:, :-1], places[:, 1:]), (places[:-1], places[1:])):
        one, other = ones.ravel(), others.ravel()
        known = set(zip(true[one].tolist(), true[other].tolist(), strict=True))
        pairs = zip(found[one].tolist(), found[other].tolist(), strict=True)
        kept = np.fromiter((pair in known for pair in pairs), bool, len(one))
        right.append(np.stack([one[kept], other[kept]]))
        n_pairs += len(one)
    rows, columns = np.concatenate(right, axis=1)
    component = np.arange(len(true))
    before = component - 1
    while (component != before).any():
        before = component.copy()
        np.minimum.at(component, rows, before[columns])
        np.minimum.at(component, columns, before[rows])
    sizes = np.bincount(component[found >= 0], minlength=1)
    return (
        float((true == found).mean()),
        len(rows) / max(n_pairs, 1),
        float(sizes.max() / len(true)),
    )

"""Hide a few bytes in the lowest bits of an image, changing as few pixels as possible.

Matrix embedding: a group of 2^r − 1 values carries r bits, and at most one value of the group
changes, by one level (R. Crandall, "Some notes on steganography", 1998; A. Westfeld, "F5: a
steganographic algorithm", Information Hiding, 2001, section 5).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["embed", "extract", "fits"]

# Numbers that are computed with at a time, to bound the memory.
_PART = 1 << 19


def fits(n_values: int, n_bytes: int) -> bool:
    """Say whether an image of `n_values` can carry `n_bytes`: it needs a value for each bit.

    Examples
    --------
    >>> fits(128, 16), fits(127, 16)
    (True, False)
    """
    return n_values >= 8 * n_bytes


def embed(
    exact: NDArray[np.float64], payload: NDArray[np.uint8], places: NDArray[np.integer]
) -> NDArray[np.uint8]:
    """Round images to 8 bits so that they carry some bytes.

    Parameters
    ----------
    exact : ndarray of float, shape (n_samples, n_values)
        Flattened images with levels on 0..255, before rounding.
    payload : ndarray of uint8, shape (n_samples, n_bytes)
        What to write.
    places : ndarray of int, shape (n_values,)
        The order in which values are used, a permutation.

    Returns
    -------
    ndarray of uint8, shape (n_samples, n_values)
        Rounded images, in which a few values are the next but nearest level.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.full((1, 3072), 128.3)
    >>> secret = np.arange(16, dtype=np.uint8)[np.newaxis]
    >>> marked = embed(images, secret, np.arange(3072))
    >>> extract(marked, 16, np.arange(3072)).tolist() == secret.tolist()
    True
    >>> np.unique(marked).tolist(), int((marked != 128).sum()) <= 19
    ([128, 129], True)
    """
    result = np.empty(exact.shape, np.uint8)
    np.rint(exact, out=result, casting="unsafe")
    n_bits, groups = _layout(exact.shape[1], payload.shape[1], places)
    bits = np.unpackbits(payload, axis=1)
    bits = np.pad(bits, ((0, 0), (0, len(groups) * n_bits - bits.shape[1])))
    wanted = bits.reshape(len(exact), len(groups), n_bits) @ (1 << np.arange(n_bits))
    # The number of the value in its group, from 1, whose lowest bit must flip; 0 for none.
    flip = wanted ^ _syndromes(result, groups)
    sample, group = np.nonzero(flip)
    place = groups[group, flip[sample, group] - 1]
    chosen = result[sample, place].astype(np.int16)
    upwards = (exact[sample, place] > chosen) & (chosen < 255) | (chosen == 0)
    result[sample, place] = np.where(upwards, chosen + 1, chosen - 1)
    return result


def extract(
    values: NDArray[np.uint8], n_bytes: int, places: NDArray[np.integer]
) -> NDArray[np.uint8]:
    """Read the bytes back that `embed` wrote.

    Parameters
    ----------
    values : ndarray of uint8, shape (n_samples, n_values)
        Flattened images.
    n_bytes : int
        How many bytes were written.
    places : ndarray of int, shape (n_values,)
        The order in which values were used.

    Returns
    -------
    ndarray of uint8, shape (n_samples, n_bytes)
    """
    n_bits, groups = _layout(values.shape[1], n_bytes, places)
    bits = (_syndromes(values, groups)[..., np.newaxis] >> np.arange(n_bits)) & 1
    return np.packbits(bits.reshape(len(values), -1)[:, : 8 * n_bytes].astype(np.uint8), axis=1)


def _layout(
    n_values: int, n_bytes: int, places: NDArray[np.integer]
) -> tuple[int, NDArray[np.integer]]:
    """Choose the largest groups that hold all bits: bits per group, and (n_groups, size) places."""
    n_bits = 1
    while -(-8 * n_bytes // (n_bits + 1)) * (2 ** (n_bits + 1) - 1) <= n_values:
        n_bits += 1
    n_groups, size = -(-8 * n_bytes // n_bits), 2**n_bits - 1
    return n_bits, places[: n_groups * size].reshape(n_groups, size)


def _syndromes(values: NDArray[np.uint8], groups: NDArray[np.integer]) -> NDArray[np.int64]:
    """XOR the numbers, from 1, of the values in each group whose lowest bit is set."""
    found = np.zeros((len(values), len(groups)), np.int64)
    step = max(1, _PART // max(1, found.size))
    for start in range(0, groups.shape[1], step):
        part = groups[:, start : start + step]
        numbers = (values[:, part] & 1) * np.arange(start + 1, start + 1 + part.shape[1])
        found ^= np.bitwise_xor.reduce(numbers, axis=2)
    return found

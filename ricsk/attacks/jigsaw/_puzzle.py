"""Blocks as the pieces of a puzzle: their states, how well they fit, and putting them together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ricsk.blocks import to_blocks

__all__ = ["Arrangement", "assemble", "compute_misfit", "list_states", "put_in_state"]

# Sides of a block by their outward normal, (down, right): the right, lower, left and upper side.
_NORMALS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
# Symmetry 4 m + k turns by k quarters to the left and then, for m = 1, mirrors left to right.
_QUARTER, _MIRROR = np.array([[0, -1], [1, 0]]), np.array([[1, 0], [0, -1]])
_MATRICES = np.array(
    [
        np.linalg.matrix_power(_MIRROR, m) @ np.linalg.matrix_power(_QUARTER, k)
        for m in range(2)
        for k in range(4)
    ]
)
_ORDERS = np.array([*permutations(range(3))])
# How many partners are tried for each side of a block before what is left is filled in.
_N_PARTNERS = 10


def _find(rows: NDArray[np.int_], among: NDArray[np.int_]) -> NDArray[np.intp]:
    """Find each row, an array of the shape of those of `among`, in it."""
    flat = among.reshape(len(among), -1)
    equal = rows.reshape(-1, 1, flat.shape[1]) == flat
    return equal.all(axis=2).argmax(axis=1)


# A state is 12 × symmetry + 6 × negated + order. `_AFTER[a, b]` is a after b.
_SYMMETRY, _COLOUR = np.divmod(np.arange(96), 12)
_AFTER_SYMMETRY = _find(
    np.einsum("aij,bjk->abik", _MATRICES, _MATRICES).reshape(64, 2, 2), _MATRICES
).reshape(8, 8)
_AFTER_ORDER = _find(
    np.stack([first[then] for then in _ORDERS for first in _ORDERS]), _ORDERS
).reshape(6, 6)
_NEGATED, _ORDER = np.divmod(_COLOUR, 6)
_AFTER = (
    12 * _AFTER_SYMMETRY[_SYMMETRY[:, np.newaxis], _SYMMETRY]
    + 6 * (_NEGATED[:, np.newaxis] ^ _NEGATED)
    + _AFTER_ORDER[_ORDER[:, np.newaxis], _ORDER]
)
_INVERSE = (_AFTER == 0).argmax(axis=1)
# Where a side goes, and which one comes to lie on a side: (96, 4).
_SIDE_TO = _find(np.einsum("aij,dj->adi", _MATRICES, _NORMALS).reshape(32, 2), _NORMALS).reshape(
    8, 4
)[_SYMMETRY]
_SIDE_FROM = _SIDE_TO.argsort(axis=1)


class Arrangement(NamedTuple):
    """Which block lies in each place, row by row, and in which state; both (n_places,)."""

    blocks: NDArray[np.intp]
    states: NDArray[np.intp]

    def turn(self, state: int, frame: tuple[int, int]) -> Arrangement:
        """Put the whole in another state; `frame`, in blocks, is square unless it stays upright."""
        grid = np.arange(len(self.blocks)).reshape(*frame, 1)
        order = _apply_symmetry(grid, _SYMMETRY[state]).ravel()
        return Arrangement(self.blocks[order], _AFTER[state, self.states[order]])


def list_states(rotate: bool, negate: bool, shuffle_channels: bool) -> NDArray[np.intp]:
    """List the states that blocks can be in, of 96; 0 leaves a block as it is.

    Examples
    --------
    >>> len(list_states(True, True, True)), list_states(False, True, False).tolist()
    (96, [0, 6])
    """
    there = (_SYMMETRY == 0) | rotate
    there &= (_NEGATED == 0) | negate
    there &= (_ORDER == 0) | shuffle_channels
    return np.flatnonzero(there)


def put_in_state(images: NDArray[np.uint8], state: int) -> NDArray[np.uint8]:
    """Turn, negate and recolour images or blocks, (..., height, width, channels)."""
    images = _apply_symmetry(images, _SYMMETRY[state])
    if images.shape[-1] == 3:
        images = images[..., _ORDERS[_ORDER[state]]]
    return ~images if _NEGATED[state] else images


def compute_misfit(ciphertexts: NDArray[np.uint8], block_size: int) -> NDArray[np.float32]:
    r"""Say how badly block j in each state continues block i beyond each of its sides.

    The Mahalanobis gradient compatibility, symmetrised: with :math:`l_p, l'_p` the pixels of the
    last and the last but one line of block i and :math:`r_p` those of the first line of block j,
    and μ and Σ the mean and covariance of :math:`l_p - l'_p`,

    .. math:: \sum_p (r_p - l_p - \mu)^T (\Sigma + I)^{-1} (r_p - l_p - \mu)

    plus the same with the blocks exchanged, in the mean over images.

    Parameters
    ----------
    ciphertexts : ndarray of uint8, shape (n_samples, height, width, channels)
        With one arrangement for all.
    block_size : int
        Side of the blocks in pixels, at least 2.

    Returns
    -------
    ndarray, shape (n_blocks, 4, n_blocks, 96)
        For block i, side, block j and its state. Infinite for i = j. States that differ by the
        order of channels are equal for grey images.
    """
    channels = ciphertexts.shape[-1]
    orders = _ORDERS if channels == 3 else np.zeros((6, 1), int)
    total: NDArray[np.float64] | float = 0.0
    for image in ciphertexts:
        blocks = to_blocks(image, block_size) - 127.5
        n_blocks = len(blocks)
        near, next_to = (
            np.stack([_take_line(blocks, side, depth) for side in range(4)], axis=1)
            for depth in (0, 1)
        )
        steps = near - next_to
        mean = steps.mean(axis=2, keepdims=True)
        spread = steps - mean
        covariance = spread.swapaxes(2, 3) @ spread / block_size + np.eye(channels)
        precision = np.linalg.inv(covariance)
        expected = near + mean
        weighted = expected @ precision
        constant = (weighted * expected).sum(axis=(2, 3))
        # The quadratic form, multiplied out: one matrix product compares all pairs.
        ours = np.concatenate(
            [precision.reshape(n_blocks, 4, -1), -2 * weighted.reshape(n_blocks, 4, -1)], axis=2
        )
        fits = np.empty((n_blocks, 4, n_blocks, 8, 2, 6))
        for side, symmetry, order in product(range(4), range(8), range(6)):
            line = _take_line(_apply_symmetry(blocks, symmetry), (side + 2) % 4, 0)[
                ..., orders[order]
            ]
            squares = (line.swapaxes(1, 2) @ line).reshape(n_blocks, -1)
            quadratic, linear = np.split(ours[:, side], [channels**2], axis=1)
            even = quadratic @ squares.T + constant[:, side, np.newaxis]
            odd = linear @ line.reshape(n_blocks, -1).T
            fits[:, side, :, symmetry, 0, order] = even + odd
            fits[:, side, :, symmetry, 1, order] = even - odd
        total = total + fits.reshape(n_blocks, 4, n_blocks, 96)
    assert not isinstance(total, float)
    both = np.empty(total.shape, np.float32)
    for state, side in product(range(96), range(4)):
        # Seen from block j as it is, block i is in the inverse state, beyond this side.
        back = _SIDE_FROM[state, (side + 2) % 4]
        both[:, side, :, state] = total[:, side, :, state] + total[:, back, :, _INVERSE[state]].T
    diagonal = np.arange(len(both))
    both[diagonal, :, diagonal] = np.inf
    both /= len(ciphertexts)
    return both


def assemble(
    misfit: NDArray[np.float32], frame: tuple[int, int], states: NDArray[np.intp]
) -> Arrangement:
    """Put a puzzle together: Kruskal's spanning tree of blocks that stays within the frame.

    Pairs are joined in the order of how much better they fit than the second best block on the
    same side. What cannot be joined is filled in where it fits best.

    Parameters
    ----------
    misfit : ndarray, shape (n_blocks, 4, n_blocks, 96)
        See `compute_misfit`.
    frame : tuple of int
        Rows and columns of blocks.
    states : ndarray of int
        The states that blocks can be in.
    """
    allowed = np.full_like(misfit, np.inf)
    allowed[..., states] = misfit[..., states]
    best = max(_join_parts(allowed, frame), key=len)
    complete = [_fill(start, allowed, frame) for start in _place_in_frame(best, frame)]
    cells = min(complete, key=lambda cells: _add_up_misfit(cells, allowed))
    blocks, found = zip(*(cells[cell] for cell in sorted(cells)), strict=True)
    return Arrangement(np.array(blocks), np.array(found))


_Cells = dict[tuple[int, int], tuple[int, int]]
"""The block in each cell, (row, column), and its state."""


def _join_parts(misfit: NDArray[np.float32], frame: tuple[int, int]) -> list[_Cells]:
    """Join blocks while they fit; for each block, the part that it has ended in."""
    n_blocks = len(misfit)
    part_of: list[_Cells] = [{(0, 0): (block, 0)} for block in range(n_blocks)]
    for block, side, other, state in _rank_pairs(misfit):
        here, there = part_of[block], part_of[other]
        if here is there:
            continue
        joined = _join(here, there, block, side, other, state)
        if joined is not None and _fits(joined, frame):
            for member, _ in joined.values():
                part_of[member] = joined
    return part_of


def _rank_pairs(misfit: NDArray[np.float32]) -> Iterator[tuple[int, int, int, int]]:
    """Go over (block, side, other block, its state), the surest first."""
    n_blocks = len(misfit)
    by_block = misfit.min(axis=3)
    runner_up = np.partition(by_block, min(1, n_blocks - 1), axis=2)[:, :, min(1, n_blocks - 1)]
    runner_up[np.isinf(runner_up)] = 1  # with two blocks there is none
    doubt = (misfit / (runner_up[:, :, np.newaxis, np.newaxis] + 1e-3)).reshape(n_blocks, 4, -1)
    n_partners = min(_N_PARTNERS, doubt.shape[2])
    partners = np.argpartition(doubt, n_partners - 1, axis=2)[:, :, :n_partners]
    doubts = np.take_along_axis(doubt, partners, axis=2).ravel()
    others, states = np.divmod(partners, 96)
    sides = np.arange(4)[np.newaxis, :, np.newaxis]
    columns = np.broadcast_arrays(np.arange(n_blocks)[:, np.newaxis, np.newaxis], sides, others)
    pairs = np.stack([*columns, states], axis=-1).reshape(-1, 4)
    order = doubts.argsort(kind="stable")
    for pair in pairs[order[np.isfinite(doubts[order])]].tolist():
        yield tuple(pair)


def _join(
    here: _Cells, there: _Cells, block: int, side: int, other: int, state: int
) -> _Cells | None:
    """Add one part to another so that two blocks meet; None if blocks came on top of others."""
    cell, own_state = next((c, s) for c, (b, s) in here.items() if b == block)
    their_cell, their_state = next((c, s) for c, (b, s) in there.items() if b == other)
    change = int(_AFTER[_AFTER[own_state, state], _INVERSE[their_state]])
    matrix = _MATRICES[_SYMMETRY[change]]
    target = np.array(cell) + _NORMALS[_SIDE_TO[own_state, side]]
    joined = dict(here)
    for place, (member, member_state) in there.items():
        row, column = (target + matrix @ np.subtract(place, their_cell)).tolist()
        if (row, column) in joined:
            return None
        joined[row, column] = member, int(_AFTER[change, member_state])
    return joined


def _fits(cells: _Cells, frame: tuple[int, int]) -> bool:
    rows, columns = np.ptp([*cells], axis=0) + 1
    upright = rows <= frame[0] and columns <= frame[1]
    return bool(upright or (rows <= frame[1] and columns <= frame[0]))


def _place_in_frame(part: _Cells, frame: tuple[int, int]) -> Iterator[_Cells]:
    """Move a part to all places in the frame, a quarter turned if it does not fit otherwise."""
    for change in (0, 1):
        matrix = _MATRICES[change]
        moved = {
            tuple((matrix @ place).tolist()): (block, int(_AFTER[12 * change, state]))
            for place, (block, state) in part.items()
        }
        low, high = np.min([*moved], axis=0), np.max([*moved], axis=0)
        free = (np.array(frame) - 1 - (high - low)).tolist()
        if min(free) >= 0:
            for row, column in product(range(free[0] + 1), range(free[1] + 1)):
                shift = np.array([row, column]) - low
                yield {tuple((shift + place).tolist()): content for place, content in moved.items()}
            return


def _fill(start: _Cells, misfit: NDArray[np.float32], frame: tuple[int, int]) -> _Cells:
    cells = dict(start)
    left = sorted(set(range(len(misfit))) - {block for block, _ in cells.values()})
    while left:
        options = []
        for cell in product(range(frame[0]), range(frame[1])):
            if cell in cells:
                continue
            costs = [
                _look_beyond(misfit, cells[neighbour], side)[left]
                for neighbour, side in _list_neighbours(cell)
                if neighbour in cells
            ]
            if costs:
                mean = np.mean(costs, axis=0)
                options.append((-len(costs), float(mean.min()), cell, int(mean.argmin())))
        *_, cell, best = min(options)
        number, state = divmod(best, 96)
        cells[cell] = left.pop(number), state
    return cells


def _look_beyond(
    misfit: NDArray[np.float32], content: tuple[int, int], side: int
) -> NDArray[np.float32]:
    """Give the misfit of all blocks in all states, as they lie, beyond a side of a laid block."""
    block, state = content
    return misfit[block, _SIDE_FROM[state, side]][:, _AFTER[_INVERSE[state]]]


def _list_neighbours(cell: tuple[int, int]) -> Iterator[tuple[tuple[int, int], int]]:
    """Go over the four neighbours of a cell, with their side that the cell is at."""
    for side, (down, right) in enumerate(_NORMALS.tolist()):
        yield (cell[0] - down, cell[1] - right), side


def _add_up_misfit(cells: _Cells, misfit: NDArray[np.float32]) -> float:
    return sum(
        float(_look_beyond(misfit, cells[neighbour], side)[content])
        for cell, content in cells.items()
        for neighbour, side in _list_neighbours(cell)
        if neighbour in cells and side < 2
    )


def _take_line(blocks: NDArray[np.float64], side: int, depth: int) -> NDArray[np.float64]:
    """Take the pixels along a side, (n_blocks, side, channels), downward or to the right."""
    at = -1 - depth if side < 2 else depth
    return blocks[:, :, at] if side % 2 == 0 else blocks[:, at]


def _apply_symmetry(images: NDArray, symmetry: int) -> NDArray:
    images = np.rot90(images, symmetry % 4, axes=(-3, -2))
    return np.flip(images, axis=-2) if symmetry >= 4 else images

import numpy as np
import pytest

from ricsk.attacks.jigsaw._puzzle import _AFTER, _INVERSE, _fill, compute_misfit, put_in_state
from ricsk.datasets import load_photos


def test_states_are_a_group():
    block = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    for one in range(96):
        np.testing.assert_array_equal(put_in_state(put_in_state(block, one), _INVERSE[one]), block)
        for other in range(0, 96, 7):
            both = put_in_state(put_in_state(block, other), one)
            np.testing.assert_array_equal(both, put_in_state(block, _AFTER[one, other]))


@pytest.mark.parametrize("state", [0, 33])  # 33: upside down, negated, recoloured
def test_filling_goes_on_from_one_block_in_any_state(state):
    flower = load_photos(size=(96, 128))[1:]
    misfit = compute_misfit(flower, 32)
    start = (0, 0) if state == 0 else (2, 3)
    cells = _fill({start: (0, state)}, misfit, (3, 4))
    blocks = [cells[cell][0] for cell in sorted(cells)]
    assert blocks == sorted(blocks, reverse=state != 0)
    assert {found for _, found in cells.values()} == {state}

import numpy as np
import pytest

from ricsk.attacks import jigsaw_scores

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)


def test_a_whole_in_another_state_is_right():
    assert jigsaw_scores(IMAGES, IMAGES, 16) == (1, 1, 1)
    other = 255 - IMAGES[:, ::-1, :, [2, 0, 1]]
    assert jigsaw_scores(IMAGES, other, 16) == (1, 1, 1)
    square = IMAGES[:, :, :32]
    assert jigsaw_scores(square, np.rot90(square, axes=(1, 2)), 16) == (1, 1, 1)


def test_one_block_in_another_state_is_wrong():
    other = IMAGES.copy()
    other[:, :16, :16] = np.rot90(IMAGES[:, :16, :16], axes=(1, 2))
    assert jigsaw_scores(IMAGES, other, 16) == pytest.approx((5 / 6, 5 / 7, 5 / 6))


def test_a_block_must_be_right_in_all_images():
    other = IMAGES.copy()
    other[1, :16, :16] = 0
    assert jigsaw_scores(IMAGES, other, 16).direct == pytest.approx(5 / 6)


def test_moving_keeps_neighbours():
    moved = np.roll(IMAGES, 16, axis=2)
    assert jigsaw_scores(IMAGES, moved, 16) == pytest.approx((0, 5 / 7, 4 / 6))


def test_small_changes_do_not_matter():
    noise = np.random.default_rng(1).integers(-8, 9, IMAGES.shape)
    other = (IMAGES + noise).clip(0, 255).astype(np.uint8)
    assert jigsaw_scores(IMAGES, other, 16) == (1, 1, 1)


def test_nothing_right():
    assert jigsaw_scores(IMAGES, np.zeros_like(IMAGES), 16) == (0, 0, 0)


def test_refuses_what_cannot_be_compared():
    with pytest.raises(ValueError, match="expected two uint8 arrays"):
        jigsaw_scores(IMAGES, IMAGES / 255, 16)
    with pytest.raises(ValueError, match="expected two uint8 arrays"):
        jigsaw_scores(IMAGES, IMAGES[:, :16], 16)
    with pytest.raises(ValueError, match="do not fill images of 32×48"):
        jigsaw_scores(IMAGES, IMAGES, 5)

from collections import deque

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ricsk.images import find_positions, group_by_size, naming, numbered, restore_order

WIDE = np.arange(2 * 5 * 3, dtype=np.uint8).reshape(2, 5, 3)
TALL = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
GREY = np.arange(7 * 8, dtype=np.uint8).reshape(7, 8)
MIXED = [WIDE, TALL, WIDE + 1, GREY]
OBJECTS = np.empty(4, object)
OBJECTS[:] = MIXED


@pytest.mark.parametrize(
    "X",
    [
        MIXED,
        tuple(MIXED),
        deque(MIXED),
        OBJECTS,
        pd.Series(MIXED, index=[3, 1, 2, 0]),
        pd.DataFrame({"image": MIXED}),
        [Image.fromarray(image) for image in MIXED],
        [torch.from_numpy(image) for image in MIXED],
    ],
    ids=lambda X: f"{type(X).__name__} of {type(X[0]).__name__ if type(X) is list else 'arrays'}",
)
def test_images_are_grouped_in_order(X):
    groups = group_by_size(X)
    assert [group.positions.tolist() for group in groups] == [[0, 2], [1], [3]]
    assert [group.images.shape for group in groups] == [(2, 2, 5, 3), (1, 6, 4, 3), (1, 7, 8)]
    images = restore_order(
        [group.positions for group in groups], [group.images for group in groups]
    )
    assert all(np.array_equal(found, given) for found, given in zip(images, MIXED, strict=True))


@pytest.mark.parametrize(
    "X",
    [
        np.stack([WIDE, WIDE]),
        [WIDE, WIDE],
        [GREY],
        [],
        ["a.png", "b.png"],
        [[[1, 2], [3, 4]], [[1, 2]]],
        [np.zeros(4), np.zeros(5)],
        [np.zeros((2, 4, 4, 3)), np.zeros((1, 4, 4, 3))],
        pd.DataFrame({"a": [1.0], "b": [2.0]}),
        None,
    ],
    ids=range(10),
)
def test_anything_else_is_no_list_of_different_sizes(X):
    assert group_by_size(X) is None


def test_images_of_one_size_are_a_group_unless_it_is_the_fitted_one():
    assert group_by_size([WIDE, WIDE], (2, 5, 3)) is None
    assert group_by_size([GREY], (7, 8, 1)) is None
    (group,) = group_by_size([WIDE, WIDE], (2, 4, 3))
    assert group.positions.tolist() == [0, 1]


def test_dtypes_must_be_one():
    with pytest.raises(ValueError, match=r"X\[0\] has dtype uint8 and X\[1\] float64"):
        group_by_size([WIDE, TALL / 255])


def test_images_are_named_by_their_places_in_the_list():
    assert find_positions([0, 1]) == [0, 1]
    with numbered(np.array([4, 9])):
        assert find_positions(np.array([1])) == [9]
    assert find_positions([1]) == [1]
    with pytest.raises(ValueError, match=r"^C\[3\]: no good"), naming(3, "C"):
        raise ValueError("no good")

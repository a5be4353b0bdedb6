import numpy as np
import pytest

from ricsk.codecs import crop_and_resize


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("shape", "size"), [((30, 60), (10, 10)), ((60, 30), (10, 20))])
def test_what_is_cut_off_is_at_both_ends(shape, size, channels):
    image = np.zeros((*shape, channels), np.uint8)
    height, width = min(shape[0], shape[1] * size[0] // size[1]), shape[1]
    width = min(width, height * size[1] // size[0])
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    image[top : top + height, left : left + width] = 200
    found = crop_and_resize(image, size)
    assert found.shape == (*size, channels)
    assert (found[2:-2, 2:-2] > 190).all()  # the filter reaches beyond the crop


def test_without_a_size_nothing_is_done():
    image = np.zeros((3, 4, 3), np.uint8)
    assert crop_and_resize(image, None) is image

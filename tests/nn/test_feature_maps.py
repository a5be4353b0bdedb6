"""Feature maps as one image, and back in the network that reads it."""

import numpy as np
import pytest
import torch

from ricsk.nn import CNN, FeatureMapCNN, weave_maps


@pytest.mark.parametrize(("n_maps", "side"), [(1, 1), (3, 2), (4, 2), (9, 3), (16, 4), (17, 5)])
def test_the_values_of_a_place_are_a_square(n_maps, side):
    maps = torch.rand(2, n_maps, 3, 5)
    woven = weave_maps(maps)
    assert woven.shape == (2, 1, 3 * side, 5 * side)
    square = woven[1, 0, side : 2 * side, 2 * side : 3 * side].flatten()
    np.testing.assert_array_equal(square[:n_maps], maps[1, :, 1, 2])
    assert (square[n_maps:] == 0).all()


def test_it_is_the_end_of_a_cnn():
    whole = CNN((16, 16, 3), 5, width=4, depth=3).eval()
    end = FeatureMapCNN((16, 16, 1), 5, side=2, width=8, depth=2).eval()
    end.blocks.load_state_dict(torch.nn.Sequential(*whole.blocks[1:]).state_dict())
    end.head.load_state_dict(whole.head.state_dict())
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        maps = whole.blocks[0](whole.stem(x))
        torch.testing.assert_close(end(weave_maps(maps)), whole(x))


def test_images_that_were_not_woven_with_the_side():
    with pytest.raises(ValueError, match="do not fall into squares of 4×4"):
        FeatureMapCNN((18, 16, 1), 5, side=4)

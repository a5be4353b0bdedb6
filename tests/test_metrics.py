import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from ricsk.metrics import psnr

rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(3, 8, 9, 3), (3, 8, 9), (3, 72)])
def test_psnr_is_that_of_scikit_image(shape):
    X, Y = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    expected = [peak_signal_noise_ratio(x, y) for x, y in zip(X, Y, strict=True)]
    np.testing.assert_allclose(psnr(X, Y), expected)
    np.testing.assert_allclose(psnr(X / 255, Y / 255), expected)


def test_psnr_of_equal_images_is_infinite():
    assert psnr(np.ones((2, 4, 4, 1)), np.ones((2, 4, 4, 1))).tolist() == [np.inf, np.inf]


def test_psnr_refuses_what_cannot_be_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(np.zeros((2, 4, 4)), np.zeros((2, 4, 5)))
    with pytest.raises(ValueError, match="outside of the range 0 to 1"):
        psnr(np.zeros((2, 4, 4)), np.full((2, 4, 4), 255.0))

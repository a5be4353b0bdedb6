import numpy as np
import pytest

from ricsk.encryptors.ric._embedding import embed, extract, fits

rng = np.random.default_rng(0)


@pytest.mark.parametrize("n_values", [128, 129, 200, 784, 3072])
@pytest.mark.parametrize("n_bytes", [1, 5, 16])
def test_what_was_written_is_read(n_values, n_bytes):
    images = rng.uniform(0, 255, (20, n_values))
    payload = rng.integers(0, 256, (20, n_bytes), dtype=np.uint8)
    places = rng.permutation(n_values)
    marked = embed(images, payload, places)
    np.testing.assert_array_equal(extract(marked, n_bytes, places), payload)
    assert not np.array_equal(extract(marked, n_bytes, np.arange(n_values)), payload)


def test_few_values_change_and_to_the_next_nearest_level():
    images = rng.uniform(0, 255, (100, 3072))
    marked = embed(images, rng.integers(0, 256, (100, 16), dtype=np.uint8), np.arange(3072))
    # 19 groups of 127 values with 7 bits each; one in 128 groups is right as it is
    assert (marked != np.rint(images)).sum(axis=1).max() <= 19
    assert np.abs(marked - images).max() <= 1


def test_black_and_white_stay_on_the_scale():
    for level in (0.0, 255.0):
        marked = embed(np.full((1, 8), level), np.array([[255]], np.uint8), np.arange(8))
        assert np.abs(marked - level).max() <= 1


def test_too_small_an_image_is_known():
    assert fits(8, 1)
    assert not fits(7, 1)

import numpy as np
import pytest
import sklearn.datasets

from ricsk.datasets import load_digits, load_photos


class TestLoadDigits:
    def test_form(self):
        X, y = load_digits()
        assert X.shape == (1797, 32, 32, 1)
        assert X.dtype == np.uint8
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, sklearn.datasets.load_digits().target)

    def test_original_size_keeps_the_values(self):
        X, _ = load_digits(size=8)
        original = sklearn.datasets.load_digits().images
        np.testing.assert_array_equal(X[..., 0], np.rint(original / 16 * 255))

    def test_wrong_size(self):
        with pytest.raises(ValueError, match="size == 0, must be >= 1"):
            load_digits(size=0)


class TestLoadPhotos:
    def test_originals(self):
        X = load_photos()
        assert X.dtype == np.uint8
        np.testing.assert_array_equal(X, sklearn.datasets.load_sample_images().images)

    def test_crops_around_the_middle_before_it_resizes(self):
        X = load_photos(size=(427, 320))
        np.testing.assert_array_equal(X, load_photos()[:, :, 160:480])
        assert load_photos(size=(48, 64)).shape == (2, 48, 64, 3)

    @pytest.mark.parametrize("size", [32, (32,), (32, 0), (32.0, 32.0), [32, 32], "ab"])
    def test_wrong_size(self, size):
        with pytest.raises(ValueError, match=r"expected a tuple \(height, width\)"):
            load_photos(size=size)

    @pytest.mark.parametrize("size", [(10**5, 10**5), (10**12, 1)])
    def test_enormous_size(self, size):
        with pytest.raises(ValueError, match=r"size=\(.*: expected at most 67,108,864 pixels"):
            load_photos(size=size)

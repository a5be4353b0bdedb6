import numpy as np
import pytest
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression

from ricsk.datasets import make_street_numbers


class TestMakeStreetNumbers:
    def test_form(self):
        X, y = make_street_numbers(12, random_state=0)
        assert X.shape == (12, 32, 32, 3)
        assert X.dtype == np.uint8
        assert y.shape == (12,)
        assert y.dtype == np.int64

    @pytest.mark.parametrize("size", [8, 20, 48])
    def test_size(self, size):
        X, _ = make_street_numbers(3, size=size, random_state=0)
        assert X.shape == (3, size, size, 3)

    def test_the_size_changes_the_scale_only(self):
        small, y_small = make_street_numbers(10, size=16, random_state=0)
        _, y_large = make_street_numbers(10, size=32, random_state=0)
        assert small.std() > 10
        np.testing.assert_array_equal(y_small, y_large)

    def test_same_seed_same_images(self):
        X, y = make_street_numbers(25, random_state=3)
        X_again, y_again = make_street_numbers(25, random_state=np.random.RandomState(3))
        np.testing.assert_array_equal(X, X_again)
        np.testing.assert_array_equal(y, y_again)

    def test_other_seed_other_images(self):
        X, y = make_street_numbers(25, random_state=3)
        X_other, y_other = make_street_numbers(25, random_state=4)
        assert not np.array_equal(y, y_other)
        assert (X_other != X).any(axis=(1, 2, 3)).all()

    def test_the_first_images_do_not_depend_on_their_number(self):
        X, y = make_street_numbers(37, random_state=5)
        X_few, y_few = make_street_numbers(14, random_state=5)
        np.testing.assert_array_equal(X[:14], X_few)
        np.testing.assert_array_equal(y[:14], y_few)

    def test_balanced_and_shuffled(self):
        _, y = make_street_numbers(200, size=8, random_state=0)
        assert np.bincount(y).tolist() == [20] * 10
        blocks = y.reshape(-1, 10)
        assert (np.sort(blocks, axis=1) == np.arange(10)).all()
        assert len(np.unique(blocks, axis=0)) > 15

    def test_all_images_differ_and_are_coloured(self):
        X, _ = make_street_numbers(200, random_state=0)
        assert len(np.unique(X.reshape(200, -1), axis=0)) == 200
        chroma = np.ptp(X.astype(float).mean(axis=(1, 2)), axis=1)
        assert np.median(chroma) > 5
        brightness = X.mean(axis=(1, 2, 3))
        assert brightness.min() < 60
        assert brightness.max() > 190

    def test_hard_for_a_linear_model_but_not_void(self):
        X, y = make_street_numbers(1500, size=32, random_state=0)
        classifier = LogisticRegression(C=0.01, max_iter=300)
        pixels = X[:, ::2, ::2].reshape(len(X), -1) / 255
        assert classifier.fit(pixels[:1200], y[:1200]).score(pixels[1200:], y[1200:]) < 0.3
        strokes = np.stack([hog(image, channel_axis=-1, cells_per_block=(2, 2)) for image in X])
        classifier.set_params(C=1)
        assert classifier.fit(strokes[:1200], y[:1200]).score(strokes[1200:], y[1200:]) > 0.5

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"n_samples": 0}, ValueError, "n_samples == 0, must be >= 1"),
            ({"n_samples": 2.5}, TypeError, "n_samples must be an instance of int"),
            ({"size": 7}, ValueError, "size == 7, must be >= 8"),
            ({"size": (32, 32)}, TypeError, "size must be an instance of int"),
            ({"random_state": "seed"}, ValueError, "cannot be used to seed"),
        ],
    )
    def test_wrong_parameters(self, parameters, error, message):
        with pytest.raises(error, match=message):
            make_street_numbers(**parameters)

import numpy as np
import pytest
import sklearn.datasets
from sklearn.utils import Bunch

from ricsk.datasets import fetch_cifar10, fetch_svhn, make_street_numbers


@pytest.fixture
def openml(monkeypatch):
    """Put a fake in place of OpenML. It returns what is in `answer` and notes what was asked."""
    fake = Bunch(answer=None, asked=None)

    def fetch_openml(**asked):
        fake.asked = asked
        return fake.answer

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    return fake


def by_colour(images):
    return np.moveaxis(images, -1, 1).reshape(len(images), -1)


def by_pixel(images):
    return images.reshape(len(images), -1)


class TestFetchCifar10:
    def test_layout(self, openml):
        data = np.zeros((2, 3072))
        data[1, 2 * 1024 + 5 * 32 + 7] = 201  # blue, row 5, column 7
        openml.answer = Bunch(data=data, target=np.array(["3", "9"], dtype=object))
        X, y = fetch_cifar10(data_home="here")
        assert openml.asked == {"data_id": 40927, "data_home": "here", "as_frame": False}
        assert X.shape == (2, 32, 32, 3)
        assert X.dtype == np.uint8
        assert np.argwhere(X).tolist() == [[1, 5, 7, 2]]
        assert X[1, 5, 7, 2] == 201
        assert y.tolist() == [3, 9]
        assert y.dtype == np.int64

    def test_subset(self, openml):
        target = np.array(["1"] * 50_000 + ["2"] * 3)
        openml.answer = Bunch(data=np.zeros((50_003, 3072), dtype=np.uint8), target=target)
        X, y = fetch_cifar10(subset="test")
        assert X.shape == (3, 32, 32, 3)
        assert y.tolist() == [2, 2, 2]
        openml.answer.data = openml.answer.data[:5]
        openml.answer.target = target[:5]
        assert len(fetch_cifar10(subset="train")[0]) == 5

    def test_wrong_subset(self, openml):
        with pytest.raises(ValueError, match="subset='valid': expected 'all', 'train' or 'test'"):
            fetch_cifar10(subset="valid")
        assert openml.asked is None

    def test_errors_of_openml_pass(self, monkeypatch):
        def offline(**asked):
            raise OSError("no network")

        monkeypatch.setattr(sklearn.datasets, "fetch_openml", offline)
        with pytest.raises(OSError, match="no network"):
            fetch_cifar10()


class TestFetchSvhn:
    @pytest.mark.parametrize("layout", [by_colour, by_pixel])
    def test_either_layout(self, openml, layout):
        images, digits = make_street_numbers(30, random_state=0)
        labels = np.where(digits == 0, 10, digits).astype(str)
        openml.answer = Bunch(data=layout(images).astype(np.int64), target=labels)
        X, y = fetch_svhn()
        assert openml.asked["data_id"] == 41081
        assert X.dtype == np.uint8
        assert y.dtype == np.int64
        np.testing.assert_array_equal(X, images)
        np.testing.assert_array_equal(y, digits)

    def test_subset(self, openml):
        data = np.zeros((73_259, 3072), dtype=np.uint8)
        openml.answer = Bunch(data=data, target=np.full(len(data), "10"))
        X, y = fetch_svhn(subset="test")
        assert X.shape == (2, 32, 32, 3)
        assert y.tolist() == [0, 0]

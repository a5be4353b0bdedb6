"""Floats: what goes in comes back, and what lies between levels does not pass for authentic."""

import numpy as np
import pytest
from sklearn.datasets import load_digits as load_small_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from ricsk import SealedEncryptor, SecretKey, unseal
from ricsk.exceptions import NotSealedError

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
SIZE = 24
FLOATS = [np.float16, np.float32, np.float64, ">f4", ">f8"]


def make_images(n=40):
    """Every level is there, and half of each image is black."""
    X = np.zeros((n, SIZE, SIZE), np.uint8)
    X[:, :11] = (np.arange(n * SIZE * 11) * 7).reshape(n, 11, SIZE)
    return X, np.arange(n) % 2


X, Y = make_images()


def fit(data, classifier=None, **parameters):
    classifier = RidgeClassifier() if classifier is None else classifier
    classifier.fit(data.reshape(len(data), -1).astype(np.float64), Y)
    parameters = {"kappa": 0.0, **parameters}
    return SealedEncryptor(KEY, FrozenEstimator(classifier), **parameters).fit(data)


# What comes back.


@pytest.mark.parametrize("dtype", FLOATS)
def test_bytes_as_floats_come_back_exactly(dtype):
    data = (X / 255).astype(dtype)
    sealed = fit(data)
    C = sealed.transform(data[:9])
    assert C.dtype == data.dtype
    np.testing.assert_array_equal(sealed.inverse_transform(C), data[:9])
    levels = np.rint(255 * C.astype(np.float64)).astype(np.uint8)
    np.testing.assert_array_equal(unseal(levels, KEY), X[:9])


def test_the_usual_way_to_a_file_and_back_loses_nothing():
    sealed = fit(X / 255)
    C = sealed.transform(X[:9] / 255)
    np.testing.assert_array_equal(unseal((C * 255).astype(np.uint8), KEY), X[:9])
    np.testing.assert_array_equal(unseal(C, KEY), X[:9] / 255)
    read = (C * 255).astype(np.uint8)
    np.testing.assert_array_equal(sealed.inverse_transform(read), X[:9])
    np.testing.assert_array_equal(sealed.inverse_transform(read / 255), X[:9] / 255)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("low", "step"), [(0, 1), (-100, 1), (-128, 1), (5, 0.5)], ids=lambda value: f"{value:g}"
)
def test_whole_numbers_come_back_exactly(dtype, low, step):
    data = (low + step * X.astype(np.float64)).astype(dtype)
    sealed = fit(data)
    C = sealed.transform(data[:9])
    np.testing.assert_array_equal(sealed.inverse_transform(C), data[:9])


@pytest.mark.parametrize("dtype", FLOATS)
def test_scikit_learns_digits_come_back_exactly(dtype):
    data, labels = load_small_digits(return_X_y=True)
    data = data[:60].astype(dtype)
    sealed = SealedEncryptor(KEY, LogisticRegression(max_iter=2000), kappa=0.0)
    C = sealed.fit(data, labels[:60]).transform(data[:9])
    np.testing.assert_array_equal(sealed.inverse_transform(C), data[:9])
    enlarged = data[:9].reshape(9, 8, 8).repeat(sealed.scale_, 1).repeat(sealed.scale_, 2)
    own = sealed.classifier_
    np.testing.assert_array_equal(own.predict(C), own.predict(enlarged.reshape(9, -1)))


def test_other_floats_come_back_rounded_to_256_levels():
    data = np.random.default_rng(0).uniform(0.25, 1.25, (40, SIZE, SIZE))
    data[:, 11:] = 0.25
    sealed = fit(data, value_range=(0.25, 1.25))
    back = sealed.inverse_transform(sealed.transform(data[:9]))
    assert np.abs(back - data[:9]).max() <= 0.5 / 255 + 1e-12
    single = data[:9].astype(np.float32)
    back_single = sealed.inverse_transform(sealed.transform(single))
    assert back_single.dtype == np.float32
    np.testing.assert_allclose(back_single, back, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.float16, 1000, 1001), (np.float32, 1e6, 1e6 + 1), (np.float64, 1, 1 + 1e-14)],
)
def test_a_dtype_that_cannot_tell_the_levels_apart_is_refused(dtype, low, high):
    """Its ciphertexts would lose the bits that the image is in."""
    data = (low + (high - low) * (X / 255)).astype(dtype)
    with pytest.raises(ValueError, match=r"cannot tell the 256 levels from .* apart"):
        fit(data, value_range=(low, high))


def test_a_range_that_overflows_a_dtype_is_refused():
    wide = fit(1e6 * (X / 255), value_range=(0, 1e6))
    with pytest.raises(ValueError, match="float16 cannot tell the 256 levels"):
        wide.transform(np.zeros((2, SIZE, SIZE), np.float16))


@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.uint32, ">i4", np.uint8])
def test_integers_of_any_width(dtype):
    data = X.astype(dtype)
    sealed = fit(data)
    C = sealed.transform(data[:9])
    assert C.dtype == data.dtype
    np.testing.assert_array_equal(sealed.inverse_transform(C), data[:9])
    np.testing.assert_array_equal(unseal(C, KEY), data[:9])
    C_new = sealed.rekey(C, OTHER)
    assert C_new.dtype == data.dtype
    np.testing.assert_array_equal(unseal(C_new, OTHER), data[:9])


# What lies between levels.


def push(classifier, C, width):
    """Move ciphertexts to the other class, by less than half of a level everywhere."""
    towards = np.where(classifier.predict(C.reshape(len(C), -1)), -1, 1)
    step = np.sign(classifier.coef_).reshape(1, SIZE, SIZE) * towards[:, np.newaxis, np.newaxis]
    return C + 0.499 / 255 * width * step


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value_range", [(0, 1), (-3, 5)], ids=str)
def test_floats_that_an_adversary_moved_are_refused(dtype, value_range):
    """They round to the ciphertext, and the classifier says something else of them."""
    low, high = value_range
    data = (low + (high - low) * (X / 255)).astype(dtype)
    sealed = fit(data, value_range=value_range)
    classifier = sealed.classifier_.estimator
    C = sealed.transform(data[:9])
    # With its template a ciphertext is far from the border, so the border comes to one.
    classifier.intercept_ -= 0.999 * classifier.decision_function(C[1].reshape(1, -1))
    moved = push(classifier, C, high - low).clip(low, high).astype(dtype)
    moved[[0, 2]] = C[[0, 2]]
    np.testing.assert_array_equal(
        sealed.value_range_.to_uint8(moved), sealed.value_range_.to_uint8(C)
    )
    rows, rows_moved = C.reshape(9, -1), moved.reshape(9, -1)
    assert (classifier.predict(rows) != classifier.predict(rows_moved)).any()
    named = r"7 of 9 images could not be opened, C\[1\], C\[3\], .*between the 256 levels from"
    for act in (sealed.inverse_transform, lambda given: sealed.rekey(given, OTHER)):
        with pytest.raises(NotSealedError, match=named):
            act(moved)


def test_the_advice_for_a_conversion_with_loss_helps():
    data = (-3 + 8 * (X / 255)).astype(np.float64)
    sealed = fit(data, value_range=(-3, 5))
    C = sealed.transform(data[:3]).astype(np.float16).astype(np.float64).clip(-3, 5)
    with pytest.raises(NotSealedError, match=r"C = r\.from_uint8\(r\.to_uint8\(C\), C\.dtype\)"):
        sealed.inverse_transform(C)
    r = sealed.value_range_
    back = sealed.inverse_transform(r.from_uint8(r.to_uint8(C), C.dtype))
    np.testing.assert_allclose(back, data[:3], atol=1e-12)


def test_floats_in_a_longer_dtype_open_where_they_are_still_levels():
    data = (X / 255).astype(np.float32)
    sealed = fit(data)
    C = sealed.transform(data[:3]).astype(np.float64)
    np.testing.assert_allclose(sealed.inverse_transform(C), X[:3] / 255, atol=1e-7)


def test_rekeying_asks_about_the_levels_and_not_about_the_floats_that_were_given():
    """Within the slack for rounding an adversary might still find another answer."""
    data = X / 255
    given = []

    class Recorder(RidgeClassifier):
        def predict(self, X):
            given.append(np.array(X))
            return super().predict(X)

    sealed = fit(data, Recorder())
    C = sealed.transform(data[:3])
    given.clear()
    C_new = sealed.rekey(C + 1e-9 * (C < 1), OTHER)
    np.testing.assert_array_equal(given[0].reshape(3, SIZE, SIZE), C)
    np.testing.assert_array_equal(C_new, sealed.with_key(OTHER).transform(data[:3]))


def test_floats_outside_of_the_range_are_refused():
    sealed = fit(X / 255)
    C = sealed.transform(X[:3] / 255)
    for given in (255 * C, 2 * C - 1):
        with pytest.raises(ValueError, match="outside of the range 0 to 1"):
            sealed.inverse_transform(given)

import numpy as np
import pytest

from ricsk.attacks import LabelOnlyBaseline
from ricsk.datasets import load_digits
from ricsk.metrics import ssim

X, Y = load_digits(size=16)
X = X[..., np.newaxis] if X.ndim == 3 else X
NAMES = np.array([f"digit {label}" for label in Y])
NOISE = np.random.default_rng(0).integers(0, 256, X.shape, np.uint8)


def answer(strategy, labels=Y):
    fitted = LabelOnlyBaseline(strategy).fit(
        NOISE[:1000], public_images=X[:1000], public_labels=labels[:1000]
    )
    return fitted.reconstruct(NOISE[1000:], labels=labels[1000:])


def test_class_means_resemble_digits_more_than_the_mean_does():
    true = X[1000:]
    by_class, overall = ssim(true, answer("class_mean")).mean(), ssim(true, answer("mean")).mean()
    assert by_class > 0.4
    assert overall < 0.25
    assert ssim(true, answer("medoid")).mean() > 0.35


def test_pictures_are_what_they_are_said_to_be():
    fives = X[:1000][Y[:1000] == 5].astype(float)
    five = int(np.flatnonzero(Y[1000:] == 5)[0])
    np.testing.assert_allclose(answer("class_mean")[five], fives.mean(axis=0), atol=0.5)
    np.testing.assert_allclose(answer("mean")[five], X[:1000].mean(axis=0), atol=0.5)
    sums = [((fives - image) ** 2).sum() for image in fives]
    np.testing.assert_array_equal(answer("medoid")[five], fives[np.argmin(sums)])


@pytest.mark.parametrize("strategy", ["class_mean", "medoid"])
def test_labels_may_be_strings(strategy):
    np.testing.assert_array_equal(answer(strategy, NAMES), answer(strategy))


def test_the_ciphertext_makes_no_difference():
    fitted = LabelOnlyBaseline().fit(NOISE, public_images=X, public_labels=Y)
    np.testing.assert_array_equal(
        fitted.reconstruct(NOISE, labels=Y), fitted.reconstruct(NOISE[::-1], labels=Y)
    )


def test_a_class_without_images_looks_like_all():
    fitted = LabelOnlyBaseline().fit(NOISE, public_images=X, public_labels=Y)
    found = fitted.reconstruct(NOISE[:1], labels=[10])[0]
    np.testing.assert_allclose(found, X.mean(axis=0), atol=0.5)


def test_the_mean_needs_no_labels():
    fitted = LabelOnlyBaseline("mean").fit(NOISE, public_images=X)
    assert fitted.reconstruct(NOISE).shape == X.shape
    with pytest.raises(ValueError, match="needs public_labels"):
        LabelOnlyBaseline().fit(NOISE, public_images=X)

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ricsk.nae import noise_correlation

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
LABELS = np.array(list("aababb"))


def test_pearson():
    pixels = (X // 2 + RNG.integers(0, 100, X.shape)).astype(np.uint8)
    found = noise_correlation(pixels, X, LABELS)
    for i, label in enumerate(LABELS):
        mean = X[label == LABELS].mean(axis=0)
        assert found.image[i] == pytest.approx(np.corrcoef(pixels[i].ravel(), X[i].ravel())[0, 1])
        assert found.class_mean[i] == pytest.approx(
            np.corrcoef(pixels[i].ravel(), mean.ravel())[0, 1]
        )


def test_noise_shows_nothing():
    found = noise_correlation(RNG.integers(0, 256, X.shape, dtype=np.uint8), X, LABELS)
    assert_allclose(found.image, 0, atol=4 / (16 * 3**0.5))  # four standard deviations
    assert_allclose(found.class_mean, 0, atol=4 / (16 * 3**0.5))


def test_without_contrast():
    found = noise_correlation(np.full_like(X, 7), X, LABELS)
    assert_allclose(found.image, 0)
    assert_allclose(noise_correlation(X, np.full_like(X, 7), LABELS).class_mean, 0)


@pytest.mark.parametrize(("n", "labels"), [(5, LABELS), (6, LABELS[:5])])
def test_refused(n, labels):
    with pytest.raises(ValueError, match="as many of each"):
        noise_correlation(X[:n], X, labels)

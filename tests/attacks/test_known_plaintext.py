import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import EtCEncryptor, PixelEncryptor, RICEncryptor, SealedEncryptor, SecretKey
from ricsk.attacks import KnownPlaintextAttack, LabelOnlyBaseline
from ricsk.datasets import make_street_numbers
from ricsk.metrics import ssim
from tests.encryptors.ric.identity import fit_published

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(560, size=16, random_state=0)
TRUE = X[500:]
CLASSIFIER = FrozenEstimator(
    LogisticRegression(max_iter=2000, C=0.001).fit(X.reshape(560, -1) / 255, Y)
)
SEEN = CLASSIFIER.predict(X.reshape(560, -1) / 255)


def gain(C, budget):
    """Return by how much the attack exceeds the mean images of the classes."""
    attack = KnownPlaintextAttack(budget, random_state=0).fit(C[:500], X[:500])
    baseline = LabelOnlyBaseline().fit(C, public_images=X[:500], public_labels=SEEN[:500])
    found = ssim(TRUE, attack.reconstruct(C[500:])).mean()
    return found - ssim(TRUE, baseline.reconstruct(C[500:], labels=SEEN[500:])).mean()


def test_ric_as_published_is_broken():
    C = fit_published(KEY, CLASSIFIER, X / 255).transform(X / 255)
    assert ssim(TRUE, C[500:]).mean() < 0.15
    assert gain(C, 60) > 0.07


def test_ric_gives_nothing():
    C = RICEncryptor(KEY, CLASSIFIER).fit_transform(X / 255)
    assert gain(C, 60) < 0.02


def test_sealed_images_give_nothing():
    coarse = X & 0xE0  # so small images compress well enough
    C = SealedEncryptor(KEY, CLASSIFIER).fit(coarse / 255).transform(coarse / 255)
    assert gain(C, 60) < 0.02


def test_values_negated_in_their_place_are_learnt():
    C = PixelEncryptor(KEY, shuffle_channels=False).fit_transform(X)
    assert ssim(TRUE, C[500:]).mean() < 0.1
    assert gain(C, 60) > 0.3


def test_ciphertexts_may_have_another_shape():
    C = EtCEncryptor(KEY, block_size=4, grayscale=True).fit_transform(X[:40])
    attack = KnownPlaintextAttack(2, random_state=0).fit(C, X[:40])
    assert attack.reconstruct(C).shape == (40, 16, 16, 3)


def test_images_smaller_than_the_window_of_the_ssim():
    small = X[:, :8, :6]
    attack = KnownPlaintextAttack(60, random_state=0).fit(small, small)
    assert np.abs(attack.reconstruct(small).astype(float) - small).mean() < 20
    assert 0 < attack.loss_ < 0.1


@pytest.mark.parametrize("budget", [0, "slow"])
def test_refuses_impossible_budgets(budget):
    with pytest.raises(ValueError, match="'budget' parameter"):
        KnownPlaintextAttack(budget).fit(X, X)

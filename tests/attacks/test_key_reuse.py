import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import EtCEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import KeyReuseAttack, LabelOnlyBaseline
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import AttackNotApplicableError
from ricsk.metrics import ssim
from tests.encryptors.ric.identity import fit_published

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(700, size=16, random_state=0)
CLASSIFIER = FrozenEstimator(
    LogisticRegression(max_iter=2000, C=0.001).fit(X.reshape(700, -1) / 255, Y)
)


def attacked(ric):
    """Return SSIM of the attack, its fitted self, and SSIM of the baseline."""
    C = ric.transform(X[:300] / 255)
    labels = CLASSIFIER.predict(C.reshape(300, -1))
    public = {"public_images": X[300:], "public_labels": Y[300:]}
    attack = KeyReuseAttack().fit(C, labels=labels, **public)
    baseline = LabelOnlyBaseline().fit(C, **public)
    found, free = (a.reconstruct(C, labels=labels) for a in (attack, baseline))
    return ssim(X[:300], found).mean(), attack, ssim(X[:300], free).mean()


def test_a_shared_mask_is_taken_off():
    found, attack, free = attacked(fit_published(KEY, CLASSIFIER, X / 255))
    assert found > 0.5
    assert free < 0.15
    assert 0.75 < attack.alpha_ < 0.9


def test_a_pad_of_its_own_holds():
    found, _, free = attacked(RICEncryptor(KEY, CLASSIFIER).fit(X / 255))
    assert found < free + 0.02


def test_alpha_may_be_given():
    mask = np.random.default_rng(0).integers(0, 256, X.shape[1:])
    C = np.rint(0.5 * X + 0.5 * mask).astype(np.uint8)
    attack = KeyReuseAttack(alpha=0.5)
    attack.fit(C, labels=np.zeros(700), public_images=X, public_labels=np.zeros(700))
    found = attack.reconstruct(C, labels=np.zeros(700))
    np.testing.assert_allclose(found, X.astype(float), atol=2)


def test_classes_that_were_not_seen_are_answered():
    attack = KeyReuseAttack().fit(X, labels=Y, public_images=X[:5], public_labels=Y[:5])
    assert attack.reconstruct(X[:2], labels=[10, 11]).shape == (2, 16, 16, 3)


def test_refuses_ciphertexts_of_another_shape():
    grey = EtCEncryptor(KEY, block_size=4, grayscale=True).fit(X)
    with pytest.raises(AttackNotApplicableError, match="another shape"):
        KeyReuseAttack().check(grey)


@pytest.mark.parametrize("alpha", [1, -0.1])
def test_refuses_impossible_weights(alpha):
    with pytest.raises(ValueError, match="'alpha' parameter"):
        KeyReuseAttack(alpha).fit(X, labels=Y, public_images=X, public_labels=Y)

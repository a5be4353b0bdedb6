import io

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import PixelEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import CloudAttack, LabelOnlyBaseline
from ricsk.datasets import load_digits
from ricsk.exceptions import AttackNotApplicableError, NoViewError
from ricsk.metrics import ssim

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=12)
X = X.reshape(-1, 12, 12, 1)
FLAT = X.reshape(len(X), -1) / 255
CLASSIFIER = FrozenEstimator(LogisticRegression(max_iter=500, C=0.1).fit(FLAT, Y))
TRUE, PUBLIC = X[:300], X[300:]
RIC = RICEncryptor(KEY, CLASSIFIER).fit(X / 255)
C = np.rint(255 * RIC.transform(TRUE / 255)).astype(np.uint8)
SAID = CLASSIFIER.predict(FLAT)


def likeness(ciphertexts, budget=50):
    attack = CloudAttack(CLASSIFIER, budget=budget, random_state=0)
    return attack.fit(ciphertexts, public_images=PUBLIC).reconstruct(ciphertexts)


def test_a_ciphertext_is_as_close_to_its_image_as_to_another_of_the_class():
    """The classifier is linear, so its templates look like the classes."""
    other = np.empty(len(TRUE), int)
    for label in CLASSIFIER.classes_:
        of_class = np.flatnonzero(SAID[: len(TRUE)] == label)
        other[of_class] = np.roll(of_class, 1)
    assert abs((ssim(TRUE, C) - ssim(TRUE, C[other])).mean()) < 0.012
    traced = np.rint(0.9 * C + 0.1 * TRUE).astype(np.uint8)
    assert (ssim(TRUE, traced) - ssim(TRUE, traced[other])).mean() > 0.025


def test_ric_gives_a_picture_of_the_class():
    found = likeness(C)
    mean = LabelOnlyBaseline("mean").fit(C, public_images=PUBLIC).reconstruct(C)
    assert ssim(TRUE, found).mean() > ssim(TRUE, mean).mean() + 0.2
    assert ssim(TRUE, found).mean() > ssim(TRUE, C).mean() + 0.1
    assert (CLASSIFIER.predict(found.reshape(300, -1) / 255) == SAID[:300]).mean() > 0.9


def test_ciphertexts_that_say_nothing_give_nothing():
    noise = np.random.default_rng(0).integers(0, 256, TRUE.shape, np.uint8)
    mean = LabelOnlyBaseline("mean").fit(noise, public_images=PUBLIC).reconstruct(noise)
    assert ssim(TRUE, likeness(noise, 20)).mean() < ssim(TRUE, mean).mean() + 0.1


def test_keeps_the_conventions():
    attack = CloudAttack(CLASSIFIER, budget=2, random_state=0)
    before = str(attack)
    fitted = clone(attack).fit(C, public_images=PUBLIC, encryptor=RIC)
    assert str(fitted) == before
    images = fitted.reconstruct(C)
    assert images.shape == TRUE.shape
    again = clone(attack).fit(C, public_images=PUBLIC)
    np.testing.assert_array_equal(again.reconstruct(C), images)
    other = clone(attack).set_params(random_state=1).fit(C, public_images=PUBLIC)
    assert (other.reconstruct(C) != images).any()
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).reconstruct(C), images)
    assert str(attack.adversary) == "public images, the classifier"


def test_refuses_what_it_cannot_look_into():
    forest = FrozenEstimator(RandomForestClassifier(2).fit(FLAT[:100], Y[:100]))
    with pytest.raises(NoViewError):
        CloudAttack(forest).fit(C, public_images=PUBLIC)
    with pytest.raises(ValueError, match="'classifier' parameter"):
        CloudAttack("cnn").fit(C, public_images=PUBLIC)
    with pytest.raises(ValueError, match="one classifier reads both"):
        CloudAttack(CLASSIFIER).fit(C[:, :8], public_images=PUBLIC)
    with pytest.raises(AttackNotApplicableError, match="reads ciphertexts alone"):
        CloudAttack(CLASSIFIER).check(PixelEncryptor(KEY).fit(X))

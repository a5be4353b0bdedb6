import io

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from ricsk import CNNClassifier, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import DisclosureBaseline, LabelOnlyBaseline
from ricsk.datasets import load_digits
from ricsk.exceptions import AttackNotApplicableError
from ricsk.metrics import ssim

X, Y = load_digits(size=12)
X = X.reshape(-1, 12, 12, 1)
FLAT = X.reshape(len(X), -1) / 255
TRUE, PUBLIC = X[1500:], X[:1500]
CLASSIFIER = FrozenEstimator(LogisticRegression(max_iter=500, C=0.1).fit(FLAT[:1000], Y[:1000]))
# Ciphertexts that the classifier reads exactly like their images, and which hide nothing at all:
# what is disclosed on purpose is the same as for the best of encryptions.
C = TRUE / 255


def found(discloses, budget=60):
    attack = DisclosureBaseline(CLASSIFIER, discloses, budget=budget, random_state=0)
    return attack.fit(C, public_images=PUBLIC).reconstruct(C)


def test_probabilities_give_more_away_than_labels():
    said = CLASSIFIER.predict(FLAT)
    given = {"public_images": PUBLIC, "public_labels": said[:1500]}
    baseline = LabelOnlyBaseline().fit(C, **given).reconstruct(C, labels=said[1500:])
    free = ssim(TRUE, baseline).mean()
    label, proba = (ssim(TRUE, found(discloses)).mean() for discloses in ("label", "proba"))
    assert label > free - 0.03
    assert proba > free + 0.1
    assert proba > label + 0.05


def test_features_of_a_network():
    network = CNNClassifier(width=8, depth=1, epochs=1, random_state=0).fit(PUBLIC[:200], Y[:200])
    attack = DisclosureBaseline(network, "features", budget=60, random_state=0)
    attack.fit(TRUE, public_images=PUBLIC)
    assert attack.n_disclosed_ == network.features(TRUE[:1]).size
    assert ssim(TRUE, attack.reconstruct(TRUE)).mean() > 0.55


def test_nothing_but_what_is_said_counts():
    images = found("label", budget=2)
    said = CLASSIFIER.predict(FLAT[1500:])
    fives = images[said == 5]
    assert len(fives) > 5
    assert (fives == fives[0]).all()
    assert (images[said == 6][0] != fives[0]).any()


def test_ciphertexts_are_read_in_the_form_that_they_have():
    on_levels = FrozenEstimator(KNeighborsClassifier(1).fit(FLAT[:500] * 255, Y[:500]))
    attack = DisclosureBaseline(on_levels, budget=2, random_state=0)
    as_levels = attack.fit(TRUE, public_images=PUBLIC)._ask(TRUE)
    np.testing.assert_array_equal(as_levels.argmax(axis=1), on_levels.predict(FLAT[1500:] * 255))
    as_floats = attack.fit(C, public_images=PUBLIC)._ask(TRUE)
    np.testing.assert_array_equal(as_floats.argmax(axis=1), on_levels.predict(FLAT[1500:]))


def test_a_sealed_or_masked_ciphertext_is_read_by_the_classifier():
    ric = RICEncryptor(SecretKey(bytes(32)), CLASSIFIER).fit(PUBLIC / 255)
    hidden = ric.transform(C[:60])
    attack = DisclosureBaseline(CLASSIFIER, budget=60, random_state=0)
    attack.fit(hidden, public_images=PUBLIC, encryptor=ric)
    assert ssim(TRUE[:60], attack.reconstruct(hidden)).mean() > 0.4
    noise = np.random.default_rng(0).random(C[:60].shape)
    assert ssim(TRUE[:60], attack.reconstruct(noise)).mean() < 0.3


def test_keeps_the_conventions():
    attack = DisclosureBaseline(CLASSIFIER, "proba", budget=2, random_state=0)
    before = str(attack)
    fitted = clone(attack).fit(C, public_images=PUBLIC)
    assert str(fitted) == before
    images = fitted.reconstruct(C)
    again = clone(attack).fit(C, public_images=PUBLIC)
    np.testing.assert_array_equal(again.reconstruct(C), images)
    other = clone(attack).set_params(random_state=1).fit(C, public_images=PUBLIC)
    assert (other.reconstruct(C) != images).any()
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).reconstruct(C), images)
    assert str(attack.adversary) == "public images, the classifier"


def test_refuses_what_says_nothing():
    svm = FrozenEstimator(LinearSVC().fit(FLAT[:100], Y[:100]))
    with pytest.raises(TypeError, match="with the method predict_proba"):
        DisclosureBaseline(svm, "proba").fit(C, public_images=PUBLIC)
    with pytest.raises(TypeError, match="with the method features"):
        DisclosureBaseline(CLASSIFIER, "features").fit(C, public_images=PUBLIC)
    with pytest.raises(NotFittedError):
        DisclosureBaseline(MLPClassifier()).fit(C, public_images=PUBLIC)
    with pytest.raises(ValueError, match="'classifier' parameter"):
        DisclosureBaseline("cnn").fit(C, public_images=PUBLIC)
    with pytest.raises(ValueError, match="one classifier reads both"):
        DisclosureBaseline(CLASSIFIER).fit(C[:, :8], public_images=PUBLIC)
    with pytest.raises(ValueError, match="needs public_images"):
        DisclosureBaseline(CLASSIFIER).fit(C)
    with pytest.raises(AttackNotApplicableError, match="reads ciphertexts alone"):
        DisclosureBaseline(CLASSIFIER).check(PixelEncryptor(SecretKey(bytes(32))).fit(C))

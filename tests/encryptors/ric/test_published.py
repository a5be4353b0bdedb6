"""The scheme of the paper: one secret mask for each class."""

import pickle

import numpy as np
import pytest
import skops.io
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import RICEncryptor, SecretKey
from ricsk.encryptors import PublishedRICEncryptor
from ricsk.exceptions import TargetNotReachedError
from ricsk.metrics import psnr
from tests.encryptors.ric.identity import fit_published
from tests.encryptors.ric.test_fitted import KEY, OTHER, X, Y
from tests.encryptors.ric.test_last_word import OwnOrder

FLAT = X.reshape(60, -1)
LINEAR = FrozenEstimator(LogisticRegression(C=1e-3, max_iter=1000).fit(FLAT, Y))
CHEAP = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "random_state": 0}


def fit(key=KEY, classifier=LINEAR, **parameters):
    return PublishedRICEncryptor(key, classifier, **{**CHEAP, **parameters}).fit(X)


@pytest.fixture(scope="module")
def published():
    return fit(epochs=10)


@pytest.fixture(scope="module")
def ciphertexts(published):
    return published.transform(X)


def test_it_is_what_as_published_makes():
    made = RICEncryptor.as_published(KEY, LINEAR)
    assert type(made) is PublishedRICEncryptor
    assert made.key == KEY
    assert made.classifier is LINEAR
    assert (made.alpha, made.kappa, made.beta, made.epochs) == (0.8, 5.0, 10.0, 200)


def test_predictions_are_kept_and_images_come_back(published, ciphertexts):
    np.testing.assert_array_equal(LINEAR.predict(ciphertexts.reshape(60, -1)), LINEAR.predict(FLAT))
    assert ciphertexts.dtype == np.uint8
    blank = np.broadcast_to(X.mean(axis=0).astype(np.uint8), X.shape)
    found = psnr(X, published.inverse_transform(ciphertexts)).mean()
    assert found > psnr(X, blank).mean() + 3
    assert published.losses_[-1] < published.losses_[0]


def test_another_key_brings_less_back(published, ciphertexts):
    other = published.with_key(OTHER)
    found = psnr(X, other.inverse_transform(ciphertexts)).mean()
    assert found < psnr(X, published.inverse_transform(ciphertexts)).mean() - 0.3


def test_there_is_one_mask_for_each_class(published, ciphertexts):
    """The weakness that `RICEncryptor` mends: differences of ciphertexts are those of images."""
    assert published.masks_.shape == (3, *X.shape[1:])
    np.testing.assert_array_equal(LINEAR.predict(published.masks_.reshape(3, -1)), [0, 1, 2])
    plain = fit_published(KEY, LINEAR, X)
    same = np.flatnonzero(LINEAR.predict(FLAT) == 0)[:2]
    C, images = plain.transform(X[same]).astype(float), X[same].astype(float)
    assert np.corrcoef((C[0] - C[1]).ravel(), (images[0] - images[1]).ravel())[0, 1] > 0.9


def test_labels_are_read_and_masks_taken_off(published, ciphertexts):
    labels = published.read_labels(ciphertexts)
    np.testing.assert_array_equal(labels, LINEAR.predict(FLAT))
    found = published.take_off(ciphertexts, published.masks_[labels])
    np.testing.assert_array_equal(
        np.rint(found).astype(np.uint8), published.inverse_transform(ciphertexts)
    )
    # one ciphertext, with many masks
    many = published.take_off(ciphertexts[0], published.masks_)
    assert many.shape == (3, *X.shape[1:])
    np.testing.assert_allclose(many[labels[0]], found[0], atol=1e-9)


def reload_skops(estimator):
    dumped = skops.io.dumps(estimator)
    untrusted = skops.io.get_untrusted_types(data=dumped)
    assert all(name.startswith("ricsk.") for name in untrusted)
    return skops.io.loads(dumped, trusted=untrusted)


@pytest.mark.parametrize(
    "copied", [lambda e: pickle.loads(pickle.dumps(e)), reload_skops], ids=["pickle", "skops"]
)
def test_copies_make_the_same_masks_without_a_new_search(copied, published, ciphertexts):
    other = copied(published)
    np.testing.assert_array_equal(other.masks_, published.masks_)
    np.testing.assert_array_equal(other.transform(X), ciphertexts)
    np.testing.assert_array_equal(
        other.inverse_transform(ciphertexts), published.inverse_transform(ciphertexts)
    )
    assert set(other.passes_) == {KEY.key_id}


def test_masks_never_leave(tmp_path):
    stored = fit(KEY.save(tmp_path / "key"))
    np.testing.assert_array_equal(stored.masks_, fit().masks_)
    dumped = pickle.dumps(stored)
    assert not any(mask.tobytes()[:16] in dumped for mask in stored.masks_)


def test_another_key_has_masks_of_its_own_and_leaves_these(published):
    masks, passes = published.masks_.copy(), dict(published.passes_)
    other = published.with_key(OTHER)
    assert (other.masks_ != masks).mean() > 0.5
    assert set(other.passes_) == {OTHER.key_id}
    np.testing.assert_array_equal(LINEAR.predict(other.masks_.reshape(3, -1)), [0, 1, 2])
    np.testing.assert_array_equal(published.masks_, masks)
    assert published.passes_.keys() == passes.keys()
    np.testing.assert_array_equal(other.with_key(KEY).masks_, masks)


def test_parameters_act_at_the_next_fit():
    published = fit()
    ciphertexts = published.transform(X[:6])
    published.set_params(alpha=0.3, kappa=1.0, beta=1.0, classifier=None)
    np.testing.assert_array_equal(published.transform(X[:6]), ciphertexts)
    copied = pickle.loads(pickle.dumps(published))
    np.testing.assert_array_equal(copied.transform(X[:6]), ciphertexts)


def test_black_boxes_are_searched_by_queries():
    classifier = OwnOrder(LINEAR.estimator)
    published = fit(classifier=FrozenEstimator(classifier), alpha=0.95)
    C = published.transform(X)
    np.testing.assert_array_equal(classifier.predict(C.reshape(60, -1)), classifier.predict(FLAT))
    copied = pickle.loads(pickle.dumps(published))
    np.testing.assert_array_equal(copied.masks_, published.masks_)


class Moody(OwnOrder):
    """Answers as prepared, if it is."""

    answers = None

    def predict(self, X):
        found = super().predict(X)
        return found if self.answers is None else np.roll(found, next(self.answers))


def test_an_image_that_has_no_ciphertext_is_named():
    """There is no second try."""
    classifier = Moody(LINEAR.estimator)
    published = fit(classifier=FrozenEstimator(classifier), epochs=1, alpha=0.9)
    classifier.answers = iter([0, 1])
    with pytest.raises(TargetNotReachedError) as caught:
        published.transform(X[:3])
    text = str(caught.value)
    assert text.startswith("X[0, 1, 2] have no ciphertext")
    for help in ("larger alpha (now 0.9)", "larger kappa (now 5)", "RICEncryptor"):
        assert help in text


def test_another_classifier_has_other_streams():
    other = FrozenEstimator(LogisticRegression(C=1e-4, max_iter=1000).fit(FLAT, Y))
    masks = [fit(classifier=c, epochs=1).masks_ for c in (LINEAR, other)]
    # where neither search went, the noise shows
    assert (masks[0] != masks[1]).mean() > 0.5


def test_keys_are_never_shown(published):
    assert bytes(range(32)).hex() not in repr(published) + published._repr_html_()
    assert SecretKey(bytes(range(32))) == published.key_

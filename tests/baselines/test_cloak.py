"""Noise learnt for a classifier: what is learnt, what is sent, and that it hides no picture."""

import pickle

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.tree import DecisionTreeClassifier

from ricsk import CNNClassifier, SecretKey
from ricsk.attacks import ITNAttack
from ricsk.audit import compare
from ricsk.base import get_encryptor_tags
from ricsk.baselines import CloakEncryptor
from ricsk.datasets import load_digits
from ricsk.exceptions import StateError
from ricsk.metrics import ssim

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=16)
TRAIN, TEST = X[:600], X[600:700]
NETWORK = CNNClassifier(width=8, depth=2, epochs=6, batch_size=32, random_state=0)
NETWORK.fit(TRAIN, Y[:600])


def fit(**parameters):
    defaults = {"epochs": 6, "batch_size": 32, "learning_rate": 0.1, "random_state": 0}
    parameters = {**defaults, **parameters}
    return CloakEncryptor(KEY, FrozenEstimator(NETWORK), **parameters).fit(TRAIN)


@pytest.fixture(scope="module")
def fitted():
    return fit()


def agree(encryptor):
    return np.mean(NETWORK.predict(encryptor.transform(TEST)) == NETWORK.predict(TEST))


def test_what_is_sent_is_the_image_with_noise_of_the_scale_that_was_learnt(fitted):
    C, expected = fitted.transform(TEST) / 255, TEST / 255 + fitted.mean_
    wide = 3 * fitted.scale_
    seen = (expected > wide) & (expected < 1 - wide)  # where nothing is cut off
    residual = ((C - expected) / fitted.scale_)[seen & (fitted.scale_ > 0.02)]
    assert len(residual) > 500
    assert abs(residual.mean()) < 0.1
    assert abs(residual.std() - 1) < 0.1


def test_more_weight_makes_more_noise_and_keeps_fewer_predictions():
    little, much = fit(weight=0.01, learning_rate=0.01), fit(weight=10.0)
    assert much.scale_.mean() > 2 * little.scale_.mean()
    assert agree(little) > 0.9
    assert agree(much) < 0.7
    assert much.scale_.max() <= 1.5


def test_what_is_suppressed_is_the_same_for_all_images():
    encryptor = fit(suppress=0.5)
    C = encryptor.transform(TEST)
    constant = (C[0] == C).all(axis=0)
    assert (encryptor.mask_ == 0).mean() == pytest.approx(0.5, abs=1e-3)
    assert constant[encryptor.mask_ == 0].all()
    assert (
        encryptor.scale_[encryptor.mask_ == 0].min()
        >= encryptor.scale_[encryptor.mask_ == 1].max() - 0.1
    )


def test_noise_depends_on_key_and_image_alone(fitted):
    C = fitted.transform(TEST)
    np.testing.assert_array_equal(fitted.transform(TEST[5:6]), C[5:6])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(TEST), C)
    other = fitted.with_key(SecretKey(bytes(32))).transform(TEST)
    assert (other != C).mean() > 0.2
    changed = TEST[:1].copy()
    changed[0, 0, 0] ^= 1
    assert (fitted.transform(changed) != C[:1]).mean() > 0.2


def test_an_adversary_with_keys_of_its_own_reads_the_pictures(fitted):
    C = fitted.transform(TEST)
    attack = ITNAttack(n_keys=2, budget=120, random_state=0)
    attack.fit(C, public_images=TRAIN, encryptor=fitted)
    mean = np.broadcast_to(TRAIN.mean(axis=0).astype(np.uint8), TEST.shape)
    assert ssim(TEST, attack.reconstruct(C)).mean() > ssim(TEST, mean).mean() + 0.3


def test_what_the_scheme_is():
    tags = get_encryptor_tags(CloakEncryptor())
    assert not tags.recoverable
    assert tags.deterministic
    assert tags.learns_on == "plain"
    assert not hasattr(CloakEncryptor(), "inverse_transform")


def test_it_stands_in_a_comparison():
    table = compare(
        CloakEncryptor(KEY, FrozenEstimator(NETWORK), epochs=1), X[:200], Y[:200], random_state=0
    )
    assert table.recoverable[0] == "no"
    assert table.told_apart[0] == "yes"


def test_it_needs_a_view():
    rows = TRAIN.reshape(600, -1) / 255
    tree = FrozenEstimator(DecisionTreeClassifier(max_depth=3).fit(rows, Y[:600]))
    with pytest.raises(TypeError, match="no differentiable view"):
        CloakEncryptor(KEY, tree, image_shape=(16, 16)).fit(rows)


@pytest.mark.parametrize("name", ["mean_", "scale_", "mask_"])
def test_states_that_no_fit_made(fitted, name):
    array = getattr(fitted, name)
    for value in (array[:4], array * np.nan, array.astype(np.float32)):
        with pytest.raises(StateError):
            CloakEncryptor().__setstate__({**fitted.__getstate__(), name: value})


def test_images_of_another_size_are_refused(fitted):
    with pytest.raises(ValueError, match="Resize the images to that"):
        fitted.transform([X[0], X[1, :8, :4]])

import pickle

import numpy as np
import pytest
import skops.io
from numpy.testing import assert_array_equal
from sklearn.base import clone

from ricsk import AdaptNetClassifier, LearnableEncryptor, PrivateClassifier, SecretKey
from ricsk.nn import AdaptNet
from tests.classifiers.test_classifiers import X_TEST, Y_TEST, X, bright_quadrants, y

TINY = {
    "ele": AdaptNetClassifier(
        "ele", "cnn", width=8, depth=2, epochs=6, batch_size=16, random_state=0
    ),
    "le": AdaptNetClassifier(
        "le", depth=8, alpha=16, epochs=6, batch_size=16, learning_rate=0.03, random_state=0
    ),
    "tanaka": AdaptNetClassifier(
        "tanaka", "cnn", width=8, depth=2, epochs=6, batch_size=16, random_state=0
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_it_learns_from_plain_images(name):
    assert clone(TINY[name]).fit(X, y).score(X_TEST, Y_TEST) > 0.8


@pytest.mark.parametrize("per_block_keys", [False, True])
def test_it_learns_from_ciphertexts(per_block_keys):
    encryptor = LearnableEncryptor(
        SecretKey(bytes(32)), per_block_keys=per_block_keys, scramble_blocks=per_block_keys
    )
    classifier = clone(TINY["ele"]).set_params(epochs=12)
    images, labels = bright_quadrants(400, seed=2)
    private = PrivateClassifier(encryptor, classifier).fit(images, labels)
    assert private.score(X_TEST, Y_TEST) > 0.8


@pytest.mark.parametrize("name", TINY)
def test_stored_and_read_back_it_predicts_the_same(name):
    fitted = clone(TINY[name]).set_params(epochs=1).fit(X, y)
    data = skops.io.dumps(fitted)
    trusted = skops.io.get_untrusted_types(data=data)
    assert all(kind.startswith("ricsk.") for kind in trusted)
    for other in (pickle.loads(pickle.dumps(fitted)), skops.io.loads(data, trusted=trusted)):
        assert_array_equal(other.predict_proba(X_TEST), fitted.predict_proba(X_TEST))


def test_the_penalty_is_trained(monkeypatch):
    seen = []
    with_penalty = AdaptNet.forward_with_penalty

    def add(network, x):
        logits, penalty = with_penalty(network, x)
        seen.append(penalty.item())
        return logits, penalty + 1000

    plain = clone(TINY["ele"]).set_params(epochs=1).fit(X, y)
    monkeypatch.setattr(AdaptNet, "forward_with_penalty", add)
    raised = clone(plain).fit(X, y)
    assert raised.history_[0]["train_loss"] == pytest.approx(
        plain.history_[0]["train_loss"] + 1000, rel=1e-4
    )
    assert len(seen) == 10
    assert min(seen) > 0


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"8×10 pixels .* 8×8 and 8×12"):
        clone(TINY["le"]).fit(np.repeat(X, 2, axis=2)[:, :, :10], y)
    with pytest.raises(ValueError, match="depth=5 is too small for a block"):
        clone(TINY["le"]).set_params(depth=5).fit(X, y)


def test_sizes_reach_the_network():
    fitted = clone(TINY["le"]).set_params(epochs=1).fit(X, y)
    assert fitted.network_config_ == {
        "name": "adaptnet",
        "image_shape": (8, 8, 3),
        "n_classes": 4,
        "adaptation": "le",
        "backbone": "shakepyramid",
        "block_size": 4,
        "alpha": 16,
        "depth": 8,
    }
    default = AdaptNetClassifier(backbone="cnn", epochs=1).fit(X, y)
    assert len(default.module_.network.backbone.blocks) == 3

"""Hiding by networks: what comes back, what the classifier reads, and that everybody reads it."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from ricsk import CNNClassifier
from ricsk.attacks import DecoderAttack
from ricsk.audit import compare
from ricsk.base import get_encryptor_tags
from ricsk.baselines import HidingEncryptor
from ricsk.baselines._hiding import _Loss
from ricsk.datasets import load_digits
from ricsk.exceptions import StateError
from ricsk.metrics import psnr
from ricsk.nn.hiding import HIDING_NETWORKS

X, Y = load_digits(size=8)
TRAIN, TEST = X[:300], X[300:340]
NETWORK = CNNClassifier(width=8, depth=2, epochs=4, batch_size=32, random_state=0)
NETWORK.fit(TRAIN, Y[:300])


def fit(network="ddh", classifier=NETWORK, **parameters):
    defaults = {"width": 8, "epochs": 8, "batch_size": 32, "learning_rate": 0.01, "random_state": 0}
    return HidingEncryptor(FrozenEstimator(classifier), network, **{**defaults, **parameters}).fit(
        TRAIN
    )


@pytest.fixture(scope="module")
def fitted():
    return fit()


@pytest.fixture(scope="module")
def containers(fitted):
    return fitted.transform(TEST)


def test_images_come_back_nearly_and_the_classifier_reads_containers(fitted, containers):
    mean = np.broadcast_to(TRAIN.mean(axis=0).astype(np.uint8), TEST.shape)
    back = fitted.inverse_transform(containers)
    assert psnr(TEST, back).mean() > psnr(TEST, mean).mean() + 3
    np.testing.assert_array_equal(NETWORK.predict(containers), NETWORK.predict(TEST))
    assert fitted.history_[-1]["train_loss"] < fitted.history_[0]["train_loss"] / 2


@pytest.mark.parametrize("network", ["hinet", "iicnet"])
def test_invertible_networks_learn(network):
    encryptor = fit(network, width=1, epochs=2, learning_rate=0.005)
    C = encryptor.transform(TEST)
    mean = np.broadcast_to(TRAIN.mean(axis=0).astype(np.uint8), TEST.shape)
    assert psnr(TEST, encryptor.inverse_transform(C)).mean() > psnr(TEST, mean).mean()
    np.testing.assert_array_equal(NETWORK.predict(C), NETWORK.predict(TEST))


def test_everybody_reads_it(fitted, containers):
    everybody = DecoderAttack().fit(containers, encryptor=fitted)
    np.testing.assert_array_equal(
        everybody.reconstruct(containers), fitted.inverse_transform(containers)
    )


def test_covers_are_noise_of_their_own_in_the_low_planes(fitted):
    labels = fitted._reader.predict(TEST)
    covers = fitted._make_covers(TEST, labels)
    i, j = np.flatnonzero(labels == labels[0])[:2]
    np.testing.assert_array_equal(covers[i] >> 6, covers[j] >> 6)
    assert (covers[i] != covers[j]).mean() > 0.9
    np.testing.assert_array_equal(NETWORK.predict(covers), NETWORK.predict(TEST))


def test_a_container_depends_on_image_and_fit_alone(fitted, containers):
    np.testing.assert_array_equal(fitted.transform(TEST[3:4]), containers[3:4])
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(TEST), containers)
    np.testing.assert_array_equal(
        again.inverse_transform(containers), fitted.inverse_transform(containers)
    )


def test_containers_that_are_read_otherwise_are_searched_on(fitted, containers, monkeypatch):
    labels = NETWORK.predict(TEST)
    i = int(np.flatnonzero(labels != labels[0])[0])
    monkeypatch.setattr(fitted, "_apply", lambda *_: containers[i : i + 1].copy())
    found = fitted.transform(TEST[:1])
    assert (found != containers[i]).any()
    assert NETWORK.predict(found) == labels[:1]


def test_the_loss_is_that_of_the_network_and_what_margins_lack():
    network = HIDING_NETWORKS["ddh"](1, width=1)
    images = tuple(torch.full((2, 1, 8, 8), 0.5) for _ in range(4))
    scores = torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 0.5]])
    labels = torch.tensor([0, 2])  # margins of 2 and −0.5
    loss = _Loss(network, kappa=1.0, weight=0.1)
    assert float(loss((*images, scores), labels)) == pytest.approx(0.1 * (0 + 1.5) / 2)
    others = (images[0] + 0.1, *images[1:])
    assert float(loss((*others, scores), labels)) == pytest.approx(0.075 + 0.1**2)


def test_classifiers_without_a_view_are_refused():
    with pytest.raises(TypeError, match="no differentiable view"):
        HidingEncryptor(DecisionTreeClassifier(), "ddh", width=2, epochs=1).fit(TRAIN, Y[:300])


def test_images_with_other_channels_are_refused(fitted):
    with pytest.raises(ValueError, match=r"channels? differ|Convert them|channel"):
        fitted.transform([X[0], np.zeros((8, 8, 3), np.uint8)])


def test_it_stands_in_a_comparison():
    encryptor = HidingEncryptor(LogisticRegression(max_iter=500), "ddh", width=2, epochs=1)
    table = compare(encryptor, TRAIN[:100], Y[:100], random_state=0)
    assert table.recoverable[0] != "no"


def test_what_the_scheme_is(fitted):
    tags = get_encryptor_tags(fitted)
    assert tags.learns_on == "plain"
    assert not tags.keyed
    assert tags.recoverable


@pytest.mark.parametrize(
    "change",
    [{"network_": "hinet"}, {"width_": 9}, {"network_": "another"}, {"weights_": b"0" * 100}],
    ids=str,
)
def test_states_that_no_fit_made(fitted, change):
    with pytest.raises(StateError):
        HidingEncryptor().__setstate__({**fitted.__getstate__(), **change})

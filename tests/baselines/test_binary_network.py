"""Networks of signs: what is folded is what was trained, and whole numbers decide."""

import joblib
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ricsk.baselines import BinaryNetworkClassifier
from ricsk.datasets import load_digits
from ricsk.exceptions import StateError
from ricsk.nn import BinaryNetwork

X, y = load_digits(size=8)


@pytest.fixture(scope="module")
def fitted():
    return BinaryNetworkClassifier((32, 16), epochs=12, random_state=0).fit(X[:1200], y[:1200])


def compute_sums(classifier, images, threshold=0.25):
    """Compute what the server does, by whole numbers alone."""
    values = np.where(images.reshape(len(images), -1) > 255 * threshold, 1, -1)
    for weights, thresholds in classifier.layers_:
        values = np.where(values @ weights.T.astype(int) >= thresholds, 1, -1)
    return values @ classifier.scores_[0].T.astype(int)


def test_whole_numbers_decide(fitted):
    _, scale, shift = fitted.scores_
    logits = scale * compute_sums(fitted, X[1200:]) + shift
    np.testing.assert_allclose(fitted.decision_function(X[1200:]), logits, rtol=1e-5, atol=1e-5)
    assert fitted.score(X[1200:], y[1200:]) > 0.5
    for weights, thresholds in fitted.layers_:
        assert np.unique(np.abs(weights)).tolist() == [1]
        assert (np.abs(thresholds) <= weights.shape[1] + 1).all()


def test_folding_is_batch_normalization_and_sign():
    """Compare with PyTorch's own layers, in double precision; normalization may flip signs."""
    torch.manual_seed(0)
    network = BinaryNetwork((5, 5, 1), 3, hidden=(40,)).eval()
    norm = network.layers[0].norm
    with torch.no_grad():
        norm.weight.normal_()
        norm.weight[:4] = 0
        norm.bias.normal_()
        norm.running_mean.normal_(std=5)
        norm.running_var.uniform_(1, 30)
    images = torch.rand(200, 1, 5, 5) * 2 - 1
    values = torch.where(images.flatten(1) > -0.5, 1.0, -1.0).double()
    signs = torch.where(network.layers[0].weight >= 0, 1.0, -1.0).double()
    expected = torch.where(norm.double()(F.linear(values, signs)) >= 0, 1.0, -1.0).float()
    norm.float()
    found = network.forward_features(images)
    assert {*found.unique().tolist()} == {-1.0, 1.0}
    torch.testing.assert_close(found, expected)


def test_the_sum_that_is_the_threshold_is_positive():
    network = BinaryNetwork((1, 2, 1), 2, hidden=(1,)).eval()
    with torch.no_grad():
        network.layers[0].weight[:] = 1
        network.layers[0].norm.running_var[:] = 1 - network.layers[0].norm.eps
    images = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]).reshape(3, 1, 1, 2)
    assert network.forward_features(images).flatten().tolist() == [-1, 1, 1]


def test_values_at_the_threshold_are_black(fitted):
    classifier = BinaryNetworkClassifier(epochs=1, threshold=0.4, random_state=0)
    classifier.fit(X[:100], y[:100])
    grey = np.array([102, 103], np.uint8).reshape(2, 1, 1, 1).repeat(64, axis=1)
    images = grey.reshape(2, 8, 8, 1)  # 102 is 0.4
    assert (classifier.features(images[:1]) == classifier.features(0 * images[:1])).all()
    assert (classifier.features(images[1:]) != classifier.features(images[:1])).any()
    assert fitted.threshold == 0.25


def test_gradients_pass_where_values_are_small():
    network = BinaryNetwork((4, 4, 1), 2, hidden=(8,))
    network(torch.rand(6, 1, 4, 4) * 2 - 1).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad.isfinite().all()
    assert network.layers[0].weight.grad.abs().sum() > 0


def test_a_copy_from_a_file_computes_the_same(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "binary.joblib")
    again = joblib.load(tmp_path / "binary.joblib")
    np.testing.assert_array_equal(again.decision_function(X), fitted.decision_function(X))
    state = fitted.__getstate__()
    state["network_config_"] = {**state["network_config_"], "hidden": [32, 17]}
    with pytest.raises(StateError):
        BinaryNetworkClassifier().__setstate__(state)


@pytest.mark.parametrize("hidden", [(), (0,), (4, -1), (2.5,)])
def test_layers_that_are_none(hidden):
    with pytest.raises(ValueError, match="expected one or more positive integers"):
        BinaryNetworkClassifier(hidden).fit(X[:20], y[:20])

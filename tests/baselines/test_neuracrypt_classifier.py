"""A classifier of codes: no order of tokens, no positions, and a cloud half without the encoder."""

import pickle

import numpy as np
import pytest
import torch

from ricsk import PrivateClassifier, SecretKey
from ricsk.baselines import NeuraCryptClassifier, NeuraCryptEncoder
from ricsk.datasets import load_digits
from ricsk.nn import TokenTransformer

X, y = load_digits(size=8)


@pytest.fixture(scope="module")
def private():
    encoder = NeuraCryptEncoder(SecretKey(bytes(32)), width=32, depth=1)
    classifier = NeuraCryptClassifier(dim=32, epochs=6, random_state=0)
    return PrivateClassifier(encoder, classifier).fit(X[:1000], y[:1000])


def test_it_learns_from_codes(private):
    assert private.score(X[1000:], y[1000:]) > 0.5
    other = NeuraCryptEncoder(SecretKey(bytes(range(32))), width=32, depth=1).fit(X[:1000])
    assert np.mean(private.predict_encrypted(other.transform(X[1000:])) == y[1000:]) < 0.4


def test_the_order_of_tokens_changes_nothing(private):
    C = private.encryptor_.transform(X[:20])
    shuffled = C[:, np.random.default_rng(0).permutation(C.shape[1])]
    expected = private.classifier_.decision_function(C)
    found = private.classifier_.decision_function(shuffled)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_cloud_half_holds_no_reference_image(private):
    stored = pickle.dumps(private.cloud_half())
    reference = private.encryptor_.reference_
    assert reference.any(axis=(1, 2, 3)).all()
    assert not any(image.tobytes() in stored for image in reference)
    assert reference[0].tobytes() in pickle.dumps(private.client_half())


def test_heads_divide_tokens():
    with pytest.raises(ValueError, match="dim=6 is not divisible by n_heads=4"):
        TokenTransformer((4, 4, 1), 2, dim=6)


def test_every_token_counts():
    torch.manual_seed(0)
    network = TokenTransformer((5, 8, 3), 2, dim=8, n_heads=2)
    tokens = torch.rand(3, 3, 5, 8, requires_grad=True)
    network(tokens)[:, 0].sum().backward()
    assert (tokens.grad.abs() > 0).all()

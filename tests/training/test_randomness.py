import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from ricsk import (
    AdaptNetClassifier,
    CNNClassifier,
    ConvMixerClassifier,
    RICEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
    ViTClassifier,
)
from ricsk.attacks import CloudAttack, GANAttack, KnownPlaintextAttack, SIAGANAttack
from ricsk.nn import CNN
from ricsk.nn.vgg_features import load_features
from ricsk.training import OwnRandomness, draw_seed, load_weights, save_weights
from ricsk.training._randomness import _DRAWING
from tests.classifiers.test_classifiers import X_TEST, X, y

FLAT = X.reshape(len(X), -1) / 255
LINEAR = FrozenEstimator(LogisticRegression().fit(FLAT, y))
SMALL = {"epochs": 1, "batch_size": 32}


def global_states():
    return (
        torch.get_rng_state().numpy().tobytes(),
        str(np.random.get_state(legacy=False)),  # noqa: NPY002 (it is the global one we mean)
        random.getstate(),
    )


@pytest.fixture(autouse=True)
def _global_generators_are_left_alone():
    before = global_states()
    yield
    assert global_states() == before


@contextmanager
def disturbed():
    """Let another thread draw from torch's generator and seed it, all the time."""
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            torch.manual_seed(1)
            torch.rand(100)

    before = torch.get_rng_state()
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        torch.set_rng_state(before)


# What draws


def draws():
    x, tall = torch.ones(4, 6), torch.ones(3, 4, 5)
    return {
        "rand": lambda: torch.rand(3, 2),
        "rand out": lambda: torch.rand(3, out=torch.empty(3)),
        "rand on a device": lambda: torch.rand(3, device="cpu"),
        "randn": lambda: torch.randn(3),
        "randint": lambda: torch.randint(1000, (3,)),
        "randperm": lambda: torch.randperm(20),
        "normal": lambda: torch.normal(0.0, x),
        "bernoulli": lambda: torch.bernoulli(x / 2),
        "multinomial": lambda: torch.multinomial(x, 3),
        "poisson": lambda: torch.poisson(5 * x),
        "rand_like": lambda: torch.rand_like(x, dtype=torch.float64),
        "rand_like with gradient": lambda: torch.rand_like(x, requires_grad=True).detach(),
        "randn_like": lambda: torch.randn_like(x),
        "randint_like": lambda: torch.randint_like(x, 1000),
        "uniform_": lambda: torch.empty(3).uniform_(),
        "normal_": lambda: torch.empty(3).normal_(),
        "random_": lambda: torch.empty(3).random_(),
        "bernoulli_": lambda: torch.empty(30).bernoulli_(),
        "exponential_": lambda: torch.empty(3).exponential_(),
        "geometric_": lambda: torch.empty(3).geometric_(0.1),
        "dropout": lambda: F.dropout(x),
        "dropout in place": lambda: F.dropout(x.clone(), inplace=True),
        "dropout1d": lambda: F.dropout1d(tall),
        "dropout2d": lambda: F.dropout2d(torch.ones(9, 9, 2, 2)),
        "dropout3d": lambda: F.dropout3d(torch.ones(9, 9, 2, 2, 2)),
        "alpha_dropout": lambda: F.alpha_dropout(x, training=True),
        "torch.dropout": lambda: torch.dropout(x, 0.5, train=True),
        "gumbel_softmax": lambda: F.gumbel_softmax(x),
        "rrelu": lambda: F.rrelu(-x, training=True),
        "attention": lambda: F.scaled_dot_product_attention(tall, tall, tall, dropout_p=0.5),
        "multi-head attention": lambda: nn.MultiheadAttention(4, 2, dropout=0.5)(
            tall.view(5, 3, 4), tall.view(5, 3, 4), tall.view(5, 3, 4)
        )[0].detach(),
        "recurrent layers": lambda: nn.LSTM(4, 4, 2, dropout=0.5)(tall.view(5, 3, 4))[0].detach(),
        "linear layer": lambda: nn.Linear(3, 2).weight.detach(),
        "convolution": lambda: nn.Conv2d(3, 2, 3).weight.detach(),
        "embedding": lambda: nn.Embedding(3, 2).weight.detach(),
        "truncated normal": lambda: nn.init.trunc_normal_(torch.empty(9)),
        "orthogonal": lambda: nn.init.orthogonal_(torch.empty(3, 3)),
        "Xavier": lambda: nn.init.xavier_normal_(torch.empty(3, 3)),
        "spectral norm": lambda: (
            nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)).parametrizations.weight[0]._u
        ),
        "beta distribution": lambda: torch.distributions.Beta(0.3, 0.7).sample((5,)),
        "uniform distribution": lambda: torch.distributions.Uniform(0.0, 1.0).sample((5,)),
    }


@pytest.mark.parametrize("name", draws())
def test_what_draws_draws_from_its_own_generator(name):
    draw = draws()[name]
    randomness = OwnRandomness(0)
    with randomness:
        first, second = draw(), draw()
    assert not torch.equal(first, second)
    torch.rand(1, generator=torch.Generator())
    with OwnRandomness(0):
        assert torch.equal(draw(), first)
    with OwnRandomness(1):
        assert not torch.equal(draw(), first)


@pytest.mark.parametrize("name", draws())
def test_numbers_are_those_that_torch_would_draw_from_this_seed(name):
    draw = draws()[name]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected = draw(), draw()
    with OwnRandomness(7):
        found = draw(), draw()
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other)


def test_nothing_that_draws_is_forgotten():
    """Of all functions that torch lets others override, by torch's own list of what draws."""
    drawing = set()
    for operation in torch._C._dispatch_get_all_op_names():
        room, _, name = operation.partition("::")
        if room == "aten":
            name, _, overload = name.partition(".")
            op = getattr(getattr(torch.ops.aten, name), overload or "default")
            if torch.Tag.nondeterministic_seeded in op.tags:
                drawing.add(name)
    assert "uniform_" in drawing
    overridable = torch.overrides.get_overridable_functions().values()
    functions = {func for found in overridable for func in found}
    missing = {
        func
        for func in functions
        if getattr(func, "__name__", "") in drawing and func not in _DRAWING
    }
    assert {func.__name__ for func in missing} <= {"miopen_rnn"}  # which layers do not call


def test_a_generator_that_is_given_is_taken():
    with OwnRandomness(0):
        given = torch.rand(3, generator=torch.Generator().manual_seed(5))
        alike = torch.normal(torch.zeros(3), 1.0, generator=torch.Generator().manual_seed(5))
    assert torch.equal(given, torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(
        alike, torch.normal(torch.zeros(3), 1.0, generator=torch.Generator().manual_seed(5))
    )


def test_what_does_not_drop_is_left_as_it_is():
    x = torch.ones(2, 3, 4)
    with OwnRandomness(0) as randomness:
        before = torch.rand(1)
        assert F.dropout(x, training=False) is x
        assert torch.equal(F.dropout(x, 0.0), x)
        assert torch.equal(F.dropout(x, 1.0), torch.zeros_like(x))
        torch.testing.assert_close(F.scaled_dot_product_attention(x, x, x), x)
        with pytest.raises(ValueError, match="dropout probability"):
            F.dropout(x, 2.0)
        torch.empty(3, device="meta").uniform_()
        after = torch.rand(1)
    expected = torch.rand(2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat([before, after]), expected)
    assert set(randomness.get_state()) == {"cpu"}


def test_dropout_has_a_gradient():
    x = torch.ones(50, requires_grad=True)
    with OwnRandomness(0):
        dropped = F.dropout(x, 0.2)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped.detach())
    assert set(x.grad.tolist()) == {0.0, 1.25}


def test_it_goes_on_where_it_was():
    randomness = OwnRandomness(3)
    with randomness:
        first = torch.rand(2)
    with randomness:
        second = torch.rand(2)
    state = randomness.get_state()
    with randomness:
        third = torch.rand(2)
    other = OwnRandomness(0)
    other.set_state({**state, "cuda:99": state["cpu"]})  # a device that is not here
    with other:
        assert torch.equal(torch.rand(2), third)
    expected = torch.rand(6, generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch.cat([first, second, third]), expected)


def test_an_error_ends_it():
    with pytest.raises(RuntimeError, match="no"), OwnRandomness(0):
        raise RuntimeError("no")
    with pytest.raises(IndexError), OwnRandomness(0):
        F.gumbel_softmax(torch.ones(2), dim=5)
    assert torch.overrides._get_current_function_mode() is None


def test_threads_have_randomness_of_their_own():
    def draw(seed):
        with OwnRandomness(seed):
            return [draw().sum().item() for draw in draws().values() for _ in range(3)]

    alone = [draw(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(4))) == alone


def test_a_thread_without_it_is_not_touched():
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        with OwnRandomness(1):
            thread = threading.Thread(target=lambda: found.append(torch.rand(3)))
            thread.start()
            thread.join()
    assert torch.equal(found[0], expected)


def test_seeds():
    assert draw_seed(5) == draw_seed(5) != draw_seed(6)
    shared = np.random.RandomState(5)
    assert draw_seed(shared) == draw_seed(5)
    assert draw_seed(shared) != draw_seed(5)
    assert draw_seed(None) != draw_seed(None)


# Trainings


CLASSIFIERS = {
    "cnn": CNNClassifier(width=8, depth=1, augmentation="plain", **SMALL),
    "convmixer": ConvMixerClassifier(dim=8, depth=1, augmentation="crop", **SMALL),
    "vit": ViTClassifier(dim=8, depth=1, n_heads=2, augmentation="encrypted", **SMALL),
    "adaptnet": AdaptNetClassifier(
        "ele", depth=8, alpha=4, early_stopping=True, validation_fraction=0.25, **SMALL
    ),
}


def logits(name, seed):
    classifier = clone(CLASSIFIERS[name]).set_params(random_state=seed)
    return classifier.fit(X, y).decision_function(X_TEST)


def reconstruct(attack, seed, **given):
    attack = clone(attack).set_params(budget=2, random_state=seed)
    return attack.fit(X[:64], **given).reconstruct(
        X[:8], **{k: y[:8] for k in given if k == "labels"}
    )


def protect(seed):
    encryptor = TransformationNetworkEncryptor(
        LINEAR, width=1, augment=True, random_state=seed, image_shape=(8, 8, 3), **SMALL
    )
    return encryptor.fit(FLAT[:64], y[:64]).transform(FLAT[:8])


def train_ric(seed):
    encryptor = RICEncryptor(
        SecretKey(bytes(32)),
        LINEAR,
        weights=None,
        random_state=seed,
        image_shape=(8, 8, 3),
        **SMALL,
    )
    return np.frombuffer(encryptor.fit(FLAT[:64]).network_weights_, np.uint8)


LABELS = {"labels": y[:64], "public_images": X[64:], "public_labels": y[64:]}
TRAININGS = {
    **{name: lambda seed, name=name: logits(name, seed) for name in CLASSIFIERS},
    "known plaintext": lambda seed: reconstruct(KnownPlaintextAttack(), seed, plaintexts=X[:64]),
    "gan": lambda seed: reconstruct(GANAttack(), seed, public_images=X[64:]),
    "cloud": lambda seed: reconstruct(CloudAttack(LINEAR), seed, public_images=X[64:]),
    "sia": lambda seed: reconstruct(SIAGANAttack(label_weight=1.0), seed, **LABELS),
    "transformation": protect,
    "ric": train_ric,
}


@pytest.mark.parametrize("name", TRAININGS)
def test_trainings_in_threads_end_as_one_after_another(name):
    alone = [TRAININGS[name](seed) for seed in range(3)]
    assert not np.array_equal(alone[0], alone[1])
    with disturbed(), ThreadPoolExecutor(3) as pool:
        together = list(pool.map(TRAININGS[name], range(3)))
    for one, other in zip(alone, together, strict=True):
        assert_array_equal(other, one)


@pytest.mark.parametrize("name", TRAININGS)
def test_trainings_without_a_seed_leave_the_global_generators_alone(name):
    assert not np.array_equal(TRAININGS[name](None), TRAININGS[name](None))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_failed_trainings_leave_the_global_generators_alone(error, monkeypatch):
    def fail(*_):
        torch.rand(1)
        raise error

    monkeypatch.setattr(CNN, "forward_features", fail)
    with pytest.raises(error):
        logits("cnn", 0)
    assert torch.overrides._get_current_function_mode() is None


class Dropping(CNN):
    def forward_features(self, x):
        return F.dropout(super().forward_features(x), 0.3, self.training)


def test_networks_with_dropout_are_decided_on_by_the_seed_too(monkeypatch):
    plain = logits("cnn", 0)
    monkeypatch.setattr("ricsk.nn._registry._NETWORKS", {"cnn": Dropping})
    dropped = logits("cnn", 0)
    assert not np.array_equal(plain, dropped)
    with disturbed():
        assert_array_equal(logits("cnn", 0), dropped)


def test_loading_draws_nothing():
    with OwnRandomness(0):
        weights = save_weights(nn.Linear(2, 3))
    network = load_weights(lambda: nn.Linear(2, 3), weights)
    assert not network.training
    load_features("small")

import pickle
import signal

import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.data import TensorDataset

from ricsk import CNNClassifier, TransformationNetworkEncryptor
from ricsk.attacks import GANAttack, KnownPlaintextAttack
from ricsk.encryptors.ric import _training as ric
from ricsk.nn.ric import LightRIC
from ricsk.training import OPTIMIZERS, Batches, OwnRandomness, train_network
from tests.training.test_randomness import FLAT, LINEAR, X, y

SMALL = {"epochs": 2, "batch_size": 32, "random_state": 0}
CNN_TINY = CNNClassifier(width=8, depth=1, **SMALL)


@pytest.fixture(autouse=True)
def _interrupts_are_heard():
    """A shell that starts the tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def train(module, n=64, **settings):
    x = torch.linspace(-1, 1, n)[:, None]
    defaults = {
        "optimizer": OPTIMIZERS["sgd"],
        "learning_rate": 0.01,
        "epochs": 2,
        "batch_size": 16,
        "device": torch.device("cpu"),
        "randomness": OwnRandomness(0),
    }
    data = TensorDataset(x, 2 * x + 1)
    return train_network(module, nn.MSELoss(), data, **{**defaults, **settings})


# Batches


def test_batches_cover_the_data():
    data = TensorDataset(torch.arange(10), -torch.arange(10))
    plain = [inputs.tolist() for inputs, _ in Batches(data, 4)]
    assert plain == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    shuffled = Batches(data, 4, OwnRandomness(0))
    for _ in range(2):
        batches = list(shuffled)
        assert sorted(torch.cat([inputs for inputs, _ in batches]).tolist()) == list(range(10))
        assert all(torch.equal(inputs, -targets) for inputs, targets in batches)
    first, second = (torch.cat([inputs for inputs, _ in shuffled]).tolist() for _ in range(2))
    assert first != second


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (4, 1), (5, 1), (6, 2), (8, 2), (9, 2)])
def test_a_last_batch_of_one_is_left_out_in_training(n, expected):
    data = TensorDataset(torch.arange(n), torch.arange(n))
    batches = Batches(data, 4, OwnRandomness(0))
    assert len(batches) == len(list(batches)) == expected
    measured = Batches(data, 4)
    assert len(measured) == len(list(measured)) == -(-n // 4)


def test_batches_are_prepared_in_training_alone():
    seen = []

    def prepare(inputs, targets):
        seen.append(len(inputs))
        return (inputs, torch.rand(len(inputs), 1)), targets

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, x, noise=0.0):
            return self.layer(x) + noise

    with OwnRandomness(0):
        network = Sum()
    x = torch.ones(8, 1)
    history = train(network, prepare=prepare, held_out=TensorDataset(x, x))
    assert seen == 8 * [16]
    assert set(history[0]) == {"epoch", "train_loss", "valid_loss"}


# Interrupted


class Interrupting(nn.Module):
    """A network during whose training Ctrl-C is pressed."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.n_calls = 0

    def forward(self, x):
        self.n_calls += 1
        if self.n_calls == 3:
            signal.raise_signal(signal.SIGINT)
        return self.layer(x)


@pytest.mark.parametrize("held_out", [False, True])
def test_an_interrupt_is_not_taken_for_the_end(held_out):
    x = torch.ones(8, 1)
    with OwnRandomness(0):
        network = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        train(network, held_out=TensorDataset(x, x) if held_out else None, patience=1)
    assert network.n_calls == 3


def train_ric():
    with OwnRandomness(0):
        network = LightRIC()
    ric.train(
        network,
        X,
        alpha=0.8,
        epochs=1,
        batch_size=8,
        learning_rate=0.1,
        device="cpu",
        seed=0,
        verbose=0,
    )


ESTIMATORS = {
    "classifier": (CNN_TINY, lambda cnn: cnn.fit(X, y), lambda cnn: cnn.predict_proba(X)),
    "early stopping": (
        clone(CNN_TINY).set_params(early_stopping=True),
        lambda cnn: cnn.fit(X, y),
        lambda cnn: cnn.predict_proba(X),
    ),
    "known plaintext": (
        KnownPlaintextAttack(3, random_state=0),
        lambda attack: attack.fit(X, X),
        lambda attack: attack.reconstruct(X),
    ),
    "gan": (
        GANAttack(budget=3, random_state=0),
        lambda attack: attack.fit(X, public_images=X),
        lambda attack: attack.reconstruct(X),
    ),
    "transformation": (
        TransformationNetworkEncryptor(LINEAR, width=1, image_shape=(8, 8, 3), **SMALL),
        lambda encryptor: encryptor.fit(FLAT, y),
        lambda encryptor: encryptor.transform(FLAT),
    ),
}


@pytest.fixture
def pressed():
    """Press Ctrl-C before the second step of any training."""
    steps = []

    def press(*_):
        steps.append(None)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGINT)

    hook = register_optimizer_step_pre_hook(press)
    yield steps
    hook.remove()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_interrupted_fit_leaves_an_estimator_as_it_was(name, request):
    estimator, fit, ask = ESTIMATORS[name]
    fitted = fit(clone(estimator))
    before, state = ask(fitted), pickle.dumps(fitted)
    steps = request.getfixturevalue("pressed")
    unfitted = clone(estimator)
    with pytest.raises(KeyboardInterrupt):
        fit(unfitted)
    with pytest.raises(NotFittedError):
        check_is_fitted(unfitted)
    steps.clear()
    with pytest.raises(KeyboardInterrupt):
        fit(fitted)
    assert_array_equal(ask(fitted), before)
    assert pickle.dumps(fitted) == state
    assert torch.overrides._get_current_function_mode() is None


@pytest.mark.usefixtures("pressed")
def test_an_interrupted_training_of_ric_is_not_taken_for_finished():
    with pytest.raises(KeyboardInterrupt):
        train_ric()

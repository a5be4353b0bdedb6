import pickle

import numpy as np
import pytest
import torch

from ricsk import TransformationNetworkEncryptor
from ricsk.attacks import GANAttack, KnownPlaintextAttack
from ricsk.encryptors.ric import _training as ric
from ricsk.nn.ric import LightRIC
from ricsk.training import find_device, find_device_again
from tests.training.test_randomness import LINEAR, X, y


@pytest.fixture(params=[(True, True), (True, False), (False, True), (False, False)])
def machine(request, monkeypatch):
    cuda, mps = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if cuda else 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    return {"cuda": cuda, "mps": mps, "cpu": True}


def test_auto_is_the_best_that_there_is(machine):
    assert find_device("auto").type == next(kind for kind, there in machine.items() if there)
    assert find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps", "cuda:2", "nonsense", "", "meta", "xpu"])
def test_what_there_is_not_is_refused_and_read_back_as_auto(name, machine):
    if machine.get(name.partition(":")[0]) and name != "cuda:2":
        assert find_device(name) == find_device_again(name) == torch.device(name)
        return
    kinds = ", ".join(repr(kind) for kind, there in machine.items() if there)
    with pytest.raises(ValueError, match=f"device='{name}' is not available here.* of {kinds}"):
        find_device(name)
    assert find_device_again(name) == find_device("auto")


def test_everything_that_is_trained_refuses_it_in_these_words():
    flat = X.reshape(len(X), -1) / 255
    trainings = [
        lambda: KnownPlaintextAttack(1, device="nonsense").fit(X, X),
        lambda: GANAttack(budget=1, device="nonsense").fit(X, public_images=X),
        lambda: TransformationNetworkEncryptor(
            LINEAR, epochs=1, device="nonsense", image_shape=(8, 8, 3)
        ).fit(flat, y),
        lambda: ric.train(
            LightRIC(),
            X,
            alpha=0.8,
            epochs=1,
            batch_size=8,
            learning_rate=0.1,
            device="nonsense",
            seed=0,
            verbose=0,
        ),
    ]
    with torch.random.fork_rng():
        for train in trainings:
            with pytest.raises(ValueError, match="device='nonsense' is not available here"):
                train()


def test_an_attack_is_read_back_where_its_device_is_missing():
    attack = KnownPlaintextAttack(1, random_state=0).fit(X[:8], X[:8])
    expected = attack.reconstruct(X[:4])
    attack.device_ = "cuda:99"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(attack)).reconstruct(X[:4]), expected)

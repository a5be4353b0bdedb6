import json
import os
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors import safe_open
from sklearn.base import clone

from ricsk import CNNClassifier, EtCEncryptor, PrivateClassifier, SecretKey, ViTClassifier
from ricsk.classifiers import _network, _training
from ricsk.nn import CNN, ViT
from ricsk.training import find_half_precision, make_schedule
from ricsk.training._loop import _Net as Net
from tests.classifiers.test_classifiers import X_TEST, Y_TEST, X, y

TINY = CNNClassifier(width=8, depth=2, epochs=4, batch_size=16, random_state=0)

RECIPES = {
    "default": {},
    "augmented": {"augmentation": "encrypted", "optimizer": "sgd", "schedule": "cosine"},
    "steps": {"optimizer": "nesterov", "schedule": "steps", "clip": None},
    "early": {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.25},
}


class Interrupted(Exception):
    pass


def interrupt_after(monkeypatch, n_epochs, n_batches=3):
    """Let trainings fail in the middle of an epoch."""
    epoch = Net.run_single_epoch
    begun = []

    def run(net, iterator, training, **kwargs):
        if training:
            begun.append(None)
        if len(begun) > n_epochs:
            batches = iter(iterator)
            iterator = [next(batches) for _ in range(n_batches)]
            epoch(net, iterator, training, **kwargs)
            raise Interrupted
        epoch(net, iterator, training, **kwargs)

    monkeypatch.setattr(Net, "run_single_epoch", run)


# Optimizers and schedules


@pytest.mark.parametrize("schedule", ["triangular", "cosine", "steps"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "nesterov"])
def test_all_learn(optimizer, schedule):
    classifier = clone(TINY).set_params(optimizer=optimizer, schedule=schedule, epochs=6)
    assert classifier.fit(X, y).score(X_TEST, Y_TEST) > 0.5


def test_rates():
    rates = {
        name: make_schedule(name, 0.5, 10, 20).simulate(200, 0.5)
        for name in ("triangular", "cosine", "steps")
    }
    assert rates["triangular"].argmax() == 59
    assert rates["triangular"].max() == pytest.approx(0.5)
    assert rates["triangular"][-1] < 1e-4
    assert rates["cosine"].argmax() == 9
    assert rates["cosine"][0] == pytest.approx(0.05)
    assert rates["cosine"][105] == pytest.approx(0.25)
    assert rates["cosine"][-1] < 1e-4
    steps = rates["steps"]
    assert_array_equal(np.flatnonzero(np.diff(steps)), [99, 149])
    assert steps[[0, 100, 150]] == pytest.approx([0.5, 0.05, 0.005])


def test_one_step_is_a_training_too():
    for schedule in ("triangular", "cosine", "steps"):
        classifier = clone(TINY).set_params(epochs=1, schedule=schedule)
        assert classifier.fit(X[:16], y[:16]).n_iter_ == 1


def trained_with(monkeypatch, **params):
    nets = []
    initialize = Net.initialize

    def keep(net):
        nets.append(initialize(net))
        return net

    monkeypatch.setattr(Net, "initialize", keep)
    clone(TINY).set_params(epochs=1, **params).fit(X, y)
    return nets[0].optimizer_


def test_optimizers_are_those_of_torch(monkeypatch):
    adamw = trained_with(monkeypatch, weight_decay=0.2)
    assert type(adamw) is torch.optim.AdamW
    assert adamw.param_groups[0]["weight_decay"] == 0.2
    sgd = trained_with(monkeypatch, optimizer="sgd")
    assert type(sgd) is torch.optim.SGD


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum(monkeypatch, nesterov):
    optimizer = trained_with(monkeypatch, optimizer="nesterov" if nesterov else "sgd")
    assert optimizer.param_groups[0]["momentum"] == 0.9
    assert optimizer.param_groups[0]["nesterov"] is nesterov


def test_clip(monkeypatch):
    norms = []
    clip = torch.nn.utils.clip_grad_norm_

    def keep(parameters, max_norm, **kwargs):
        norms.append(max_norm)
        return clip(parameters, max_norm, **kwargs)

    monkeypatch.setattr("skorch.callbacks.regularization.clip_grad_norm_", keep)
    for value, expected in ((1.0, {1.0}), (0.01, {0.01}), (None, set())):
        norms.clear()
        clone(TINY).set_params(epochs=1, clip=value).fit(X, y)
        assert set(norms) == expected


def test_half_precision_is_for_training_where_the_device_has_it(monkeypatch):
    seen = []
    forward = CNN.forward_features

    def keep(network, x):
        features = forward(network, x)
        seen.append((network.training, features.dtype))
        return features

    monkeypatch.setattr(CNN, "forward_features", keep)
    plain = clone(TINY).fit(X, y)
    plain.predict(X)
    assert {dtype for _, dtype in seen} == {torch.float32}
    seen.clear()
    # The CPU has bfloat16, but is slow with it.
    monkeypatch.setattr(_network, "find_half_precision", lambda device: torch.bfloat16)
    half = clone(TINY).set_params(epochs=6).fit(X, y)
    assert set(seen) == {(True, torch.bfloat16)}
    half.predict(X)
    assert seen[-1] == (False, torch.float32)
    assert {parameter.dtype for parameter in half.module_.parameters()} == {torch.float32}
    assert half.score(X_TEST, Y_TEST) > 0.8


def test_half_precision_by_device(monkeypatch):
    assert find_half_precision(torch.device("cpu")) is None
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert find_half_precision(torch.device("cuda")) is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert find_half_precision(torch.device("cuda")) is None


# Checkpoints


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_interrupted_training_ends_as_an_uninterrupted_one(recipe, monkeypatch, tmp_path):
    classifier = clone(TINY).set_params(**RECIPES[recipe])
    expected = clone(classifier).fit(X, y)
    classifier.set_params(checkpoint=str(tmp_path / "training"))
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(Interrupted):
            clone(classifier).fit(X, y)
    trained = []
    epoch = Net.run_single_epoch
    monkeypatch.setattr(
        Net,
        "run_single_epoch",
        lambda net, iterator, training, **kwargs: (
            trained.append(training),
            epoch(net, iterator, training, **kwargs),
        ),
    )
    resumed = clone(classifier).fit(X, y)
    assert trained.count(True) == expected.n_iter_ - 2
    assert resumed.history_ == expected.history_
    assert_array_equal(resumed.predict_proba(X_TEST), expected.predict_proba(X_TEST))
    again = clone(classifier).fit(X, y)
    assert trained.count(True) == expected.n_iter_ - 2
    assert_array_equal(again.predict_proba(X_TEST), expected.predict_proba(X_TEST))


def test_a_checkpoint_changes_nothing_in_the_training(tmp_path):
    expected = clone(TINY).fit(X, y)
    kept = clone(TINY).set_params(checkpoint=str(tmp_path / "training")).fit(X, y)
    assert_array_equal(kept.predict_proba(X_TEST), expected.predict_proba(X_TEST))
    assert os.listdir(tmp_path) == ["training"]


def test_an_early_stop_is_kept(monkeypatch, tmp_path):
    noise = np.random.default_rng(0).permutation(y)
    classifier = clone(TINY).set_params(
        epochs=60, early_stopping=True, validation_fraction=0.25, n_iter_no_change=2
    )
    expected = clone(classifier).fit(X, noise)
    assert expected.n_iter_ < 60
    classifier.set_params(checkpoint=str(tmp_path / "training"))
    with monkeypatch.context() as patch:
        interrupt_after(patch, expected.n_iter_ - 1)  # the best epoch is before
        with pytest.raises(Interrupted):
            clone(classifier).fit(X, noise)
    for _ in range(2):
        resumed = clone(classifier).fit(X, noise)
        assert resumed.history_ == expected.history_
        assert_array_equal(resumed.predict_proba(X_TEST), expected.predict_proba(X_TEST))


def test_without_random_state_the_seed_of_the_file_is_taken(monkeypatch, tmp_path):
    classifier = clone(TINY).set_params(
        random_state=None, early_stopping=True, checkpoint=str(tmp_path / "training")
    )
    splits = []
    split = _training.train_test_split
    monkeypatch.setattr(
        _training,
        "train_test_split",
        lambda *a, **k: splits.append(k["random_state"]) or split(*a, **k),
    )
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(Interrupted):
            clone(classifier).fit(X, y)
    clone(classifier).fit(X, y)
    assert splits[0] == splits[1]


def test_dropout_free_or_not_the_generator_goes_on(monkeypatch, tmp_path):
    classifier = ViTClassifier(
        dim=8, depth=1, n_heads=2, patch_size=4, epochs=3, batch_size=16, random_state=0
    )
    forward = ViT.forward_features
    monkeypatch.setattr(
        ViT,
        "forward_features",
        lambda net, x: torch.nn.functional.dropout(forward(net, x), training=net.training),
    )
    expected = clone(classifier).fit(X, y)
    classifier.set_params(checkpoint=str(tmp_path / "training"))
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(Interrupted):
            clone(classifier).fit(X, y)
    assert clone(classifier).fit(X, y).history_ == expected.history_


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_an_interrupted_write_leaves_the_old_file(step, monkeypatch, tmp_path):
    path = tmp_path / "training"
    classifier = clone(TINY).set_params(checkpoint=str(path))
    interrupt_after(monkeypatch, 1)
    with pytest.raises(Interrupted):
        clone(classifier).fit(X, y)
    before = path.read_bytes()
    monkeypatch.undo()

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space"):
        clone(classifier).fit(X, y)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["training"]
    expected = clone(TINY).fit(X, y)
    assert clone(classifier).fit(X, y).history_ == expected.history_


def test_checkpoints_of_other_trainings_are_refused(tmp_path):
    classifier = clone(TINY).set_params(checkpoint=str(tmp_path / "training"))
    classifier.fit(X, y)
    before = (tmp_path / "training").read_bytes()
    for params, images, labels in (
        ({"learning_rate": 0.02}, X, y),
        ({"epochs": 5}, X, y),
        ({"random_state": 1}, X, y),
        ({"width": 9}, X, y),
        ({}, 255 - X, y),
        ({}, X, 3 - y),
        ({}, X, y + 1),
    ):
        with pytest.raises(ValueError, match="belongs to a training with other"):
            clone(classifier).set_params(**params).fit(images, labels)
    assert (tmp_path / "training").read_bytes() == before
    clone(classifier).set_params(verbose=0, device="cpu").fit(X, y)


def test_a_checkpoint_of_another_key_is_refused(tmp_path):
    classifier = clone(TINY).set_params(
        checkpoint=str(tmp_path / "training"), augmentation="crop", epochs=1
    )
    for number, expected in ((0, None), (0, None), (1, "belongs to a training with other")):
        encryptor = EtCEncryptor(SecretKey(bytes([number] * 32)), block_size=4)
        private = PrivateClassifier(encryptor, classifier, augment_first=True)
        if expected is None:
            private.fit(X, y)
        else:
            with pytest.raises(ValueError, match=expected):
                private.fit(X, y)


@pytest.mark.parametrize("damage", ["empty", "text", "short", "foreign", "pickle"])
def test_what_is_no_checkpoint_is_refused(damage, tmp_path):
    path = tmp_path / "training"
    classifier = clone(TINY).set_params(checkpoint=str(path), epochs=1).fit(X, y)
    data = path.read_bytes()
    contents = {
        "empty": b"",
        "text": b"something else" * 10,
        "short": data[: len(data) // 2],
        "foreign": classifier.__getstate__()["weights_"],
        "pickle": pickle.dumps({"training": 1}),
    }
    path.write_bytes(contents[damage])
    with pytest.raises(ValueError, match="is not a checkpoint of a training, is damaged"):
        clone(classifier).fit(X, y)
    assert path.read_bytes() == contents[damage]


def test_the_file_is_safetensors_with_json_and_reading_unpickles_nothing(monkeypatch, tmp_path):
    path = tmp_path / "training"
    classifier = clone(TINY).set_params(checkpoint=str(path)).fit(X, y)
    with safe_open(path, framework="pt") as stored:
        numbers = json.loads(stored.metadata()["training"])
        # A safetensors file has no "in" of its own.
        assert "module.network.head.weight" in stored.keys()  # noqa: SIM118
    assert [epoch["epoch"] for epoch in numbers["history"]] == [1, 2, 3, 4]

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled")

    for module, name in ((pickle, "loads"), (pickle, "load"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    assert clone(classifier).fit(X, y).n_iter_ == 4

"""`ModelReference`: pickles that hold where a network comes from, and refuse another one."""

import hashlib
import pickle

import numpy as np
import pytest
import skops.io
import torch
from safetensors.torch import save_file
from torch import nn

from ricsk import PretrainedClassifier, SealedEncryptor, SecretKey
from ricsk.exceptions import ModelChangedError
from ricsk.pretrained import ModelReference
from tests.pretrained import networks
from tests.pretrained.networks import TimmModel, make_images, make_network

X = make_images(6)


class Factory:
    seed = 3

    @classmethod
    def build(cls, n_classes):
        return make_network(n_classes, seed=cls.seed)


def make_number():
    return 5


@pytest.mark.parametrize(
    ("factory", "arguments", "name"),
    [
        (make_network, {"n_classes": 5}, "tests.pretrained.networks:make_network"),
        (TimmModel, {"n_classes": 3}, "tests.pretrained.networks:TimmModel"),
        (Factory.build, {"n_classes": 3}, f"{__name__}:Factory.build"),
    ],
)
def test_a_pickle_holds_the_name_and_no_weights(factory, arguments, name):
    reference = ModelReference(factory, arguments)
    assert reference.factory == name
    data = pickle.dumps(reference)
    assert len(data) < 500
    again = pickle.loads(data)
    assert repr(again) == repr(reference) == f"ModelReference({name!r})"
    expected, found = reference.load().state_dict(), again.load().state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert again.load() is again.load()


def test_a_classifier_by_reference_is_small_and_answers_alike():
    classifier = PretrainedClassifier(ModelReference(make_network), classes=list("abcd"), size=8)
    by_value = PretrainedClassifier(make_network(), classes=list("abcd"), size=8)
    assert len(pickle.dumps(classifier)) < 1000 < len(pickle.dumps(by_value))
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.decision_function(X), by_value.decision_function(X))


def test_an_encryptor_is_stored_with_its_classifier_by_reference():
    images = make_images(4, (32, 32))
    classifier = PretrainedClassifier(ModelReference(make_network), size=8)
    encryptor = SealedEncryptor(SecretKey(bytes(32)), classifier).fit(images)
    again = pickle.loads(pickle.dumps(encryptor))
    np.testing.assert_array_equal(again.transform(images), encryptor.transform(images))
    assert isinstance(again.classifier_.model, ModelReference)


def test_another_network_is_refused(monkeypatch):
    data = pickle.dumps(ModelReference(make_network))
    monkeypatch.setattr(networks, "make_network", lambda: make_network(seed=1))
    again = pickle.loads(data)
    with pytest.raises(ModelChangedError, match=r"make_network builds another network .* digest"):
        again.load()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_from_a_file_with_its_digest(tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    state = make_network(seed=5).state_dict()
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    reference = ModelReference(make_network, weights=path)
    assert reference.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(torch.equal(state[k], v) for k, v in reference.load().state_dict().items())
    assert repr(reference).endswith(f"make_network', weights='weights.{suffix}')")
    again = pickle.loads(pickle.dumps(reference))
    torch.testing.assert_close(again.load().state_dict(), state, rtol=0, atol=0)
    ModelReference(make_network, weights=path, digest=reference.digest)
    with pytest.raises(ModelChangedError, match="holds other weights"):
        ModelReference(make_network, weights=path, digest="0" * 64)


def test_a_file_that_was_exchanged_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save(make_network().state_dict(), path)
    data = pickle.dumps(ModelReference(make_network, weights=path))
    torch.save(make_network(seed=1).state_dict(), path)
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("it was read"))
    with pytest.raises(ModelChangedError, match=r"weights\.pth holds other weights than"):
        pickle.loads(data).load()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(data).load()


def test_weights_are_read_without_unpickling(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(make_network(), path)  # the whole module, as a pickle
    with pytest.raises(pickle.UnpicklingError):
        ModelReference(make_network, weights=path)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (lambda: make_network(), "cannot be imported again by its name"),
        ("tests.pretrained.networks:no_such_thing", "AttributeError"),
        ("no_such_package:build", "No module named 'no_such_package'"),
        ("tests.pretrained.networks", "expected 'package.module:name'"),
        (make_number, "returned a int; expected a function that builds a torch.nn.Module"),
    ],
)
def test_what_builds_no_network_by_its_name_is_refused(factory, message):
    make = ModelReference.from_name if isinstance(factory, str) else ModelReference
    with pytest.raises(TypeError, match=message):
        make(factory)


def test_a_name_that_is_given_is_the_name_that_is_kept():
    reference = ModelReference.from_name("torch.nn:Linear", {"in_features": 2, "out_features": 3})
    assert repr(pickle.loads(pickle.dumps(reference))) == "ModelReference('torch.nn:Linear')"


def test_a_constructor_called_with_text_runs_nothing():
    """What a hand-made file of skops can do with a trusted type."""
    with pytest.raises(TypeError, match=r"Give a name to ModelReference\.from_name"):
        ModelReference("os:getcwd")


def test_digests_tell_names_types_shapes_and_values():
    class Other(nn.Module):
        def __init__(self, name, tensor):
            super().__init__()
            self.register_buffer(name, tensor)

    from ricsk.pretrained._reference import _digest

    zeros = torch.zeros(2, 3)
    others = [("a", zeros), ("b", zeros), ("a", zeros.T), ("a", zeros.int()), ("a", zeros + 1)]
    assert len({_digest(Other(*other)) for other in others}) == len(others)
    assert _digest(Other("a", torch.zeros(3, 2).T)) == _digest(Other("a", zeros))


def test_files_of_skops_which_run_nothing_refuse_it():
    """A file could name any function of any package."""
    reference = ModelReference(make_network)
    with pytest.raises(TypeError, match="stored by pickle and joblib alone"):
        skops.io.dumps(PretrainedClassifier(reference, size=8))
    with pytest.raises(TypeError, match="stored by pickle and joblib alone"):
        ModelReference.__new__(ModelReference).__setstate__({"factory": "os:getcwd"})

import io
import pickle
import threading

import joblib
import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier

from ricsk import CNNClassifier, EtCEncryptor, PrivateClassifier, RICEncryptor, SecretKey
from ricsk.cloud import CloudHalf, refuse_secrets, without_leftovers
from ricsk.cloud._inventory import Inventory
from ricsk.exceptions import CloudHalfError

KEY = SecretKey(bytes(range(32)))
RNG = np.random.default_rng(0)
X, Y = RNG.random((60, 64)), np.arange(60) % 2
LINEAR = LogisticRegression().fit(X, Y)


class Holder(LogisticRegression):
    """A classifier with anything in it."""

    def __init__(self, held=None):
        super().__init__()
        self.held = held


def test_all_that_would_be_pickled_is_listed():
    array, tensor, deep = np.arange(3.0), torch.arange(4.0), np.arange(5.0)
    holder = Holder([array, {"tensor": tensor}, (FrozenEstimator(Holder(deep)),), b"bytes", "text"])
    inventory = Inventory(holder)
    assert [array.size for array in inventory.arrays] == [3, 4, 5]
    assert inventory.buffers == [b"bytes"]
    assert {type(value) for value in inventory.objects} == {Holder, FrozenEstimator}


def test_what_a_pickle_leaves_out_is_not_listed():
    class Forgetful:
        def __init__(self):
            self.secret = np.arange(9.0)

        def __getstate__(self):
            return {"shape": (9,)}

    assert all(array.size != 9 for array in Inventory(Forgetful()).arrays)


def test_what_cannot_be_pickled_is_passed_over():
    lambdas = FunctionTransformer(lambda X: X)
    holder = Holder([threading.Lock(), lambdas, (i for i in "ab"), np.arange(3.0)])
    assert [array.size for array in Inventory(holder).arrays] == [3]


def test_looking_changes_nothing():
    before = pickle.dumps(LINEAR)
    refuse_secrets(LINEAR)
    assert without_leftovers(LINEAR) is LINEAR
    assert pickle.dumps(LINEAR) == before


ENCRYPTOR = EtCEncryptor(KEY, block_size=1, image_shape=(8, 8))


@pytest.mark.parametrize(
    ("classifier", "name"),
    [
        (make_pipeline(ENCRYPTOR, LINEAR), "EtCEncryptor"),
        (FrozenEstimator(make_pipeline(ENCRYPTOR, LINEAR)), "EtCEncryptor"),
        (GridSearchCV(make_pipeline(ENCRYPTOR, LINEAR), {}), "EtCEncryptor"),
        (PrivateClassifier(ENCRYPTOR, LINEAR), "EtCEncryptor"),
        (Holder({"keys": [KEY]}), "SecretKey"),
        (Holder(RICEncryptor("key.txt", LINEAR)), "RICEncryptor"),
        (Holder(KEY.keystream("mask")), "Keystream"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_keys_and_encryptors_are_refused(classifier, name):
    with pytest.raises(CloudHalfError, match=f"there is a.* {name} in this"):
        refuse_secrets(classifier)


def dump(value):
    file = io.BytesIO()
    joblib.dump(value, file)
    return pickle.dumps(value) + file.getvalue()


@pytest.mark.parametrize(
    "wrap", [lambda c: c, FrozenEstimator, make_pipeline], ids=["bare", "frozen", "pipeline"]
)
def test_no_path_of_the_client_is_left(wrap, tmp_path):
    path = str(tmp_path / "of the client")
    network = CNNClassifier(width=4, depth=1, epochs=1, image_shape=(8, 8), checkpoint=path)
    classifier = wrap(network.fit(X, Y))
    left = without_leftovers(classifier)
    assert b"of the client" in dump(classifier)
    assert b"of the client" not in dump(CloudHalf(left))
    np.testing.assert_array_equal(left.predict(X), classifier.predict(X))
    assert network.checkpoint == path


def test_the_memory_of_a_pipeline_is_left_behind(tmp_path):
    pipeline = make_pipeline(LINEAR, memory=str(tmp_path)).fit(X, Y)
    left = without_leftovers(pipeline)
    assert str(tmp_path).encode() not in dump(left)
    np.testing.assert_array_equal(left.predict(X), pipeline.predict(X))


def test_the_optimizer_of_a_net_is_left_behind():
    floats = X.astype(np.float32)
    net = NeuralNetClassifier(
        torch.nn.Linear(64, 2), optimizer=torch.optim.Adam, max_epochs=1, verbose=0
    ).fit(floats, Y)
    left = without_leftovers(net)
    assert len(pickle.dumps(left)) < len(pickle.dumps(net)) - 2 * 64 * 4
    np.testing.assert_array_equal(left.predict(floats), net.predict(floats))
    again = pickle.loads(pickle.dumps(left))
    np.testing.assert_array_equal(again.predict(floats), net.predict(floats))


def test_the_history_of_a_network_holds_numbers_only():
    network = CNNClassifier(width=4, depth=1, epochs=2, image_shape=(8, 8)).fit(X, Y)
    for epoch in network.history_:
        assert all(isinstance(value, int | float) for value in epoch.values())

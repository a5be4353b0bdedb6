"""What a graphics processor encrypts and trains, and what is left of it on machines without one."""

import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from ricsk import (
    CNNClassifier,
    ConvMixerClassifier,
    PretrainedClassifier,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    ViTClassifier,
    unseal,
)
from ricsk.datasets import load_digits
from ricsk.metrics import psnr
from tests.pretrained.networks import make_network

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="this machine has no graphics processor with CUDA"
)

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=32)
PLAIN = X[1200:1220]

READ = """
import sys
import joblib, numpy as np
folder = sys.argv[1]
model, C = joblib.load(folder + "/model"), np.load(folder + "/C.npy")
classifier = getattr(model, "classifier_", model)
found = {"proba": classifier.predict_proba(C), "labels": classifier.predict(C)}
if classifier is not model:
    found["X"] = model.inverse_transform(C)
np.savez(folder + "/found.npz", **found)
"""


def read_without(model, C, folder):
    """What a process to which no accelerator is visible finds in ciphertexts."""
    joblib.dump(model, folder / "model")
    np.save(folder / "C.npy", C)
    command = [sys.executable, "-W", "ignore", "-c", READ, str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    with np.load(folder / "found.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def classifier():
    fitted = CNNClassifier(width=8, epochs=4, device="cuda", random_state=0).fit(X[:800], Y[:800])
    assert fitted.score(X[800:1200], Y[800:1200]) > 0.9
    return FrozenEstimator(fitted)


@pytest.mark.parametrize("match", ["label", "proba", "features"])
def test_images_sealed_there_are_opened_without_one(classifier, match, tmp_path):
    encryptor = SealedEncryptor(KEY, classifier, match=match, device="cuda").fit(X[:200])
    C = encryptor.transform(PLAIN)
    assert (unseal(C, KEY) == PLAIN).all()
    found = read_without(encryptor, C, tmp_path)
    assert (found["labels"] == classifier.predict(PLAIN)).all()
    assert (found["X"] == PLAIN).all()


def test_ric_images_made_there_are_recovered_without_one(classifier, tmp_path):
    encryptor = RICEncryptor(KEY, classifier, device="cuda").fit(X[:200])
    C = encryptor.transform(PLAIN)
    here = encryptor.inverse_transform(C)
    found = read_without(encryptor, C, tmp_path)
    assert (found["labels"] == classifier.predict(PLAIN)).all()
    assert psnr(PLAIN, found["X"]).min() > 40
    # The decoder computes in single precision, which is not the same in its last bits.
    assert np.abs(found["X"].astype(int) - here).max() <= 1


def test_a_pretrained_network_that_was_used_there_is_read_without_one(tmp_path):
    network = make_network()
    classifier = PretrainedClassifier(network, size=8, device="cuda")
    expected = classifier.predict_proba(PLAIN)
    assert next(network.parameters()).is_cuda
    found = read_without(classifier, PLAIN, tmp_path)
    np.testing.assert_allclose(found["proba"], expected, atol=1e-3)
    assert next(network.parameters()).is_cuda  # whose own module stayed where it was


def test_encrypting_again_gives_the_same(classifier):
    encryptor = SealedEncryptor(KEY, classifier, device="cuda").fit(X[:200])
    assert (encryptor.transform(PLAIN) == encryptor.transform(PLAIN)).all()


@pytest.mark.parametrize("kind", [CNNClassifier, ConvMixerClassifier, ViTClassifier])
def test_networks_trained_there_answer_without_one(kind, tmp_path):
    fitted = kind(epochs=8, device="cuda", random_state=0).fit(X[:1000], Y[:1000])
    expected = fitted.predict_proba(X[1000:1400])
    assert (expected.argmax(1) == Y[1000:1400]).mean() > 0.3  # chance is 0.1
    found = read_without(fitted, X[1000:1400], tmp_path)
    np.testing.assert_allclose(found["proba"], expected, atol=1e-3)

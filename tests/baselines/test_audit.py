"""The audit takes every system, with all attacks that apply, and finds none of them safe."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, SecretKey
from ricsk.audit import audit
from ricsk.baselines import CloakEncryptor, InstaHideEncryptor, LSBEncryptor
from ricsk.datasets import make_street_numbers

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(90, size=16, random_state=0)
Y %= 2
NETWORK = FrozenEstimator(
    CNNClassifier(width=8, depth=2, epochs=2, batch_size=16, random_state=0).fit(X, Y)
)


@pytest.fixture(scope="module")
def result():
    systems = {
        "LSB": LSBEncryptor(NETWORK),
        "Cloak": CloakEncryptor(KEY, NETWORK, epochs=1, random_state=0),
        "InstaHide": InstaHideEncryptor(KEY, k=2),
    }
    return audit(systems, X, Y, budget=2, random_state=0)


def test_all_are_attacked(result):
    assert [scheme.scheme for scheme in result.schemes] == ["LSB", "Cloak", "InstaHide"]
    for scheme in result.schemes:
        assert len(scheme.all_runs) >= 8
        assert all(np.isfinite(run.figures["ssim"]) for run in scheme.runs)


def test_everybody_decodes_what_has_no_key(result):
    decoded = {
        scheme.scheme: [run.finding for run in scheme.runs if run.attack == "DecoderAttack"]
        for scheme in result.schemes
    }
    assert decoded == {"LSB": ["broken"], "Cloak": [], "InstaHide": []}


def test_images_are_told_apart(result):
    for scheme in result.schemes[:2]:
        assert any(trial.finding != "held" for trial in scheme.trials)

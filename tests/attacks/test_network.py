"""What all attacks share that train a network."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import LearnableEncryptor, SecretKey
from ricsk.attacks import (
    CloudAttack,
    DisclosureBaseline,
    GANAttack,
    ITNAttack,
    KnownPlaintextAttack,
    SIAGANAttack,
)
from tests.classifiers.test_classifiers import X, y
from tests.classifiers.test_fitted import FORMS

X = X[:48]
LINEAR, OTHER = (
    FrozenEstimator(LogisticRegression(C=C).fit(X.reshape(48, -1) / 255, y[:48]))
    for C in (1.0, 1e-3)
)
ENCRYPTOR = LearnableEncryptor(SecretKey(bytes(32))).fit(X)
GIVEN = {
    "plaintexts": X,
    "public_images": X,
    "labels": y[:48],
    "public_labels": y[:48],
    "encryptor": ENCRYPTOR,
}
# Each with what else its parameters could be.
ATTACKS = [
    (KnownPlaintextAttack(), {}),
    (ITNAttack("ito"), {"variant": "unet", "n_keys": 3}),
    (GANAttack("block"), {"generator": "unet", "block_size": 2}),
    (GANAttack("unet"), {"generator": "pixel", "block_size": 2}),
    (SIAGANAttack(4, label_weight=1.0), {"block_size": 2, "label_weight": 3.0}),
    (CloudAttack(LINEAR), {"classifier": OTHER}),
    (DisclosureBaseline(LINEAR, "proba"), {"classifier": OTHER, "discloses": "label"}),
]
SHARED = {"budget": "thorough", "random_state": 5, "verbose": 1, "device": "cuda:7"}


def fit(attack, images=X):
    given = (
        GIVEN
        if attack.adversary.pairs or attack.adversary.keys != "same"
        else {**GIVEN, "encryptor": None}
    )
    return clone(attack).set_params(budget=2, random_state=0).fit(images, **given)


@pytest.mark.parametrize(("attack", "others"), ATTACKS, ids=str)
def test_parameters_set_after_fit_change_nothing(attack, others):
    fitted = fit(attack)
    expected = fitted.reconstruct(X, y[:48])
    fitted.set_params(**SHARED, **others)
    assert set(fitted.get_params(deep=False)) == {*SHARED, *others}
    for other in (fitted, pickle.loads(pickle.dumps(fitted))):
        assert_array_equal(other.reconstruct(X, y[:48]), expected)


@pytest.mark.parametrize(("attack", "others"), ATTACKS, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_images_may_be_in_memory_as_they_like(form, attack, others, tmp_path):
    images = FORMS[form](X, tmp_path)
    plain = np.array(images, images.dtype.newbyteorder("="), order="C")
    found = fit(attack, images).reconstruct(images, y[:48])
    assert_array_equal(found, fit(attack, plain).reconstruct(plain, y[:48]))

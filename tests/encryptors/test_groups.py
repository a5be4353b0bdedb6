"""`GroupEncryptor`: each image is encrypted as its owner does it."""

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from ricsk import EtCEncryptor, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.base import get_encryptor_tags
from ricsk.datasets import load_digits
from ricsk.encryptors import GroupEncryptor

KEYS = {name: SecretKey(bytes([i]) * 32) for i, name in enumerate(["ann", "bob", "cleo"])}
X, Y = load_digits(size=16)
X, Y = X[:300], Y[:300]
OWNERS = np.array(list(KEYS))[np.arange(len(X)) % 3]


def etc(**parameters):
    return {name: EtCEncryptor(key, block_size=4, **parameters) for name, key in KEYS.items()}


def test_each_image_is_encrypted_as_its_owner_does():
    encryptor = GroupEncryptor(etc())
    C = encryptor.fit_transform(X, groups=OWNERS)
    for name, one in etc().items():
        mine = name == OWNERS
        assert (C[mine] == one.fit_transform(X[mine])).all()
    assert (encryptor.transform(X, groups=np.roll(OWNERS, 1)) != C).any()
    assert (encryptor.inverse_transform(C, groups=OWNERS) == X).all()
    some = OWNERS[:7] == "bob"
    assert (encryptor.transform(X[:7][some], groups=OWNERS[:7][some]) == C[:7][some]).all()


def test_a_pipeline_routes_groups_to_it():
    pipeline = make_pipeline(GroupEncryptor(etc(flatten=True)), LogisticRegression(max_iter=300))
    with pytest.raises(ValueError, match="3 encryptors, and groups=None"):
        pipeline.fit(X / 255, Y)
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline.fit(X / 255, Y, groups=OWNERS)
        found = pipeline.decision_function(X / 255, groups=OWNERS)
        scores = cross_val_score(pipeline, X / 255, Y, cv=2, params={"groups": OWNERS})
    C = GroupEncryptor(etc(flatten=True)).fit_transform(X / 255, groups=OWNERS)
    expected = LogisticRegression(max_iter=300).fit(C, Y).decision_function(C)
    np.testing.assert_allclose(found, expected)
    assert scores.min() > 0.3


@pytest.mark.parametrize(
    ("encryptors", "groups", "message"),
    [
        ({}, None, "encryptors is empty"),
        (etc(), None, "groups=None does not say which image is whose"),
        (
            etc(),
            np.where(OWNERS == "bob", "eve", OWNERS),
            "groups has 'eve', for which",
        ),
        (etc(), np.where(OWNERS == "bob", "ann", OWNERS), "groups has no image of 'bob'"),
        (etc(), OWNERS[1:], "inconsistent numbers of samples"),
        (
            {**etc(), "bob": EtCEncryptor(KEYS["bob"], block_size=5, pad=True)},
            OWNERS,
            "the groups have different shapes",
        ),
        ({**etc(), "bob": RICEncryptor(KEYS["bob"])}, OWNERS, "learn on plain images for some"),
    ],
)
def test_what_does_not_fit_together_is_refused(encryptors, groups, message):
    with pytest.raises(ValueError, match=message):
        GroupEncryptor(encryptors).fit(X, Y, groups=groups)


def test_tags_and_the_way_back_are_those_of_the_encryptors():
    assert get_encryptor_tags(GroupEncryptor(etc())).learns_on == "ciphertexts"
    lossy = {name: EtCEncryptor(key, variant="madono2020") for name, key in KEYS.items()}
    colour = np.repeat(X, 3, axis=3)
    encryptor = GroupEncryptor({**etc(), "bob": lossy["bob"]}).fit(colour, groups=OWNERS)
    assert not hasattr(encryptor, "inverse_transform")


def test_files_hold_it(tmp_path):
    encryptor = GroupEncryptor({1: PixelEncryptor(KEYS["ann"]), 2: PixelEncryptor(KEYS["bob"])})
    groups = np.arange(len(X)) % 2 + 1
    C = encryptor.fit_transform(X, groups=groups)
    joblib.dump(encryptor, tmp_path / "file")
    assert (joblib.load(tmp_path / "file").transform(X, groups=groups) == C).all()

import io

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import (
    Adversary,
    BaseAttack,
    BruteForceAttack,
    FRAttack,
    ITNAttack,
    KeyReuseAttack,
    KnownPlaintextAttack,
    LabelOnlyBaseline,
    LinearAttack,
)
from ricsk.datasets import make_street_numbers
from ricsk.encryptors import PublishedRICEncryptor
from ricsk.exceptions import AttackNotApplicableError

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
X, Y = make_street_numbers(60, size=16, random_state=0)
PE = PixelEncryptor(KEY).fit(X)
C = PE.transform(X)
EVERYTHING = {"public_images": X[30:], "public_labels": Y[30:], "labels": Y[:30], "encryptor": PE}
ATTACKS = [
    LabelOnlyBaseline(),
    LabelOnlyBaseline("mean"),
    LabelOnlyBaseline("medoid"),
    LinearAttack(),
    KnownPlaintextAttack(budget=2, random_state=0),
    ITNAttack(n_keys=3, budget=2, random_state=0),
    ITNAttack("ito", n_keys=3, budget=2, random_state=0),
    KeyReuseAttack(),
    FRAttack(),
    FRAttack("basic"),
    FRAttack("chosen"),
    BruteForceAttack(keys=[KEY, OTHER]),
    BruteForceAttack(keys=2, random_state=0),
]
WITH_NETWORKS = (KnownPlaintextAttack, ITNAttack)


class Spy(BaseAttack):
    def __init__(self, has=None):
        self.has = has

    @property
    def adversary(self):
        return self.has

    def _fit(self, **given):
        self.given_ = given

    def _reconstruct(self, ciphertexts, labels=None):
        self.labels_ = labels
        return ciphertexts


@pytest.mark.parametrize(
    ("adversary", "phrase"),
    [
        (Adversary(), "ciphertexts only"),
        (Adversary(pairs=True), "known plaintexts, same key"),
        (Adversary(oracle=True), "chosen plaintexts, same key"),
        (Adversary(public_images=True, keys="own"), "public images, keys of its own"),
        (Adversary(keys="listed"), "a list of keys"),
        (Adversary(public_images=True, labels=True), "public images, labels"),
        (
            Adversary(ciphertexts=False, public_images=True, labels=True),
            "public images, labels, no ciphertexts",
        ),
    ],
)
def test_an_adversary_prints_as_a_phrase(adversary, phrase):
    assert str(adversary) == phrase


@pytest.mark.parametrize(
    ("adversary", "names"),
    [
        (Adversary(), set()),
        (Adversary(pairs=True), {"plaintexts"}),
        (Adversary(oracle=True), {"encrypt"}),
        (Adversary(public_images=True), {"public_images"}),
        (Adversary(labels=True), {"labels"}),
        (Adversary(labels=True, public_images=True), {"labels", "public_images", "public_labels"}),
        (Adversary(keys="own"), {"rekey"}),
        (Adversary(keys="listed"), {"rekey"}),
    ],
)
def test_an_attack_is_given_only_what_its_adversary_has(adversary, names):
    spy = Spy(adversary).fit(C[:30], X[:30], **EVERYTHING)
    assert set(spy.given_) == {"ciphertexts", *names}


@pytest.mark.parametrize(
    ("adversary", "needed"),
    [
        (Adversary(pairs=True), "plaintexts"),
        (Adversary(oracle=True), "encryptor"),
        (Adversary(keys="own"), "encryptor"),
        (Adversary(public_images=True, labels=True), "public_images and public_labels and labels"),
    ],
)
def test_what_is_missing_is_named(adversary, needed):
    with pytest.raises(ValueError, match=f"Spy needs {needed} .its adversary has: {adversary}"):
        Spy(adversary).fit(C)


def test_floats_are_read_as_the_same_levels():
    spy = Spy(Adversary(pairs=True)).fit(C / 255, (X / 255).astype(np.float32))
    np.testing.assert_array_equal(spy.given_["ciphertexts"], C)
    np.testing.assert_array_equal(spy.given_["plaintexts"], X)
    np.testing.assert_array_equal(spy.reconstruct(C / 255), C)


def test_grey_images_need_no_channel():
    spy = Spy(Adversary()).fit(C[..., 0])
    assert spy.ciphertext_shape_ == (16, 16, 1)
    assert spy.reconstruct(C[..., 0]).shape == (60, 16, 16, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ciphertexts": C.reshape(60, -1)}, "Reshape flattened images"),
        ({"ciphertexts": C * 1.0}, "outside of the range"),
        ({"plaintexts": X[:59]}, "60 ciphertexts and 59 plaintexts"),
        ({"labels": Y[:59]}, "labels has 59 entries for 60 images"),
        ({"public_labels": Y[:59]}, "public_labels has 59 entries for 60 images"),
        ({"public_images": X[:, :8]}, "public_images are of 8×16 .* images behind"),
        ({"ciphertexts": C[:, :8], "encryptor": PE}, "ciphertexts are of 8×16 .* encryptor"),
        ({"plaintexts": X[:, :8], "encryptor": PE}, "plaintexts are of 8×16 .* encryptor's"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    given = {"plaintexts": X, "public_images": X, "public_labels": Y, "labels": Y}
    given = {"ciphertexts": C, **given, **arguments}
    with pytest.raises(ValueError, match=message):
        Spy(Adversary(pairs=True, public_images=True, labels=True)).fit(**given)


def test_reconstruct_refuses_other_shapes_and_missing_labels():
    with pytest.raises(NotFittedError):
        Spy(Adversary()).reconstruct(C)
    spy = Spy(Adversary(labels=True)).fit(C, labels=Y)
    with pytest.raises(ValueError, match="ciphertexts are of 8×16"):
        spy.reconstruct(C[:, :8], Y)
    with pytest.raises(ValueError, match="Spy needs labels"):
        spy.reconstruct(C)
    with pytest.raises(ValueError, match="labels has 3 entries for 60"):
        spy.reconstruct(C, Y[:3])


def test_labels_are_kept_from_an_adversary_without():
    spy = Spy(Adversary()).fit(C)
    spy.reconstruct(C, Y)
    assert spy.labels_ is None


def test_check_refuses_what_is_not_a_fitted_encryptor():
    with pytest.raises(TypeError, match="is not a ricsk encryptor"):
        LinearAttack().check(make_pipeline(PE))
    with pytest.raises(NotFittedError):
        LinearAttack().check(PixelEncryptor(KEY))


def test_fit_refuses_an_encryptor_that_check_refuses():
    etc = EtCEncryptor(KEY, block_size=4).fit(X)
    with pytest.raises(AttackNotApplicableError, match="FRAttack cannot be run against this EtC"):
        FRAttack().fit(C, encryptor=etc)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_every_attack_keeps_the_conventions(attack):
    before = str(attack)
    fitted = clone(attack).fit(C[:30], X[:30], **EVERYTHING)
    found = fitted.reconstruct(C[30:], labels=Y[30:])
    assert found.dtype == np.uint8
    assert found.shape == X[30:].shape
    assert str(fitted) == before
    assert KEY.reveal() not in repr(fitted.get_params())

    again = clone(attack).fit(C[:30], X[:30], **EVERYTHING)
    np.testing.assert_array_equal(again.reconstruct(C[30:], labels=Y[30:]), found)

    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).reconstruct(C[30:], labels=Y[30:]), found)
    with pytest.raises(NotFittedError):
        clone(fitted).reconstruct(C)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_fit_leaves_encryptor_and_arrays_as_they_were(attack):
    pixels, ciphertexts = X[:30].copy(), C[:30].copy()
    clone(attack).fit(ciphertexts, pixels, **EVERYTHING)
    np.testing.assert_array_equal(PE.transform(X), C)
    np.testing.assert_array_equal(pixels, X[:30])
    np.testing.assert_array_equal(ciphertexts, C[:30])


@pytest.mark.parametrize("attack", [a for a in ATTACKS if isinstance(a, WITH_NETWORKS)], ids=str)
def test_networks_depend_on_the_seed_and_leave_the_global_one(attack):
    import torch

    state = torch.get_rng_state()
    one, other = (
        clone(attack).set_params(random_state=seed).fit(C[:30], X[:30], **EVERYTHING)
        for seed in (0, 1)
    )
    assert (one.reconstruct(C) != other.reconstruct(C)).any()
    assert torch.equal(state, torch.get_rng_state())


def test_verbose_shows_progress(capsys):
    quiet = KnownPlaintextAttack(budget=1, random_state=0).fit(C, X)
    assert capsys.readouterr() == ("", "")
    quiet.set_params(verbose=1).fit(C, X)
    assert "%" in capsys.readouterr().err


def test_a_wrong_parameter_is_named():
    with pytest.raises(ValueError, match="'budget' parameter of KnownPlaintextAttack"):
        KnownPlaintextAttack(budget="slow").fit(C, X)
    with pytest.raises(ValueError, match="'strategy' parameter of LabelOnlyBaseline"):
        LabelOnlyBaseline("best").fit(C)


@pytest.mark.parametrize(
    "encryptor",
    [
        EtCEncryptor(KEY, block_size=4),
        LearnableEncryptor(KEY, per_block_keys=True, scramble_blocks=True),
        RICEncryptor(KEY, FrozenEstimator(LogisticRegression(C=0.001, max_iter=2000))),
        PublishedRICEncryptor(
            KEY,
            FrozenEstimator(LogisticRegression(C=0.001, max_iter=2000)),
            epochs=1,
            random_state=0,
        ),
    ],
    ids=["EtC", "ELE", "RIC", "published RIC"],
)
def test_with_key_is_the_encryptor_fitted_with_the_other_key(encryptor):
    if isinstance(encryptor, RICEncryptor | PublishedRICEncryptor):
        encryptor.classifier.estimator.fit(X.reshape(60, -1) / 255, Y)
    images = X[:12] / 255
    encryptor.fit(images)
    expected = clone(encryptor).set_params(key=OTHER).fit(images).transform(X[:3] / 255)
    other = encryptor.with_key(OTHER)
    np.testing.assert_array_equal(other.transform(X[:3] / 255), expected)
    assert encryptor.key_ == KEY
    assert other.key == OTHER

"""An encryptor that seals for recipients: who opens, and what the sealing side keeps."""

import copy
import gc
import pickle
from contextlib import suppress
from unittest import SkipTest

import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import estimator_checks_generator

from ricsk import PrivateKey, SealedEncryptor, SecretKey, unseal
from ricsk.attacks import BruteForceAttack
from ricsk.audit import audit, compare
from ricsk.base import get_encryptor_tags
from ricsk.datasets import load_digits
from ricsk.encryptors import find_signers
from ricsk.encryptors.sealed import _recipients
from ricsk.exceptions import NoPrivateKeyError, NotSealedError, StateError, TooLargeError
from ricsk.keys import SigningKey, allow_references
from ricsk.plotting import plot_round_trip
from tests.keys.leaks import forms

SMALL, LABELS = load_digits(size=8)
DIGITS = SMALL[..., 0].repeat(4, axis=1).repeat(4, axis=2)[..., np.newaxis]
D, TRAIN = DIGITS[1000:1008], DIGITS[:300]
CLASSIFIER = FrozenEstimator(
    LogisticRegression(max_iter=300).fit(TRAIN.reshape(300, -1), LABELS[:300])
)
ALICE, BOB, EVE = (PrivateKey.generate() for _ in range(3))
CAMERA = SigningKey.generate()
TRUSTED = [
    "ricsk.encryptors.SealedEncryptor",
    "ricsk.images.ValueRange",
    "ricsk.keys.PrivateKey",
    "ricsk.keys.PublicKey",
    "ricsk.keys.SigningKey",
    "ricsk.nae.ClassTemplates",
]


def flat(images):
    return images.reshape(len(images), -1)


def make(key=None, recipients=(ALICE, BOB), **options):
    options = {"image_shape": (32, 32), "kappa": 0.0, **options}
    publics = [private.public_key for private in recipients]
    return SealedEncryptor(key, CLASSIFIER, recipients=publics, **options).fit(flat(TRAIN))


@pytest.fixture(scope="module")
def sealing():
    return make()


@pytest.fixture(scope="module")
def sealed(sealing):
    return sealing.transform(flat(D))


def images_of(C):
    return C.reshape(len(C), 32, 32, 1)


def test_each_recipient_opens_and_nobody_else(sealing, sealed):
    np.testing.assert_array_equal(CLASSIFIER.predict(sealed), CLASSIFIER.predict(flat(D)))
    for private in (ALICE, BOB):
        np.testing.assert_array_equal(unseal(images_of(sealed), private), D)
        opening = sealing.with_key(private)
        np.testing.assert_array_equal(opening.inverse_transform(sealed), flat(D))
    for key in (EVE, SecretKey.generate()):
        with pytest.raises(NotSealedError, match="8 of 8 images could not be opened"):
            unseal(images_of(sealed), key)


def test_the_sealing_side_opens_nothing(sealing, sealed):
    assert sealing.key_ is None
    for act in (sealing.inverse_transform, lambda C: sealing.rekey(C, SecretKey.generate())):
        with pytest.raises(NoPrivateKeyError, match=r"unseal\(C, private_key\)"):
            act(sealed)


def test_a_recipient_may_seal_too():
    both = make(ALICE)
    C = both.transform(flat(D[:2]))
    np.testing.assert_array_equal(both.inverse_transform(C), flat(D[:2]))
    with pytest.raises(TypeError, match="key must be a PrivateKey"):
        make(SecretKey.generate())
    with pytest.raises(TypeError, match="key must be a SecretKey"):
        SealedEncryptor(ALICE, CLASSIFIER, image_shape=(32, 32)).fit(flat(TRAIN))


def test_nothing_secret_is_left_where_images_are_sealed(monkeypatch):
    """Neither in pickles, nor in any object of the process that the package made."""
    drawn = []
    draw = _recipients.fresh_bytes

    def record(n):
        drawn.append(draw(n))
        return bytes(bytearray(drawn[-1]))  # another object, which alone is looked for

    monkeypatch.setattr(_recipients, "fresh_bytes", record)
    sealing = make()
    sealing.transform(flat(D))
    monkeypatch.undo()
    assert len(drawn) == len(D)
    contents = [SecretKey(raw) for raw in drawn]
    secrets = [*drawn, *(key.derive("recipients/siv", length=64) for key in contents)]
    mine = {id(each) for each in (*drawn, *contents, *secrets)} | {id(k._content) for k in contents}
    dumped = pickle.dumps(sealing) + skops.io.dumps(sealing)
    assert not any(secret in dumped for secret in secrets)
    gc.collect()
    for thing in gc.get_objects():
        if type(thing) is SecretKey and id(thing) not in mine:
            assert thing not in contents
    reached, left = set(), [sealing]
    while left:
        thing = left.pop()
        if id(thing) in reached or id(thing) in mine:
            continue
        reached.add(id(thing))
        if isinstance(thing, bytes | bytearray):
            assert not any(secret in thing for secret in secrets)
        elif isinstance(thing, list | tuple | set | frozenset | dict) or hasattr(thing, "__dict__"):
            left += gc.get_referents(thing) if not isinstance(thing, type) else []
    assert len(reached) > 100


def test_a_signing_key_is_the_only_secret_and_opens_nothing(tmp_path):
    camera = CAMERA.save(tmp_path / "camera.key")
    sealing = make(signing_key=camera)
    C = images_of(sealing.transform(flat(D[:3])))
    assert find_signers(C, BOB) == [CAMERA.verifying_key] * 3
    np.testing.assert_array_equal(unseal(C, BOB, signers=[CAMERA.verifying_key]), D[:3])
    raw, _ = CAMERA._content
    assert raw not in pickle.dumps(sealing) + skops.io.dumps(sealing)
    for shown in (repr(sealing), sealing._repr_html_(), str(sealing.get_params())):
        assert not any(form in shown for form in forms(raw))
        assert CAMERA.fingerprint in shown
    with pytest.raises(ValueError, match="signing_key signs what is sealed for recipients"):
        SealedEncryptor(
            SecretKey.generate(), CLASSIFIER, signing_key=CAMERA, image_shape=(32, 32)
        ).fit(flat(TRAIN))


def test_each_ciphertext_is_another(sealing, sealed):
    assert not get_encryptor_tags(sealing).deterministic
    assert not get_encryptor_tags(clone(sealing)).deterministic
    assert sealing.nonce_ == "random"
    again = sealing.transform(flat(D))
    low = 1 & (again ^ sealed)
    assert (low.mean(axis=1) > 0.3).all()


def test_copies_seal_for_the_same_recipients(sealing):
    dumped = skops.io.dumps(sealing)
    for other in (
        copy.deepcopy(sealing),
        pickle.loads(pickle.dumps(sealing)),
        skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped)),
    ):
        assert other.recipients_ == sealing.recipients_
        C = other.transform(flat(D[:2]))
        np.testing.assert_array_equal(unseal(images_of(C), ALICE), D[:2])
    assert clone(sealing).recipients == sealing.recipients


def test_an_opening_side_is_stored_by_reference(sealing, sealed, tmp_path):
    private = ALICE.save(tmp_path / "alice.key")
    opening = sealing.with_key(private)
    dumped = skops.io.dumps(opening)
    assert ALICE._content[0] not in dumped + pickle.dumps(opening)
    with allow_references(private):
        other = skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))
    for again in (other, pickle.loads(pickle.dumps(opening))):
        np.testing.assert_array_equal(again.inverse_transform(sealed), flat(D))


@pytest.mark.parametrize("recipients", [[], ["x"], (ALICE, BOB), (ALICE.public_key,) * 2, None])
def test_states_with_other_recipients_are_refused(sealing, recipients):
    state = sealing.__getstate__()
    state["recipients_"] = recipients
    with pytest.raises(StateError):
        SealedEncryptor.__new__(SealedEncryptor).__setstate__(state)


def test_states_from_before_there_were_recipients():
    old = SealedEncryptor(SecretKey.generate(), CLASSIFIER, image_shape=(32, 32)).fit(flat(TRAIN))
    state = old.__getstate__()
    for name in ("recipients_", "signing_key_", "recipients", "signing_key"):
        del state[name]
    new = SealedEncryptor.__new__(SealedEncryptor)
    new.__setstate__(state)
    np.testing.assert_array_equal(new.transform(flat(D)), old.transform(flat(D)))


RANDOM = {  # They compare what is random, whatever the tag of the estimator says.
    "check_estimators_pickle",
    "check_fit_idempotent",
}


def test_scikit_learn_checks():
    estimator = SealedEncryptor(ALICE, LogisticRegression(), recipients=[ALICE.public_key])
    for each, check in estimator_checks_generator(estimator):
        if check.func.__name__ not in RANDOM:
            with suppress(SkipTest):  # of scikit-learn, where an array library is missing
                check(each)


# What cannot be sealed to.


def test_recipients_that_are_none():
    for wrong in ([ALICE], ALICE.public_key, ALICE.reveal(), [ALICE.public_key.text], 3.5, "x", {}):
        with pytest.raises(TypeError, match="list of PublicKey") as caught:
            SealedEncryptor(None, CLASSIFIER, recipients=wrong).fit(flat(TRAIN))
        assert ALICE.reveal()[20:40] not in str(caught.value)
    hybrid = PrivateKey.generate("MLKEM768-X25519")
    for wrong, said in (
        ([], "0 keys"),
        ([ALICE.public_key] * 2, "2 keys, 1 of them different"),
        ([PrivateKey.generate().public_key for _ in range(17)], "17 keys"),
        ([ALICE.public_key, hybrid.public_key], "of the kinds MLKEM768-X25519 and X25519"),
    ):
        with pytest.raises(ValueError, match=said):
            SealedEncryptor(None, CLASSIFIER, recipients=wrong).fit(flat(TRAIN))


def test_hybrid_recipients_need_room(sealing):
    """1,024 values in six planes hold 768 bytes."""
    hybrid = PrivateKey.generate("MLKEM768-X25519")
    with pytest.raises(
        TooLargeError, match=r"the 1238 of 1 recipient .*MLKEM768-X25519.* bytes are missing"
    ):
        make(recipients=[hybrid])
    classifier = LogisticRegression(max_iter=300)
    other = SealedEncryptor(None, classifier, recipients=[hybrid.public_key], kappa=0.0)
    C = other.fit(D, LABELS[1000:1008]).transform(D[:2])
    assert other.scale_ > 1
    np.testing.assert_array_equal(unseal(C, hybrid), D[:2])
    many = [PrivateKey.generate() for _ in range(8)]
    with pytest.raises(TooLargeError, match=r"the 731 of 8 recipients .* bytes are missing"):
        make(recipients=many)


def test_small_images_are_enlarged_for_recipients():
    X = SMALL[1000:1008]
    small = SealedEncryptor(
        None, LogisticRegression(max_iter=300), recipients=[ALICE.public_key], kappa=0.0
    ).fit(X, LABELS[1000:1008])
    assert small.scale_ > 2
    np.testing.assert_array_equal(unseal(small.transform(X), ALICE), X)
    np.testing.assert_array_equal(
        unseal(pickle.loads(pickle.dumps(small)).transform(X[:2]), ALICE), X[:2]
    )


# New recipients.


def test_rekeying_from_a_key_to_recipients_and_on_and_back(sealing):
    key = SecretKey.generate()
    before = SealedEncryptor(key, CLASSIFIER, image_shape=(32, 32), kappa=0.0, bit_planes=6)
    C = before.fit(flat(TRAIN)).transform(flat(D))
    to_alice = before.rekey(C, recipients=[ALICE.public_key], signing_key=CAMERA)
    read = before.inverse_transform, CLASSIFIER.predict
    np.testing.assert_array_equal(CLASSIFIER.predict(to_alice), CLASSIFIER.predict(C))
    assert find_signers(images_of(to_alice), ALICE) == [CAMERA.verifying_key] * len(D)
    with pytest.raises(NotSealedError):
        read[0](to_alice)
    alice = make(ALICE, [ALICE], bit_planes=6)
    to_bob = alice.rekey(to_alice, recipients=[BOB.public_key])
    np.testing.assert_array_equal(unseal(images_of(to_bob), BOB), D)
    with pytest.raises(NotSealedError):
        unseal(images_of(to_bob), ALICE)
    bob = make(BOB, [BOB], bit_planes=6)
    back = bob.rekey(to_bob, key)
    np.testing.assert_array_equal(before.inverse_transform(back), flat(D))
    np.testing.assert_array_equal(CLASSIFIER.predict(back), CLASSIFIER.predict(C))
    for wrong in ({}, {"key": key, "recipients": [BOB.public_key]}):
        with pytest.raises(ValueError, match="key and recipients are given"):
            bob.rekey(to_bob, **wrong)


def test_an_imitation_shares_no_key_and_seals_as_large(sealing, sealed):
    signing = make(signing_key=CAMERA)
    other = signing.imitate(SecretKey(bytes(32)))
    ours = {private.public_key for private in (ALICE, BOB)}
    assert len(other.recipients_) == len(ours)
    assert not ours & {*other.recipients_}
    assert other.signing_key_ != CAMERA
    C = other.transform(flat(D))
    np.testing.assert_array_equal(other.inverse_transform(C), flat(D))
    for opener in (other, sealing.with_key(ALICE)):
        with pytest.raises(NotSealedError):
            opener.inverse_transform(sealed if opener is other else C)


@pytest.mark.parametrize("key", [ALICE, None], ids=["opening", "sealing"])
def test_what_takes_keys_of_its_own_takes_an_encryptor_with_recipients(key):
    encryptor = make(key)
    decrypted = [[], ["refused"]] if key else [["by recipients"], ["refused"]]
    axes = plot_round_trip(encryptor, flat(D)[:1])
    assert [[text.get_text() for text in ax.texts] for ax in axes[0, 2:]] == decrypted
    X, y = flat(DIGITS[:60]), LABELS[:60]
    assert not audit(encryptor, X, y, [BruteForceAttack(keys=2)], n_targets=20).schemes[0].refused
    table = compare(encryptor, X, y)
    assert table["recoverable"].tolist() == ["exactly" if key else "by recipients"]

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import BruteForceAttack
from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import AttackNotApplicableError, WrongKeyError
from ricsk.metrics import psnr, ssim
from tests.keys.leaks import SECRET, SECRET_TEXT, assert_no_secret, shows_secret

X, Y = make_street_numbers(200, size=16, random_state=0)
KEYS = [SecretKey(bytes([i] * 32)) for i in range(20)]
RIGHT = KEYS[13]
CLASSIFIER = FrozenEstimator(
    LogisticRegression(max_iter=2000, C=0.001).fit(X.reshape(200, -1) / 255, Y)
)
ENCRYPTORS = {
    "EtC 4": EtCEncryptor(RIGHT, block_size=4),
    "EtC 8": EtCEncryptor(RIGHT, block_size=8),
    "EtC grey": EtCEncryptor(RIGHT, block_size=4, grayscale=True),
    "PE": PixelEncryptor(RIGHT),
    "LE": LearnableEncryptor(RIGHT),
    "ELE": LearnableEncryptor(RIGHT, per_block_keys=True, scramble_blocks=True),
    "RIC": RICEncryptor(RIGHT, CLASSIFIER),
}


class Sealed(KeyedEncryptor):
    """Refuses wrong keys, as a cipher with a check does."""

    def __init__(self, key=None):
        self.key = key

    @property
    def _encryptor_tags(self):
        return EncryptorTags("plain")

    def _encrypt(self, batch):
        return 255 - batch.pixels

    def _decrypt(self, pixels):
        if self.key_ != RIGHT:
            raise WrongKeyError("no")
        return 255 - pixels


@pytest.mark.parametrize("name", ENCRYPTORS)
def test_the_right_key_on_the_list_is_found(name):
    encryptor = ENCRYPTORS[name].fit(X / 255)
    C = encryptor.transform(X[:40] / 255)
    attack = BruteForceAttack(KEYS[10:15]).fit(C[:10], encryptor=encryptor)
    assert attack.best_key_ == RIGHT
    assert (psnr(X[:40], attack.reconstruct(C)) > 30).all()
    without = BruteForceAttack(KEYS[10:13]).fit(C[:10], encryptor=encryptor)
    assert ssim(X[:40], without.reconstruct(C)).mean() < 0.2


def test_scores_tell_noise_from_photographs():
    encryptor = PixelEncryptor(RIGHT).fit(X)
    attack = BruteForceAttack(KEYS).fit(encryptor.transform(X), encryptor=encryptor)
    assert attack.scores_[13] < 40
    assert np.delete(attack.scores_, 13).min() > 120


def test_random_keys_find_nothing():
    encryptor = PixelEncryptor(RIGHT).fit(X)
    C = encryptor.transform(X)
    attack = BruteForceAttack(30, random_state=0).fit(C, encryptor=encryptor)
    assert len(attack.scores_) == 30
    assert ssim(X, attack.reconstruct(C)).mean() < 0.1


def test_a_scheme_that_refuses_keys_gives_grey_or_all():
    encryptor = Sealed(RIGHT).fit(X)
    C = encryptor.transform(X)
    assert (BruteForceAttack(KEYS).fit(C, encryptor=encryptor).reconstruct(C) == X).all()
    refused = BruteForceAttack(KEYS[:3]).fit(C, encryptor=encryptor)
    assert refused.best_key_ is None
    assert np.isinf(refused.scores_).all()
    assert (refused.reconstruct(C) == 128).all()


def test_the_right_key_is_not_kept_unless_it_was_guessed():
    encryptor = PixelEncryptor(RIGHT).fit(X)
    attack = BruteForceAttack(KEYS[:3]).fit(encryptor.transform(X), encryptor=encryptor)
    assert attack._encryptor.key_ == attack.best_key_ == attack._encryptor.key != RIGHT


def test_refuses_what_no_key_recovers_and_an_empty_list():
    lossy = EtCEncryptor(RIGHT, variant="madono2020").fit(X)
    with pytest.raises(AttackNotApplicableError, match="has no inverse_transform"):
        BruteForceAttack().check(lossy)
    encryptor = PixelEncryptor(RIGHT).fit(X)
    with pytest.raises(ValueError, match="keys is empty"):
        BruteForceAttack([]).fit(X, encryptor=encryptor)


def test_numbers_of_keys_that_make_no_sense():
    encryptor = PixelEncryptor(RIGHT).fit(X)
    for keys in (0, -3):
        with pytest.raises(ValueError, match="keys is empty"):
            BruteForceAttack(keys).fit(X, encryptor=encryptor)
    for keys in (None, np.inf, 2.5):  # the first two are what scikit-learn's checks assign
        with pytest.raises(TypeError, match=f"keys={keys}: expected a list of keys, or how many"):
            BruteForceAttack(keys).fit(X, encryptor=encryptor)


def test_keys_of_the_list_do_not_show(tmp_path):
    KEYS[0].save(tmp_path / "k")
    given = [SECRET, bytearray(SECRET), memoryview(SECRET), KEYS[1], tmp_path / "k"]
    changed = BruteForceAttack()
    changed.keys = given
    for attack in (BruteForceAttack(given), BruteForceAttack(tuple(given)), changed):
        assert attack.keys == (*[SecretKey(SECRET)] * 3, KEYS[1], KEYS[0])
        assert clone(attack).keys == attack.keys
        assert not shows_secret(f"{attack!r} {attack._repr_html_()} {attack.get_params()}")
    assert BruteForceAttack(30).keys == 30


REFUSED = {
    "bytes": SECRET,
    "text": SECRET_TEXT,
    "text as a path": Path(SECRET_TEXT),
    "integers": list(SECRET),
    "array": np.frombuffer(SECRET, np.uint8),
    "texts": [SECRET_TEXT],
    "short bytes": [SECRET[:31]],
    "texts as bytes": [KEYS[0], SECRET_TEXT.encode()],
    "lists": [[SECRET]],
}
FORGOTTEN = {
    "key": SecretKey(SECRET),
    "set": {SECRET},
    "generator": (key for key in [SECRET]),
    "short text": "hunter2",
    "short texts": ["hunter2"],
    "None": [None],
    "number": [int.from_bytes(SECRET)],
}


@pytest.mark.parametrize("keys", REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_list_of_keys_is_refused_at_once(keys):
    for assign in (
        BruteForceAttack,
        lambda keys: BruteForceAttack().set_params(keys=keys),
        lambda keys: setattr(BruteForceAttack(), "keys", keys),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            assign(keys)
        assert not shows_secret(str(caught.value))
    assert_no_secret(caught.value)


@pytest.mark.parametrize("keys", FORGOTTEN.values(), ids=FORGOTTEN)
def test_what_is_too_short_for_a_secret_is_forgotten_and_refused_by_fit(keys):
    with pytest.raises((TypeError, ValueError)) as early:
        BruteForceAttack().set_params(keys=keys)
    attack = clone(BruteForceAttack(keys))
    assert repr(attack) == f"BruteForceAttack(keys=<unusable {type(keys).__name__}>)"
    encryptor = PixelEncryptor(RIGHT).fit(X)
    with pytest.raises((TypeError, ValueError)) as late:
        attack.fit(X, encryptor=encryptor)
    assert str(early.value) == str(late.value)
    assert_no_secret(late.value)


def test_set_params_takes_no_bytes():
    with pytest.raises(TypeError, match=r"keys as bytes.*SecretKey\(raw\)") as caught:
        BruteForceAttack().set_params(keys=[KEYS[0], SECRET])
    assert_no_secret(caught.value)

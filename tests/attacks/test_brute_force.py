import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import BruteForceAttack
from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import AttackNotApplicableError, WrongKeyError
from ricsk.metrics import psnr, ssim

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
    "RIC unscrambled": RICEncryptor(RIGHT, CLASSIFIER, scramble=False),
    "RIC fixed": RICEncryptor(RIGHT, CLASSIFIER, nonce="fixed"),
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

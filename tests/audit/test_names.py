import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ricsk import EtCEncryptor, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import BruteForceAttack, DistinguishingGame, IdentificationAttack, ITNAttack
from ricsk.audit._names import describe_estimator, encryptors_by_name, unique_names

KEY = SecretKey(bytes(range(32)))


def test_parameters_that_differ_are_named():
    assert describe_estimator(PixelEncryptor(KEY)) == "PixelEncryptor"
    assert describe_estimator(EtCEncryptor(KEY, block_size=4)) == "EtCEncryptor(block_size=4)"
    assert (
        describe_estimator(ITNAttack("ito", random_state=3, verbose=1))
        == "ITNAttack(variant='ito')"
    )


def test_attacks_that_draw_nothing_are_named_like_others():
    assert describe_estimator(DistinguishingGame()) == "DistinguishingGame"
    assert describe_estimator(DistinguishingGame(50, 0.9)) == "DistinguishingGame(n_ciphertexts=50)"
    attack = IdentificationAttack(3, model=np.ones)
    assert describe_estimator(attack) == "IdentificationAttack(n_references=3)"


def test_neither_keys_nor_classifiers_are_named(tmp_path):
    path = tmp_path / "images.key"
    SecretKey.generate().save(path)
    assert describe_estimator(RICEncryptor(path, LogisticRegression())) == "RICEncryptor"
    assert describe_estimator(BruteForceAttack([KEY])) == "BruteForceAttack"


def test_names_are_unique():
    names = unique_names([PixelEncryptor(KEY)] * 3)
    assert names == ["PixelEncryptor", "PixelEncryptor #2", "PixelEncryptor #3"]


def test_one_or_several_or_with_names():
    encryptor = PixelEncryptor(KEY)
    assert encryptors_by_name(encryptor) == {"PixelEncryptor": encryptor}
    assert list(encryptors_by_name([encryptor, EtCEncryptor(KEY)])) == [
        "PixelEncryptor",
        "EtCEncryptor",
    ]
    assert encryptors_by_name({"PE": encryptor}) == {"PE": encryptor}


@pytest.mark.parametrize(
    "given", [make_pipeline(PixelEncryptor(KEY)), [LogisticRegression()], {"a": 1}]
)
def test_refuses_what_is_not_an_encryptor(given):
    with pytest.raises(TypeError, match="is not a ricsk encryptor"):
        encryptors_by_name(given)


def test_refuses_nothing():
    with pytest.raises(ValueError, match="encryptors is empty"):
        encryptors_by_name([])

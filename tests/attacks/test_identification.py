import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import (
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    SealedEncryptor,
    SecretKey,
)
from ricsk.attacks import IdentificationAttack
from ricsk.datasets import make_street_numbers
from tests.attacks.doubles import OneTimePad, ScrambledRIC
from tests.audit.noise import NoiseEncryptor

KEYS = [SecretKey(i.to_bytes(32, "big")) for i in range(1, 501)]
KEY = KEYS[-1]
X, _ = make_street_numbers(100, size=16, random_state=0)
MIDDLE = np.median(X.mean(axis=(1, 2, 3)))
SCENES, _ = make_street_numbers(100, size=32, random_state=1)
LARGE, LARGE_Y = make_street_numbers(400, size=32, random_state=0)
FLAT = LARGE.reshape(400, -1) / 255
READER = FrozenEstimator(LogisticRegression(max_iter=500, C=1e-3).fit(FLAT, LARGE_Y))
READ = READER.predict(FLAT)
ATTACK = IdentificationAttack(n_references=10)


class Constant(NoiseEncryptor):
    """The same ciphertext for everything."""

    def _encrypt(self, batch):
        return np.full_like(batch.pixels, 7)


class SaysBrightness(NoiseEncryptor):
    """Noise that says whether the image is bright, and no more."""

    def _encrypt(self, batch):
        bright = batch.pixels.mean(axis=(1, 2, 3)) > MIDDLE
        return super()._encrypt(batch) >> bright[:, np.newaxis, np.newaxis, np.newaxis]


@pytest.mark.parametrize(
    "encryptor",
    [
        PixelEncryptor(KEY),
        EtCEncryptor(KEY, block_size=4),
        EtCEncryptor(KEY, block_size=4, grayscale=True),
        LearnableEncryptor(KEY),
        LearnableEncryptor(KEY, per_block_keys=True, scramble_blocks=True, reversal="independent"),
    ],
    ids=["pe", "etc", "grey etc", "le", "ele"],
)
def test_names_most_images_under_schemes_that_keep_values(encryptor):
    result = ATTACK.run(encryptor.fit(X), X, keys=KEYS)
    assert result.wins
    assert result.share > 0.8
    assert result.chance == pytest.approx(0.01)
    assert result.n == len(result.ranks) == 100
    assert result.share == np.mean(result.ranks == 1)


@pytest.mark.parametrize("alpha", [0.5, 0.8, 0.9])
def test_names_most_images_under_noise_that_permuted_values_show_through(alpha):
    ric = ScrambledRIC(KEY, alpha=alpha).fit(SCENES)
    result = ATTACK.run(ric, SCENES, keys=KEYS)
    assert result.wins
    assert result.share > 0.85
    assert result.chance == pytest.approx(0.01)


@pytest.mark.parametrize("alpha", [0.5, 0.8, 0.9])
def test_known_noise_needs_no_ciphertext_of_the_adversary(alpha, monkeypatch):
    ric = ScrambledRIC(KEY, alpha=alpha).fit(SCENES)
    encrypted = []
    monkeypatch.setattr(
        ScrambledRIC,
        "_encrypt",
        lambda self, batch, once=ScrambledRIC._encrypt: (
            encrypted.append(len(batch.pixels)) or once(self, batch)
        ),
    )
    result = IdentificationAttack(model=ric.predict_values).run(
        ric, SCENES, np.zeros(100), keys=KEYS
    )
    assert result.wins
    assert result.share > 0.95
    assert encrypted == 100 * [1]  # the ciphertexts that are attacked


def test_a_model_of_no_noise_at_all():
    def count_values(images):
        return np.stack([np.bincount(i.ravel(), minlength=256) for i in images]) / images[0].size

    moved = EtCEncryptor(KEY, block_size=4, negate=False).fit(X)
    assert IdentificationAttack(model=count_values).run(moved, X, keys=KEYS).share == 1


@pytest.mark.parametrize(
    "model",
    [
        lambda images: np.ones((len(images), 256)),
        lambda images: np.full((len(images), 128), 1 / 128),
    ],
)
def test_what_is_not_a_model_of_values(model):
    with pytest.raises(ValueError, match=r"expected \(10, 256\), in each row the probabilities"):
        IdentificationAttack(model=model).run(PixelEncryptor(KEY).fit(X), X[:10], keys=KEYS)


@pytest.mark.parametrize(
    ("encryptor", "images"),
    [
        (NoiseEncryptor(KEY), X),
        (OneTimePad(KEY), SCENES),
        (SealedEncryptor(KEY, READER, image_shape=(32, 32, 3)), FLAT[:60]),
    ],
    ids=["noise", "one-time pad", "sealed"],
)
def test_guesses_where_nothing_shows(encryptor, images):
    result = ATTACK.run(encryptor.fit(images), images, keys=KEYS)
    assert not result.wins
    low, high = result.interval
    assert low < result.chance < high


def test_what_the_label_says_counts_for_nothing():
    encryptor = SaysBrightness(KEY).fit(X)
    bright = X.mean(axis=(1, 2, 3)) > MIDDLE
    knowing = ATTACK.run(encryptor, X, bright, keys=KEYS)
    assert not knowing.wins
    assert knowing.ranks.max() <= 50
    assert knowing.chance == pytest.approx(0.02)
    unknowing = ATTACK.run(encryptor, X, keys=KEYS)
    assert unknowing.ranks.mean() < 30  # guesses have 50.5


def test_by_default_labels_are_what_the_classifier_reads():
    sealed = SealedEncryptor(KEY, READER, image_shape=(32, 32, 3)).fit(FLAT)
    few = IdentificationAttack(n_references=2)
    expected = few.run(sealed, FLAT[:30], READ[:30], keys=KEYS)
    found = few.run(sealed, FLAT[:30], keys=KEYS)
    np.testing.assert_array_equal(found.ranks, expected.ranks)
    assert found.chance == expected.chance > 1 / 30


def test_candidates_that_the_label_names_are_left_out():
    result = ATTACK.run(PixelEncryptor(KEY).fit(X), X[:5], ["a", "b", "a", "c", "a"], keys=KEYS)
    assert result.n == 3
    assert result.chance == pytest.approx(1 / 3)
    np.testing.assert_array_equal(result.ranks, [1, 1, 1])
    with pytest.raises(ValueError, match="no two of 2 candidates have the same label"):
        ATTACK.run(PixelEncryptor(KEY).fit(X), X[:2], [0, 1])


def test_ties_count_against_the_attack():
    result = ATTACK.run(Constant(KEY).fit(X), X[:5], keys=KEYS)
    np.testing.assert_array_equal(result.ranks, [5] * 5)
    assert result.share == 0
    assert not result.wins


def test_keys_are_fresh_and_none_hides_two_images(monkeypatch):
    encryptor = PixelEncryptor(KEY).fit(X)
    used = []
    monkeypatch.setattr(
        PixelEncryptor,
        "with_key",
        lambda self, key, once=PixelEncryptor.with_key: used.append(key) or once(self, key),
    )
    IdentificationAttack(n_references=3).run(encryptor, X[:10])
    assert len(set(used)) == 13
    assert all("source='generated'" in repr(key) for key in used)


def test_what_cannot_be_run():
    encryptor = PixelEncryptor(KEY).fit(X)
    with pytest.raises(ValueError, match="12 different keys; expected 20"):
        ATTACK.run(encryptor, X[:10], keys=KEYS[:12])
    with pytest.raises(ValueError, match="n_references=1: expected at least 2"):
        IdentificationAttack(1)
    with pytest.raises(ValueError, match="confidence=1: expected"):
        IdentificationAttack(confidence=1)
    with pytest.raises(NotFittedError):
        ATTACK.run(PixelEncryptor(KEY), X)
    with pytest.raises(TypeError, match="not a ricsk encryptor"):
        ATTACK.run("pixel", X)

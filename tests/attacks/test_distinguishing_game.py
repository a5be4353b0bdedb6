import numpy as np
import pytest
from scipy.stats import binomtest
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
from ricsk.attacks import DistinguishingGame, IdentificationAttack
from ricsk.attacks._trials import find_interval
from ricsk.base import BaseImageEncryptor, EncryptorTags
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import AttackNotApplicableError
from tests.attacks.doubles import OneTimePad, ScrambledRIC
from tests.audit.noise import NoiseEncryptor

KEYS = [SecretKey(i.to_bytes(32, "big")) for i in range(1, 501)]
KEY = KEYS[-1]
X, Y = make_street_numbers(200, size=16, random_state=0)
LARGE, LARGE_Y = make_street_numbers(200, size=32, random_state=0)
READER = FrozenEstimator(
    LogisticRegression(max_iter=500, C=1e-3).fit(LARGE.reshape(200, -1) / 255, LARGE_Y)
)
FLAT = LARGE.reshape(200, -1) / 255
GAME = DistinguishingGame(n_ciphertexts=60)


def draw_keys(seed):
    """Draw keys without end, the same for a seed."""
    rng = np.random.default_rng(seed)
    while True:
        yield SecretKey(rng.bytes(32))


class Telltale(NoiseEncryptor):
    """Noise that says in a way of its own whether the image is bright."""

    def __init__(self, key=None, tell=None):
        self.key = key
        self.tell = tell

    def _encrypt(self, batch):
        noise = super()._encrypt(batch)
        bright = batch.pixels.mean(axis=(1, 2, 3)) > 127
        return np.stack([self.tell(x) if b else x for x, b in zip(noise, bright, strict=True)])


class Keyless(BaseImageEncryptor):
    @property
    def _encryptor_tags(self):
        return EncryptorTags("ciphertexts", keyed=False)

    def _encrypt(self, batch):
        return 255 - batch.pixels


@pytest.mark.parametrize(
    "encryptor",
    [
        PixelEncryptor(KEY),
        EtCEncryptor(KEY, block_size=4),
        LearnableEncryptor(KEY),
        LearnableEncryptor(KEY, per_block_keys=True, scramble_blocks=True, reversal="independent"),
        Keyless(),
    ],
    ids=["pe", "etc", "le", "ele", "keyless"],
)
def test_wins_against_schemes_that_keep_values_or_blocks(encryptor):
    result = GAME.play(encryptor.fit(X), X, keys=KEYS)
    assert result.wins
    assert result.accuracy == 1
    assert result.advantage == 1
    assert result.n == 60
    low, high = result.interval
    assert 0.8 < low < high == 1


@pytest.mark.parametrize("alpha", [0.5, 0.8, 0.9])
def test_wins_against_noise_that_permuted_values_show_through(alpha):
    result = GAME.play(ScrambledRIC(KEY, alpha=alpha).fit(LARGE), LARGE, keys=KEYS)
    assert result.wins
    assert result.accuracy > 0.95


def test_the_pair_is_read_alike():
    sealed = SealedEncryptor(KEY, READER, image_shape=(32, 32, 3)).fit(FLAT)
    game = DistinguishingGame(n_ciphertexts=20)
    first, second = game.play(sealed, FLAT[:60], keys=KEYS).pair
    assert READER.predict(FLAT[[first]]) == READER.predict(FLAT[[second]])


def test_false_alarms_are_as_rare_as_the_interval_promises():
    pad = OneTimePad(KEY).fit(X[:, ::2, ::2, :1])
    game = DistinguishingGame(n_ciphertexts=20, confidence=0.95)
    alarms = [game.play(pad, X[:, ::2, ::2, :1], keys=draw_keys(i)).wins for i in range(20)]
    assert sum(alarms) <= 3


@pytest.mark.parametrize(
    ("encryptor", "images"),
    [
        (NoiseEncryptor(KEY), X),
        (OneTimePad(KEY), LARGE),
        (SealedEncryptor(KEY, READER, image_shape=(32, 32, 3)), FLAT[:60]),
        (SealedEncryptor(KEY, READER, image_shape=(32, 32, 3), nonce="random"), FLAT[:60]),
    ],
    ids=["noise", "one-time pad", "sealed", "sealed with random nonces"],
)
def test_is_no_better_than_a_coin_where_nothing_shows(encryptor, images):
    result = GAME.play(encryptor.fit(images), images, keys=KEYS)
    assert not result.wins
    low, high = result.interval
    assert low == 0 <= result.advantage < high


def lowest_bits_of_a_row(image):
    return (image & 0xFE) | (image[:, :1] & 1)


def repeats(image):
    half = len(image) // 2
    return np.concatenate([image[:half], image[:half]])


def bright_above(image):
    half = len(image) // 2
    ordered = np.sort(image, axis=0)[::-1]
    return np.concatenate([ordered[:half], ordered[half:]])


def less_contrast(image):
    return image // 2 + 64


@pytest.mark.parametrize(
    ("tell", "kind", "blind"),
    [
        (lowest_bits_of_a_row, "bit_planes", "histogram"),
        (repeats, "size", "bit_planes"),
        (bright_above, "coarse", "histogram"),
        (less_contrast, "moments", "coarse"),
        (less_contrast, "histogram", "coarse"),
    ],
)
def test_each_kind_of_features_sees_what_another_does_not(tell, kind, blind):
    images = np.stack([np.zeros((16, 16, 3)), np.full((16, 16, 3), 255)]).astype(np.uint8)
    result = GAME.play(Telltale(KEY, tell).fit(images), images, keys=KEYS)
    assert result.wins
    assert result.accuracy > 0.9
    assert result.accuracies[kind] > 0.95
    assert result.accuracies[blind] < 0.7
    assert set(result.accuracies) == {
        "histogram",
        "bit_planes",
        "moments",
        "size",
        "coarse",
        "all",
    }
    assert result.accuracy == result.accuracies[result.features]


def test_grey_floats_and_flattened_ciphertexts():
    grey = X[..., 0] / 255
    encryptor = EtCEncryptor(KEY, block_size=4, flatten=True).fit(grey)
    assert GAME.play(encryptor, grey, keys=KEYS).accuracy == 1
    three = EtCEncryptor(KEY, block_size=4, grayscale=True).fit(X)
    assert GAME.play(three, X, keys=KEYS).accuracy == 1


def constant(level):
    return np.full((16, 16, 3), level)


def test_pair_of_one_label_that_differs_most_in_contrast():
    stripes = np.where(np.arange(16) % 2, 255, 0)[:, np.newaxis, np.newaxis] * np.ones(3)
    edges = np.broadcast_to(stripes[:, np.newaxis, 0], (16, 16, 3))
    faint = edges // 2 + 64
    images = [constant(250), edges, faint, constant(128), edges, constant(20)]
    images = np.stack(images).astype(np.uint8)
    noise = NoiseEncryptor(KEY).fit(images)
    game = DistinguishingGame(n_ciphertexts=20)
    assert game.play(noise, images, keys=KEYS).pair == (3, 1)
    assert game.play(noise, images, ["a", "b", "a", "b", "c", "d"], keys=KEYS).pair == (3, 1)
    assert game.play(noise, images, ["a", "b", "a", "c", "d", "e"], keys=KEYS).pair == (2, 0)
    assert set(game.play(noise, images[:2], keys=KEYS).pair) == {0, 1}


def test_no_two_images_of_one_label():
    noise = NoiseEncryptor(KEY).fit(X)
    with pytest.raises(ValueError, match="no two of 3 images have the same label"):
        GAME.play(noise, X[:3], [0, 1, 2])
    with pytest.raises(ValueError, match="no two of 1 images"):
        GAME.play(noise, X[:1])
    with pytest.raises(ValueError, match="2 labels for 3 images"):
        GAME.play(noise, X[:3], [0, 0])


def test_every_ciphertext_has_a_fresh_key_of_its_own(monkeypatch):
    encryptor = EtCEncryptor(KEY, block_size=4).fit(X)
    used = []
    monkeypatch.setattr(
        EtCEncryptor,
        "with_key",
        lambda self, key, once=EtCEncryptor.with_key: used.append(key) or once(self, key),
    )
    DistinguishingGame(n_ciphertexts=20).play(encryptor, X)
    assert len(set(used)) == 40
    assert all("source='generated'" in repr(key) for key in used)
    assert encryptor.key_ == KEY


def test_same_keys_same_game():
    encryptor = PixelEncryptor(KEY).fit(X)
    first, second = (GAME.play(encryptor, X, keys=KEYS) for _ in range(2))
    assert first == second


def test_what_cannot_be_played():
    encryptor = PixelEncryptor(KEY).fit(X)
    with pytest.raises(ValueError, match="119 different keys; expected 120"):
        GAME.play(encryptor, X, keys=KEYS[:119])
    with pytest.raises(ValueError, match="60 different keys; expected 120"):
        GAME.play(encryptor, X, keys=2 * KEYS[:60])
    with pytest.raises(TypeError, match="sequence of SecretKey") as caught:
        GAME.play(encryptor, X, keys=[bytes(range(32))] * 120)
    assert repr(bytes(range(32))) not in str(caught.value)
    with pytest.raises(NotFittedError):
        GAME.play(PixelEncryptor(KEY), X)
    with pytest.raises(TypeError, match="not a ricsk encryptor"):
        GAME.play(LogisticRegression(), X)
    with pytest.raises(ValueError, match="n_ciphertexts=19: expected at least 20"):
        DistinguishingGame(19)
    for confidence in (0, 1, 99):
        with pytest.raises(ValueError, match=f"confidence={confidence}: expected"):
            DistinguishingGame(confidence=confidence)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (120, 200)])
def test_interval_is_that_of_the_exact_binomial_test(right, n):
    for confidence in (0.9, 0.99):
        expected = binomtest(right, n).proportion_ci(confidence, method="exact")
        np.testing.assert_allclose(find_interval(right, n, confidence), expected)


@pytest.mark.parametrize("match", ["proba", "features"])
@pytest.mark.parametrize("trial", [GAME, IdentificationAttack()])
def test_what_is_told_on_purpose_is_no_distinction(match, trial):
    with pytest.raises(AttackNotApplicableError, match="on purpose, which tell any two"):
        trial.check(SealedEncryptor(KEY, READER, match=match))
    trial.check(SealedEncryptor(KEY, READER))
    with pytest.raises(TypeError, match="is not a ricsk encryptor"):
        trial.check(READER)

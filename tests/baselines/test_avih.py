"""AVIH: the search, the network that is the key, and that another one reads outlines."""

import io
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.tree import DecisionTreeClassifier

from ricsk import CNNClassifier, SecretKey
from ricsk.attacks import KnownPlaintextAttack
from ricsk.base import get_encryptor_tags
from ricsk.baselines import AVIHEncryptor
from ricsk.baselines._key_network import train_key_network
from ricsk.datasets import load_digits, make_street_numbers
from ricsk.exceptions import StateError
from ricsk.metrics import psnr, ssim

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(330, size=16, random_state=1)
TRAIN, TEST = X[:300], X[300:304]
NETWORK = CNNClassifier(width=8, depth=2, epochs=3, batch_size=32, random_state=0)
NETWORK.fit(TRAIN, Y[:300])


@pytest.fixture(scope="module")
def fitted():
    encryptor = AVIHEncryptor(KEY, FrozenEstimator(NETWORK), steps=150, width=8, key_steps=150)
    return encryptor.fit(TRAIN)


@pytest.fixture(scope="module")
def ciphertexts(fitted):
    return fitted.transform(TEST)


def test_the_owner_gets_images_back_nearly_and_the_classifier_reads_them(fitted, ciphertexts):
    assert psnr(TEST, fitted.inverse_transform(ciphertexts)).mean() > 15
    assert (ssim(TEST, ciphertexts) < 0.2).all()
    np.testing.assert_array_equal(NETWORK.predict(ciphertexts), NETWORK.predict(TEST))


@pytest.fixture(scope="module")
def keyfile(tmp_path_factory):
    return tmp_path_factory.mktemp("keys") / "images.key"


@pytest.fixture(scope="module")
def other(fitted, keyfile):
    """The same under another key, which is in a file."""
    return fitted.with_key(SecretKey(bytes(range(1, 33))).save(keyfile))


def test_another_key_opens_less(fitted, ciphertexts, other):
    assert other.generator_ != fitted.generator_
    own = psnr(TEST, fitted.inverse_transform(ciphertexts)).mean()
    assert psnr(TEST, other.inverse_transform(ciphertexts)).mean() < own - 1.5


def test_somebody_with_pairs_reads_the_other_images_as_the_owner_does():
    quick = AVIHEncryptor(KEY, FrozenEstimator(NETWORK), steps=25, width=4, key_steps=20)
    quick.fit(TRAIN)
    C = quick.transform(X[:50])
    attack = KnownPlaintextAttack(budget=60, random_state=0).fit(C[:40], X[:40])
    mean = np.broadcast_to(X[:40].mean(axis=0).astype(np.uint8), X[40:50].shape)
    read = psnr(X[40:50], attack.reconstruct(C[40:])).mean()
    assert read > psnr(X[40:50], quick.inverse_transform(C[40:])).mean() - 1
    assert read > psnr(X[40:50], mean).mean() + 0.5


def test_a_ciphertext_depends_on_image_key_and_fit_alone(fitted, ciphertexts):
    np.testing.assert_array_equal(fitted.transform(TEST[2:3]), ciphertexts[2:3])
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(TEST[:1]), ciphertexts[:1])
    np.testing.assert_array_equal(
        fitted.inverse_transform(ciphertexts)[1:2], fitted.inverse_transform(ciphertexts[1:2])
    )


def test_the_search_lowers_the_loss(fitted, ciphertexts):
    label = int(np.searchsorted(NETWORK.classes_, NETWORK.predict(TEST[:1])[0]))
    plain = torch.from_numpy(TEST[:1]).permute(0, 3, 1, 2) / 255

    def measure(levels):
        x = torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255
        return float(fitted._measure(x, plain, label))

    noise = np.random.default_rng(0).integers(0, 256, TEST[:1].shape, np.uint8)
    assert measure(ciphertexts[:1]) < measure(noise) / 2


def test_the_loss_by_hand(fitted):
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = torch.from_numpy(TEST[:1]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        recovery = ((fitted._network(x).clamp(0, 1) - plain) ** 2).mean()
        scores = NETWORK.module_(x.permute(0, 2, 3, 1))[0]
    windows = [
        [x[0, :, i : i + 4, j : j + 4].sum(dim=(1, 2)) for j in range(13)] for i in range(13)
    ]
    sums = torch.stack([torch.stack(row) for row in windows])
    variance = sum(sums[..., c].var(unbiased=False) for c in range(3))
    expected = 2 * recovery + 0.005 * variance - 0.001 * scores[3] / 10
    assert float(fitted._measure(x, plain, 3)) == pytest.approx(float(expected), rel=1e-4)


def test_ciphertexts_that_are_read_otherwise_are_searched_on(fitted, ciphertexts, monkeypatch):
    # As if the search had found the ciphertext of another image, of another label.
    labels = NETWORK.predict(TEST)
    i = int(np.flatnonzero(labels != labels[0])[0])
    monkeypatch.setattr(fitted, "_search", lambda image, label: ciphertexts[i])
    repaired = fitted.transform(TEST[:1])
    assert (repaired != ciphertexts[i]).any()
    assert NETWORK.predict(repaired) == labels[:1]


def test_weights_are_drawn_from_the_key_and_training_teaches(fitted):
    def make(key, steps):
        stream = key.keystream("test")
        return train_key_network(stream, steps, n_channels=1, width=2).state_dict()

    first = make(KEY, 1)["layers.0.weight"]
    assert torch.equal(first, make(KEY, 1)["layers.0.weight"])
    assert not torch.equal(first, make(SecretKey(bytes(32)), 1)["layers.0.weight"])
    negative = torch.from_numpy(255 - TEST).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        found = fitted._network(negative).clamp(0, 1)
    assert float((found - (1 - negative)).abs().mean()) < 0.12


def test_stored_by_reference_the_network_is_not_to_be_had_without_the_key(other, keyfile):
    stored = pickle.dumps(other)
    weights = other._network.state_dict()["layers.0.weight"].numpy().tobytes()
    assert weights[:64] in pickle.dumps(other._network)
    assert weights[:64] not in stored
    assert bytes(range(1, 33)) not in stored
    keyfile.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(stored)


def test_joblib(fitted):
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    again = joblib.load(file)
    assert again.generator_ == fitted.generator_


def test_grey_images_and_numbers_of_numpy_as_a_search_gives():
    images, labels = load_digits(size=8)
    encryptor = AVIHEncryptor(
        KEY,
        CNNClassifier(width=4, depth=1, epochs=1, random_state=0),
        steps=np.int64(3),
        width=np.int64(2),
        key_steps=np.int64(2),
    ).fit(images[:50], labels[:50])
    C = encryptor.transform(images[:3])
    assert encryptor.inverse_transform(C).shape == (3, 8, 8, 1)


def test_classifiers_without_a_view_are_refused():
    with pytest.raises(TypeError, match="no differentiable view"):
        AVIHEncryptor(KEY, DecisionTreeClassifier(), width=2, key_steps=1).fit(TRAIN, Y[:300])


def test_what_the_scheme_is(fitted):
    tags = get_encryptor_tags(fitted)
    assert tags.learns_on == "plain"
    assert tags.keyed
    assert tags.recoverable
    assert tags.discloses == "label"


@pytest.mark.parametrize(
    "change",
    [
        {"generator_": b"0" * 100},
        {"width_": 9},
        {"key_steps_": 7},
        {"generator_": "text"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_states_that_no_fit_made(fitted, change):
    with pytest.raises(StateError):
        AVIHEncryptor().__setstate__({**fitted.__getstate__(), **change})

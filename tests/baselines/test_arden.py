"""ARDEN's halves: what is sent, the noise on it, and that the picture is read where labels are."""

import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from ricsk import CNNClassifier, SecretKey
from ricsk.attacks import ITNAttack
from ricsk.audit import compare
from ricsk.base import get_encryptor_tags
from ricsk.baselines import ArdenClassifier, ArdenEncoder, FeatureMapClassifier
from ricsk.datasets import load_digits
from ricsk.exceptions import StateError
from ricsk.metrics import ssim
from ricsk.nn import weave_maps

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=16)
TRAIN, TEST = X[:600], X[600:700]
FRONT = CNNClassifier(width=16, depth=3, epochs=4, batch_size=32, random_state=0)
FRONT.fit(TRAIN, Y[:600])
CLOUD = FeatureMapClassifier(side=4, width=16, depth=1, epochs=6, random_state=0)


def fit(**parameters):
    return ArdenEncoder(KEY, FrozenEstimator(FRONT), **parameters).fit(TRAIN)


def compute_front(levels, split=1):
    network = FRONT.module_.network
    x = torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        return torch.nn.Sequential(network.stem, *network.blocks[:split])(x)


def test_without_noise_it_is_what_the_layers_return():
    encoder = fit(nullify=0.0, epsilon=math.inf)
    maps = compute_front(TEST)
    largest = compute_front(TRAIN).amax(dim=(1, 2, 3))
    assert encoder.bound_ == pytest.approx(float(largest.median()), rel=1e-5)
    expected = maps / (maps.amax(dim=(1, 2, 3), keepdim=True) / encoder.bound_).clamp(min=1)
    expected = 255 * weave_maps(expected).permute(0, 2, 3, 1).numpy() / encoder.bound_
    np.testing.assert_allclose(encoder.transform(TEST), expected, atol=0.51)


@pytest.mark.parametrize(("split", "shape"), [(0, (64, 64, 1)), (1, (32, 32, 1)), (2, (24, 24, 1))])
def test_a_split_further_back_sends_other_maps(split, shape):
    encoder = fit(split=split)
    assert encoder.transform(TEST[:2]).shape == (2, *shape)
    maps = compute_front(TEST[:1], split)[0]
    assert encoder.n_maps_ == len(maps)
    assert encoder.privacy_["n_values"] == maps.numel()


def test_noise_has_the_scale_of_the_budget():
    encoder, quiet = fit(nullify=0.0, epsilon=4.0), fit(nullify=0.0, epsilon=math.inf)
    scale = 2 * encoder.bound_ / 4
    low, high = -3 * scale, encoder.bound_ + 3 * scale
    sent = low + (high - low) * encoder.transform(TEST) / 255
    clean = encoder.bound_ * quiet.transform(TEST) / 255
    noise = (sent - clean)[(clean > 0) & (sent > low) & (sent < high)]
    # Of what is within three scales, as what is beyond is cut off: half is within ln 2 of them.
    assert np.median(np.abs(noise)) == pytest.approx(scale * math.log(2), rel=0.1)


def test_pixels_are_nullified_at_the_rate(monkeypatch):
    bright, seen = np.maximum(X[:50], 1), []
    encoder = fit(nullify=0.25)
    represent = encoder._represent
    monkeypatch.setattr(encoder, "_represent", lambda x: seen.append(x) or represent(x))
    encoder.transform(bright)
    assert ((seen[0] == 0) | (seen[0] == bright)).all()
    assert (seen[0] == 0).mean() == pytest.approx(0.25, abs=0.01)


def test_an_encoding_depends_on_image_key_fit_and_number_alone():
    encoder = fit()
    C = encoder.transform(TEST)
    np.testing.assert_array_equal(encoder.transform(TEST[7:8]), C[7:8])
    np.testing.assert_array_equal(encoder.encode(TEST, 0), C)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(TEST), C)
    other = encoder.with_key(SecretKey(bytes(32)))
    for changed in (other.transform(TEST), encoder.encode(TEST, 1), fit(epsilon=4).transform(TEST)):
        assert (changed != C).mean() > 0.9


def test_part_of_the_images_may_have_no_noise():
    encoder, quiet = fit(), fit(nullify=0.0, epsilon=math.inf)
    low = -6 / encoder.epsilon_  # in bounds
    found = encoder.encode(TEST, 1, noisy_part=0.3) / 255 * (1 - 2 * low) + low
    clean = (np.abs(found - quiet.transform(TEST) / 255) < 0.01).all(axis=(1, 2, 3))
    assert 0.55 < clean.mean() < 0.85


def test_budgets():
    privacy = fit(nullify=0.1, epsilon=2.0).privacy_
    one = math.log(0.9 * math.exp(2) + 0.1)
    assert privacy["epsilon_of_a_value"] == pytest.approx(one)
    assert privacy["epsilon_of_an_image"] == pytest.approx(one * 8 * 8 * 16)


def test_the_picture_is_read_where_labels_are():
    encoder = fit(epsilon=50.0)
    attack = ITNAttack(n_keys=2, budget=40, random_state=0)
    attack.fit(encoder.transform(TEST), public_images=TRAIN, encryptor=encoder)
    mean = np.broadcast_to(TRAIN.mean(axis=0).astype(np.uint8), TEST.shape)
    found = attack.reconstruct(encoder.transform(TEST))
    assert ssim(TEST, found).mean() > ssim(TEST, mean).mean() + 0.3
    classifier = ArdenClassifier(encoder, clone(CLOUD)).fit(TRAIN, Y[:600])
    assert classifier.score(TEST, Y[600:700]) > 0.8


def test_the_cloud_learns_on_noise_that_is_new_in_each_batch(monkeypatch):
    numbers = []
    encode = ArdenEncoder.encode

    def spy(self, X, number, **kwargs):
        numbers.append(number)
        return encode(self, X, number, **kwargs)

    monkeypatch.setattr(ArdenEncoder, "encode", spy)
    classifier = ArdenClassifier(fit(), clone(CLOUD).set_params(epochs=2)).fit(TRAIN, Y[:600])
    assert len(numbers) > 10
    assert len(set(numbers)) == len(numbers)
    assert 0 not in numbers
    np.testing.assert_array_equal(
        classifier.cloud_half().predict(classifier.client_half().transform(TEST)),
        classifier.predict(TEST),
    )


def test_the_cloud_has_no_key_and_by_default_the_blocks_behind_the_split():
    encoder = ArdenEncoder(KEY, FrozenEstimator(FRONT), epsilon=math.inf)
    classifier = ArdenClassifier(encoder).fit(TRAIN[:64], Y[:64])
    assert (classifier.classifier_.side, classifier.classifier_.depth) == (4, 2)
    assert bytes(range(32)) not in pickle.dumps(classifier.cloud_half())
    assert bytes(range(32)) in pickle.dumps(classifier.client_half())


def test_a_search_over_the_budget():
    classifier = ArdenClassifier(ArdenEncoder(KEY, FrozenEstimator(FRONT)), clone(CLOUD))
    search = GridSearchCV(classifier, {"encoder__epsilon": [0.01, 200.0]}, cv=2)
    assert search.fit(TRAIN[:400], Y[:400]).best_params_ == {"encoder__epsilon": 200.0}


def test_it_stands_in_a_comparison():
    classifier = clone(CLOUD).set_params(epochs=1)
    table = compare(fit(), TRAIN[:200], Y[:200], classifier=classifier, random_state=0)
    assert table.recoverable[0] == "no"


def test_what_the_scheme_is():
    tags = get_encryptor_tags(ArdenEncoder())
    assert tags.learns_on == "ciphertexts"
    assert tags.deterministic
    assert not tags.recoverable
    assert not hasattr(fit(), "inverse_transform")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"split": 3}, "leaves the cloud none of the 3 blocks"),
        ({"front": FrozenEstimator(LogisticRegression())}, "expected a CNNClassifier"),
        ({"front": clone(FRONT)}, "requires y to be passed"),
    ],
)
def test_what_is_refused(parameters, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ArdenEncoder(KEY, **{"front": FrozenEstimator(FRONT), **parameters}).fit(TRAIN)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="the front was fitted on 16×16"):
        ArdenEncoder(KEY, FrozenEstimator(FRONT)).fit(TRAIN[:, :8])
    with pytest.raises(ValueError, match="Resize the images to that"):
        fit().transform([X[0], X[1, :8]])


def test_a_classifier_without_an_encoder():
    with pytest.raises(ValueError, match="needs an encoder"):
        ArdenClassifier().fit(TRAIN, Y[:600])


@pytest.mark.parametrize(
    "change",
    [
        {"front_": FrozenEstimator(clone(FRONT).set_params(epochs=1).fit(X[:40, :8], Y[:40]))},
        {"split_": 3},
        {"ciphertext_shape_": (8, 8, 1)},
        {"bound_": 0.0},
        {"epsilon_": -1.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_states_that_no_fit_made(change):
    with pytest.raises(StateError):
        ArdenEncoder().__setstate__({**fit().__getstate__(), **change})

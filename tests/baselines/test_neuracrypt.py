"""NeuraCrypt's codes: what they depend on, and that somebody with pairs reads the others."""

import pickle

import numpy as np
import pytest

from ricsk import ConvMixerClassifier, SecretKey
from ricsk.attacks import DistinguishingGame, NeuraCryptAttack, match_neuracrypt
from ricsk.attacks._neuracrypt import _align
from ricsk.attacks._neuracrypt_matching import _describe, _match
from ricsk.audit import audit, compare
from ricsk.base import get_encryptor_tags
from ricsk.baselines import NeuraCryptEncoder
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import AttackNotApplicableError, StateError
from ricsk.metrics import ssim

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(160, size=16, random_state=0)


def fit(X=X, key=KEY, **parameters):
    return NeuraCryptEncoder(key, **{"width": 64, "depth": 2, **parameters}).fit(X)


def test_codes_are_tokens_by_width():
    C = fit(patch_size=4, width=48).transform(X[:3])
    assert C.shape == (3, 16, 48, 1)
    assert C.dtype == np.uint8


def test_the_network_by_hand():
    encoder = fit(shuffle=False, depth=1)
    network = encoder._network
    first, second = network.layers
    patch = X[0, 4:8, 8:12].reshape(-1) / 127.5 - 1  # the second row, the third patch
    x = np.maximum(patch @ first.weights + first.bias, 0)
    x = np.maximum((x @ second.weights + second.bias - second.mean) / second.std, 0)
    x = np.maximum(x + network.positions[6], 0) @ network.last.weights + network.last.bias
    expected = np.rint(255 * ((x - network.low) / (network.high - network.low)).clip(0, 1))
    np.testing.assert_array_equal(encoder.transform(X[:1])[0, 6, :, 0], expected)


def test_weights_are_uniform_and_positions_normal():
    network = fit(width=128)._network
    assert network.layers[1].weights.std() == pytest.approx(1 / np.sqrt(3 * 128), rel=0.02)
    assert np.abs(network.layers[1].weights).max() <= 1 / np.sqrt(128)
    assert network.positions.std() == pytest.approx(1, abs=0.05)


def test_layers_are_standardized_by_the_reference():
    encoder = fit(depth=3)
    x = np.stack([encoder._cut(image) for image in encoder.reference_])
    for i, layer in enumerate(encoder._network.layers):
        found = layer.apply(x)
        if i:
            np.testing.assert_allclose(found.mean(axis=(0, 1)), 0, atol=1e-9)
        x = np.maximum(found, 0)


def test_shuffling_changes_the_order_alone():
    plain, shuffled = (fit(shuffle=s)._network for s in (False, True))
    assert plain.positions.shape == shuffled.positions.shape
    encoder = fit()
    C = encoder.transform(X[:20])[..., 0]
    encoder.shuffle_ = False
    ordered = encoder.transform(X[:20])[..., 0]
    for code, expected in zip(C, ordered, strict=True):
        assert not np.array_equal(code, expected)
        np.testing.assert_array_equal(code[np.lexsort(code.T)], expected[np.lexsort(expected.T)])


def test_a_code_depends_on_image_key_and_fit_alone():
    encoder = fit()
    C = encoder.transform(X)
    np.testing.assert_array_equal(encoder.transform(X[7:8]), C[7:8])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(X), C)
    other = SecretKey(bytes(32))
    np.testing.assert_array_equal(encoder.with_key(other).transform(X), fit(key=other).transform(X))
    unrelated = np.corrcoef(C.ravel(), encoder.with_key(other).transform(X).ravel())[0, 1]
    assert abs(unrelated) < 0.2


def test_images_that_do_not_fall_into_patches_are_refused():
    with pytest.raises(ValueError, match="do not fall into patches of 5×5"):
        fit(patch_size=5)


def test_orders_are_undone_without_training():
    encoder = fit()
    shuffled = encoder.transform(X[:50])[..., 0].astype(float)
    encoder.shuffle_ = False
    ordered = encoder.transform(X[:50])[..., 0].astype(float)
    aligned = _align(shuffled, ordered.mean(axis=0))
    assert (aligned == ordered).all(axis=2).mean() > 0.95


def test_somebody_with_pairs_reads_the_other_images():
    C = fit().transform(X)
    attack = NeuraCryptAttack().fit(C[:100], X[:100])
    mean = np.broadcast_to(X[:100].mean(axis=0).astype(np.uint8), X[100:].shape)
    free = ssim(X[100:], mean).mean()
    assert ssim(X[100:], attack.reconstruct(C[100:])).mean() > free + 0.4


def test_images_in_no_order_are_matched_with_their_codes():
    encoder = fit(depth=0, width=128)
    order = np.random.default_rng(0).permutation(30)
    found = match_neuracrypt(
        encoder.transform(X[:30]),
        X[:30][order],
        public_images=X[100:130],
        encoder=encoder,
        n_keys=2,
        n_steps=150,
        random_state=0,
    )
    assert (order[found] == np.arange(30)).mean() > 0.8
    with pytest.raises(ValueError, match="30 codes and 29 images"):
        match_neuracrypt(encoder.transform(X[:30]), X[:29], public_images=X[100:], encoder=encoder)


def test_matching_finds_images_and_places():
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(12, 9, 4)).astype(np.float32)
    order, places = rng.permutation(12), rng.permutation(9)
    tokens = patches[order][:, places] + 0.3 * rng.normal(size=(12, 9, 4)).astype(np.float32)
    np.testing.assert_array_equal(_match(tokens, patches), order)


def test_features_by_hand():
    x = np.random.default_rng(0).normal(size=(50, 2, 6))
    shifted = x - x.mean(axis=0)
    centred = shifted[3, 1] - shifted[3, 1].mean()
    third = abs((centred**3).mean()) ** (1 / 3)
    all_centred = shifted - shifted.mean(axis=2, keepdims=True)
    thirds = np.abs((all_centred**3).mean(axis=2)) ** (1 / 3)
    expected = (third - thirds.mean()) / thirds.std()
    assert float(_describe(x)[3, 1, 2]) == pytest.approx(expected, rel=1e-5)


def test_two_images_are_told_apart():
    assert DistinguishingGame(n_ciphertexts=40).play(fit(), X).wins


def test_what_is_attacked_is_neuracrypt():
    encoder = fit(patch_size=8)
    with pytest.raises(AttackNotApplicableError, match="a side of 8"):
        NeuraCryptAttack().fit(encoder.transform(X), X, encryptor=encoder)


def test_the_audit_says_that_it_is_broken():
    result = audit(fit(), X, Y, attacks=[NeuraCryptAttack()], random_state=0)
    (scheme,) = result.schemes
    found = {run.attack: run.finding for run in scheme.runs}
    assert found["NeuraCryptAttack"] == "broken"


def test_it_stands_in_a_comparison():
    classifier = ConvMixerClassifier(dim=8, depth=1, patch_size=4, epochs=1)
    table = compare(fit(width=16), X, Y, classifier=classifier, random_state=0)
    assert table.recoverable[0] == "no"


def test_what_the_scheme_is():
    tags = get_encryptor_tags(NeuraCryptEncoder())
    assert tags.learns_on == "ciphertexts"
    assert not tags.recoverable
    assert tags.deterministic
    assert not hasattr(fit(), "inverse_transform")


@pytest.mark.parametrize(
    "change",
    [
        {"reference_": X[:3].astype(float)},
        {"reference_": X[:3, :8]},
        {"ciphertext_shape_": (4, 256, 1)},
        {"patch_size_": 0},
        {"width_": 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_states_that_no_fit_made(change):
    with pytest.raises(StateError):
        NeuraCryptEncoder().__setstate__({**fit().__getstate__(), **change})


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="Resize the images to that"):
        fit().transform([X[0], X[1, :8, :4]])

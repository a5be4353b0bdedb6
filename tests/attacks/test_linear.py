import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import FoundMap, LabelOnlyBaseline, LinearAttack
from ricsk.datasets import make_street_numbers
from ricsk.metrics import ssim
from tests.encryptors.ric.identity import fit_published

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(160, random_state=0)
TRUE = X[100:]
MEAN = LabelOnlyBaseline("mean").fit(X, public_images=X[:100]).reconstruct(TRUE)
ELE = {"per_block_keys": True, "scramble_blocks": True, "reversal": "independent"}


@pytest.mark.parametrize(
    "encryptor",
    [
        EtCEncryptor(KEY, block_size=4),
        EtCEncryptor(KEY, block_size=8),
        EtCEncryptor(KEY, block_size=5, pad=True),
        PixelEncryptor(KEY),
        LearnableEncryptor(KEY),
        LearnableEncryptor(KEY, **ELE),
    ],
    ids=["EtC 4", "EtC 8", "EtC padded", "PE", "LE", "ELE"],
)
def test_photographs_of_one_key_give_the_map_bit_for_bit(encryptor):
    C = encryptor.fit_transform(X)
    attack = LinearAttack().fit(C[:100], X[:100])
    assert (attack.n_found_, attack.n_ambiguous_) == (3072, 0)
    np.testing.assert_array_equal(attack.reconstruct(C[100:]), TRUE)
    # One pair is not enough: nothing is known of what differs.
    few = LinearAttack().fit(C[:1], X[:1])
    assert few.n_ambiguous_ == 3072
    assert ssim(TRUE, few.reconstruct(C[100:])).mean() < 0.3


@pytest.mark.parametrize("grayscale", [True, "ycbcr"])
def test_regression_estimates_what_is_no_permutation(grayscale):
    C = EtCEncryptor(KEY, block_size=8, grayscale=grayscale).fit_transform(X)
    attack = LinearAttack().fit(C[:100], X[:100])
    assert attack.n_found_ == 0
    assert ssim(TRUE, attack.reconstruct(C[100:])).mean() > 0.6 > 0.2 > ssim(TRUE, MEAN).mean()


def test_regression_fills_in_what_the_scheme_overwrites():
    C = EtCEncryptor(KEY, variant="madono2020").fit_transform(X)
    attack = LinearAttack().fit(C[:100], X[:100])
    found = attack.reconstruct(C[100:])
    assert 1500 < attack.n_found_ < 2500
    assert (found == TRUE).mean() > attack.n_found_ / 3072
    assert ssim(TRUE, found).mean() > 0.85


def test_a_key_for_each_image_leaves_the_mean():
    C = np.concatenate(
        [PixelEncryptor(SecretKey(bytes([i] * 32))).fit_transform(X[i : i + 1]) for i in range(160)]
    )
    attack = LinearAttack().fit(C[:100], X[:100])
    assert attack.n_found_ == 0
    assert ssim(TRUE, attack.reconstruct(C[100:])).mean() < ssim(TRUE, MEAN).mean() + 0.02


def test_ric_holds_and_published_ric_does_not():
    small, labels = make_street_numbers(500, size=16, random_state=0)
    classifier = LogisticRegression(max_iter=2000, C=0.001)
    classifier.fit(small.reshape(500, -1) / 255, labels)
    true = small[400:]
    seen = classifier.predict(small[:400].reshape(400, -1) / 255)
    known = {"public_images": small[:400], "public_labels": seen}
    gain = {}
    frozen = FrozenEstimator(classifier)
    schemes = {
        "RIC": RICEncryptor(KEY, frozen).fit(small / 255),
        "published": fit_published(KEY, frozen, small / 255),
    }
    for name, ric in schemes.items():
        C = ric.transform(small / 255)
        predicted = classifier.predict(C.reshape(500, -1))
        baseline = LabelOnlyBaseline().fit(C, **known).reconstruct(C[400:], predicted[400:])
        found = LinearAttack().fit(C[:400], small[:400]).reconstruct(C[400:])
        gain[name] = ssim(true, found).mean() - ssim(true, baseline).mean()
    assert gain["published"] > 0.05
    assert gain["RIC"] < 0.02


def test_values_that_never_differ_are_reported():
    flat = X.copy()
    flat[..., 2] = flat[..., 1]
    C = PixelEncryptor(KEY).fit_transform(flat)
    attack = LinearAttack().fit(C[:100], flat[:100])
    assert attack.n_ambiguous_ == 2048
    np.testing.assert_array_equal(attack.reconstruct(C[100:]), flat[100:])


@pytest.mark.parametrize("nibbles", [True, False])
def test_any_permutation_and_mask_is_found(nibbles):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 6, 5), np.uint8)
    units = np.concatenate([images & 15, images >> 4], 1) if nibbles else images
    units = units.reshape(20, -1)
    n = units.shape[1]
    order, mask = rng.permutation(n), rng.integers(0, 16 if nibbles else 256, n, np.uint8)
    moved = units[:, order] ^ mask
    C = moved[:, : n // 2] | moved[:, n // 2 :] << 4 if nibbles else moved
    found = FoundMap.of(images, C)
    assert found.nibbles == nibbles
    np.testing.assert_array_equal(found.undo(C), images.reshape(20, -1))
    np.testing.assert_array_equal(found.places, np.argsort(order))


def test_what_is_not_in_the_ciphertext_is_not_found():
    rng = np.random.default_rng(0)
    found = FoundMap.of(*rng.integers(0, 256, (2, 20, 40), np.uint8))
    assert not found.found.any()
    assert found.n_ambiguous == 0

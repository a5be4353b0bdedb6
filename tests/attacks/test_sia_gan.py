import io

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from ricsk import EtCEncryptor, PixelEncryptor, SecretKey
from ricsk.attacks import LabelOnlyBaseline, SIAGANAttack
from ricsk.audit import score
from ricsk.datasets import load_digits, make_street_numbers
from ricsk.metrics import psnr

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=8)
X = X.reshape(-1, 8, 8, 1)
TRUE, PUBLIC = X[:600], X[600:]
KNOWN = {"public_images": PUBLIC, "public_labels": Y[600:], "labels": Y[:600]}


@pytest.fixture
def ciphertexts():
    """Turn and negate each block in its place, by its own draw."""
    return EtCEncryptor(KEY, block_size=4, permute=False).fit(X).transform(TRUE)


def test_without_pairs_or_labels_it_tells_images_of_pixelwise_encryption_apart():
    """It cannot know light from dark, and may show negatives, which are as good."""
    images, labels = make_street_numbers(1100, size=16, random_state=0)
    C = PixelEncryptor(KEY).fit(images).transform(images)
    attack = SIAGANAttack(1, budget=80, random_state=0)
    found = attack.fit(C[100:600], public_images=images[600:]).reconstruct(C[:100])
    scores, of_ciphertexts = (
        max(
            (score(images[:100], view, labels[:100]) for view in (shown, 255 - shown)),
            key=lambda one: one.reidentified,
        )
        for shown in (found, C[:100])
    )
    assert scores.p_value <= 0.001
    assert scores.reidentified > 0.15
    assert of_ciphertexts.reidentified < 0.05


def test_with_labels_it_shows_more_than_the_mean_image(ciphertexts):
    attack = SIAGANAttack(4, label_weight=1.0, budget=160, random_state=0)
    found = attack.fit(ciphertexts, **KNOWN).reconstruct(ciphertexts, labels=Y[:600])
    mean = LabelOnlyBaseline("mean").fit(ciphertexts, **KNOWN).reconstruct(ciphertexts)
    assert psnr(TRUE, found).mean() > psnr(TRUE, mean).mean() + 0.5
    assert psnr(TRUE, found).mean() > psnr(TRUE, ciphertexts).mean() + 4


def test_noise_gives_nothing():
    noise = np.random.default_rng(0).integers(0, 256, TRUE.shape, np.uint8)
    attack = SIAGANAttack(4, budget=10, random_state=0).fit(noise, **KNOWN)
    mean = LabelOnlyBaseline("mean").fit(noise, **KNOWN).reconstruct(noise)
    assert psnr(TRUE, attack.reconstruct(noise)).mean() < psnr(TRUE, mean).mean()


@pytest.mark.parametrize("label_weight", [0.0, 1.0])
@pytest.mark.parametrize("block_size", [1, 4])
def test_keeps_the_conventions(ciphertexts, block_size, label_weight):
    attack = SIAGANAttack(block_size, label_weight=label_weight, budget=2, random_state=0)
    before = str(attack)
    fitted = clone(attack).fit(ciphertexts, **KNOWN)
    assert str(fitted) == before
    images = fitted.reconstruct(ciphertexts, labels=Y[:600])
    assert images.shape == TRUE.shape
    again = clone(attack).fit(ciphertexts, **KNOWN)
    np.testing.assert_array_equal(again.reconstruct(ciphertexts, labels=Y[:600]), images)
    other = clone(attack).set_params(random_state=1).fit(ciphertexts, **KNOWN)
    assert (other.reconstruct(ciphertexts, labels=Y[:600]) != images).any()
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    np.testing.assert_array_equal(
        joblib.load(file).reconstruct(ciphertexts, labels=Y[:600]), images
    )


def test_labels_are_asked_for_only_where_they_have_a_weight(ciphertexts):
    SIAGANAttack(4, budget=1).fit(ciphertexts, public_images=PUBLIC)
    with pytest.raises(ValueError, match="needs public_labels and labels"):
        SIAGANAttack(4, label_weight=0.1).fit(ciphertexts, public_images=PUBLIC)
    with pytest.raises(ValueError, match="'label_weight' parameter"):
        SIAGANAttack(4, label_weight=-1).fit(ciphertexts, **KNOWN)
    with pytest.raises(ValueError, match="do not fall into patches of 3×3"):
        SIAGANAttack(3, budget=1).fit(ciphertexts, **KNOWN)

"""Hiding in low bits: what the classifier reads stays, and so does what everybody reads."""

import pickle

import numpy as np
import pytest
import skops.io
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from ricsk import (
    CNNClassifier,
    PixelEncryptor,
    PretrainedClassifier,
    PrivateClassifier,
    SecretKey,
    TransformationNetworkEncryptor,
)
from ricsk.attacks import DecoderAttack, LinearAttack
from ricsk.audit import audit, compare
from ricsk.base import get_encryptor_tags
from ricsk.baselines import LSBEncryptor
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import AttackNotApplicableError, StateError, TargetNotReachedError
from ricsk.metrics import psnr, ssim

X, Y = make_street_numbers(200, size=16, random_state=0)
TEST = X[150:170]
NETWORK = CNNClassifier(width=8, depth=2, epochs=4, random_state=0).fit(X[:150], Y[:150])
LINEAR = LogisticRegression(C=0.01).fit(X.reshape(len(X), -1) / 255, Y)


class MeanColour(nn.Module):
    def forward(self, x):
        return 10 * x.mean(dim=(2, 3))


def fit(classifier=NETWORK, **parameters):
    return LSBEncryptor(FrozenEstimator(classifier), **parameters).fit(X[:150])


@pytest.fixture(scope="module")
def fitted():
    return fit()


@pytest.mark.parametrize("bits", [1, 4, 6, 7])
def test_the_classifier_reads_every_ciphertext_as_the_image(bits):
    C = fit(bits=bits).transform(TEST)
    assert C.dtype == np.uint8
    np.testing.assert_array_equal(NETWORK.predict(C), NETWORK.predict(TEST))


@pytest.mark.parametrize("classifier", [LINEAR, DecisionTreeClassifier(max_depth=3)], ids=str)
def test_other_classifiers_and_forms(classifier):
    rows = X.reshape(len(X), -1) / 255
    classifier.fit(rows[:150], Y[:150])
    encryptor = LSBEncryptor(FrozenEstimator(classifier), image_shape=(16, 16, 3)).fit(rows[:150])
    C = encryptor.transform(rows[150:160])
    assert C.shape == (10, rows.shape[1])
    np.testing.assert_array_equal(classifier.predict(C), classifier.predict(rows[150:160]))
    back = encryptor.inverse_transform(C)
    np.testing.assert_array_equal(np.rint(255 * back), (X[150:160] & 0xF0 | 8).reshape(10, -1))


@pytest.mark.parametrize("bits", range(1, 8))
def test_the_low_bits_are_the_high_bits_of_the_image(bits):
    C = fit(bits=bits).transform(TEST)
    np.testing.assert_array_equal(C & (2**bits - 1), TEST >> (8 - bits))


@pytest.mark.parametrize(
    ("reading", "expected"),
    [("floor", [0, 16, 240]), ("midpoint", [8, 24, 248]), ("scaled", [0, 17, 255])],
)
def test_three_readings_of_four_bits(reading, expected):
    encryptor = fit(reading=reading)
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[0, 0, :3, 0] = [7, 30, 250]
    back = encryptor.inverse_transform(encryptor.transform(image))
    assert back[0, 0, :3, 0].tolist() == expected


def test_a_reading_of_seven_bits_is_off_by_one_level_at_most():
    encryptor = fit(bits=7)
    back = encryptor.inverse_transform(encryptor.transform(TEST))
    assert np.abs(back.astype(int) - TEST).max() == 1


def test_bits_near_the_border_are_searched_for_and_not_left_to_luck():
    """At 7 bits one bit is left to the classifier: a template alone is not always read right."""
    encryptor = fit(bits=7)
    C = encryptor.transform(X)
    labels = encryptor._reader.predict(X)
    templates = encryptor._get_templates(labels)
    assert (templates >> 7 != C >> 7).any()
    np.testing.assert_array_equal(NETWORK.predict(C), NETWORK.predict(X))


def test_what_no_search_finds_is_refused():
    with pytest.raises(TargetNotReachedError, match=r"reads X\[0\].*smaller kappa"):
        fit(bits=7, kappa=1e6).transform(TEST[:1])


def test_there_is_no_key():
    tags = get_encryptor_tags(LSBEncryptor())
    assert not tags.keyed
    assert tags.recoverable
    assert tags.deterministic


def test_other_images_of_the_batch_change_nothing(fitted):
    C = fitted.transform(TEST)
    np.testing.assert_array_equal(fitted.transform(TEST[3:4]), C[3:4])
    np.testing.assert_array_equal(fit().transform(TEST), C)


def test_a_fit_with_another_classifier_forgets_the_former():
    encryptor = fit(bits=7)
    encryptor.transform(TEST)
    rows = X[:150].reshape(150, -1) / 255
    linear = LogisticRegression(C=0.01).fit(rows, Y[:150])
    encryptor.set_params(classifier=FrozenEstimator(linear), image_shape=(16, 16, 3)).fit(rows)
    C = encryptor.transform(X.reshape(len(X), -1) / 255)
    expected = linear.predict(X.reshape(len(X), -1) / 255)
    np.testing.assert_array_equal(linear.predict(C), expected)


def test_everybody_reads_the_image(fitted):
    C = fitted.transform(TEST)
    attack = DecoderAttack().fit(C, encryptor=fitted)
    assert ssim(TEST, attack.reconstruct(C)).min() > 0.9
    assert psnr(TEST, attack.reconstruct(C)).mean() > 34


def test_the_decoder_is_part_of_the_algorithm(fitted):
    with pytest.raises(ValueError, match="needs encryptor"):
        DecoderAttack().fit(fitted.transform(TEST))


def test_the_audit_says_that_it_is_broken():
    result = audit(
        LSBEncryptor(FrozenEstimator(NETWORK)),
        X[:80],
        Y[:80],
        attacks=[DecoderAttack(), LinearAttack()],
        random_state=0,
    )
    (scheme,) = result.schemes
    found = {run.attack: run.finding for run in scheme.runs}
    assert found["DecoderAttack"] == "broken"


def test_it_stands_in_a_comparison():
    table = compare(LSBEncryptor(FrozenEstimator(NETWORK)), X[:120], Y[:120], random_state=0)
    row = table.iloc[0]
    assert row.accuracy_drop == 0
    assert row.learns_on == "plain"
    assert row.recoverable.endswith("dB")
    assert row.told_apart == "yes"


def test_it_works_inside_a_private_classifier():
    private = PrivateClassifier(LSBEncryptor(), NETWORK).fit(X[:60], Y[:60])
    np.testing.assert_array_equal(
        private.cloud_half().predict(private.encrypt(TEST)), private.classifier_.predict(TEST)
    )


@pytest.mark.parametrize("copy", [pickle, skops.io], ids=["pickle", "skops"])
def test_copies_hide_alike(fitted, copy):
    dumped = copy.dumps(fitted)
    if copy is pickle:
        other = pickle.loads(dumped)
    else:
        other = skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))
    np.testing.assert_array_equal(other.transform(TEST), fitted.transform(TEST))
    with pytest.raises(StateError, match="bits_"):
        other.__setstate__({**fitted.__getstate__(), "bits_": 8})


def test_what_has_a_key_or_no_way_back_is_not_decoded():
    pixel = PixelEncryptor(SecretKey(bytes(32))).fit(X)
    with pytest.raises(AttackNotApplicableError, match="it has a key"):
        DecoderAttack().fit(pixel.transform(X), encryptor=pixel)
    network = TransformationNetworkEncryptor(FrozenEstimator(NETWORK), width=1, epochs=1).fit(TEST)
    with pytest.raises(AttackNotApplicableError, match="no inverse_transform"):
        DecoderAttack().fit(network.transform(TEST), encryptor=network)


def test_images_of_several_sizes():
    """A classifier that looks at the mean colour alone reads images of any size."""
    classifier = PretrainedClassifier(MeanColour(), classes=["red", "green", "blue"])
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (side, 12, 3), dtype=np.uint8) for side in (12, 12, 16, 20)]
    encryptor = LSBEncryptor(classifier).fit(images)
    C = encryptor.transform(images)
    for image, ciphertext, back in zip(images, C, encryptor.inverse_transform(C), strict=True):
        assert classifier.predict(ciphertext[None]) == classifier.predict(image[None])
        np.testing.assert_array_equal(back, image & 0xF0 | 8)

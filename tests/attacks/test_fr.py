from itertools import permutations

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.attacks import FRAttack
from ricsk.attacks._fr import number_nibbles
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import AttackNotApplicableError
from ricsk.metrics import ssim

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(300, random_state=0)
PE = PixelEncryptor(KEY).fit(X)
ELE = {"per_block_keys": True, "scramble_blocks": True, "reversal": "independent"}


def test_basic_is_the_smaller_of_value_and_negative():
    C = PE.transform(X)
    found = FRAttack("basic").fit(C, encryptor=PE).reconstruct(C)
    np.testing.assert_array_equal(found[:, :, :, :2].max(), 127)
    assert (np.sort(found, axis=-1) == np.sort(np.minimum(X, 255 - X), axis=-1)).all()


def test_advanced_puts_the_channels_of_dark_images_in_one_order():
    dark = X[:100] // 2
    C = PE.transform(dark)
    likeness = {}
    for variant in ("advanced", "basic"):
        found = FRAttack(variant).fit(C, encryptor=PE).reconstruct(C)
        # Which order that of the first pixel is, nothing tells.
        orders = [ssim(dark, found[..., list(order)]) for order in permutations(range(3))]
        likeness[variant] = np.max(orders, axis=0).mean()
    assert likeness["advanced"] > 0.85
    assert likeness["advanced"] > likeness["basic"] + 0.03
    assert ssim(dark, C).mean() < 0.1


def test_advanced_finds_orders_of_channels_and_negations():
    C = PE.transform(X)
    found = FRAttack().fit(C, encryptor=PE).reconstruct(C)
    steps = np.abs(np.diff(found.astype(int), axis=1)).mean()
    assert steps < 1.2 * np.abs(np.diff(X.astype(int), axis=1)).mean()
    assert steps < 0.2 * np.abs(np.diff(C.astype(int), axis=1)).mean()
    assert (np.sort(np.minimum(found, 255 - found)) == np.sort(np.minimum(X, 255 - X))).all()


@pytest.mark.parametrize("variant", ["basic", "advanced"])
def test_a_key_for_each_image_does_not_help_against_those_that_look_at_one(variant):
    each = PixelEncryptor(KEY, per_image_keys=True).fit(X)
    C = each.transform(X[:100])
    assert C.shape[1:] != X.shape[1:]
    found = FRAttack(variant).fit(C, encryptor=each).reconstruct(C)
    expected = np.minimum(X[:100], 255 - X[:100])
    assert found.shape == expected.shape
    assert (np.sort(np.minimum(found, 255 - found)) == np.sort(expected)).all()
    with pytest.raises(AttackNotApplicableError, match="each image in another way"):
        FRAttack("chosen").check(each)
    with pytest.raises(AttackNotApplicableError, match="moves values to other pixels"):
        FRAttack(variant).check(LearnableEncryptor(KEY, per_image_keys=True).fit(X))


@pytest.mark.parametrize(
    "encryptor",
    [
        PixelEncryptor(KEY),
        LearnableEncryptor(KEY),
        LearnableEncryptor(KEY, **ELE),
        EtCEncryptor(KEY, block_size=4),
        EtCEncryptor(KEY, block_size=16, variant="fugokidi2023"),
        EtCEncryptor(KEY, block_size=5, pad=True),
    ],
    ids=["PE", "LE", "ELE", "EtC", "EtC of 2023", "EtC padded"],
)
@pytest.mark.parametrize("scale", [1, 255])
def test_a_handful_of_chosen_plaintexts_gives_the_key(encryptor, scale):
    encryptor.fit(X if scale == 1 else X / 255)
    C = encryptor.transform(X[:20])
    assert ssim(X[:20], encryptor.scheme_.from_map_shape(C)).mean() < 0.3
    attack = FRAttack("chosen").fit(C[:1], encryptor=encryptor)
    np.testing.assert_array_equal(attack.reconstruct(C), X[:20])
    assert attack.n_queries_ == 5


def test_chosen_plaintexts_give_what_is_not_overwritten():
    etc = EtCEncryptor(KEY, variant="madono2020").fit(X)
    C = etc.transform(X[:20])
    found = FRAttack("chosen").fit(C, encryptor=etc).reconstruct(C)
    wrong = found != X[:20]
    assert wrong.mean() < 0.4
    assert (found[wrong] == 128).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 1), (4, 4, 3), (32, 32, 3), (105, 105, 3)])
def test_helpers_number_every_nibble(shape):
    flat = number_nibbles(shape).reshape(-1, np.prod(shape))
    series = np.concatenate([flat & 15, flat >> 4], axis=1)
    assert not series[0].any()
    assert len(np.unique(series, axis=1).T) == 2 * np.prod(shape)


@pytest.mark.parametrize(
    ("encryptor", "message"),
    [
        (EtCEncryptor(KEY, block_size=4), "moves values to other pixels"),
        (LearnableEncryptor(KEY), "moves values to other pixels"),
        (EtCEncryptor(KEY, block_size=8, grayscale=True), "does more than"),
    ],
)
@pytest.mark.parametrize("variant", ["basic", "advanced"])
def test_refuses_what_it_cannot_undo(encryptor, message, variant):
    with pytest.raises(AttackNotApplicableError, match=message):
        FRAttack(variant).check(encryptor.fit(X))


def test_refuses_ric():
    small, labels = X[:100, ::2, ::2], Y[:100]
    classifier = LogisticRegression(C=0.001, max_iter=2000)
    classifier.fit(small.reshape(100, -1) / 255, labels)
    ric = RICEncryptor(KEY, FrozenEstimator(classifier)).fit(small / 255)
    with pytest.raises(AttackNotApplicableError, match="does more than"):
        FRAttack("chosen").check(ric)


@pytest.mark.parametrize("variant", ["basic", "advanced", "chosen"])
def test_the_form_of_the_fitted_encryptor_decides(variant):
    """Grey images have no colours to be split, whatever the parameter is."""
    grey = X[:20, ..., :1]
    etc = EtCEncryptor(KEY, grayscale=True, permute=False, rotate=False).fit(grey)
    C = etc.set_params(grayscale="ycbcr", permute=True).transform(grey)
    assert FRAttack(variant).fit(C, encryptor=etc).reconstruct(C).shape == grey.shape


def test_negation_of_whole_blocks_in_place_is_allowed():
    FRAttack().check(EtCEncryptor(KEY, block_size=8, permute=False, rotate=False).fit(X))

import numpy as np
import pytest

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, SecretKey
from ricsk.attacks import JigsawAttack, LabelOnlyBaseline, jigsaw_scores
from ricsk.datasets import load_photos, make_street_numbers
from ricsk.exceptions import AttackNotApplicableError
from ricsk.metrics import ssim

KEYS = [SecretKey(bytes([number]) * 32) for number in range(3)]
X, Y = make_street_numbers(700, random_state=0)
TRUE, PUBLIC = X[:30], X[100:]
IN_PLACE = {"rotate": False, "negate": False, "shuffle_channels": False}


@pytest.mark.parametrize("key", KEYS, ids="012")
def test_a_few_images_of_one_key_give_etc_of_four_blocks_away(key):
    etc = EtCEncryptor(key).fit(X)
    C = etc.transform(TRUE)
    assert jigsaw_scores(TRUE, C, 16).direct <= 0.5
    found = JigsawAttack().fit(C[:8], encryptor=etc).reconstruct(C)
    assert jigsaw_scores(TRUE, found, 16) == (1, 1, 1)


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
@pytest.mark.parametrize("flags", [IN_PLACE, {}], ids=["shuffled", "all steps"])
def test_a_photograph_is_reassembled(size, flags):
    photo = load_photos(size=size)[:1]
    etc = EtCEncryptor(KEYS[0], **flags).fit(photo)
    C = etc.transform(photo)
    assert jigsaw_scores(photo, C, 16).neighbour < 0.2
    found = JigsawAttack().fit(C, encryptor=etc).reconstruct(C)
    assert jigsaw_scores(photo, found, 16).neighbour > 0.8
    if flags:
        assert (found == photo).all()


def test_many_pieces():
    photos = load_photos(size=(128, 192))
    etc = EtCEncryptor(KEYS[1]).fit(photos)
    C = etc.transform(photos)
    found = JigsawAttack().fit(C, encryptor=etc).reconstruct(C)
    assert jigsaw_scores(photos, found, 16).largest_component > 0.9


def test_public_images_tell_which_way_up():
    etc = EtCEncryptor(KEYS[0]).fit(X)
    C = etc.transform(TRUE)
    found = JigsawAttack().fit(C, public_images=PUBLIC, encryptor=etc).reconstruct(C)
    given = {"public_images": PUBLIC, "public_labels": Y[100:]}
    baseline = LabelOnlyBaseline().fit(C, **given).reconstruct(C, labels=Y[:30])
    assert ssim(TRUE, found).mean() > ssim(TRUE, baseline).mean() + 0.5


def test_more_images_are_a_stronger_attack():
    direct = {1: 0.0, 8: 0.0}
    for number in range(8):
        etc = EtCEncryptor(SecretKey(bytes([number]) * 32)).fit(X)
        true = X[8 * number : 8 * number + 8]
        C = etc.transform(true)
        for n_images in direct:
            found = JigsawAttack().fit(C[:n_images], encryptor=etc).reconstruct(C[:n_images])
            direct[n_images] += jigsaw_scores(true[:n_images], found, 16).direct / 8
    assert direct[8] == 1
    assert direct[1] < 0.97


def test_noise_has_no_neighbours():
    noise = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    etc = EtCEncryptor(KEYS[0]).fit(noise)
    C = etc.transform(noise)
    found = JigsawAttack().fit(C, encryptor=etc).reconstruct(C)
    assert jigsaw_scores(noise, found, 16).neighbour < 0.2


def test_padding_is_cut_off_and_sub_blocks_are_pieces():
    photos = load_photos(size=(60, 90))
    padded = EtCEncryptor(KEYS[0], pad=True, **IN_PLACE).fit(photos)
    C = padded.transform(photos)
    found = JigsawAttack().fit(C, encryptor=padded).reconstruct(C)
    np.testing.assert_array_equal(found, photos)
    parts = EtCEncryptor(KEYS[0], block_size=32, per_block_keys=False, sub_block_size=16)
    photos = load_photos(size=(64, 96))
    C = parts.fit_transform(photos)
    attack = JigsawAttack().fit(C, encryptor=parts)
    assert attack.block_size_ == 16
    assert jigsaw_scores(photos, attack.reconstruct(C), 16).neighbour > 0.9


def test_parameters_leave_states_out():
    C = EtCEncryptor(KEYS[0], block_size=8).fit_transform(TRUE[:3])
    attack = JigsawAttack(8, rotate=False, shuffle_channels=False).fit(C)
    assert set(attack.states_.tolist()) <= {0, 6}
    assert attack.block_size_ == 8
    assert sorted(attack.blocks_.tolist()) == list(range(16))
    grey = JigsawAttack(16, rotate=False, negate=False).fit(C[..., :1])
    assert set(grey.states_.tolist()) == {0}


def test_puzzles_of_one_and_two_pieces():
    C = EtCEncryptor(KEYS[0]).fit_transform(TRUE[:3])
    np.testing.assert_array_equal(JigsawAttack(32).fit(C).reconstruct(C), C)
    two = TRUE[:8, :16]
    C = EtCEncryptor(KEYS[0]).fit_transform(two)
    assert jigsaw_scores(two, C, 16).neighbour == 0
    found = JigsawAttack(16).fit(C).reconstruct(C)
    assert jigsaw_scores(two, found, 16) == (1, 1, 1)


@pytest.mark.parametrize(
    ("encryptor", "message"),
    [
        (LearnableEncryptor(KEYS[0]), "does not leave blocks whole"),
        (PixelEncryptor(KEYS[0]), "does not leave blocks whole"),
        (EtCEncryptor(KEYS[0], grayscale=True), "cuts planes"),
        (EtCEncryptor(KEYS[0], variant="madono2020"), "overwrites channels"),
        (EtCEncryptor(KEYS[0], per_block_keys=False, sub_block_size=1), "permutes single pixels"),
    ],
)
def test_refuses_what_leaves_no_pieces(encryptor, message):
    with pytest.raises(AttackNotApplicableError, match=message):
        JigsawAttack().check(encryptor.fit(X))


def test_what_was_fitted_decides_which_pieces_there_are():
    photos = load_photos(size=(64, 96))
    encryptor = EtCEncryptor(KEYS[0], block_size=16, **IN_PLACE).fit(photos)
    encryptor.set_params(block_size=32, rotate=True, variant="madono2020", grayscale=True)
    C = encryptor.transform(photos)
    attack = JigsawAttack().fit(C, encryptor=encryptor)
    assert attack.block_size_ == 16
    np.testing.assert_array_equal(attack.reconstruct(C), photos)


def test_published_code_that_keeps_channels_leaves_pieces():
    kept = EtCEncryptor(KEYS[0], variant="madono2020", block_size=16, shuffle_channels=False)
    JigsawAttack().check(kept.fit(X))


def test_refuses_blocks_that_do_not_fill_ciphertexts():
    with pytest.raises(ValueError, match="blocks of 12×12 pixels do not fill ciphertexts of 32×32"):
        JigsawAttack(12).fit(TRUE)
    with pytest.raises(ValueError, match="'block_size' parameter"):
        JigsawAttack(1).fit(TRUE)

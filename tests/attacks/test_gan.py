import io

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone

from ricsk import EtCEncryptor, PixelEncryptor, SecretKey
from ricsk.attacks import GANAttack, LabelOnlyBaseline, SIAGANAttack
from ricsk.datasets import load_digits
from ricsk.exceptions import AttackNotApplicableError
from ricsk.metrics import ssim

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=12)
X = X.reshape(-1, 12, 12, 1)
TRUE, PUBLIC = X[:900], X[900:]


@pytest.fixture
def in_blocks():
    """Permute pixels within blocks and negate some, in all blocks alike.

    That is easy to undo, and the ciphertexts look like noise.
    """
    settings = {"permute": False, "per_block_keys": False, "sub_block_size": 1}
    return EtCEncryptor(KEY, block_size=4, **settings).fit(X)


def likeness(encryptor, **parameters):
    C = encryptor.transform(TRUE)
    attack = GANAttack(random_state=0, **parameters).fit(C, public_images=PUBLIC)
    return ssim(TRUE, attack.reconstruct(C)).mean()


def test_what_is_done_to_all_blocks_alike_is_undone_without_pairs(in_blocks):
    C = in_blocks.transform(TRUE)
    mean = LabelOnlyBaseline("mean").fit(C, public_images=PUBLIC).reconstruct(C)
    assert ssim(TRUE, C).mean() < 0.1
    assert likeness(in_blocks, budget=150) > ssim(TRUE, mean).mean() + 0.25


def test_moved_blocks_are_out_of_its_reach():
    moved = EtCEncryptor(KEY, block_size=4).fit(X)
    assert likeness(moved, budget=30) < 0.2


@pytest.mark.parametrize(
    "attack", [GANAttack("pixel", budget=1), SIAGANAttack(1, budget=1)], ids=str
)
def test_a_border_is_taken_off(attack):
    each = PixelEncryptor(KEY, per_image_keys=True).fit(X)
    C = each.transform(TRUE[:40])
    attack.fit(C, public_images=PUBLIC, encryptor=each)
    assert attack.ciphertext_shape_ == C.shape[1:]
    assert attack.body_shape_ == attack.image_shape_ == (12, 12, 1)
    assert attack.reconstruct(C).shape == (40, 12, 12, 1)


@pytest.mark.parametrize("generator", ["block", "pixel", "unet"])
def test_keeps_the_conventions(generator, in_blocks):
    attack = GANAttack(generator, budget=2, random_state=0)
    before = str(attack)
    C = in_blocks.transform(TRUE)
    state = torch.get_rng_state()
    fitted = clone(attack).fit(C, public_images=PUBLIC, encryptor=in_blocks)
    assert torch.equal(state, torch.get_rng_state())
    assert str(fitted) == before
    images = fitted.reconstruct(C)
    assert images.shape == TRUE.shape
    again = clone(attack).fit(C, public_images=PUBLIC)
    np.testing.assert_array_equal(again.reconstruct(C), images)
    other = clone(attack).set_params(random_state=1).fit(C, public_images=PUBLIC)
    assert (other.reconstruct(C) != images).any()
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).reconstruct(C), images)


def test_verbose_shows_progress(capsys, in_blocks):
    C = in_blocks.transform(TRUE)
    quiet = GANAttack(budget=1, random_state=0).fit(C, public_images=PUBLIC)
    assert capsys.readouterr() == ("", "")
    quiet.set_params(verbose=1).fit(C, public_images=PUBLIC)
    assert "100%" in capsys.readouterr().err


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="do not fall into patches of 5×5"):
        GANAttack(block_size=5, budget=1).fit(TRUE, public_images=PUBLIC)
    with pytest.raises(ValueError, match="'generator' parameter"):
        GANAttack("big").fit(TRUE, public_images=PUBLIC)
    with pytest.raises(ValueError, match="needs public_images"):
        GANAttack().fit(TRUE)
    planes = EtCEncryptor(KEY, block_size=4, grayscale=True)
    with pytest.raises(AttackNotApplicableError, match="another shape"):
        GANAttack().check(planes.fit(np.repeat(X, 3, axis=3)))

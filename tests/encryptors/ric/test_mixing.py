import numpy as np
import pytest

from ricsk import SecretKey
from ricsk.encryptors.ric._mixing import Mixing, Scrambling
from ricsk.encryptors.ric._networks import load_network, read_pretrained
from ricsk.nn.ric import LightRIC

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
rng = np.random.default_rng(0)
IMAGES = rng.integers(60, 196, (4, 6, 5, 3), dtype=np.uint8)
MASKS = rng.integers(0, 256, IMAGES.shape, dtype=np.uint8)
NONCES = [bytes([i]) for i in range(4)]
IDENTITY = LightRIC().double()  # until it is trained


def test_the_mixture_by_hand():
    hidden = Mixing(KEY, IDENTITY, 0.75, scramble=False).hide(IMAGES, MASKS, NONCES)
    np.testing.assert_allclose(hidden, 0.25 * IMAGES + 0.75 * MASKS)


@pytest.mark.parametrize("scramble", [True, False])
def test_what_was_hidden_is_revealed(scramble):
    mixing = Mixing(KEY, IDENTITY, 0.75, scramble)
    hidden = mixing.hide(IMAGES, MASKS, NONCES)
    np.testing.assert_allclose(mixing.reveal(hidden, MASKS, NONCES), IMAGES, atol=1e-9)
    rounded = np.rint(hidden).astype(np.uint8)
    assert np.abs(mixing.reveal(rounded, MASKS, NONCES) - IMAGES).max() <= 2.001  # 0.5 / (1 - α)


def test_shipped_weights_come_closer_than_none():
    rows, columns = np.mgrid[:32, :32]
    smooth = np.stack([4 * rows + 60, 4 * columns + 60, 2 * (rows + columns) + 60], axis=-1)
    image = smooth[np.newaxis].astype(np.uint8)
    mask = rng.integers(0, 256, image.shape, dtype=np.uint8)
    errors = []
    for network in (IDENTITY, load_network("light", read_pretrained())):
        mixing = Mixing(KEY, network, 0.8, scramble=True)
        C = np.rint(mixing.hide(image, mask, NONCES[:1])).astype(np.uint8)
        errors.append(np.mean((mixing.reveal(C, mask, NONCES[:1]) - image) ** 2))
    assert errors[1] < errors[0] / 2


def test_one_ciphertext_is_revealed_with_many_masks():
    mixing = Mixing(KEY, IDENTITY, 0.75, scramble=True)
    hidden = mixing.hide(IMAGES[:1], MASKS[:1], NONCES[:1])
    found = mixing.reveal(hidden[0], MASKS, NONCES[:1])
    for mask, image in zip(MASKS, found, strict=True):
        one = mixing.reveal(hidden, mask[np.newaxis], NONCES[:1])
        np.testing.assert_allclose(image, one[0])


def test_scrambling_permutes_and_negates_for_each_nonce_anew():
    values = np.arange(4 * 100).reshape(4, 100) % 100 / 1000
    scrambled = Scrambling(KEY).apply(values, NONCES)
    np.testing.assert_allclose(np.sort(np.minimum(scrambled, 1 - scrambled), axis=1), values)
    assert 0.3 < np.mean(scrambled > 0.5) < 0.7
    assert np.mean(scrambled[0] == scrambled[1]) < 0.1
    np.testing.assert_allclose(Scrambling(KEY).undo(scrambled, NONCES), values)
    assert np.abs(Scrambling(OTHER).undo(scrambled, NONCES) - values).mean() > 0.1
    assert np.abs(Scrambling(KEY).undo(scrambled, NONCES[::-1]) - values).mean() > 0.1

"""The padded image is uniform whatever the image is, and comes back from under it."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2, chisquare

from ricsk import SecretKey
from ricsk.encryptors.ric import _mixing as module
from ricsk.encryptors.ric._mixing import MAX_ALPHA, Mixing, draw_mixture, guard_band
from ricsk.encryptors.ric._networks import Networks, read_pretrained
from tests.encryptors.ric.identity import IDENTITY

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
MASKS = rng.integers(0, 256, IMAGES.shape, dtype=np.uint8)
NONCES = [bytes([i]) for i in range(4)]
ALPHAS = (0.1, 0.5, 0.8, 0.9, MAX_ALPHA)


def mix(alpha=0.75, networks=IDENTITY, key=KEY, settings=b""):
    return Mixing(key, settings, networks, alpha)


def hide(mixing, images, masks=MASKS, nonces=NONCES):
    return mixing.hide(16 * images.astype(int), masks, nonces)


def reveal(mixing, levels, masks=MASKS, nonces=NONCES, coded=False):
    return mixing.reveal(levels, masks, nonces, np.full(len(levels), coded))


def test_the_mixture_by_hand():
    mixing = mix(0.75)
    n_values = 16 * (256 + 2 * mixing.guard)
    pads = np.stack([KEY.keystream("ric/pad", n).integers(n_values, (6, 5, 3)) for n in NONCES])
    u = (16 * (IMAGES.astype(int) + mixing.guard) + pads) % n_values
    hidden = hide(mixing, IMAGES)
    np.testing.assert_allclose(hidden, 0.25 * u * 255 / n_values + 0.75 * MASKS, atol=1e-9)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_guard_band_is_the_least_that_is_enough(alpha):
    def error(g):
        return (256 + 2 * g) / 255 / (1 - alpha)

    g = guard_band(alpha)
    assert error(g) <= g + 1e-3
    assert error(g - 1) > g - 1


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("image", [np.zeros_like(IMAGES), np.full_like(IMAGES, 255), IMAGES])
@pytest.mark.parametrize("moved", [-1.0, -0.5, 0.5, 1.0])
def test_images_come_back_from_the_worst_rounding_and_header(alpha, image, moved):
    mixing = mix(alpha)
    hidden = hide(mixing, image)
    # the nearest whole level in that direction, or one beyond it
    levels = np.floor(hidden + moved) if moved < 0 else np.ceil(hidden + moved)
    levels = np.where(np.abs(levels - hidden) > 1, levels - np.sign(moved), levels)
    assert np.abs(levels - hidden).max() <= 1
    found = reveal(mixing, levels.clip(0, 255).astype(np.uint8))
    assert np.abs(found - image).max() <= mixing.guard + 0.01
    nearest = reveal(mixing, np.rint(hidden).astype(np.uint8))
    assert np.abs(nearest - image).max() <= mixing.guard / 2 + 0.01


def test_without_a_guard_band_black_comes_back_white(monkeypatch):
    monkeypatch.setattr(module, "guard_band", lambda alpha: 0)
    mixing = mix(0.8)
    black = np.zeros_like(IMAGES)
    levels = np.rint(hide(mixing, black)).astype(np.uint8)
    found = reveal(mixing, levels)
    assert 0.1 < (found > 250).mean() < 0.9


def test_more_moved_than_the_guard_band_is_for_wraps_around():
    mixing = mix(0.9)
    levels = np.rint(hide(mixing, np.zeros_like(IMAGES))) - 3
    found = reveal(mixing, levels.clip(0, 255).astype(np.uint8))
    assert (found > 200).mean() > 0.3


CHECKS = np.where(np.add.outer(np.arange(20), np.arange(20)) % 2, 255, 0)
PICTURES = {
    "black": np.zeros((20, 20, 3), np.uint8),
    "white": np.full((20, 20, 3), 255, np.uint8),
    "grey": np.full((20, 20, 3), 128, np.uint8),
    "contrasted": np.repeat(CHECKS[..., np.newaxis], 3, axis=2).astype(np.uint8),
    "ramp": (np.arange(1200) % 256).astype(np.uint8).reshape(20, 20, 3),
}


def draw_padded(image, alpha, n=400):
    """Draw u, without a mask, under many nonces."""
    mixing = mix(alpha)
    n_values = mixing.n_values
    batch = np.broadcast_to(image, (n, *image.shape))
    hidden = hide(mixing, batch, np.zeros_like(batch), [i.to_bytes(4) for i in range(n)])
    weight = round(alpha * 2**16) / 2**16
    return np.rint(hidden * n_values / (255 * (1 - weight))).astype(int), n_values


@pytest.mark.parametrize("image", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_a_padded_image_is_uniform_whatever_the_image_is(image, alpha):
    """Over all values, and for a single value over nonces."""
    u, n_values = draw_padded(image, alpha)
    assert u.min() >= 0
    assert u.max() < n_values
    counts = np.bincount(u.ravel(), minlength=n_values)
    assert counts.sum() / n_values > 50
    assert chisquare(counts).pvalue > 1e-4
    each = np.stack(
        [np.bincount(bins, minlength=16) for bins in (u * 16 // n_values).reshape(400, -1).T]
    )
    statistics = ((each - 25) ** 2 / 25).sum(axis=1)
    assert chi2.sf(statistics, 15).min() > 1e-8
    assert 0.9 < statistics.mean() / 15 < 1.1


def test_neighbours_have_nothing_in_common():
    u, _ = draw_padded(PICTURES["black"], 0.8, n=100)
    flat = u.reshape(100, -1)
    correlations = [np.corrcoef(flat[0], other)[0, 1] for other in flat[1:]]
    assert np.abs(correlations).max() < 5 / np.sqrt(1200)
    assert abs(np.corrcoef(flat[:, :-1].ravel(), flat[:, 1:].ravel())[0, 1]) < 0.02


def test_another_key_nonce_or_setting_gives_noise():
    levels = np.rint(hide(mix(), IMAGES)).astype(np.uint8)
    others = (
        reveal(mix(key=OTHER), levels),
        reveal(mix(settings=b"other"), levels),
        reveal(mix(), levels, nonces=NONCES[::-1]),
    )
    for found in others:
        assert np.abs(found - IMAGES).mean() > 60
        assert abs(np.corrcoef(found.ravel(), IMAGES.ravel())[0, 1]) < 0.2


def test_what_a_template_is_made_for_is_what_a_ciphertext_is():
    """The draws of a search, in floats, have the distribution of padded images."""
    mask = np.full((20, 20, 3), 100, np.uint8)
    drawn = draw_mixture(0.8)(
        torch.from_numpy(mask).float(), 50, torch.Generator().manual_seed(0)
    ).numpy()
    batch = np.broadcast_to(PICTURES["ramp"], (50, 20, 20, 3))
    masks = np.broadcast_to(mask, batch.shape)
    hidden = np.rint(hide(mix(0.8), batch, masks, [bytes([i]) for i in range(50)]))
    assert drawn.min() == hidden.min() == 80
    assert drawn.max() == hidden.max() == 131
    first, second = (np.bincount(a.astype(int).ravel(), minlength=256) for a in (drawn, hidden))
    assert np.abs(first - second).max() < 0.1 * first[100]


NETWORKS = Networks(read_pretrained(), torch.device("cpu"))


def make_smooth():
    rows, columns = np.mgrid[:32, :32]
    smooth = np.stack([8 * rows, 8 * columns, 4 * (rows + columns)], axis=-1)
    return smooth[np.newaxis].clip(0, 255).astype(np.uint8)


def recover(mixing, images):
    masks = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    nonces = [bytes([i]) for i in range(len(images))]
    prepared, coded = mixing.prepare(images)
    C = np.rint(mixing.hide(prepared, masks, nonces)).astype(np.uint8)
    return np.abs(mixing.reveal(C, masks, nonces, coded) - images), coded


def test_shipped_weights_come_closer_than_none():
    image = make_smooth()
    errors, coded = recover(mix(0.8, NETWORKS), image)
    assert coded.all()
    without = np.abs(recover(mix(0.8), image)[0])
    assert np.square(errors).mean() < np.square(without).mean() / 2


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_where_they_would_lose_they_are_not_used(alpha):
    """Noise, of which the networks know nothing, comes back as well as without them."""
    noise = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    images = np.concatenate([noise, make_smooth()])
    mixing = mix(alpha, NETWORKS)
    errors, coded = recover(mixing, images)
    assert coded.tolist() == [False, False, True]
    assert errors[:2].max() <= mixing.guard / 2 + 0.01
    for i in range(3):
        prepared, chosen = mixing.prepare(images[[i]])
        np.testing.assert_array_equal(prepared[0], mixing.prepare(images)[0][i])
        assert chosen[0] == coded[i]

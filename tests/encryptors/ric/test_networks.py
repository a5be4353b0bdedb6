"""By tiles, the networks give the values of whole images."""

import numpy as np
import pytest
import torch

from ricsk.encryptors.ric import _networks as module
from ricsk.encryptors.ric._networks import Networks, read_pretrained
from ricsk.nn.ric import LightRIC
from ricsk.training import load_weights

NETWORKS = Networks(read_pretrained(), torch.device("cpu"))
SHAPES = [(2, 20, 33, 3), (3, 41, 17, 1), (1, 16, 16, 3), (2, 1, 50, 3), (5, 8, 7, 1)]


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(module, "_TILE", 8)
    monkeypatch.setattr(module, "_BATCH_PIXELS", 128)


def whole(network, images, alpha=None):
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.inference_mode():
        if alpha is None:
            x = x.double() / 255
            found = network.double().encode(x, x)
        else:
            found = network.decode(x, torch.full((len(x),), alpha))
    return found.permute(0, 2, 3, 1).numpy()


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tiles_are_not_seen(shape):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, shape, dtype=np.uint8)
    found = NETWORKS.encode(levels)
    assert found.dtype == np.float64
    network = load_weights(LightRIC, read_pretrained())
    values = rng.uniform(-0.1, 1.1, shape).astype(np.float32)
    decoded = NETWORKS.decode(values, 0.8)
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, whole(network, values, 0.8), atol=1e-5)
    np.testing.assert_allclose(found, whole(network, levels), atol=1e-13)


@pytest.mark.usefixtures("small_tiles")
def test_less_around_a_tile_would_be_seen(monkeypatch):
    """The reach is what the convolutions have, and no more is computed than needed."""
    monkeypatch.setattr(module, "REACH", module.REACH - 1)
    values = np.random.default_rng(0).uniform(0, 1, (1, 40, 40, 3)).astype(np.float32)
    network = load_weights(LightRIC, read_pretrained())
    found = NETWORKS.decode(values, 0.9)
    assert np.abs(found - whole(network, values, 0.9)).max() > 1e-4


def test_the_weights_that_ship_are_not_the_identity():
    levels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    assert np.abs(NETWORKS.encode(levels) - levels / 255).max() > 1e-3
    assert NETWORKS.encode(levels).min() >= 0
    assert NETWORKS.encode(levels).max() <= 1


def test_alpha_tells_the_decoder_how_much_noise_there_is():
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, (1, 32, 32, 3))
    values = (np.linspace(0.2, 0.8, 32)[:, np.newaxis] + noise).astype(np.float32)
    changed = [np.abs(NETWORKS.decode(values, alpha) - values).mean() for alpha in (0.5, 0.9)]
    assert changed[0] < 0.9 * changed[1]

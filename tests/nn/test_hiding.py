"""Networks that hide images: what undoes what, and what their losses count."""

import numpy as np
import pytest
import torch

from ricsk.nn.hiding import HIDING_NETWORKS, HiNet, IICNet, _from_bands, _to_bands


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", HIDING_NETWORKS)
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 1, 7, 9)])
def test_containers_and_secrets_have_the_shape_of_covers(name, shape):
    network = HIDING_NETWORKS[name](shape[1], width=2).double().eval()
    with torch.no_grad():
        container = network.hide(draw(*shape), draw(*shape, seed=1))
        assert container.shape == network.reveal(container).shape == shape


def test_wavelets_are_orthonormal():
    x = draw(2, 3, 8, 8)
    bands = _to_bands(x)
    assert bands.shape == (2, 12, 4, 4)
    torch.testing.assert_close(bands.square().sum(), x.square().sum())
    torch.testing.assert_close(_from_bands(bands), x)
    torch.testing.assert_close(bands[0, 0, 0, 0], x[0, 0, :2, :2].sum() / 2)


@pytest.mark.parametrize("kind", [HiNet, IICNet])
def test_couplings_are_undone(kind):
    network = kind(3, width=4).double()
    for parameter in network.parameters():  # the last convolutions begin as zero
        torch.nn.init.normal_(parameter, std=0.1)
    coupling = network.couplings[0]
    n_channels = coupling.phi.last.out_channels
    a, b = draw(1, n_channels, 8, 8), draw(1, n_channels, 8, 8, seed=1)
    with torch.no_grad():
        changed = coupling(a, b)
        assert not torch.allclose(changed[0], a)
        for found, expected in zip(coupling.undo(*changed), (a, b), strict=True):
            torch.testing.assert_close(found, expected)


def test_untrained_hinet_leaves_the_cover_as_it_is():
    cover, secret = draw(1, 3, 8, 8), draw(1, 3, 8, 8, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(HiNet(3, width=2).double().hide(cover, secret), cover)


def test_losses_by_hand():
    container, cover, revealed, secret = (draw(2, 3, 8, 8, seed=seed) for seed in range(4))
    cover_error, secret_error = container - cover, revealed - secret
    mse = cover_error.square().mean(), secret_error.square().mean()
    low = _to_bands(cover_error).unflatten(1, (3, 4))[:, :, 0].square().sum() / container.numel()
    spectrum = torch.fft.fft2(cover_error).abs().square().mean()
    expected = {
        "ddh": mse[0] + 0.75 * mse[1],
        "hinet": 5 * mse[1] + mse[0] + low,
        "iicnet": mse[0] + 1e-3 * spectrum + 3 * (secret_error.square() + 1e-6).sqrt().mean(),
    }
    for name, kind in HIDING_NETWORKS.items():
        found = kind(3, width=2).measure(container, cover, revealed, secret)
        np.testing.assert_allclose(found, expected[name])

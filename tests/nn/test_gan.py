import pytest
import torch

from ricsk.nn.gan import Discriminator, PixelCNN, PlacewiseCNN


@pytest.mark.parametrize(
    "network", [PixelCNN(3), PlacewiseCNN((8, 12, 3), 4, 8), PlacewiseCNN((8, 12, 3), 1, 8)]
)
def test_images_become_images(network):
    y = network(torch.rand(2, 3, 8, 12))
    assert y.shape == (2, 3, 8, 12)
    assert y.min() >= -1
    assert y.max() <= 1


def test_what_each_generator_sees():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 8, 12, requires_grad=True)
    PixelCNN(3).eval()(x)[0, :, 5, 5].sum().backward()
    assert x.grad[0].abs().sum(dim=0).nonzero().tolist() == [[5, 5]]


def test_blocks_have_weights_of_their_own():
    torch.manual_seed(0)
    network = PlacewiseCNN((8, 8, 1), 4, 8).eval()
    block = torch.rand(1, 1, 4, 4)
    own = network.own(network.cut(block.tile(2, 2)).flatten(2).transpose(1, 2).reshape(1, -1, 1))
    ours, theirs = own.reshape(4, -1)[:2]
    assert not torch.allclose(ours, theirs)
    # The first group reads the first block and nothing else.
    x = torch.rand(1, 1, 8, 8, requires_grad=True)
    cut = network.cut(x).flatten(2).transpose(1, 2).reshape(1, -1, 1)
    network.own(cut)[0, : len(ours)].sum().backward()
    seen = x.grad[0, 0] != 0
    assert seen[:4, :4].all()
    assert seen.sum() == 16


@pytest.mark.parametrize("shape", [(4, 4, 1), (7, 9, 1), (32, 32, 3)])
def test_one_logit_for_images_of_any_size(shape):
    height, width, channels = shape
    assert Discriminator(shape, 8)(torch.rand(2, channels, height, width)).shape == (2,)

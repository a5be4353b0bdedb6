import pytest
import torch

from ricsk.nn import BlockCNN, UNet


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 16, 3), (7, 13, 3), (32, 32, 3), (70, 33, 1)])
@pytest.mark.parametrize("output_shape", [None, (12, 10, 3)])
def test_images_of_any_size_become_images(shape, output_shape):
    height, width, channels = shape
    network = UNet(shape, output_shape, width=4)
    y = network(torch.rand(2, channels, height, width))
    height, width, channels = output_shape or shape
    assert y.shape == (2, channels, height, width)
    assert y.min() >= 0
    assert y.max() <= 1


@pytest.mark.parametrize("network", [UNet((16, 16, 3), width=4), BlockCNN((16, 16, 3))])
def test_every_parameter_learns(network):
    network(torch.rand(4, 3, 16, 16)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def reach(network):
    """Return which values of the input the first output pixel depends on."""
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    network.eval()(x)[0, :, 0, 0].sum().backward()
    return x.grad[0].abs().sum(dim=0) > 0


def test_every_pixel_reaches_every_place_of_the_unet_and_its_own_block_alone_of_the_other():
    torch.manual_seed(0)
    assert reach(UNet((32, 32, 3), width=8)).float().mean() > 0.99
    block = reach(BlockCNN((32, 32, 3)))
    assert block[:4, :4].any()
    assert not block[4:].any()
    assert not block[:, 4:].any()


def test_blocks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="15×16 pixels do not fall into patches of 4×4"):
        BlockCNN((15, 16, 3))

import pytest
import torch
from torch.nn import functional as F

from ricsk.nn.transformation import TransformationUNet
from ricsk.nn.vgg_features import VGGFeatures


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (16, 16), (30, 40), (32, 32), (48, 33)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size_become_such_images(shape, channels):
    network = TransformationUNet(channels, width=1)
    x = torch.rand(1, channels, *shape)
    for mode in (True, False):
        y = network.train(mode)(x)
        assert y.shape == x.shape
        assert y.min() >= 0
        assert y.max() <= 1


def test_the_published_width_has_the_published_levels():
    network = TransformationUNet(3)
    widths = [level[1][0].out_channels for level in network.down]
    assert widths == [64, 128, 256, 512, 1024]
    assert network.last.weight.shape == (3, 64, 1, 1)


def test_every_parameter_learns():
    network = TransformationUNet(3, width=4)
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_details_pass_by_the_lowest_level_and_places_are_kept():
    """A change of one pixel changes its surroundings most."""
    torch.manual_seed(0)
    network = TransformationUNet(3, width=8).double()
    x = torch.rand(8, 3, 64, 64).double()
    network(x)
    network.eval()
    other = x.clone()
    other[:, :, 40, 20] = 1 - other[:, :, 40, 20]
    change = (network(other) - network(x)).abs().mean(dim=(0, 1))
    near = torch.zeros(64, 64, dtype=torch.bool)
    near[36:45, 16:25] = True
    assert change[near].mean() > 10 * change[~near].mean()


def test_features_are_those_of_vgg16_by_hand():
    torch.manual_seed(0)
    network = VGGFeatures(4)
    x = torch.rand(2, 3, 12, 10)
    w = network.layers.state_dict()
    h = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    for layer in (0, 2, 5, 7):
        if layer == 5:
            h = F.max_pool2d(h, 2)
        h = F.conv2d(h, w[f"{layer}.weight"], w[f"{layer}.bias"], padding=1).relu()
    torch.testing.assert_close(network(x), h)
    assert network(torch.rand(1, 1, 1, 1)).shape == (1, 8, 1, 1)

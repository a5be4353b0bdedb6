import pytest
import torch

from ricsk.nn import Decoder


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 1), (7, 13, 3), (32, 32, 3), (70, 33, 1)])
def test_vectors_become_images_of_any_size(shape):
    height, width, channels = shape
    y = Decoder(5, shape, width=4)(torch.rand(2, 5))
    assert y.shape == (2, channels, height, width)
    assert y.min() >= 0
    assert y.max() <= 1


def test_every_parameter_learns():
    network = Decoder(5, (16, 16, 3), width=4)
    network(torch.rand(4, 5))[:, :, 3:].square().sum().backward()
    # A bias before a batch normalization changes nothing.
    weights = [p for name, p in network.named_parameters() if name != "first.0.bias"]
    assert all(weight.grad.abs().sum() > 0 for weight in weights)

import pytest
import torch
from torch import nn

from ricsk.nn import AdaptNet, UNet
from ricsk.nn.gan import PlacewiseCNN
from ricsk.nn.transformation import TransformationUNet
from ricsk.nn.vgg_features import load_features
from ricsk.training import OwnRandomness, load_weights, save_weights

NETWORKS = {
    "U-Net": lambda: UNet((16, 16, 3), width=4),
    "spectral norm": lambda: PlacewiseCNN((8, 8, 3), width=4),
    "own spectral norm": lambda: AdaptNet((8, 8, 3), 3, backbone="cnn", width=4, depth=1),
    "transformation": lambda: TransformationUNet(3, width=2),
    "double": lambda: nn.Linear(48, 2).double(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_come_back_bit_for_bit(name):
    build = NETWORKS[name]
    with OwnRandomness(0):
        network = build()
        x = torch.rand(2, 3, 16 if name == "U-Net" else 8, 16 if name == "U-Net" else 8)
        x = x.flatten(1)[:, :48].double() if name == "double" else x
        for _ in range(3):
            network.train()(x)
    back = load_weights(build, save_weights(network))
    for key, tensor in network.state_dict().items():
        assert back.state_dict()[key].dtype == tensor.dtype
        assert torch.equal(back.state_dict()[key], tensor)
    with torch.inference_mode():
        torch.testing.assert_close(back(x), network.eval()(x), rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in back.parameters())


def test_any_order_in_memory_can_be_saved():
    with OwnRandomness(0):
        network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    back = load_weights(lambda: nn.Conv2d(3, 4, 3), save_weights(network))
    assert torch.equal(back.weight, network.weight)


def test_weights_of_another_network_are_refused():
    with OwnRandomness(0):
        weights = save_weights(nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_weights(lambda: nn.Linear(4, 2), weights)


def test_nothing_of_a_loaded_network_is_left_out():
    """What is built on torch's meta device and not loaded would have no values."""
    network = load_features("small")
    assert not any(tensor.is_meta for tensor in [*network.parameters(), *network.buffers()])
    assert network(torch.rand(1, 3, 8, 8, generator=torch.Generator())).isfinite().all()


@pytest.mark.parametrize("sizes", [{"depth": 3}, {"depth": 10**9}, {"width": 10}, {"width": 10**9}])
def test_nothing_larger_than_the_weights_is_built(sizes):
    weights = save_weights(nn.Linear(2, 3))  # 2 tensors, 9 values
    with pytest.raises(ValueError, match="too much for weights of 9 values"):
        load_weights(lambda **_: pytest.fail("built"), weights, **sizes)
    with pytest.raises(pytest.fail.Exception, match="built"):
        load_weights(lambda **_: pytest.fail("built"), weights, depth=2, width=9, name="linear")

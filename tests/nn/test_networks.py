import pytest
import torch

from ricsk.nn import CNN, ConvMixer, ViT, build

TINY = {
    "cnn": {"width": 4, "depth": 2},
    "convmixer": {"dim": 6, "depth": 1, "kernel_size": 3, "patch_size": 2},
    "vit": {"dim": 6, "depth": 1, "n_heads": 2, "mlp_ratio": 2, "patch_size": 2},
}
SHAPES = [(8, 8, 1), (8, 12, 3), (2, 4, 1), (32, 32, 3)]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", TINY)
def test_logits_are_the_head_of_the_features(name, shape):
    network = build(name, image_shape=shape, n_classes=5, **TINY[name]).eval()
    height, width, channels = shape
    x = torch.rand(3, channels, height, width)
    features = network.forward_features(x)
    assert features.shape == (3, network.head.in_features)
    assert network(x).shape == (3, 5)
    torch.testing.assert_close(network(x), network.head(features))


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_learns(name):
    network = build(name, image_shape=(8, 8, 3), n_classes=3, **TINY[name])
    network(torch.rand(4, 3, 8, 8)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("name", ["convmixer", "vit"])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((9, 12, 3), "9×12 pixels .* sizes that do are 8×12 and 10×12"),
        ((7, 9, 3), "7×9 pixels .* 6×8 and 8×10"),
        ((1, 4, 1), "1×4 pixels .* size that does is 2×4"),
    ],
)
def test_patches_that_do_not_fit_name_sizes_that_do(name, shape, message):
    with pytest.raises(ValueError, match=message):
        build(name, image_shape=shape, n_classes=2, **TINY[name])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1), (3, 5, 3)])
def test_cnn_takes_any_size(shape):
    network = CNN(shape, 2, width=4, depth=4)
    assert network(torch.rand(2, shape[2], shape[0], shape[1])).shape == (2, 2)


def test_convmixer_of_the_paper_has_its_number_of_parameters():
    """0.71 million in Table II of MaungMaung and Kiya 2022."""
    network = ConvMixer((32, 32, 3), 10, dim=256, depth=8, kernel_size=9, patch_size=1)
    assert round(count(network) / 1e6, 2) == 0.71


def test_vit_b_16_has_the_number_of_parameters_of_the_paper():
    """85.81 million in Table II of MaungMaung and Kiya 2022."""
    with torch.device("meta"):
        network = ViT((224, 224, 3), 10, dim=768, depth=12, n_heads=12, mlp_ratio=4, patch_size=16)
    assert round(count(network) / 1e6, 2) == 85.81


def test_vit_sees_patches_through_two_tensors_alone():
    """Patches and positions permuted alike give the same logits: the blocks see no order."""
    network = build("vit", image_shape=(4, 8, 1), n_classes=3, **TINY["vit"]).eval()
    x = torch.rand(2, 1, 4, 8)
    expected = network(x)
    with torch.no_grad():
        positions = network.pos_embed[:, 1:].reshape(1, 2, 4, -1).flip(2)
        network.pos_embed[:, 1:] = positions.reshape(1, 8, -1)
    columns = x.unfold(3, 2, 2).flip(3).reshape(2, 1, 4, 8)
    torch.testing.assert_close(network(columns), expected)


def test_vit_refuses_heads_that_do_not_share_out():
    with pytest.raises(ValueError, match="multiple of it, such as 12"):
        ViT((8, 8, 1), 2, dim=10, n_heads=4, patch_size=2)

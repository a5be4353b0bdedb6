import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ricsk.nn import AdaptNet, ShakePyramid, build
from ricsk.nn.adaptnet import _SpectralNorm, roughness, spread
from ricsk.nn.shakepyramid import _Shake, _shaken

SIZES = {"shakepyramid": {"depth": 8, "alpha": 6}, "cnn": {"depth": 1, "width": 4}}
ADAPTATIONS = [None, "tanaka", "le", "ele"]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


# ShakePyramidNet


def test_the_network_of_the_paper_has_its_number_of_parameters():
    """28.48 million in Table II of MaungMaung and Kiya 2022."""
    with torch.device("meta"):
        network = ShakePyramid((32, 32, 3), 10, depth=110, alpha=270)
    assert int(count(network) / 1e4) == 2848
    assert len(network.blocks) == 54
    assert [block.halves for block in network.blocks].count(True) == 2
    assert network.blocks[0].dropped == pytest.approx(0.5 / 54)
    assert network.blocks[-1].dropped == 0.5


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 3), (32, 32, 3)])
def test_it_takes_any_size(shape):
    height, width, channels = shape
    network = ShakePyramid(shape, 2, depth=8, alpha=5).eval()
    assert network(torch.rand(2, channels, height, width)).shape == (2, 2)


def test_too_little_depth_is_refused():
    with pytest.raises(ValueError, match="depth=7 is too small for a block"):
        ShakePyramid((8, 8, 3), 2, depth=7)


def test_shakedrop_multiplies_images_and_gradients_by_numbers_of_their_own():
    x = torch.rand(200, 2, 3, 3, requires_grad=True)
    y = _shaken(x, 1.0)
    y.sum().backward()
    forward = (y / x).detach().flatten(1)
    backward = x.grad.flatten(1)
    for factors in (forward, backward):
        torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert -1 <= forward.min() < -0.8
    assert 0.8 < forward.max() <= 1
    assert 0 <= backward.min() < 0.1
    assert 0.9 < backward.max() <= 1
    assert abs(torch.corrcoef(torch.stack([forward[:, 0], backward[:, 0]]))[0, 1]) < 0.2


def test_shakedrop_happens_with_its_probability_and_the_prediction_is_the_expectation():
    x = torch.ones(1, 1, 1, 1)
    assert _shaken(x, 0.0) is x
    values = torch.stack([_shaken(x, 0.25) for _ in range(2000)])
    assert (values != 1).float().mean() == pytest.approx(0.25, abs=0.03)
    block = ShakePyramid((4, 4, 1), 2, depth=8, alpha=0).blocks[1].eval()
    x = torch.rand(2, 16, 4, 4)
    residual = (1 - block.dropped) * block.residual(x)
    expected = residual + nn.functional.avg_pool2d(x, 2)
    torch.testing.assert_close(block(x), expected)
    assert values.mean() == pytest.approx(0.75, abs=0.03)


def test_the_factor_of_the_gradient_is_not_that_of_the_value():
    x = torch.ones(1, requires_grad=True)
    y = _Shake.apply(x, torch.tensor([-0.5]), torch.tensor([0.25]))
    y.backward()
    assert (y.item(), x.grad.item()) == (-0.5, 0.25)


# Adaptation networks


@pytest.mark.parametrize("backbone", SIZES)
@pytest.mark.parametrize("adaptation", ADAPTATIONS)
@pytest.mark.parametrize("shape", [(8, 8, 3), (4, 12, 1), (8, 4, 3)])
def test_logits_are_the_head_of_the_features(adaptation, backbone, shape):
    height, width, channels = shape
    network = AdaptNet(shape, 5, adaptation, backbone, **SIZES[backbone]).eval()
    x = torch.rand(3, channels, height, width)
    features = network.forward_features(x)
    assert features.shape == (3, network.head.in_features)
    torch.testing.assert_close(network(x), network.head(features))


@pytest.mark.parametrize("adaptation", ADAPTATIONS)
def test_every_parameter_learns(adaptation):
    network = build(
        "adaptnet",
        image_shape=(8, 8, 3),
        n_classes=3,
        adaptation=adaptation,
        backbone="cnn",
        **SIZES["cnn"],
    )
    logits, penalty = network.forward_with_penalty(torch.rand(4, 3, 8, 8))
    (logits.square().sum() + penalty).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("adaptation", ["tanaka", "le", "ele"])
def test_blocks_that_do_not_fit_name_sizes_that_do(adaptation):
    with pytest.raises(ValueError, match=r"9×12 pixels .* 8×12 and 12×12"):
        AdaptNet((9, 12, 3), 2, adaptation, "cnn")


def changed_blocks(adaptation, x):
    """Which blocks of 4×4 pixels of the adapted image change with the first block of the image."""
    before = adaptation(x)
    x = x.clone()
    x[:, :, :4, :4] = 1 - x[:, :, :4, :4]
    changes = (adaptation(x) - before).abs().sum(dim=(0, 1))
    return changes.unfold(0, 4, 4).unfold(1, 4, 4).sum(dim=(2, 3)) > 1e-6


@pytest.mark.parametrize("name", ["tanaka", "le"])
def test_le_treats_all_blocks_alike_and_apart(name):
    adaptation = AdaptNet((8, 8, 3), 2, name, "cnn", **SIZES["cnn"]).adaptation.eval()
    x = torch.rand(2, 3, 8, 8)
    assert changed_blocks(adaptation, x).tolist() == [[True, False], [False, False]]
    moved = torch.cat([x[:, :, 4:], x[:, :, :4]], dim=2)
    expected = adaptation(x)
    torch.testing.assert_close(
        adaptation(moved), torch.cat([expected[:, :, 4:], expected[:, :, :4]], dim=2)
    )


def test_le_has_the_layers_of_the_code():
    layers = AdaptNet((32, 32, 3), 10, "le", "cnn").adaptation
    assert layers[0].weight.shape == (256, 3, 4, 4)
    assert layers[0].bias is None
    assert layers(torch.rand(2, 3, 32, 32)).shape == (2, 16, 32, 32)
    tanaka = AdaptNet((32, 32, 3), 10, "tanaka", "cnn").adaptation
    assert [len(layer.weight) for layer in tanaka if isinstance(layer, nn.Conv2d)] == [48, 48, 512]


def test_ele_is_a_convolution_for_each_block_and_a_matrix_on_the_right():
    adaptation = AdaptNet((8, 12, 3), 2, "ele", "cnn", **SIZES["cnn"]).adaptation.eval()
    x = torch.rand(2, 3, 8, 12)
    parts = []
    for block in range(6):
        row, column = divmod(block, 3)
        patch = x[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        kernel = adaptation.weight[block].view(256, 3, 4, 4)
        parts.append(nn.functional.conv2d(patch, kernel, adaptation.bias[block]).flatten(1))
    h = torch.stack(parts, dim=2) / (1 + 1e-5) ** 0.5  # of the normalization that saw nothing yet
    h = nn.functional.leaky_relu(h, 0.2) @ adaptation.mixing
    expected = nn.functional.pixel_shuffle(h.view(2, 256, 2, 3), 4)
    torch.testing.assert_close(adaptation(x), expected, rtol=1e-4, atol=1e-5)


def test_ele_can_undo_a_permutation_of_blocks():
    adaptation = AdaptNet((8, 8, 3), 2, "ele", "cnn", **SIZES["cnn"]).adaptation.eval()
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        adaptation.mixing.copy_(torch.eye(4)[[3, 2, 1, 0]])
    assert changed_blocks(adaptation, x).tolist() == [[False, False], [False, True]]


def test_the_spectral_norm_is_that_of_torch_for_every_matrix():
    norm = _SpectralNorm(3, 7)
    weight = torch.randn(3, 7, 5)
    for _ in range(100):
        normalized = norm(weight)
    largest = torch.linalg.matrix_norm(weight, ord=2)
    torch.testing.assert_close(normalized, weight / largest.view(3, 1, 1), rtol=1e-4, atol=1e-5)
    linear = nn.Linear(5, 7, bias=False)
    with torch.no_grad():
        linear.weight.copy_(weight[1])
    reference = spectral_norm(linear, n_power_iterations=100)
    torch.testing.assert_close(reference.weight, normalized[1], rtol=1e-4, atol=1e-5)
    norm.eval()
    left = norm.left.clone()
    torch.testing.assert_close(norm(2 * weight), normalized)
    torch.testing.assert_close(norm.left, left, rtol=0, atol=0)


def test_spread_is_least_for_scaled_permutations():
    matrix = torch.tensor([[0.0, -2.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert spread(matrix).item() == 0
    matrix[0, 0] = 1.5  # the row 1.5, −2 and the column 1.5, 3
    expected = (3.5 - 2.5 + 4.5 - (1.5**2 + 9) ** 0.5) / 9
    assert spread(matrix).item() == pytest.approx(expected)


def test_roughness_by_hand():
    adapted = torch.zeros(2, 16, 3, 4)
    adapted[0, 1, 1, 1] = 2.0  # seen from above, from the left, and from itself twice
    adapted[1, 3:] = torch.rand(13, 3, 4)  # channels that do not count
    assert roughness(adapted).item() == pytest.approx(4 * 4.0 / (2 * 16 * 2 * 4))
    assert roughness(torch.rand(2, 16, 1, 1)).item() == 0


def test_only_ele_adds_to_the_loss():
    x = torch.rand(4, 3, 8, 8)
    for adaptation in (None, "tanaka", "le"):
        network = AdaptNet((8, 8, 3), 2, adaptation, "cnn", **SIZES["cnn"])
        assert network.forward_with_penalty(x)[1].item() == 0
    network = AdaptNet((8, 8, 3), 2, "ele", "cnn", **SIZES["cnn"]).eval()
    logits, penalty = network.forward_with_penalty(x)
    torch.testing.assert_close(logits, network(x))
    adaptation = network.adaptation
    expected = 1e-3 * spread(adaptation.mixing) + 0.1 * roughness(adaptation(x))
    torch.testing.assert_close(penalty, expected)

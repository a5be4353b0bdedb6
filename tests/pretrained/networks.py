"""Small networks on the spot, and stand-ins for packages that tests do not install."""

import types
from dataclasses import dataclass, field

import numpy as np
import onnx
import torch
from torch import nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_network(n_classes=4, size=8, channels=3, seed=0):
    """From (n, channels, size, size) to logits that spread by some units."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(channels, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * (size // 2) ** 2, n_classes),
        )
    network[-1].weight.data *= 20
    return network


class Wrapped(nn.Module):
    """A network whose answer is made into something else."""

    def __init__(self, wrap, network=None):
        super().__init__()
        self.network = make_network() if network is None else network
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(self.network(x))


class TimmModel(nn.Module):
    """With the attributes of timm's models that say what they expect."""

    def __init__(self, n_classes=4, **config):
        super().__init__()
        self.network = make_network(n_classes, size=16)
        self.pretrained_cfg = {
            "input_size": (3, 16, 16),
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
            "crop_pct": 0.8,
            "interpolation": "bicubic",
            **config,
        }

    def forward(self, x):
        return self.network(x)


class ImageNetInfo:
    def __init__(self, subset):
        assert subset == "imagenet-1k"

    def label_descriptions(self):
        return [f"thing {i}" for i in range(8)]


def make_timm():
    """The part of timm that the guide and `from_timm` use."""
    timm, data = types.ModuleType("timm"), types.ModuleType("timm.data")
    timm.create_model = lambda name, pretrained: TimmModel(8)
    data.infer_imagenet_subset = lambda model: (
        "imagenet-1k" if model.network[-1].out_features == 8 else None
    )
    data.ImageNetInfo = ImageNetInfo
    timm.data = data
    return {"timm": timm, "timm.data": data}


@dataclass
class ImageClassifierOutput:
    """As transformers has them: an object whose parts have names."""

    loss: torch.Tensor | None
    logits: torch.Tensor


@dataclass
class Config:
    image_size: int = 16
    id2label: dict = field(default_factory=lambda: {0: "cat", 1: "crane", 2: "dog", 3: "crane"})


class TransformersModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.network = make_network(len(config.id2label), size=config.image_size)

    def forward(self, pixel_values):
        # Like those of transformers it brings its input to the type of its weights.
        weight = self.network[0].weight
        return ImageClassifierOutput(None, self.network(pixel_values.to(weight.dtype)))


class Processor:
    """With the attributes of an image processor."""

    def __init__(self, **kwargs):
        defaults = {
            "do_resize": True,
            "size": {"height": 16, "width": 16},
            "resample": 2,
            "do_center_crop": False,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.25, 0.5, 0.5],
        }
        vars(self).update(defaults | kwargs)


def make_transformers():
    """The part of transformers that the guide uses."""
    transformers = types.ModuleType("transformers")

    def make_config(num_labels, image_size, **sizes):
        names = {i: f"LABEL_{i}" for i in range(num_labels)}
        return Config(image_size, names)

    transformers.ViTConfig = make_config
    transformers.ViTForImageClassification = TransformersModel
    transformers.ViTImageProcessor = Processor
    return {"transformers": transformers}


def write_onnx(path, network=None, *, batch="n", softmax=False, channels_last=False, opset=17):
    """Write a network of `make_network` as an ONNX file, as exporters do."""
    network = make_network() if network is None else network
    convolution, _, _, linear = network
    size = 2 * round((linear.in_features / 8) ** 0.5)
    helper, channels = onnx.helper, convolution.in_channels
    shape = [batch, size, size, channels] if channels_last else [batch, channels, size, size]
    nodes = [
        helper.make_node(
            "Conv",
            ["x", "w0", "b0"],
            ["c"],
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        ),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["y"], transB=1),
    ]
    if channels_last:
        nodes.insert(0, helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]))
        nodes[1].input[0] = "t"
    if softmax:
        nodes.append(helper.make_node("Softmax", ["y"], ["p"], axis=1))
    arrays = {
        "w0": convolution.weight,
        "b0": convolution.bias,
        "w1": linear.weight,
        "b1": linear.bias,
    }
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(
                "p" if softmax else "y", onnx.TensorProto.FLOAT, [batch, linear.out_features]
            )
        ],
        [
            onnx.numpy_helper.from_array(array.detach().numpy(), name)
            for name, array in arrays.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, path)
    return path


def make_onnx2torch():
    """A converter of what `write_onnx` writes, which knows few operators, as converters do."""

    def convert(model):
        arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        layers = []
        for node in model.graph.node:
            weights = [torch.tensor(arrays[name]) for name in node.input if name in arrays]
            if node.op_type == "Conv":
                out, given = weights[0].shape[:2]
                layers.append(nn.Conv2d(given, out, 3, stride=2, padding=1))
            elif node.op_type == "Gemm":
                layers.append(nn.Linear(*reversed(weights[0].shape)))
            elif node.op_type in ("Relu", "Flatten", "Softmax"):
                layers.append({"Relu": nn.ReLU(), "Flatten": nn.Flatten()}.get(node.op_type))
                layers[-1] = layers[-1] or nn.Softmax(dim=1)
            else:
                raise NotImplementedError(f"Converter is not implemented ({node.op_type})")
            if weights:
                layers[-1].weight.data, layers[-1].bias.data = weights
        return nn.Sequential(*layers)

    onnx2torch = types.ModuleType("onnx2torch")
    onnx2torch.convert = convert
    return {"onnx2torch": onnx2torch}


def make_images(n=6, size=(8, 8), channels=3, seed=0):
    """Smooth colour images, which compress."""
    rng = np.random.default_rng(seed)
    height, width = size
    rows, columns = np.mgrid[:height, :width] / max(size)
    slopes = rng.uniform(-120, 120, (n, 1, 1, channels, 2))
    images = rng.uniform(60, 190, (n, 1, 1, channels)) + slopes[..., 0] * rows[..., None]
    return np.clip(images + slopes[..., 1] * columns[..., None], 0, 255).astype(np.uint8)

"""The first layers of VGG-16, whose outputs show how similar two images are in their details."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

__all__ = ["VGGFeatures", "find_torchvision_weights", "load_features"]


class VGGFeatures(nn.Module):
    """VGG-16 up to its fourth convolution, "relu2_2", at any width.

    Two convolutions, a pooling that halves the sides, and two convolutions with twice the channels.
    The names of the parameters are those in torchvision's VGG-16 without their prefix "features.".

    Parameters
    ----------
    width : int
        Channels of the first convolutions; 64 in VGG-16.

    References
    ----------
    K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image
    recognition", ICLR, 2015, table 1, column D.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nn.vgg_features import VGGFeatures
    >>> VGGFeatures(width=32)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 64, 16, 16])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            # At the border a pool holds what there is, so that images of one pixel have features.
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
        )
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            constants = torch.tensor(values, device="cpu").view(
                3, 1, 1
            )  # also where weights are not
            self.register_buffer(name, constants, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images on [0, 1]; grey ones count as three equal channels.

        Returns
        -------
        Tensor of shape (n, 2 × width, height / 2, width / 2)
            Non-negative, sides rounded up.
        """
        return self.layers(self.normalized(x))

    def normalized(self, x: Tensor) -> Tensor:
        """Scale images on [0, 1] as the first layer wants them, in three channels."""
        return (x.expand(-1, 3, -1, -1) - self.mean) / self.std


def load_features(name: str) -> VGGFeatures:
    """Load a trained feature network, with its weights frozen.

    Parameters
    ----------
    name : {"small", "vgg16"}
        "small" comes with the package; "vgg16" needs VGG-16's weights on this machine.

    Returns
    -------
    VGGFeatures
        In evaluation mode.

    Raises
    ------
    FileNotFoundError
        If the weights of VGG-16 are not where torchvision keeps them.

    Examples
    --------
    >>> from ricsk.nn.vgg_features import load_features
    >>> next(load_features("small").parameters()).requires_grad
    False
    """
    if name == "small":
        stored = files("ricsk") / "weights" / "features_small.safetensors"
        weights = load_safetensors(stored.read_bytes())
    else:
        file = find_torchvision_weights("vgg16")
        whole = torch.load(file, map_location="cpu", weights_only=True)
        weights = {name.removeprefix("features."): w for name, w in whole.items()}
    with torch.device("meta"):  # no memory, no time and no randomness for initial weights
        network = VGGFeatures(width=len(weights["0.bias"]))
    network.layers.load_state_dict(
        {name: weights[name] for name in network.layers.state_dict()}, assign=True
    )
    return network.eval().requires_grad_(False)


def find_torchvision_weights(name: str) -> Path:
    """Find the ImageNet weights of a network where torchvision keeps them.

    Parameters
    ----------
    name : str
        The name of torchvision's function that makes the network, for example "vgg16".

    Raises
    ------
    FileNotFoundError
        If they are not there: this package downloads nothing.

    Examples
    --------
    .. code-block:: python

        torch.load(find_torchvision_weights("alexnet"), weights_only=True)
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    found = sorted(folder.glob(f"{name}-*.pth"))
    if not found:
        raise FileNotFoundError(
            f"there are no weights {name}-*.pth in {folder}. Run torchvision.models.{name}("
            "weights='IMAGENET1K_V1') once, which downloads them, or take what does "
            "without them: features='small' of an encryptor, or perceptual_distance of the metrics."
        )
    return found[0]

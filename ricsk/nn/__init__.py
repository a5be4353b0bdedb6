"""Networks in torch alone, by name; the classifiers around them are in `ricsk.classifiers`."""

from ricsk.nn._network import ImageNetwork
from ricsk.nn._registry import build, names, register
from ricsk.nn.adaptnet import AdaptNet
from ricsk.nn.block_cnn import BlockCNN
from ricsk.nn.cnn import CNN
from ricsk.nn.convmixer import ConvMixer
from ricsk.nn.decoder import Decoder
from ricsk.nn.shakepyramid import ShakePyramid
from ricsk.nn.unet import UNet
from ricsk.nn.vit import ViT

__all__ = [
    "CNN",
    "AdaptNet",
    "BlockCNN",
    "ConvMixer",
    "Decoder",
    "ImageNetwork",
    "ShakePyramid",
    "UNet",
    "ViT",
    "build",
    "names",
    "register",
]

"""Networks in plain torch, by name; the classifiers around them are in `ricsk.classifiers`."""

import ricsk._threads  # noqa: F401 (by which a forked process can go on computing)
from ricsk._publish import publish
from ricsk.nn._network import ImageNetwork
from ricsk.nn._pixels import from_pixels, to_pixels, to_tensor
from ricsk.nn._registry import build, names, register
from ricsk.nn.adaptnet import AdaptNet
from ricsk.nn.binary import BinaryLayer, BinaryNetwork, BinaryScores
from ricsk.nn.block_cnn import BlockCNN
from ricsk.nn.cnn import CNN
from ricsk.nn.convmixer import ConvMixer
from ricsk.nn.decoder import Decoder
from ricsk.nn.feature_maps import FeatureMapCNN, weave_maps
from ricsk.nn.key_generator import KeyGenerator
from ricsk.nn.shakepyramid import ShakePyramid
from ricsk.nn.token_transformer import TokenTransformer
from ricsk.nn.unet import UNet
from ricsk.nn.vit import ViT

__all__ = [
    "CNN",
    "AdaptNet",
    "BinaryLayer",
    "BinaryNetwork",
    "BinaryScores",
    "BlockCNN",
    "ConvMixer",
    "Decoder",
    "FeatureMapCNN",
    "ImageNetwork",
    "KeyGenerator",
    "ShakePyramid",
    "TokenTransformer",
    "UNet",
    "ViT",
    "build",
    "from_pixels",
    "names",
    "register",
    "to_pixels",
    "to_tensor",
    "weave_maps",
]

publish(globals())

"""The encoders and decoders of RIC by name, with the weights that ship, and as bytes."""

from __future__ import annotations

from importlib.resources import files

import torch
from safetensors.torch import load, save

from ricsk.encryptors.ric._training import RIC
from ricsk.nn.ric import LightRIC, PublishedRIC

__all__ = ["NETWORKS", "dump_network", "load_network", "make_network", "read_pretrained"]

NETWORKS: dict[str, type[RIC]] = {"light": LightRIC, "ric": PublishedRIC}


def make_network(architecture: str, seed: int) -> RIC:
    """Make a network with random weights.

    Parameters
    ----------
    architecture : str
        A name in `NETWORKS`.
    seed : int
        Decides on the weights.

    Returns
    -------
    LightRIC or PublishedRIC
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[architecture]()


def read_pretrained() -> bytes:
    """Read the weights that ship, which are for the architecture "light".

    Returns
    -------
    bytes
        In the safetensors format.
    """
    return (files("ricsk") / "weights" / "ric_light.safetensors").read_bytes()


def dump_network(network: RIC) -> bytes:
    """Store the weights of a network.

    Parameters
    ----------
    network : LightRIC or PublishedRIC
        In single precision, as trained.

    Returns
    -------
    bytes
        In the safetensors format.
    """
    return save(network.state_dict())


def load_network(architecture: str, weights: bytes) -> RIC:
    """Make the network of stored weights, ready to encrypt the same everywhere: in float64.

    Parameters
    ----------
    architecture : str
        A name in `NETWORKS`.
    weights : bytes
        What `dump_network` or `read_pretrained` returned.

    Returns
    -------
    LightRIC or PublishedRIC
    """
    with torch.device("meta"):  # no time and no randomness for initial weights
        network = NETWORKS[architecture]()
    network.load_state_dict(load(weights), assign=True)
    return network.double().eval()

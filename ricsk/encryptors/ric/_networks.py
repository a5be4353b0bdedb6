"""The encoders and decoders of RIC by name, with the weights that ship, and as bytes."""

from __future__ import annotations

from importlib.resources import files

from ricsk.encryptors.ric._training import RIC
from ricsk.nn.ric import LightRIC, PublishedRIC
from ricsk.training import OwnRandomness, load_weights, save_weights

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
    with OwnRandomness(seed):
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
    return save_weights(network)


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
    network: RIC = load_weights(lambda: NETWORKS[architecture](), weights)
    return network.double()

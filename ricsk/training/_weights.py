"""The weights of a network as bytes, in the state of a fitted estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import nn

__all__ = ["load_weights", "save_weights"]

_Network = TypeVar("_Network", bound=nn.Module)


def save_weights(network: nn.Module) -> bytes:
    """Write the weights of a network in the safetensors format.

    Parameters
    ----------
    network : torch.nn.Module
        On any device.

    Returns
    -------
    bytes

    Examples
    --------
    >>> from torch import nn
    >>> from ricsk.training import load_weights, save_weights
    >>> weights = save_weights(nn.Linear(2, 3))
    >>> load_weights(lambda: nn.Linear(2, 3), weights)
    Linear(in_features=2, out_features=3, bias=True)
    """
    return save_safetensors(
        {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    )


def load_weights(build: Callable[[], _Network], weights: bytes) -> _Network:
    """Build a network with given weights, and draw no others for it. Nothing is unpickled.

    Parameters
    ----------
    build : callable
        Builds the network. All its tensors must be parameters, or buffers that its state holds.
    weights : bytes
        What `save_weights` returned.

    Returns
    -------
    torch.nn.Module
        On the CPU, in evaluation mode.

    Raises
    ------
    RuntimeError
        If the weights are those of another network.
    """
    with torch.device("meta"):  # no memory, no time and no randomness for initial weights
        network = build()
    network.load_state_dict(load_safetensors(weights), assign=True)
    return network.eval()

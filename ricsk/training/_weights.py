"""The weights of a network as bytes, in the state of a fitted estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import nn

MAX_DEPTH = 1000
"""The most layers of a stored network."""

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


def load_weights(build: Callable[..., _Network], weights: bytes, **sizes: Any) -> _Network:
    """Build a network with given weights, and draw no others for it. Nothing is unpickled.

    Parameters
    ----------
    build : callable
        Builds the network. All its tensors must be parameters, or buffers that its state holds.
    weights : bytes
        What `save_weights` returned.
    **sizes
        The arguments of `build`. None may be larger than weights of this number need; so no more is
        built than the weights fill.

    Returns
    -------
    torch.nn.Module
        On the CPU, in evaluation mode.

    Raises
    ------
    RuntimeError
        If the weights are those of another network.
    ValueError
        If a size is larger than the weights need.
    """
    tensors = load_safetensors(weights)
    _check_sizes(sizes, n_tensors=len(tensors), n_values=sum(map(torch.numel, tensors.values())))
    with torch.device("meta"):  # no memory, no time and no randomness for initial weights
        network = build(**sizes)
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def _check_sizes(sizes: dict[str, Any], *, n_tensors: int, n_values: int) -> None:
    for name, size in sizes.items():
        most = min(n_tensors, MAX_DEPTH) if name == "depth" else n_values
        if isinstance(size, int) and size > most:
            raise ValueError(f"{name}={size} is too much for weights of {n_values:,} values")

"""Networks by name, so that a stored classifier says which one it holds without naming code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ricsk.nn._network import ImageNetwork

__all__ = ["build", "names", "register"]

_Network = TypeVar("_Network", bound=type[ImageNetwork])

_NETWORKS: dict[str, type[ImageNetwork]] = {}


def register(name: str) -> Callable[[_Network], _Network]:
    """Make a class decorator that gives a network its name.

    Parameters
    ----------
    name : str
        The name for `build`.

    Returns
    -------
    callable
        Returns the class unchanged.

    Raises
    ------
    ValueError
        If another network has the name.

    Examples
    --------
    >>> from ricsk.nn import ImageNetwork, build, register
    >>> @register("linear")
    ... class Linear(ImageNetwork):
    ...     def __init__(self, image_shape, n_classes):
    ...         super().__init__(image_shape[0] * image_shape[1] * image_shape[2], n_classes)
    ...
    ...     def forward_features(self, x):
    ...         return x.flatten(1)
    >>> build("linear", image_shape=(8, 8, 1), n_classes=10).head
    Linear(in_features=64, out_features=10, bias=True)
    """

    def add(network: _Network) -> _Network:
        if name in _NETWORKS:
            raise ValueError(
                f"the name {name!r} already belongs to {_NETWORKS[name].__qualname__}; register "
                f"{network.__qualname__} under another one."
            )
        _NETWORKS[name] = network
        return network

    return add


def build(name: str, **config: Any) -> ImageNetwork:
    """Build a network by its name.

    Parameters
    ----------
    name : str
        One of `names`.
    **config
        The arguments of its constructor: `image_shape`, `n_classes` and the network's own sizes.

    Returns
    -------
    ImageNetwork
        With fresh weights, drawn from torch's global generator.

    Raises
    ------
    ValueError
        If the name is unknown, or the network cannot take images of that shape.

    Examples
    --------
    >>> from ricsk.nn import build
    >>> build("cnn", image_shape=(32, 32, 3), n_classes=10).head.out_features
    10
    """
    if name not in _NETWORKS:
        raise ValueError(
            f"there is no network named {name!r}; expected one of {', '.join(names())}."
        )
    return _NETWORKS[name](**config)


def names() -> list[str]:
    """List the names of all networks.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> from ricsk.nn import names
    >>> {"cnn", "convmixer", "vit"} <= set(names())
    True
    """
    return sorted(_NETWORKS)

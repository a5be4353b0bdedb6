"""Where a network is trained and asked."""

from __future__ import annotations

import torch

__all__ = ["find_device", "find_device_again", "find_half_precision"]


def find_device(name: str) -> torch.device:
    """Find the device that a user asks for.

    Parameters
    ----------
    name : str
        "auto" for a CUDA device, else MPS, else the CPU; or one of these by torch's name, such as
        "cuda:1".

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If there is no such device here.

    Examples
    --------
    >>> from ricsk.training import find_device
    >>> find_device("cpu")
    device(type='cpu')
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
        there = available[device.type]
        if device.type == "cuda" and device.index is not None:
            there = there and device.index < torch.cuda.device_count()
    except (RuntimeError, KeyError):
        there = False
    if there:
        return device
    kinds = ", ".join(repr(kind) for kind, there in available.items() if there)
    raise ValueError(f"device={name!r} is not available here; expected 'auto' or one of {kinds}.")


def find_device_again(name: str) -> torch.device:
    """Find the device for a network that is read back, maybe on another machine.

    Parameters
    ----------
    name : str
        What was asked for when it was trained. Where there is no such device, it counts as "auto".

    Returns
    -------
    torch.device

    Examples
    --------
    >>> from ricsk.training import find_device, find_device_again
    >>> find_device_again("cuda:99") == find_device("auto")
    True
    """
    try:
        return find_device(name)
    except ValueError:
        return find_device("auto")


def find_half_precision(device: torch.device) -> torch.dtype | None:
    """Find the 16-bit type of full range that a device is built to compute with.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    torch.dtype or None
        None if it has none.

    Examples
    --------
    >>> import torch
    >>> from ricsk.training import find_half_precision
    >>> find_half_precision(torch.device("cpu")) is None
    True
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return None

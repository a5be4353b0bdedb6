"""Random numbers of one's own: a training draws from no generator that others draw from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from threading import Lock
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["OwnRandomness", "draw_seed", "make_random_state"]

_Function = Callable[..., Any]


class OwnRandomness(TorchFunctionMode):
    """A context in which torch draws from generators of this object's own.

    torch's layers, initializations, losses and augmentations draw from a generator that the whole
    process shares, and that other threads draw from and seed at the same time. In this context, and
    in the thread that entered it, they draw from generators that nobody else has: one for each
    device, of the same seed. A fit that draws within it gives the same network whatever happens
    around it, and leaves torch's generators as they were.

    The context may be entered again, and goes on where it was.

    Parameters
    ----------
    seed : int
        0 or more.

    Notes
    -----
    What draws is told apart as it is called:

    - most functions take a ``generator``, and get it;
    - dropout, and `torch.rand_like` and its kin, take none, and are computed from what does;
    - what draws within itself, such as attention and recurrent layers with dropout, is run with
      this object's state in the place of the shared generator's, which is then put back. Only one
      of these runs at a time. They alone can be disturbed by threads that use torch's generator.

    torch leaves the context for backward passes, so a `torch.autograd.Function` must draw in its
    forward pass what it needs in both, and `torch.utils.checkpoint` must not surround what draws.

    Examples
    --------
    >>> import torch
    >>> from ricsk.training import OwnRandomness
    >>> randomness = OwnRandomness(0)
    >>> with randomness:
    ...     x = torch.rand(3)
    >>> with OwnRandomness(0):
    ...     bool((torch.rand(3) == x).all())
    True
    >>> with randomness:
    ...     bool((torch.rand(3) == x).any())
    False
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self._generators: dict[torch.device, Generator] = {}

    def get_state(self) -> dict[str, Tensor]:
        """Return where the generators are, by the names of their devices.

        Returns
        -------
        dict of str to Tensor
        """
        return {str(device): own.get_state() for device, own in self._generators.items()}

    def set_state(self, state: dict[str, Tensor]) -> None:
        """Bring the generators to where others were.

        Parameters
        ----------
        state : dict of str to Tensor
            What `get_state` returned. Devices that are not there are left out.
        """
        for name, values in state.items():
            try:
                own = self._own(torch.device(name))
            except RuntimeError:
                continue
            own.set_state(values)

    def __torch_function__(
        self, func: _Function, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        draw = _DRAWING.get(func)
        if draw is None:
            return func(*args, **(kwargs or {}))
        return draw(self, func, *args, **(kwargs or {}))

    def _own(self, device: torch.device) -> Generator:
        if device not in self._generators:
            self._generators[device] = Generator(device).manual_seed(self.seed)
        return self._generators[device]

    def _pass_generator(self, func: _Function, *args: Any, **kwargs: Any) -> Any:
        device = _find_place(args, kwargs)
        if kwargs.get("generator") is None and device.type != "meta":  # where nothing is drawn
            kwargs["generator"] = self._own(device)
        return func(*args, **kwargs)

    def _fill_alike(self, func: _Function, *args: Any, **kwargs: Any) -> Tensor:
        if kwargs.pop("generator", None) is not None:
            return func(*args, **kwargs)
        filled = torch.empty_like(*args, **kwargs)
        draw = Tensor.uniform_ if func is torch.rand_like else Tensor.normal_
        with torch.no_grad():
            return self._pass_generator(draw, filled)

    def _drop(
        self,
        func: _Function,
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        if not training or not 0 < p < 1 or input.device.type == "meta":
            return func(input, p, training, inplace)
        shape = input.shape
        if func is not F.dropout:  # whole channels, of which an unbatched image has the first axis
            alone = (func, input.ndim) in ((F.dropout1d, 2), (F.dropout3d, 4))
            n_axes = 1 if alone else 2
            shape = shape[:n_axes] + (1,) * (input.ndim - n_axes)
        kept = input.new_empty(shape).bernoulli_(1 - p, generator=self._own(input.device))
        kept /= 1 - p
        return input.mul_(kept) if inplace else input * kept

    def _attend(self, func: _Function, *args: Any, **kwargs: Any) -> Any:
        return (
            self._exchange(func, *args, **kwargs)
            if _drops(func, args, kwargs)
            else func(*args, **kwargs)
        )

    def _exchange(self, func: _Function, *args: Any, **kwargs: Any) -> Any:
        device = _find_place(args, kwargs)
        with _exchanging, self._in_place_of_shared(device):
            return func(*args, **kwargs)

    @contextmanager
    def _in_place_of_shared(self, device: torch.device) -> Iterator[None]:
        shared = {torch.device("cpu"): torch.default_generator}
        if device.type == "cuda":
            shared[device] = torch.cuda.default_generators[device.index]
        before = {device: generator.get_state() for device, generator in shared.items()}
        for device, generator in shared.items():
            generator.set_state(self._own(device).get_state())
        try:
            yield
        finally:
            for device, generator in shared.items():
                self._own(device).set_state(generator.get_state())
                generator.set_state(before[device])


def make_random_state(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    """Turn the `random_state` of an estimator into NumPy's generator.

    Parameters
    ----------
    random_state : int, RandomState or None
        None gives a new one, of a seed from the operating system; not NumPy's global generator,
        which a fit leaves as it was.

    Returns
    -------
    RandomState
    """
    return np.random.RandomState() if random_state is None else check_random_state(random_state)


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Draw the seed of a training.

    Parameters
    ----------
    random_state : int, RandomState or None
        As for `make_random_state`.

    Returns
    -------
    int

    Examples
    --------
    >>> from ricsk.training import draw_seed
    >>> draw_seed(0) == draw_seed(0)
    True
    """
    return int(make_random_state(random_state).randint(2**31 - 1))


def _find_place(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device:
    """Find the device on which a call draws: the one named, or that of its first tensor."""
    named = kwargs.get("device")
    if named is None:
        tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        first = next(tensors, None)
        named = torch.get_default_device() if first is None else first.device
    device = torch.device(named)
    # "cuda" and "cuda:0" are one place.
    return torch.empty(0, device=device).device if device.type == "cuda" else device


def _drops(func: _Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if func is F.scaled_dot_product_attention:
        return bool(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0))
    given = signature(func).bind(*args, **kwargs)
    given.apply_defaults()
    return given.arguments["training"] and given.arguments["dropout_p"] > 0


_DRAWING: dict[_Function, _Function] = {
    getattr(room, name): draw
    for draw, rooms, names in (
        (
            OwnRandomness._pass_generator,
            (torch, Tensor),
            "bernoulli bernoulli_ binomial cauchy_ exponential_ geometric_ log_normal_ multinomial "
            "normal normal_ poisson rand randint randn random_ randperm uniform_ "
            "_sample_dirichlet _standard_gamma",
        ),
        (
            OwnRandomness._pass_generator,
            (torch.nn.init,),
            "kaiming_normal_ kaiming_uniform_ normal_ uniform_",
        ),
        (OwnRandomness._fill_alike, (torch,), "rand_like randn_like"),
        (
            OwnRandomness._exchange,
            (torch, F),
            "alpha_dropout alpha_dropout_ dropout dropout_ feature_alpha_dropout "
            "feature_alpha_dropout_ feature_dropout feature_dropout_ fractional_max_pool2d "
            "fractional_max_pool2d_with_indices fractional_max_pool3d "
            "fractional_max_pool3d_with_indices gru gumbel_softmax lstm native_dropout pca_lowrank "
            "randint_like rnn_relu rnn_tanh rrelu rrelu_ svd_lowrank",
        ),
        (OwnRandomness._drop, (F,), "dropout dropout1d dropout2d dropout3d"),
        (
            OwnRandomness._attend,
            (F,),
            "multi_head_attention_forward scaled_dot_product_attention",
        ),
    )
    for name in names.split()
    for room in rooms
    if hasattr(room, name)
}

_exchanging = Lock()


def _renew_lock() -> None:
    """Forget who held the lock in the parent process, where that thread stayed."""
    global _exchanging
    _exchanging = Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew_lock)

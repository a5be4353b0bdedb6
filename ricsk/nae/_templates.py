"""One fixed, noise-like template for each class, made when the class first comes."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ricsk._threads import bounded_threads
from ricsk.images import ImageShape
from ricsk.keys import SecretKey
from ricsk.nae._queries import find_noise_by_queries
from ricsk.nae._reader import Reader

__all__ = ["ClassTemplates", "Draw", "find_template", "round_through"]

Draw = Callable[[Tensor, int, torch.Generator], Tensor]
"""From a template, (height, width, channels) on 0..255, to n ciphertexts of it, as levels.

What a ciphertext holds besides is drawn anew from the generator, which is of the processor, so that
a seed means the same everywhere. Differentiable with respect to the template, and on its device;
rounding is by `round_through`."""

# Values of the ciphertexts that a step looks at, and how many these may be: small classifiers take
# many in about the time of one.
_STEP_VALUES, _MAX_DRAWS = 100_000, 32
# How many ciphertexts in a row must have the margin, and how many steps are taken for it.
_N_HELD, _MAX_STEPS = 24, {"noise": 300, "grey": 1000}
# Of Adam: steps, as parts of 255; how much of the moments is kept; and what keeps it from 0 / 0.
_STEP, _BETAS, _EPSILON = 0.1, (0.9, 0.999), 1e-8
# How many times `kappa` is aimed at, from noise and from grey, of which little is to move.
_SURPLUS, _GREY_SURPLUS = 2.0, 1.2
# From grey: how far the value with the largest gradient comes to its threshold in a step, and how
# steeply values move, once they are beyond it.
_PUSH, _SLOPE = 0.3, 4.0
_MAX_QUERIES = 3000
# What is missing of a margin, if none is.
_NOTHING = 1e-6

# The key of what is random and not secret, but is the same everywhere.
_PUBLIC = SecretKey(bytes(32))

_LOCK = threading.RLock()


@dataclass
class ClassTemplates:
    """The templates of a classifier's classes: images that stand for a class whatever they carry.

    A template is a function of the classifier and the class, found by `find_template` from a public
    seed. It says no more about an image than the label does, and is not a secret. Templates are
    kept as 8-bit arrays, up to a number of bytes; beyond it those that were not used for longest
    are dropped, and made again when their class comes back.

    Parameters
    ----------
    max_bytes : int, default=2**26
        How many bytes are kept; one template is kept in any case.

    Attributes
    ----------
    levels : dict of (int, int, int, int) to ndarray of shape (height, width, channels), uint8
        Templates by class, as positions in the classifier's `classes_`, and shape; last used, last
        listed.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk.nae import ClassTemplates
    >>> templates = ClassTemplates()
    >>> def make(label):
    ...     return np.full((8, 8, 3), label, np.uint8)
    >>> made = templates.get([1, 0, 1], (8, 8, 3), make)
    >>> made.shape, sorted(templates.levels)
    ((3, 8, 8, 3), [(0, 8, 8, 3), (1, 8, 8, 3)])
    """

    max_bytes: int = 1 << 26
    levels: dict[tuple[int, int, int, int], NDArray[np.uint8]] = field(default_factory=dict)

    def get(
        self,
        labels: NDArray[np.int64] | list[int],
        shape: ImageShape,
        make: Callable[[int], NDArray[np.uint8]],
    ) -> NDArray[np.uint8]:
        """Return the templates of images' classes, and make those that are missing.

        Parameters
        ----------
        labels : sequence of int, of shape (n,)
            Positions in the classifier's `classes_`.
        shape : (int, int, int)
            Height, width and channels.
        make : callable
            Makes the template of a class.

        Returns
        -------
        ndarray of shape (n, height, width, channels), uint8
        """
        classes, which = np.unique(np.asarray(labels), return_inverse=True)
        with _LOCK:
            found = [self._get(int(label), shape, make) for label in classes]
        return found[0][np.newaxis] if len(which) == 1 else np.stack(found)[which]

    def __getstate__(self) -> dict[str, Any]:
        # Formats of data alone have no tuples as keys, and arrays know their shapes.
        return {
            "max_bytes": self.max_bytes,
            "labels": [label for label, *_ in self.levels],
            "levels": list(self.levels.values()),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.max_bytes = state["max_bytes"]
        pairs = zip(state["labels"], state["levels"], strict=True)
        self.levels = {(label, *levels.shape): levels for label, levels in pairs}

    def _get(
        self, label: int, shape: ImageShape, make: Callable[[int], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        found = self.levels.get((label, *shape))
        if found is None:
            found = make(label)
        self.levels.pop((label, *shape), None)
        self.levels[label, *shape] = found
        n_bytes = sum(template.nbytes for template in self.levels.values())
        while n_bytes > self.max_bytes and len(self.levels) > 1:
            n_bytes -= self.levels.pop(next(iter(self.levels))).nbytes
        return found


def find_template(
    reader: Reader,
    label: int,
    draw: Draw,
    image_shape: ImageShape,
    *,
    kappa: float,
    start: Literal["noise", "grey"] = "noise",
    verbose: int = 0,
) -> NDArray[np.uint8]:
    """Find an image that the classifier reads as a class, whatever is added to it.

    Adam raises the margin of the class over ciphertexts of the template, which carry something else
    at each step: in single precision, until 24 of them in a row have twice the margin `kappa`, or
    after 300 steps; after 1,000 from grey, which few values leave at a time. Without a view, the
    template is searched by queries, 3,000 at most, until 24 ciphertexts have it, the same each
    time. That it is good enough is for others to show.

    Parameters
    ----------
    reader : Reader
        The classifier.
    label : int
        Position in its `classes_`, which is also the public seed.
    draw : callable
        See `Draw`.
    image_shape : (int, int, int)
        Height, width and channels.
    kappa : float
        The least margin that ciphertexts are to have.
    start : {"noise", "grey"}
        From what to start: noise, which is over all levels; or grey, which few values leave: those
        that the margin needs most, by linearized Bregman iterations, until ciphertexts have 1.2
        times `kappa`.
    verbose : int
        Whether to show a progress bar, on the standard error stream.

    Returns
    -------
    ndarray of shape (height, width, channels), uint8
        The same for the same classifier and class, on one machine and device.

    References
    ----------
    W. Yin, S. Osher, D. Goldfarb and J. Darbon, "Bregman iterative algorithms for l1-minimization
    with applications to compressed sensing", SIAM Journal on Imaging Sciences, 2008.
    """
    n = int(np.clip(_STEP_VALUES // np.prod(image_shape), 1, _MAX_DRAWS))
    with bounded_threads(n * int(np.prod(image_shape))):
        if reader.view is None:
            return _find_by_queries(reader, label, draw, image_shape, kappa, start, verbose)
        return _descend(reader, label, draw, image_shape, kappa, start, n, verbose)


def round_through(x: Tensor) -> Tensor:
    """Round, with the gradient of the identity.

    Parameters
    ----------
    x : Tensor
        Of any shape.

    Returns
    -------
    Tensor
        Of the same shape.
    """
    fixed = x.detach()
    return x + fixed.round().sub_(fixed)


def _descend(
    reader: Reader,
    label: int,
    draw: Draw,
    shape: ImageShape,
    kappa: float,
    start: Literal["noise", "grey"],
    n: int,
    verbose: int,
) -> NDArray[np.uint8]:
    view = reader.single_view
    generator = torch.Generator().manual_seed(label)
    x = (_draw_start(start, label, shape).float() / 255).to(reader.device)
    move, surplus = _move_all(x), _SURPLUS
    if start == "grey":
        move, surplus = _move_few(x), _GREY_SURPLUS
    targets = torch.full((n,), label, device=reader.device)
    recent: deque[float] = deque(maxlen=-(-_N_HELD // n))
    for _ in tqdm(range(_MAX_STEPS[start]), f"template {label}", leave=False, disable=not verbose):
        x.requires_grad_()
        margins = view.margins(draw(255 * x, n, generator), targets)
        recent.append(margins.min().item())
        # Each step draws anew, so that these are margins of ciphertexts not seen before.
        if len(recent) == recent.maxlen and min(recent) >= surplus * kappa:
            break
        x = move(*torch.autograd.grad(margins.mean(), x))
    return (255 * x.detach()).round().cpu().numpy().astype(np.uint8)


Move = Callable[[Tensor], Tensor]
"""From the gradient of the margin to the next template, on 0..1."""


def _move_all(start: Tensor) -> Move:
    """Let all values go up the gradient, by Adam [Kingma and Ba, ICLR 2015, algorithm 1].

    The first optimizer of torch.optim loads the compiler of torch, which takes seconds and 70 MiB
    in every process that encrypts.
    """
    x, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    steps = count(1)

    def move(gradient: Tensor) -> Tensor:
        step = next(steps)
        mean.lerp_(gradient, 1 - _BETAS[0])
        square.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        spread = (square.sqrt() / math.sqrt(1 - _BETAS[1] ** step)).add_(_EPSILON)
        x.addcdiv_(mean, spread, value=_STEP / (1 - _BETAS[0] ** step))
        return x.clamp_(0, 1).detach()

    return move


def _move_few(start: Tensor) -> Move:
    """Let those values leave the start that were pushed for long, by linearized Bregman steps."""
    force = torch.zeros_like(start)

    def move(gradient: Tensor) -> Tensor:
        force.add_(_PUSH * gradient / gradient.abs().max().clamp_min(1e-30))
        return (start + _SLOPE * torch.nn.functional.softshrink(force, 1.0)).clamp(0, 1)

    return move


def _find_by_queries(
    reader: Reader,
    label: int,
    draw: Draw,
    shape: ImageShape,
    kappa: float,
    start: Literal["noise", "grey"],
    verbose: int,
) -> NDArray[np.uint8]:
    def score(templates: NDArray[np.uint8]) -> NDArray[np.float64]:
        """How much of the margin is missing, on average: 0 if all ciphertexts have it."""
        found = np.zeros((len(templates), len(reader.classes)))
        for row, template in zip(found, templates, strict=True):
            # the same each time, so that two templates can be compared
            generator = torch.Generator().manual_seed(label)
            drawn = draw(torch.from_numpy(template).float(), _N_HELD, generator)
            margins = reader.margins(drawn.numpy().astype(np.uint8), np.full(_N_HELD, label))
            row[label] = np.minimum(margins - _SURPLUS * kappa, 0).mean()
        return found

    return find_noise_by_queries(
        score,
        _draw_start(start, label, shape).numpy().astype(np.uint8)[np.newaxis],
        [label],
        [_PUBLIC.keystream("nae/template", label.to_bytes(4, "big"))],
        kappa=-_NOTHING,
        max_passes=_MAX_QUERIES,
        verbose=verbose,
    ).pixels[0]


def _draw_start(start: Literal["noise", "grey"], label: int, shape: ImageShape) -> Tensor:
    if start == "grey":
        return torch.full(shape, 128)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(label))

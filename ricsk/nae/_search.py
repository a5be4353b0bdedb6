"""Search with gradients for pixels that a classifier reads as a target, starting from noise."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from tqdm import tqdm

from ricsk._threads import bounded_threads
from ricsk.nae._views import ClassifierView

__all__ = ["NoiseResult", "find_noise", "group_small"]

# Of more classes than these, so many probabilities are matched one by one, and the rest as one.
_MAX_SINGLE_CLASSES, _N_LARGEST = 20, 5

# At a time: enough for the processor, few enough that a large network's activations fit in memory.
_CHUNK_VALUES = 25_000


@dataclass(frozen=True)
class NoiseResult:
    """Noise-like images, and how far their search came.

    Parameters
    ----------
    pixels : ndarray of shape (n, height, width, channels), uint8
        The images.
    reached : ndarray of shape (n,), bool
        Whether these very pixels meet the target.
    passes : ndarray of shape (n,), int64
        How many passes through the classifier led to these pixels: what makes them again. 0 are
        the pixels of the noise.
    """

    pixels: NDArray[np.uint8]
    reached: NDArray[np.bool_]
    passes: NDArray[np.int64]


def find_noise(
    view: ClassifierView,
    noise: NDArray[np.uint8],
    targets: ArrayLike,
    *,
    match: Literal["label", "proba", "features"] = "label",
    solver: Literal["search", "cw"] = "search",
    kappa: float = 5.0,
    tolerance: float = 0.02,
    max_passes: int = 150,
    passes: ArrayLike | None = None,
    held_planes: int = 0,
    verbose: int = 0,
) -> NoiseResult:
    """Change noise until a classifier reads it as the targets: a targeted adversarial attack.

    Every image is searched for by itself, in the precision of the view. The same noise, targets,
    solver and `kappa` give the same pixels in any batch and order and, in float64, for any number
    of threads. Another machine may add numbers in another order and end a search one pass earlier
    or later, when a margin meets `kappa` to the last bit, so give it the number of passes.

    In float32 images pass through the classifier one by one, because there the last bits depend on
    the batch. That is several times faster nevertheless, where nothing must be made again.

    Parameters
    ----------
    view : ClassifierView
        From `view_classifier`; or a copy of it in float32, see `ClassifierView`.
    noise : ndarray of shape (n, height, width, channels), uint8
        Where to start.
    targets : array-like
        What to match: labels, as positions in the classifier's `classes_`, of shape (n,) and an
        integer type; probabilities of all classes, (n, n_classes); or features, (n, n_features).
    match : {"label", "proba", "features"}
        Which of these the targets are.
    solver : {"search", "cw"}
        "search" takes steps of Adam on the pixels, looks at the rounded image, and ends for an
        image when that meets the target. "cw" is the solver of the paper, for labels: Adam at 0.01
        in tanh space for `max_passes` passes. If the loss of an image has risen after a tenth of
        them, its search ends there; otherwise its iterate is taken that is read as the target and
        is farthest from the noise. The authors' code stops all images of a batch by their mean.
    kappa : float
        The margin to reach, as `ClassifierView.margins` measures it: the "adversarial extent" of
        the paper, the confidence κ of Carlini and Wagner. For labels only.
    tolerance : float
        For probabilities: the largest total variation (half the sum of absolute differences)
        between the target and what the classifier finds; of more than 20 classes, those of the five
        largest targets one by one, and the rest as one. For features: the largest cosine distance.
        The predicted class must be that of the target, too.
    max_passes : int
        How often an image may pass through the classifier: the number of steps.
    passes : array-like of shape (n,), int, optional
        The `passes` of an earlier result, to make its pixels again. Then no stopping rule is
        applied, and `max_passes` is not used.
    held_planes : int
        How many of the lowest bits of each value stay as they are in the noise, from 0 to 7. For
        "search" only.
    verbose : int
        Whether to show a progress bar, on the standard error stream.

    Returns
    -------
    NoiseResult
        An image has `reached` its target, if its pixels have a margin of at least `kappa`, or
        probabilities or features within the `tolerance`. With "cw", which does not ask for it, it
        is enough that the classifier predicts the target.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.
    TypeError
        If probabilities or features are asked for and the classifier has none.

    References
    ----------
    The seed paper of RIC, section 4.1, equations (1) to (4). N. Carlini and D. Wagner, "Towards
    evaluating the robustness of neural networks", IEEE S&P, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk.nae import find_noise, view_classifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = LogisticRegression(max_iter=1000).fit(X[:300], y[:300])
    >>> noise = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    >>> view = view_classifier(classifier, value_range=(0, 16))
    >>> found = find_noise(view, noise, [0, 1, 2, 3, 4])
    >>> classifier.predict(found.pixels.reshape(5, 64) * (16 / 255))
    array([0, 1, 2, 3, 4])
    >>> again = find_noise(view, noise[:1], [0], passes=found.passes[:1])
    >>> np.array_equal(again.pixels, found.pixels[:1])
    True
    """
    check_noise(noise)
    if solver not in ("search", "cw"):
        raise ValueError(f"solver={solver!r}: expected 'search' or 'cw'.")
    limits = check_passes(passes, len(noise), max_passes, least=0 if solver == "cw" else 1)
    wanted = torch.from_numpy(check_targets(targets, len(noise), match))
    if solver == "cw" and (match != "label" or held_planes):
        raise ValueError(
            'solver="cw" is for labels and changes all bits; take solver="search" for '
            f"match={match!r} and held_planes={held_planes}."
        )
    check_planes(held_planes)

    def solve(noise: Tensor, wanted: Tensor, limits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        replay = passes is not None
        if solver == "cw":
            return _cw(view, wanted, kappa, noise, limits, replay)
        if match == "label":
            # Half of a step of the planes that may change does nothing; a little more does.
            least = 0.6 * 2**held_planes / 255
            goal, step, halving = _labels(view, wanted, kappa), max(0.1, least), math.inf
        elif match == "proba":
            goal, step, halving = _probabilities(view, wanted, tolerance), 0.05, 20.0
        else:
            goal, step, halving = _features(view, wanted, tolerance), 0.1, 20.0
        return _search(goal, step, halving, noise, limits, replay, held_planes)

    like = _find_weight(view)
    if wanted.is_floating_point():
        wanted = wanted.to(like.dtype)
    levels = torch.from_numpy(noise).to(like.dtype)
    size = max(1, _CHUNK_VALUES // noise[0].size) if like.dtype == torch.float64 else 1
    columns = (
        column.to(like.device).split(size) for column in (levels, wanted, torch.from_numpy(limits))
    )
    chunks = tqdm(list(zip(*columns, strict=True)), "searches", leave=False, disable=not verbose)
    with bounded_threads(size * noise[0].size):
        parts = [solve(*chunk) for chunk in chunks]
    pixels, reached, used = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return NoiseResult(pixels.astype(np.uint8), reached, used)


def group_small(log_proba: Tensor, targets: Tensor) -> Tensor:
    """Group what is compared where there are many classes: the largest one by one, the rest as one.

    Parameters
    ----------
    log_proba, targets : Tensor of shape (n, n_classes)
        Logarithms of probabilities, and the probabilities that say which are the largest.

    Returns
    -------
    Tensor of shape (n, n_classes) or (n, 6)
        `log_proba` of up to 20 classes; else those of the five largest targets, and of the rest.

    Examples
    --------
    >>> import torch
    >>> from ricsk.nae import group_small
    >>> targets = torch.tensor([[0.5, 0.3] + 100 * [0.002]])
    >>> group_small(targets.log(), targets).exp()
    tensor([[0.5000, 0.3000, 0.0020, 0.0020, 0.0020, 0.1940]])
    """
    if targets.shape[1] <= _MAX_SINGLE_CLASSES:
        return log_proba
    largest = targets.topk(_N_LARGEST, dim=1).indices
    rest = log_proba.scatter(1, largest, -torch.inf).logsumexp(dim=1, keepdim=True)
    return torch.cat([log_proba.gather(1, largest), rest], dim=1)


def _find_weight(view: ClassifierView) -> Tensor:
    """Return a tensor that has the dtype and the device of a view."""
    weights = (x for x in chain(view.parameters(), view.buffers()) if x.is_floating_point())
    return next(weights, torch.empty(0, dtype=torch.float64))


def check_noise(noise: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if noise.ndim != 4 or noise.dtype != np.uint8 or len(noise) == 0:
        raise ValueError(
            f"noise has the shape {noise.shape} and the dtype {noise.dtype}; expected (n, height, "
            "width, channels) with n of at least 1, and uint8."
        )
    return noise


def check_passes(
    passes: ArrayLike | None, n: int, max_passes: int, least: int = 1
) -> NDArray[np.int64]:
    """Return how many passes each image may or, to make it again, must take."""
    limits = np.full(n, operator.index(max_passes)) if passes is None else np.asarray(passes)
    if max_passes < 1:
        raise ValueError(f"max_passes={max_passes!r}: expected an integer of at least 1.")
    if limits.dtype.kind not in "iu" or limits.shape != (n,) or limits.min() < least:
        raise ValueError(
            f"passes={passes!r}: expected {n} integers of at least {least}, the passes of an "
            "earlier result."
        )
    return limits.astype(np.int64)


def check_planes(held_planes: int) -> None:
    if not 0 <= held_planes <= 7:
        raise ValueError(f"held_planes={held_planes!r}: expected from 0 to 7 of 8 bits.")


def check_targets(targets: ArrayLike, n: int, match: str = "label") -> NDArray[Any]:
    array = np.asarray(targets)
    if match == "label":
        if array.dtype.kind in "iu" and array.shape == (n,) and array.min() >= 0:
            return array.astype(np.int64)
        expected = f"{n} positions in classes_ (integers, not labels)"
    elif match in ("proba", "features"):
        expected = f"{n} rows of " + (
            "probabilities that sum to 1" if match == "proba" else "finite features"
        )
        if array.dtype.kind == "f" and array.ndim == 2 and len(array) == n:
            array = array.astype(np.float64)
            if match == "features" and np.isfinite(array).all():
                return array
            if (array >= 0).all() and np.allclose(array.sum(axis=1), 1, atol=1e-4):
                return array / array.sum(axis=1, keepdims=True)
    else:
        raise ValueError(f"match={match!r}: expected 'label', 'proba' or 'features'.")
    raise ValueError(
        f"targets have the shape {array.shape} and the dtype {array.dtype}; expected {expected}, "
        f"for match={match!r}."
    )


Goal = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From levels, and which images they are of, to each one's loss and whether it is met."""


def _labels(view: ClassifierView, targets: Tensor, kappa: float) -> Goal:
    def goal(levels: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        margins = view.margins(levels, targets[which])
        return -margins, margins >= kappa

    return goal


def _probabilities(view: ClassifierView, targets: Tensor, tolerance: float) -> Goal:
    def goal(levels: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        found, wanted = view.log_proba(levels), targets[which]
        same = found.argmax(dim=1) == wanted.argmax(dim=1)
        found = group_small(found, wanted)
        wanted = group_small(wanted.clamp_min(1e-30).log(), wanted)
        variation = (found.exp() - wanted.exp()).abs().sum(dim=1) / 2
        # the Kullback-Leibler divergence
        divergence = (wanted.exp() * (wanted - found)).sum(dim=1)
        return divergence.clamp_min(1e-12).log(), same & (variation <= tolerance)

    return goal


def _features(view: ClassifierView, targets: Tensor, tolerance: float) -> Goal:
    # The last layer says which class features stand for; of one further in that is not known.
    labels = None if view.feature_layer else view.reader(targets).argmax(dim=1)

    def goal(levels: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        features, scores = view.features_and_scores(levels)
        distance = 1 - torch.cosine_similarity(features, targets[which], dim=1, eps=1e-12)
        met = distance <= tolerance
        if labels is not None:
            met &= scores.argmax(dim=1) == labels[which]
        return distance.clamp_min(1e-12).log(), met

    return goal


class _Adam:
    """The direction of Adam (Kingma and Ba, 2015), for images that leave one by one."""

    def __init__(self, like: Tensor) -> None:
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like)
        self.t = 0

    def direction(self, gradient: Tensor) -> Tensor:
        self.t += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        scale = (self.second / (1 - 0.999**self.t)).sqrt() + 1e-8
        return self.first / (1 - 0.9**self.t) / scale

    def keep(self, which: Tensor) -> None:
        self.first, self.second = self.first[which], self.second[which]


def _search(
    goal: Goal,
    step: float,
    halving: float,
    noise: Tensor,
    limits: Tensor,
    replay: bool,
    held_planes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Search with steps that shrink, to half of their size after so many passes."""
    found, reached = noise.clone(), torch.zeros_like(limits, dtype=torch.bool)
    passes = limits.clone()
    active = torch.arange(len(noise), device=noise.device)
    x, adam = noise / 255, _Adam(noise)
    unit = 2**held_planes
    held = noise % unit
    for t in count(1):
        # The gradient is taken at the rounded image. So rounding errors of the classifier in its
        # last bits do not grow from pass to pass: a pass sees the same integers.
        levels = _nearest(255 * x, held, unit).requires_grad_()
        loss, met = goal(levels, active)
        leaving = limits[active] == t
        if not replay:
            leaving |= met
        left = active[leaving]
        found[left], reached[left], passes[left] = levels.detach()[leaving], met[leaving], t
        staying = ~leaving
        if not staying.any():
            return found, reached, passes
        (gradient,) = torch.autograd.grad(loss[staying].sum(), levels)
        active, x, held = active[staying], x[staying], held[staying]
        adam.keep(staying)
        shrunk = step / (1 + t / halving)
        x = (x - shrunk * adam.direction(255 * gradient[staying])).clamp(0, 1)
    raise AssertionError("unreachable")


def _nearest(levels: Tensor, held: Tensor, unit: int) -> Tensor:
    """Round to the nearest levels on 0..255 that leave the rest `held` when divided by `unit`."""
    return held + unit * ((levels - held) / unit).round().clamp(0, 256 // unit - 1)


def _cw(
    view: ClassifierView,
    targets: Tensor,
    kappa: float,
    noise: Tensor,
    limits: Tensor,
    replay: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    found, passes = noise.clone(), torch.zeros_like(limits)
    active = (limits > 0).nonzero()[:, 0]
    start = noise[active] / 255
    w = (2 * start - 1).clamp(-1 + 1e-6, 1 - 1e-6).atanh()
    adam = _Adam(w)
    farthest = torch.ones(len(noise), dtype=noise.dtype)
    cost = torch.full_like(farthest, torch.inf)
    for t in count(1):
        if not len(active):
            break
        w.requires_grad_()
        x = (w.tanh() + 1) / 2
        margins = view.margins(255 * x, targets[active])
        loss = 10 * (-margins).clamp_min(-kappa)
        (gradient,) = torch.autograd.grad(loss.sum(), w)
        w, x, loss, margins = w.detach(), x.detach(), loss.detach(), margins.detach()

        leaving = limits[active] == t
        if replay:
            taken = leaving
        else:
            distance = ((x - start) ** 2).sum(dim=(1, 2, 3))
            taken = (margins > 0) & (distance > farthest[active])
            farthest[active[taken]] = distance[taken]
            if (t - 1) % max(1, int(limits[0]) // 10) == 0:
                risen = loss > cost[active]
                cost[active] = loss
                leaving, taken = leaving | risen, taken | risen
        found[active[taken]], passes[active[taken]] = (255 * x[taken]).round(), t

        staying = ~leaving
        w = (w - 0.01 * adam.direction(gradient))[staying]
        adam.keep(staying)
        active, start = active[staying], start[staying]
    with torch.no_grad():
        reached = view.margins(found, targets) > 0
    return found, reached, passes

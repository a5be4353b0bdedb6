"""One additive pattern for each class, which almost any noise with it is read as."""

from __future__ import annotations

import copy
import pickle
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from tqdm import tqdm

from ricsk.images import ImageShape
from ricsk.nae._reader import Reader
from ricsk.nae._views import ClassifierView

__all__ = ["ClassPatterns", "find_patterns"]

# How many images to learn from in a step, and to test on: as many values in all for any size of
# image, because large images average their noise, and say as much in smaller numbers.
_BATCH_VALUES, _MIN_BATCH, _MAX_BATCH = 200_000, 8, 64
# Steps between tests; what part of κ may lack on average; and how many tests in a row may gain less
# than a fiftieth.
_INTERVAL, _SLACK, _PATIENCE = 10, 0.01, 3


@dataclass(frozen=True)
class ClassPatterns:
    """One additive pattern for each class of a classifier.

    Noise plus the pattern of a class, clipped to 0..255, is read by the classifier as that class,
    for almost any noise; and so are mixtures of that with an image. These are class-wise, targeted
    universal adversarial perturbations [1]_, of noise instead of images. Adding integers gives the
    same on every machine, so nothing has to be searched for again when an image is recovered. A
    pattern follows from the classifier, a public seed and public images: it is not a secret, and
    part of the state of whatever uses it.

    Parameters
    ----------
    patterns : ndarray of shape (n_classes, height, width, channels), int8 or int16
        What to add, in levels.

    See Also
    --------
    find_noise : Searches for each image by itself, where a pattern is not enough.

    References
    ----------
    .. [1] S.-M. Moosavi-Dezfooli, A. Fawzi, O. Fawzi and P. Frossard, "Universal adversarial
       perturbations", CVPR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk.nae import ClassPatterns, view_classifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = LogisticRegression(max_iter=1000).fit(X[:300], y[:300])
    >>> patterns = ClassPatterns.fit(view_classifier(classifier, value_range=(0, 16)), (8, 8, 1))
    >>> noise = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    >>> classifier.predict(patterns.apply(noise, [0, 1, 2, 3, 4]).reshape(5, 64) * (16 / 255))
    array([0, 1, 2, 3, 4])
    """

    patterns: NDArray[Any]

    @classmethod
    def fit(
        cls,
        view: ClassifierView,
        image_shape: ImageShape,
        *,
        amplitude: float = 0.5,
        spread: int = 256,
        alpha: float = 0.5,
        content: NDArray[np.uint8] | None = None,
        kappa: float = 5.0,
        max_steps: int = 300,
        device: str = "cpu",
        seed: int = 0,
        verbose: int = 0,
    ) -> ClassPatterns:
        """Find patterns for all classes.

        Adam lowers the mean of max(κ − margin, 0) over random mixtures a·z + (1 − a)·c, where z is
        random noise plus pattern, clipped, a is between `alpha` and 1, and c is content. It ends
        when held-out noises, at least 32 and two for each class, lack at most a hundredth of the
        margin κ, on average, for the smallest and the largest a; or when they come no closer to it,
        as with a classifier that prefers one class to another whatever the noise.

        Parameters
        ----------
        view : ClassifierView
            From `view_classifier`.
        image_shape : tuple of int
            Height, width and channels.
        amplitude : float
            The largest absolute value in a pattern, as a fraction of 255: the L∞ bound ε of
            adversarial examples, more than 0 and at most 1. Smaller patterns are harder to see in
            the noise, and fail more often.
        spread : int
            On how many levels around the middle the noise is uniform, from 1 to 256.
        alpha : float
            The smallest weight of the mask in a mixture: more than 0, and 1 for no mixtures.
        content : ndarray of shape (n, height, width, channels), uint8, optional
            Images to mix in. By default, uniform noise.
        kappa : float
            The margin to reach, as `ClassifierView.margins` measures it: the confidence κ of
            Carlini and Wagner's attack.
        max_steps : int
            The largest number of steps.
        device : str
            Where to compute, as torch calls it.
        seed : int
            Decides on noise and mixtures. The same seed gives the same patterns on one machine.
        verbose : int
            Whether to show a progress bar, on the standard error stream.

        Returns
        -------
        ClassPatterns

        Raises
        ------
        ValueError
            If `amplitude`, `spread`, `alpha` or the shape of `content` is out of range.
        """
        bound = int(255 * amplitude)
        if not (0 < amplitude <= 1 and bound):
            raise ValueError(f"amplitude={amplitude!r}: expected more than 1/255 and at most 1.")
        if not 1 <= spread <= 256:
            raise ValueError(f"spread={spread!r}: expected from 1 to 256 levels.")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha={alpha!r}: expected more than 0 and at most 1.")
        if content is not None and content.shape[1:] != tuple(image_shape):
            raise ValueError(
                f"the images of content have the shape {content.shape[1:]}, but "
                f"image_shape={tuple(image_shape)}."
            )
        view = copy.deepcopy(view).to(device, torch.float32)
        mix = _Mixtures(image_shape, spread, content, device, seed)
        with torch.no_grad():
            n_classes = view.scores(mix.noise(1)).shape[1]
        size = int(np.clip(_BATCH_VALUES // np.prod(image_shape), _MIN_BATCH, _MAX_BATCH))
        held_out = [mix.draw(size) for _ in range(max(4, -(-2 * n_classes // size)))]

        pattern = torch.zeros(n_classes, *image_shape, device=device, requires_grad=True)
        adam = torch.optim.Adam([pattern], lr=0.1 * bound)
        least, stale = np.inf, 0
        for step in tqdm(range(max_steps), "class patterns", leave=False, disable=not verbose):
            targets = _choose_targets(step, size, n_classes, device)
            noise, other = mix.draw(size)
            weight = alpha + (1 - alpha) * mix.uniform(size)
            margins = view.margins(_mix(noise + pattern[targets], other, weight), targets)
            # a little more than is asked for, so that noise not seen here has the margin, too
            loss = (1.2 * kappa - margins).relu().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                pattern.clamp_(-bound, bound)
            if step % _INTERVAL == _INTERVAL - 1:
                lack = _measure_lack(view, pattern.detach().round(), held_out, alpha, kappa)
                stale = 0 if lack < 0.98 * least else stale + 1
                least = min(least, lack)
                if lack <= _SLACK * kappa or stale == _PATIENCE:
                    break
        dtype = np.int8 if bound <= 127 else np.int16
        return cls(pattern.detach().round().cpu().numpy().astype(dtype))

    def apply(self, noise: NDArray[np.uint8], targets: ArrayLike) -> NDArray[np.uint8]:
        """Add the patterns of the targets to noise.

        Parameters
        ----------
        noise : ndarray of shape (n, height, width, channels), uint8
            Noise.
        targets : array-like of shape (n,), int
            Positions in the classifier's `classes_`.

        Returns
        -------
        ndarray of shape (n, height, width, channels), uint8
            Their sums, clipped to 0..255.

        Raises
        ------
        IndexError
            If there is no such class.
        """
        added = noise + self.patterns[np.asarray(targets)].astype(np.int16)
        return np.clip(added, 0, 255).astype(np.uint8)


# The patterns found last, because a search over parameters needs them again.
_FOUND: OrderedDict[str, ClassPatterns] = OrderedDict()
_FOUND_BYTES = 1 << 26
_LOCK = threading.Lock()


def find_patterns(
    reader: Reader,
    image_shape: ImageShape,
    *,
    content: NDArray[np.uint8] | None,
    verbose: int = 0,
    **settings: Any,
) -> ClassPatterns:
    """Find class patterns, or remember those of an equal classifier, content and settings.

    Parameters
    ----------
    reader : Reader
        With a view.
    image_shape, content, verbose, **settings
        See `ClassPatterns.fit`.

    Returns
    -------
    ClassPatterns
    """
    view = reader.view
    assert view is not None
    known = (reader.classifier, reader.value_range, reader.form, image_shape, content, settings)

    def find() -> ClassPatterns:
        return ClassPatterns.fit(view, image_shape, content=content, verbose=verbose, **settings)

    try:
        name = joblib.hash(known)
    except (pickle.PicklingError, TypeError, AttributeError):
        # A classifier that cannot be pickled has no name to be remembered by.
        return find()
    with _LOCK:
        found = _FOUND.get(name)
    if found is None:
        found = find()
    _remember(name, found)
    return found


def _remember(name: str, found: ClassPatterns) -> None:
    """Put patterns last, and forget the first ones where they are too many."""
    with _LOCK:
        _FOUND[name] = found
        _FOUND.move_to_end(name)
        while len(_FOUND) > 1 and sum(p.patterns.nbytes for p in _FOUND.values()) > _FOUND_BYTES:
            _FOUND.popitem(last=False)


class _Mixtures:
    """Random noise, and what to mix it with, as levels."""

    def __init__(
        self,
        shape: ImageShape,
        spread: int,
        content: NDArray[np.uint8] | None,
        device: str,
        seed: int,
    ) -> None:
        self.shape, self.spread, self.device = shape, spread, device
        # torch reads neither reversed axes nor, without a warning, read-only memory
        self.content = None if content is None else torch.from_numpy(content.copy())
        # of the CPU, so that a seed means the same on every device
        self.generator = torch.Generator().manual_seed(seed)

    def noise(self, n: int) -> Tensor:
        levels = torch.randint(self.spread, (n, *self.shape), generator=self.generator)
        return (levels + (256 - self.spread) // 2).to(self.device, torch.float32)

    def uniform(self, n: int) -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=self.generator).to(self.device)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw noise, and content."""
        noise = self.noise(n)
        if self.content is None:
            return noise, self.noise(n)
        chosen = self.content[torch.randint(len(self.content), (n,), generator=self.generator)]
        return noise, chosen.to(self.device, torch.float32)


def _choose_targets(batch: int, size: int, n_classes: int, device: str) -> Tensor:
    """Return the classes of a batch, which go round over all of them."""
    return (torch.arange(size, device=device) + batch * size) % n_classes


def _mix(noise: Tensor, other: Tensor, alpha: Tensor | float) -> Tensor:
    return alpha * noise.clamp(0, 255) + (1 - alpha) * other


@torch.no_grad()
def _measure_lack(
    view: ClassifierView,
    pattern: Tensor,
    held_out: list[tuple[Tensor, Tensor]],
    alpha: float,
    kappa: float,
) -> float:
    """Measure by how much margins fall short of κ, on average."""
    lacks = []
    for batch, (noise, other) in enumerate(held_out):
        targets = _choose_targets(batch, len(noise), len(pattern), str(pattern.device))
        for weight in (alpha, 1.0):
            levels = _mix(noise + pattern[targets], other, weight).round()
            lacks.append((kappa - view.margins(levels, targets)).relu().mean().item())
    return float(np.mean(lacks))

"""What a classifier is to find in ciphertexts, how that is searched for, and whether it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricsk.images import ImageForm
from ricsk.keys import Keystream
from ricsk.nae import (
    Draw,
    Reader,
    find_noise,
    find_noise_by_queries,
    group_small,
    round_through,
)

__all__ = ["TOLERANCES", "Goal", "Match", "Targets", "draw_low_planes"]

Match = Literal["label", "proba", "features"]

TOLERANCES: dict[Match, float] = {"label": 0.0, "proba": 0.02, "features": 0.01}
"""How far the classifier may be off, where nothing else is asked for."""

# Searches aim at a little more than is asked for, as the tag is written after them.
_SURPLUS = 1.1
_MAX_PASSES: dict[Match, int] = {"label": 150, "proba": 300, "features": 500}
_MAX_QUERIES = 2000
# What a search by queries aims at after it has failed, at least.
_MIN_QUERY_KAPPA = 0.05


def draw_low_planes(bit_planes: int) -> Draw:
    """Return what a template goes through: what a cipher writes into its low planes is random.

    Parameters
    ----------
    bit_planes : int
        How many planes that are.

    Returns
    -------
    callable
        See `ricsk.nae.find_template`.
    """
    unit = 2**bit_planes

    def draw(template: Tensor, n: int, generator: torch.Generator) -> Tensor:
        high = round_through((template - (unit - 1) / 2) / unit).clamp(0, 256 // unit - 1)
        low = torch.randint(unit, (n, *template.shape), generator=generator, dtype=torch.uint8)
        return unit * high + low.to(template.device)

    return draw


@dataclass(frozen=True)
class Targets:
    """What the classifier says of plain images, which it is to say of their ciphertexts.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64
        Positions in its classes.
    values : ndarray of shape (n,) or (n, n_values)
        What else is to be matched: probabilities or features; or the labels again.
    """

    labels: NDArray[np.int64]
    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: NDArray[Any] | slice) -> Targets:
        return Targets(self.labels[which], self.values[which])


class Goal:
    """What a classifier is to find in ciphertexts, and whether it does.

    Parameters
    ----------
    reader : Reader
        The classifier.
    match : {"label", "proba", "features"}
        What of it is to be the same as on the plain image.
    kappa : float
        The least margin of the label. Where probabilities or features are matched, the margins are
        those of the plain image, and none is asked for.
    tolerance : float
        For probabilities the largest total variation; for features the largest cosine distance.
    """

    def __init__(self, reader: Reader, match: Match, kappa: float, tolerance: float) -> None:
        self.reader, self.match, self.tolerance = reader, match, tolerance
        self.kappa = kappa if match == "label" else 0.0

    def ask(self, pixels: NDArray[Any], form: ImageForm) -> Targets:
        """Ask the classifier for targets.

        Parameters
        ----------
        pixels : ndarray of shape (n, height, width, channels)
            Images, before they are rounded to levels: a classifier that rounding sways is to say of
            the ciphertext what it says of the image that it would be given.
        form : ImageForm
            The form to give them in.

        Returns
        -------
        Targets

        Raises
        ------
        ValueError
            If the classifier reads them in another way in this form than in that of `fit`.
        """
        self.reader.check_form(pixels, form)
        labels = self.reader.predict(pixels, form)
        if self.match == "label":
            return Targets(labels, labels)
        # The search depends on the last bits, and these on the other images and on the strides.
        each = [slice(i, i + 1) for i in range(len(pixels))]
        values = [self._read_values(pixels[one].copy(), labels[one], form) for one in each]
        return Targets(labels, np.concatenate(values))

    def search(
        self,
        start: NDArray[np.uint8],
        targets: Targets,
        streams: Sequence[Keystream],
        *,
        held_planes: int,
        attempt: int,
        verbose: int = 0,
    ) -> NDArray[np.uint8]:
        """Change the high planes of images until the classifier should find the targets there.

        What is found is a candidate: `is_met` has the last word.

        Parameters
        ----------
        start : ndarray of shape (n, height, width, channels), uint8
            Where to start.
        targets : Targets
            What to find.
        streams : sequence of Keystream
            One for each image: the randomness of a search by queries.
        held_planes : int
            How many low planes stay as they are.
        attempt : int
            How many searches for these images have failed.
        verbose : int
            Whether to show a progress bar, on the standard error stream.

        Returns
        -------
        ndarray of shape (n, height, width, channels), uint8
        """
        if self.reader.view is not None:
            return find_noise(
                self.reader.single_view,
                start,
                targets.values,
                match=self.match,
                kappa=_SURPLUS * self.kappa,
                tolerance=self.tolerance / _SURPLUS,
                max_passes=_MAX_PASSES[self.match],
                held_planes=held_planes,
                verbose=verbose,
            ).pixels
        # A classifier may decide by more than its largest score, by a threshold for instance: what
        # was margin enough for the scores was not enough for its predict.
        kappa = self.kappa if attempt == 0 else max(self.kappa, _MIN_QUERY_KAPPA) * 4**attempt
        return find_noise_by_queries(
            self.reader.scores,
            start,
            targets.labels,
            streams,
            kappa=_SURPLUS * kappa,
            max_passes=_MAX_QUERIES,
            held_planes=held_planes,
            verbose=verbose,
        ).pixels

    def is_met(
        self, levels: NDArray[np.uint8], targets: Targets, form: ImageForm
    ) -> NDArray[np.bool_]:
        """Ask whether the classifier finds in ciphertexts what it is to find.

        Parameters
        ----------
        levels : ndarray of shape (n, height, width, channels), uint8
            Ciphertexts, finished: with their tags.
        targets : Targets
            What to find.
        form : ImageForm
            The form that they are given out in.

        Returns
        -------
        ndarray of shape (n,), bool
        """
        met = self.reader.read(levels, targets.labels, self.kappa, form)
        if self.match != "label":
            met &= self._measure_distances(levels, targets, form) <= self.tolerance
        return met

    def explain(self, levels: NDArray[np.uint8], targets: Targets, form: ImageForm) -> list[str]:
        """Say what would have helped, from how far the last candidates came.

        Parameters
        ----------
        levels, targets, form
            As given to `is_met`, which they failed.

        Returns
        -------
        list of str
            What to change, none if that is not known.
        """
        remedies = []
        margins = self.reader.margins(levels, targets.labels, form)
        right = self.reader.predict(levels, form) == targets.labels
        lacking = right & (margins < self.kappa)
        if lacking.any():
            reached = max(float(margins[lacking].min()), 0.0)
            remedies.append(
                f"a smaller kappa than {self.kappa:.3g}; a margin of {reached:.2g} was reached"
            )
        if (~right & (margins < 0)).any():
            remedies.append(
                "a classifier that small changes lead further; this one seems to take most noise "
                "for one class"
            )
        if self.match != "label":
            distance = self._measure_distances(levels, targets, form).max()
            if distance > self.tolerance:
                remedies.append(
                    f"a larger tolerance than {self.tolerance:.3g}; {distance:.2g} was reached"
                )
        if (~right & (margins >= self.kappa)).any():
            remedies.append(
                "a classifier whose predict takes the class with the largest score; this one "
                "returned another"
            )
        return remedies

    def _read_values(
        self, pixels: NDArray[Any], labels: NDArray[np.int64], form: ImageForm
    ) -> NDArray[Any]:
        if self.match == "label":
            return labels
        ask = self.reader.proba if self.match == "proba" else self.reader.features
        return ask(pixels, form)

    def _measure_distances(
        self, levels: NDArray[np.uint8], targets: Targets, form: ImageForm
    ) -> NDArray[np.float64]:
        found = self._read_values(levels, targets.labels, form)
        if self.match == "proba":
            # A classifier's own arrays may have any strides.
            pair = [torch.from_numpy(np.ascontiguousarray(x)) for x in (found, targets.values)]
            first, second = (group_small(x.clamp_min(1e-300).log(), pair[1]).exp() for x in pair)
            return ((first - second).abs().sum(dim=1) / 2).numpy()
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(targets.values, axis=1)
        return 1 - (found * targets.values).sum(axis=1) / np.maximum(lengths, 1e-12)

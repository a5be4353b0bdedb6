"""How masks are made: noise from the key that a classifier reads as a given label.

A mask is made in up to three steps, each of which starts where the last one ended:

1. noise, uniform over the 256 levels, from the key and a nonce;
2. with patterns, the pattern of the label on top, clipped: for almost any noise that is enough;
3. a search, if one is asked for, which changes the mask until the classifier reads it as the label
   with a margin, and counts its passes through the classifier.

To make a mask *again*, for decryption, the same steps are taken, but the search ends after as many
passes as were counted. So no margin is compared again, which another machine may find to lie on the
other side of a threshold in its last bits.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricsk.encryptors.ric._header import FIXED_NONCE, Recipe
from ricsk.images import ImageShape
from ricsk.keys import Keystream, SecretKey
from ricsk.nae import (
    ClassifierView,
    ClassPatterns,
    NoiseResult,
    Reader,
    find_noise,
    find_noise_by_queries,
)

__all__ = ["FixedMasks", "MaskMaker", "MaskSearch"]

_MAX_PASSES = 150
_MAX_QUERIES = 2000
# What stands for kappa where the unit of the classifier's margins is probability, or not known.
_QUERY_KAPPA = 0.1
# How far from mid-grey the values are that stand for an image under the mask in searches.
_CONTRASTS = (0, 64, 127)

# The key of what is random and not secret, but must be the same everywhere and in every version.
_PUBLIC = SecretKey(bytes(32))


class MaskSearch:
    """Changes masks until the classifier reads them as given labels, mixed with any image.

    The image itself may not guide the search, because it is not known when the mask is made again.
    In its place stand three public images of random dark and bright values, of no, half and full
    contrast: the mixtures with all of them must have the margin. The solver of the paper, "cw",
    looks at the bare mask.

    Parameters
    ----------
    reader : Reader
        Asks the classifier. Without a view, search is by queries.
    image_shape : (int, int, int)
        Height, width and channels.
    alpha : float
        The weight of the mask in mixtures.
    kappa : float
        The margin to reach. By queries, it is 0.1 in the units of the classifier's scores.
    solver : {"pattern", "search", "cw"}
        "cw" takes the solver of the paper; all others search as `ricsk.nae.find_noise` does.
    verbose : bool
        Whether to show a progress bar.

    Attributes
    ----------
    max_passes : int
        The largest number of passes through the classifier, or of queries.
    """

    def __init__(
        self,
        reader: Reader,
        image_shape: ImageShape,
        *,
        alpha: float,
        kappa: float,
        solver: Literal["pattern", "search", "cw"],
        verbose: bool = False,
    ) -> None:
        self.reader = reader
        self.alpha = alpha
        self.verbose = verbose
        self.solver: Literal["search", "cw"] = "cw" if solver == "cw" else "search"
        self.content = _draw_content(image_shape)
        self.view = reader.view
        if self.view is not None and self.solver == "search":
            self.view = _MixedView(self.view, alpha, self.content)
        self.kappa = _QUERY_KAPPA if self.view is None else kappa
        self.max_passes = _MAX_QUERIES if self.view is None else _MAX_PASSES

    def find(
        self,
        start: NDArray[np.uint8],
        labels: NDArray[np.int64],
        streams: list[Keystream],
        *,
        effort: float = 1,
        passes: NDArray[np.int64] | None = None,
    ) -> NoiseResult:
        """Search.

        Parameters
        ----------
        start : ndarray of shape (n, height, width, channels), uint8
            Where to start.
        labels : ndarray of shape (n,), int64
            What to read, as positions in the classifier's `classes_`.
        streams : list of Keystream
            The randomness of each search by queries.
        effort : float
            How many times `kappa` the margin is to be.
        passes : ndarray of shape (n,), int64, optional
            The passes of an earlier result, to make it again: then no margin is looked at.

        Returns
        -------
        NoiseResult
        """
        if self.view is None:
            return find_noise_by_queries(
                self._score,
                start,
                labels,
                streams,
                kappa=self.kappa * effort,
                max_passes=self.max_passes,
                passes=passes,
                verbose=self.verbose,
            )
        return find_noise(
            self.view,
            start,
            labels,
            solver=self.solver,
            kappa=self.kappa * effort,
            max_passes=self.max_passes,
            passes=passes,
            verbose=self.verbose,
        )

    def _score(self, masks: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Ask the classifier what it makes of masks, mixed as they will be with an image."""
        mixtures = (
            np.rint(self.alpha * masks + (1 - self.alpha) * other).astype(np.uint8)
            for other in self.content
        )
        return np.mean([self.reader.scores(mixed) for mixed in mixtures], axis=0)


class MaskMaker:
    """Makes masks from the key; see the module's docstring for the steps.

    Parameters
    ----------
    key : SecretKey
        The key.
    image_shape : (int, int, int)
        Height, width and channels.
    patterns : ClassPatterns or None
        What is added to the noise.
    search : MaskSearch
        What follows, where that is not enough.
    """

    def __init__(
        self,
        key: SecretKey,
        image_shape: ImageShape,
        patterns: ClassPatterns | None,
        search: MaskSearch,
    ) -> None:
        self.key = key
        self.image_shape = image_shape
        self.patterns = patterns
        self.search = search

    def draw_noise(self, nonces: list[bytes]) -> NDArray[np.uint8]:
        """Draw the noise that masks start from.

        Parameters
        ----------
        nonces : list of bytes
            One for each mask.

        Returns
        -------
        ndarray of shape (n, height, width, channels), uint8
        """
        streams = (self.key.keystream("ric/noise", nonce) for nonce in nonces)
        return np.stack([stream.uint8(self.image_shape) for stream in streams])

    def find(
        self, nonces: list[bytes], labels: NDArray[np.int64], effort: float
    ) -> tuple[NDArray[np.uint8], Recipe]:
        """Make new masks.

        Parameters
        ----------
        nonces : list of bytes
            One for each mask.
        labels : ndarray of shape (n,), int64
            What they are to be read as, positions in the classifier's `classes_`.
        effort : float
            How many times kappa to search for; 0 for noise and pattern alone, if there are
            patterns.

        Returns
        -------
        masks : ndarray of shape (n, height, width, channels), uint8
            Not all of them need be read as the labels: that is for the ciphertext to show.
        recipe : Recipe
            What makes them again.
        """
        masks = self._start(nonces, labels)
        passes = np.zeros(len(masks), np.int64)
        if effort or self.patterns is None:
            found = self.search.find(masks, labels, self._open(nonces), effort=max(effort, 1))
            masks, passes = found.pixels, found.passes
        return masks, Recipe(nonces, labels, passes)

    def make(self, recipe: Recipe) -> NDArray[np.uint8]:
        """Make masks again.

        Parameters
        ----------
        recipe : Recipe
            What `find` returned with them.

        Returns
        -------
        ndarray of shape (n, height, width, channels), uint8
        """
        masks = self._start(recipe.nonces, recipe.labels)
        searched = np.flatnonzero(recipe.passes)
        if len(searched):
            streams = self._open([recipe.nonces[i] for i in searched])
            labels, passes = recipe.labels[searched], recipe.passes[searched]
            masks[searched] = self.search.find(
                masks[searched], labels, streams, passes=passes
            ).pixels
        return masks

    def _start(self, nonces: list[bytes], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        noise = self.draw_noise(nonces)
        return noise if self.patterns is None else self.patterns.apply(noise, labels)

    def _open(self, nonces: list[bytes]) -> list[Keystream]:
        return [self.key.keystream("ric/queries", nonce) for nonce in nonces]


class FixedMasks:
    """One mask for each class, made once: as published.

    Parameters
    ----------
    maker : MaskMaker
        Makes them.
    n_classes : int
        How many classes there are.
    effort : float
        See `MaskMaker.find`.
    passes : ndarray of shape (n_classes,), int64, optional
        The passes that were counted when they were found, to make them again.

    Attributes
    ----------
    passes : ndarray of shape (n_classes,), int64
        The passes of the search for each.
    """

    def __init__(
        self,
        maker: MaskMaker,
        n_classes: int,
        effort: float,
        passes: NDArray[np.int64] | None = None,
    ) -> None:
        self.maker = maker
        nonces, labels = n_classes * [FIXED_NONCE], np.arange(n_classes)
        if passes is None:
            self.masks, recipe = maker.find(nonces, labels, effort)
            self.passes = recipe.passes
        else:
            self.masks, self.passes = maker.make(Recipe(nonces, labels, passes)), passes

    def draw_noise(self, nonces: list[bytes]) -> NDArray[np.uint8]:
        """Draw the noise that masks start from; see `MaskMaker.draw_noise`."""
        return self.maker.draw_noise(nonces)

    def find(
        self, nonces: list[bytes], labels: NDArray[np.int64], effort: float
    ) -> tuple[NDArray[np.uint8], Recipe]:
        """Look masks up; see `MaskMaker.find`."""
        return self.masks[labels], Recipe(nonces, labels, self.passes[labels])

    def make(self, recipe: Recipe) -> NDArray[np.uint8]:
        """Look masks up; see `MaskMaker.make`."""
        return self.masks[recipe.labels]


class _MixedView(ClassifierView):
    """A view of masks as they are in mixtures with content: its margin is the least of these."""

    def __init__(self, view: ClassifierView, alpha: float, content: NDArray[np.int64]) -> None:
        super().__init__(view.body, view.probabilistic)
        self.view = view
        self.alpha = alpha
        self.content = torch.from_numpy(content.astype(np.float64))

    def margins(self, levels: Tensor, targets: Tensor) -> Tensor:
        mixed = [self.alpha * levels + (1 - self.alpha) * other for other in self.content]
        margins = self.view.margins(torch.cat(mixed), targets.repeat(len(mixed)))
        return margins.view(len(mixed), -1).min(dim=0).values


def _draw_content(image_shape: ImageShape) -> NDArray[np.int64]:
    """Draw what stands for the unknown image when masks are searched for and made again."""
    signs = _PUBLIC.keystream("ric/content").integers(2, (3, *image_shape))
    contrasts = np.reshape(_CONTRASTS, (-1, 1, 1, 1))
    return np.where(signs, 128 + contrasts, 127 - contrasts)

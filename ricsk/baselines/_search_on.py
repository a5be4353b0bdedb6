"""Searching on from ciphertexts that the classifier reads otherwise than the images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ricsk.encryptors.sealed import Goal, Targets
from ricsk.exceptions import TargetNotReachedError
from ricsk.images import ImageForm
from ricsk.keys import SecretKey

__all__ = ["search_on"]

_MAX_SEARCHES = 3
# Nothing is secret here: the key of what is random, and is the same for everybody.
_PUBLIC = SecretKey(bytes(32))


def search_on(
    goal: Goal, found: NDArray[np.uint8], targets: Targets, form: ImageForm, *, verbose: int = 0
) -> NDArray[np.uint8]:
    """Change ciphertexts, where they miss the goal, until they meet it.

    Parameters
    ----------
    goal : Goal
        What the classifier is to find.
    found : ndarray of shape (n, height, width, channels), uint8
        Ciphertexts.
    targets : Targets
        What it says of the images.
    form : ImageForm
        The form that ciphertexts are given out in.
    verbose : int
        Whether to show a progress bar.

    Returns
    -------
    ndarray of the same shape
        Those that met the goal are as they were.

    Raises
    ------
    TargetNotReachedError
        If some still miss it.
    """
    found = found.copy()
    pending = np.flatnonzero(~goal.is_met(found, targets, form))
    for attempt in range(_MAX_SEARCHES):
        if not len(pending):
            return found
        streams = [
            _PUBLIC.keystream("baselines/queries", bytes([attempt]) + image.tobytes())
            for image in found[pending]
        ]
        found[pending] = goal.search(
            found[pending],
            targets[pending],
            streams,
            held_planes=0,
            attempt=attempt,
            verbose=verbose,
        )
        pending = pending[~goal.is_met(found[pending], targets[pending], form)]
    if len(pending):
        raise TargetNotReachedError(
            f"no ciphertext was found that the classifier reads as it reads X[{pending[0]}], and "
            f"{len(pending) - 1} more. Give a classifier with larger margins. Nothing was returned."
        )
    return found

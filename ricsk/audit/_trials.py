"""Attacks that tell images apart and draw none, run against one scheme."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ricsk.attacks import DistinguishingGame, IdentificationAttack
from ricsk.audit._findings import TrialRun
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.exceptions import AttackNotApplicableError, TargetNotReachedError
from ricsk.images import flattened_for
from ricsk.keys import SecretKey

__all__ = ["Labelled", "Trial", "default_trials", "find_disclosed", "run_trials"]

Trial = DistinguishingGame | IdentificationAttack

# Each is encrypted several times.
_MAX_CANDIDATES = 50


class Labelled(NamedTuple):
    """Images as the user gave them, and what is known of each anyway."""

    X: NDArray[Any]
    labels: NDArray[Any]


def default_trials(budget: Literal["quick", "thorough"] | int) -> list[Trial]:
    """Make the trials that an audit runs unless it is told otherwise."""
    if budget == "thorough":
        return [DistinguishingGame(), IdentificationAttack()]
    return [DistinguishingGame(n_ciphertexts=100), IdentificationAttack(n_references=5)]


def find_disclosed(encryptor: Any, X: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Find what the classifier says of the ciphertexts of images, by design."""
    if get_encryptor_tags(encryptor).learns_on == "ciphertexts":
        return y
    classifier = encryptor.classifier_
    return np.asarray(classifier.predict(flattened_for(classifier, X)))


def run_trials(
    encryptor: BaseImageEncryptor,
    trials: Mapping[str, Trial],
    choice: Labelled,
    hidden: Labelled,
    seed: int,
    verbose: int = 0,
) -> tuple[tuple[TrialRun, ...], dict[str, str]]:
    """Run trials by name against a fitted encryptor.

    Parameters
    ----------
    encryptor : fitted encryptor
        It is not changed.
    trials : mapping of str to trial
        What to run.
    choice : Labelled
        Images from which a game takes two.
    hidden : Labelled
        Images that are to be identified, 50 of them at most.
    seed : int
        Of the keys.
    verbose : int
        Whether to name each trial on the standard error stream before it is run.

    Returns
    -------
    (tuple of TrialRun, dict of str to str)
        The trials that were run; and those that cannot be, with the reason.
    """
    runs, refused = [], {}
    for name, trial in trials.items():
        if verbose:
            print(f"  {name}", file=sys.stderr, flush=True)
        try:
            runs.append(_run(name, encryptor, trial, choice, hidden, seed))
        except AttackNotApplicableError as error:
            refused[name] = str(error)
        except TargetNotReachedError as error:
            refused[name] = f"an image could not be encrypted under another key: {error}"
    return tuple(runs), refused


def _run(
    name: str,
    encryptor: BaseImageEncryptor,
    trial: Trial,
    choice: Labelled,
    hidden: Labelled,
    seed: int,
) -> TrialRun:
    trial.check(encryptor)
    start, keys = time.perf_counter(), _draw_keys(seed)
    if isinstance(trial, DistinguishingGame):
        played = trial.play(encryptor, *choice, keys=keys)
        return TrialRun(name, trial.adversary, played, time.perf_counter() - start)
    candidates = Labelled(hidden.X[:_MAX_CANDIDATES], hidden.labels[:_MAX_CANDIDATES])
    found = trial.run(encryptor, *candidates, keys=keys)
    return TrialRun(name, trial.adversary, found, time.perf_counter() - start)


def _draw_keys(seed: int) -> Iterator[SecretKey]:
    """Draw keys that protect nothing but a trial, so that a seed gives the same trial again."""
    rng = np.random.default_rng(seed)
    while True:
        yield SecretKey(rng.bytes(32))

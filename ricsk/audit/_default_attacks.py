"""The attacks that an audit runs unless it is told otherwise."""

from __future__ import annotations

from typing import Any, Literal

from sklearn.frozen import FrozenEstimator

from ricsk.attacks import (
    BaseAttack,
    CloudAttack,
    DecoderAttack,
    DisclosureBaseline,
    FRAttack,
    GANAttack,
    ITNAttack,
    JigsawAttack,
    KeyReuseAttack,
    KnownPlaintextAttack,
    LinearAttack,
    NeuraCryptAttack,
    SIAGANAttack,
)
from ricsk.audit._trials import Trial, default_trials
from ricsk.base import get_encryptor_tags
from ricsk.baselines import NeuraCryptEncoder

__all__ = ["default_attacks"]


def default_attacks(
    encryptor: Any,
    budget: Literal["quick", "thorough"] | int = "quick",
    random_state: int | None = None,
) -> list[BaseAttack | Trial]:
    """Make every attack of `ricsk.attacks` that may have a chance.

    First `DistinguishingGame` and `IdentificationAttack`, which tell images apart, then those that
    draw pictures. `BruteForceAttack` is left out, because it is as strong as its list of keys and
    so shows nothing with random ones: pass it yourself, with the passphrases that your users might
    choose. Left out as well is what can only fail by construction, such as ``ITNAttack("ito")``.

    Parameters
    ----------
    encryptor : encryptor
        Fitted: what is to be attacked. Attacks that need a classifier of plain images take its own,
        and are left out where it has none.
    budget : {"quick", "thorough"} or int, default="quick"
        Of each attack that trains a network; see `KnownPlaintextAttack`. The attacks that tell
        images apart encrypt as many as they do by default if it is "thorough", and fewer otherwise.
    random_state : int, optional
        Of each attack that takes one.

    Returns
    -------
    list of attacks
        Unfitted. Some of them may refuse the encryptor, see their method `check`.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.audit import default_attacks
    >>> from ricsk.datasets import make_street_numbers
    >>> X, _ = make_street_numbers(10, random_state=0)
    >>> encryptor = PixelEncryptor(SecretKey.generate()).fit(X)
    >>> attacks = default_attacks(encryptor, budget=100, random_state=0)
    >>> "LinearAttack" in [type(attack).__name__ for attack in attacks]
    True
    """
    trained: dict[str, Any] = {"budget": budget, "random_state": random_state}
    result: list[BaseAttack | Trial] = [
        *default_trials(budget),
        FRAttack("advanced"),
        FRAttack("chosen"),
        LinearAttack(),
        KeyReuseAttack(),
        JigsawAttack(),
        KnownPlaintextAttack(**trained),
        ITNAttack(**trained),
        GANAttack(**trained),
        SIAGANAttack(**trained),
    ]
    tags = get_encryptor_tags(encryptor)
    if tags.recoverable and not tags.keyed:
        result.append(DecoderAttack())
    if isinstance(encryptor, NeuraCryptEncoder):
        result.append(NeuraCryptAttack(encryptor.patch_size_))
    if tags.learns_on == "plain":
        classifier = FrozenEstimator(encryptor.classifier_)
        discloses: Any = tags.discloses
        result += [
            CloudAttack(classifier, **trained),
            DisclosureBaseline(classifier, discloses, **trained),
        ]
    return result

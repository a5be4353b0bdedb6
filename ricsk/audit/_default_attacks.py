"""The attacks that an audit runs unless it is told otherwise."""

from __future__ import annotations

from typing import Any, Literal

from sklearn.frozen import FrozenEstimator

from ricsk.attacks import (
    BaseAttack,
    CloudAttack,
    DisclosureBaseline,
    FRAttack,
    GANAttack,
    ITNAttack,
    JigsawAttack,
    KeyReuseAttack,
    KnownPlaintextAttack,
    LinearAttack,
    SIAGANAttack,
)
from ricsk.base import get_encryptor_tags

__all__ = ["default_attacks"]


def default_attacks(
    encryptor: Any,
    budget: Literal["quick", "thorough"] | int = "quick",
    random_state: int | None = None,
) -> list[BaseAttack]:
    """Make every attack of `ricsk.attacks` that may have a chance.

    Not `BruteForceAttack`, which is as strong as its list of keys and so shows nothing with random
    ones: pass it yourself, with the passphrases that your users might choose. And not what can only
    fail by construction, such as ``ITNAttack("ito")``.

    Parameters
    ----------
    encryptor : encryptor
        Fitted: what is to be attacked. Attacks that need a classifier of plain images take its own,
        and are left out where it has none.
    budget : {"quick", "thorough"} or int, default="quick"
        Of each attack that trains a network; see `KnownPlaintextAttack`.
    random_state : int, optional
        Of each attack that takes one.

    Returns
    -------
    list of BaseAttack
        Unfitted. Some of them may refuse the encryptor, see `BaseAttack.check`.

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
    result: list[BaseAttack] = [
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
    if tags.learns_on == "plain":
        classifier = FrozenEstimator(encryptor.classifier_)
        discloses: Any = tags.discloses
        result += [
            CloudAttack(classifier, **trained),
            DisclosureBaseline(classifier, discloses, **trained),
        ]
    return result

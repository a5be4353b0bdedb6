"""Short names of encryptors and attacks for tables: no key is among them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ricsk._secrets import show_object
from ricsk.base import BaseImageEncryptor

__all__ = ["describe_estimator", "encryptors_by_name", "unique_names"]

# Secret, or of no interest to the reader of a table.
_HIDDEN = {
    "key",
    "keys",
    "classifier",
    "model",
    "confidence",
    "random_state",
    "verbose",
    "device",
    "image_shape",
    "value_range",
}


def describe_estimator(estimator: Any) -> str:
    """Name an estimator by its class and the parameters that are not the default ones.

    Parameters
    ----------
    estimator : estimator
        An encryptor or an attack.

    Returns
    -------
    str
        Without keys, not even the path of one.

    Examples
    --------
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> describe_estimator(EtCEncryptor(SecretKey.generate(), block_size=4))
    'EtCEncryptor(block_size=4)'
    """
    defaults = inspect.signature(type(estimator).__init__).parameters
    changed = [
        f"{name}={value!r}"
        for name, value in _read_parameters(estimator).items()
        if name not in _HIDDEN and repr(value) != repr(defaults[name].default)
    ]
    name = type(estimator).__name__
    return f"{name}({', '.join(changed)})" if changed else name


def _read_parameters(estimator: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(estimator):
        return {
            field.name: getattr(estimator, field.name) for field in dataclasses.fields(estimator)
        }
    parameters: dict[str, Any] = estimator.get_params(deep=False)
    return parameters


def unique_names(estimators: Sequence[Any]) -> list[str]:
    """Name estimators, with a number behind names that came before.

    Examples
    --------
    >>> from ricsk.attacks import FRAttack
    >>> unique_names([FRAttack(), FRAttack("basic"), FRAttack()])
    ['FRAttack', "FRAttack(variant='basic')", 'FRAttack #2']
    """
    names: list[str] = []
    for name in map(describe_estimator, estimators):
        before = sum(known.split(" #")[0] == name for known in names)
        names.append(f"{name} #{before + 1}" if before else name)
    return names


def encryptors_by_name(encryptors: Any) -> dict[str, BaseImageEncryptor]:
    """Read an encryptor, a sequence of them, or a mapping from names to them.

    Raises
    ------
    TypeError
        If something else is among them.
    ValueError
        If there are none.
    """
    if isinstance(encryptors, Mapping):
        named = {str(name): encryptor for name, encryptor in encryptors.items()}
    else:
        given = [encryptors] if hasattr(encryptors, "fit") else list(encryptors)
        for encryptor in given:
            _check(encryptor)
        named = dict(zip(unique_names(given), given, strict=True))
    if not named:
        raise ValueError("encryptors is empty. Give an encryptor, or several in a list or a dict.")
    for encryptor in named.values():
        _check(encryptor)
    return named


def _check(encryptor: Any) -> None:
    if not isinstance(encryptor, BaseImageEncryptor):
        raise TypeError(
            f"{show_object(encryptor)} is not a ricsk encryptor. If it is inside a pipeline or a "
            "PrivateClassifier, pass that part."
        )

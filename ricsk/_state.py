"""What a stored state may hold, which is checked before anything is made of it.

A file of data alone, such as skops, runs no code of its writer, but its writer may put any value
into it. So a state is held against what `fit` could have made.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from inspect import getattr_static, signature
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, make_constraint

from ricsk._secrets import holds_key
from ricsk.exceptions import RicskError, StateError
from ricsk.images import ValueRange

__all__ = [
    "COUNT",
    "DIGEST",
    "IMAGE_FORM",
    "IMAGE_SHAPE",
    "LABELS",
    "MAX_STORED_VALUES",
    "Check",
    "check_names",
    "check_values",
    "exactly",
    "explain_restoring",
    "is_array",
]

MAX_STORED_VALUES = 2**30
"""The most values (height × width × channels) of the images of a stored estimator: 1 GiB."""

_MISSING = object()


class Check:
    """A constraint of a stored value, beside those that scikit-learn has for parameters.

    Parameters
    ----------
    description : str
        What is expected, for error messages.
    test : callable
        Tells whether a value satisfies it.

    Examples
    --------
    >>> even = Check("an even int", lambda value: isinstance(value, int) and value % 2 == 0)
    >>> even.is_satisfied_by(3), str(even)
    (False, 'an even int')
    """

    def __init__(self, description: str, test: Callable[[Any], bool]) -> None:
        self.description = description
        self.is_satisfied_by = test

    def __str__(self) -> str:
        return self.description


def _is_image_shape(value: Any) -> bool:
    return (
        type(value) is tuple
        and len(value) == 3
        and all(isinstance(side, int) and side >= 1 for side in value)
        and value[2] in (1, 3)
        and math.prod(value) <= MAX_STORED_VALUES
    )


def _is_value_range(value: Any) -> bool:
    if not exactly(ValueRange).is_satisfied_by(value):
        return False
    bounds = (value.low, value.high)
    return (
        all(isinstance(bound, int | float) and math.isfinite(bound) for bound in bounds)
        and value.low < value.high
        and isinstance(value.learned, bool)
    )


def _is_dtype_of_numbers(value: Any) -> bool:
    try:
        return isinstance(value, str) and np.dtype(value).kind in "iuf"
    except (TypeError, ValueError):
        return False


def is_array(value: Any) -> bool:
    """Tell whether a stored value is an array and nothing that behaves like one.

    Parameters
    ----------
    value : object
        An array that joblib has mapped into memory is one, too.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_array(np.zeros(3)), is_array(np.ma.zeros(3)), is_array([0.0])
    (True, False, False)
    """
    return type(value) in (np.ndarray, np.memmap)


def _is_list_of_labels(value: Any) -> bool:
    return is_array(value) and value.ndim == 1 and len(value) > 0


COUNT = Interval(Integral, 0, None, closed="left")
IMAGE_SHAPE = Check(
    f"(height, width, 1 or 3), with at most {MAX_STORED_VALUES:,} values", _is_image_shape
)
DIGEST = Check("32 bytes", lambda value: isinstance(value, bytes) and len(value) == 32)
LABELS = Check("an array of labels", _is_list_of_labels)
IMAGE_FORM: dict[str, list[Any]] = {
    "image_shape_in_": [IMAGE_SHAPE],
    "n_features_in_": [Interval(Integral, 1, None, closed="left")],
    "feature_names_in_": [LABELS],
    "value_range_": [Check("a finite ValueRange", _is_value_range)],
    "input_ndim_": [Options(int, {2, 3, 4})],
    "input_dtype_": [Check("the dtype of numbers", _is_dtype_of_numbers)],
}
"""What is learnt of images, whatever is learnt besides."""


def exactly(cls: type[Any]) -> Check:
    """Make the constraint of being a value of a dataclass, with its fields and nothing else.

    So no attribute stands before a method of it.

    Parameters
    ----------
    cls : type
        The dataclass.

    Returns
    -------
    Check
    """
    names = {field.name for field in fields(cls)}
    return Check(cls.__name__, lambda value: type(value) is cls and set(vars(value)) == names)


def check_names(cls: type, state: Mapping[str, Any], derived: frozenset[str]) -> None:
    """Refuse attributes that would stand before a method, or are never stored.

    Parameters
    ----------
    cls : type
        Of the estimator.
    state : dict
        Its attributes.
    derived : set of str
        Attributes that are made again on loading.

    Raises
    ------
    StateError
    """
    parameters = signature(cls).parameters
    for name in state:
        if not isinstance(name, str) or name in derived:
            hidden = True
        else:
            hidden = name not in parameters and getattr_static(cls, name, _MISSING) is not _MISSING
        if hidden:
            raise StateError(
                f"this {cls.__name__} was not stored by ricsk: it has {reprlib.repr(name)} among "
                "its attributes, which is never stored. Do not use the file."
            )


def check_values(cls: type, state: Mapping[str, Any], constraints: Mapping[str, list[Any]]) -> None:
    """Refuse fitted attributes that `fit` cannot have made.

    Parameters
    ----------
    cls : type
        Of the estimator. The fitted copy of a parameter, which has its name and an underscore,
        satisfies the constraints of the parameter.
    state : dict
        Its attributes.
    constraints : dict of lists
        Of other fitted attributes: scikit-learn's constraints, and those of this module.

    Raises
    ------
    StateError
    """
    of_parameters = getattr(cls, "_parameter_constraints", {})
    known = {f"{name}_": allowed for name, allowed in of_parameters.items()} | dict(constraints)
    for name, value in state.items():
        allowed = known.get(name, "no_validation")
        if allowed == "no_validation":
            continue
        checks = [each if isinstance(each, Check) else make_constraint(each) for each in allowed]
        if not any(check.is_satisfied_by(value) for check in checks):
            expected = " or ".join(map(str, checks))
            raise StateError(
                f"this {cls.__name__} was not made by fit: its {name} is {_show(value)}; expected "
                f"{expected}. The file is damaged or was made by hand: do not use it."
            )


@contextmanager
def explain_restoring(cls: type) -> Iterator[None]:
    """Turn what goes wrong with a state that contradicts itself into a `StateError`."""
    try:
        yield
    except (RicskError, MemoryError):
        raise
    except Exception as error:  # values that contradict each other fail in many ways
        raise StateError(
            f"this {cls.__name__} was not made by fit: {str(error) or repr(error)}. The file is "
            "damaged or was made by hand: do not use it."
        ) from error


def _show(value: Any) -> str:
    """Show a plain value in few words; of others, which may be anything, the type."""
    if not isinstance(value, str | int | float | tuple | None) or holds_key(value):
        return f"of type {type(value).__name__}"
    try:
        return reprlib.repr(value)
    except ValueError:  # an int of thousands of digits
        return "a number of thousands of digits"

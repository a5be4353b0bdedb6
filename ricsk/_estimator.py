"""What the estimators of the package share, whatever they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator, TransformerMixin

from ricsk._secrets import find_misplaced_fault
from ricsk._state import check_names, check_values, explain_restoring
from ricsk._version import __version__
from ricsk.exceptions import StateError, StateVersionError
from ricsk.images import as_table, group_by_size

__all__ = ["STATE_FORMAT", "Estimator", "ImageTransformerMixin"]

STATE_FORMAT = 2
"""Number of the layout of fitted states, which pickles, joblib and skops files hold.

Raise it when a state that is written today would mean something else, or nothing, to the code of
tomorrow: a fitted attribute is renamed, dropped, or has another meaning. A new constructor
parameter needs no new number, because a missing one gets its default. Then let ``__setstate__``
translate the old layout, keep the dump under ``tests/states`` that the old version wrote, and add
one of the new. What cannot be translated is refused: with format 1 streams had other contexts, so
its encryptors would encrypt otherwise.
"""

_OBJECT_PARAMETERS = frozenset({"classifier", "encryptor"})


class Estimator(BaseEstimator):
    """Base of all estimators: fits that leave all or nothing, and states that know their version.

    A subclass learns on the twin that `_all_or_nothing` lends, and overrides `__getstate__` and
    `__setstate__` where something is stored in another form than it is used in. What its fitted
    attributes may be, it says in `_state_constraints`, and how they hang together in
    `_check_state`: a stored state may have been made by anybody.
    """

    _state_constraints: ClassVar[dict[str, list[Any]]] = {}
    """Constraints of fitted attributes that are not named after a parameter.

    They are scikit-learn's, or of `ricsk._state`. ``alpha_``, the fitted copy of a parameter
    ``alpha``, need not be named: it satisfies the constraints of the parameter.
    """
    _derived: ClassVar[frozenset[str]] = frozenset()
    """Attributes that follow from the others, are made again on loading, and are never stored."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what may be a key where none belongs, because views and errors show parameters."""
        own = name.startswith("_") or name.endswith("_")
        try:
            if not own and not hasattr(getattr(type(self), name, None), "__set__"):
                fault = find_misplaced_fault(
                    type(self).__name__, name, value, object_expected=name in _OBJECT_PARAMETERS
                )
                if fault is not None:
                    raise TypeError(fault)
            super().__setattr__(name, value)
        finally:
            del value  # which some tools show with a traceback

    @contextmanager
    def _all_or_nothing(self) -> Iterator[Self]:
        """Lend an unfitted twin, and take over what it has learnt once nothing went wrong.

        So an interrupted or failed `fit` leaves an estimator as it was: unfitted, or fitted as
        before. What was learnt before, whose names end in an underscore, the twin does not have;
        parameters, and what scikit-learn keeps on an instance, it does.
        """
        twin = object.__new__(type(self))
        twin.__dict__.update(
            {
                name: value
                for name, value in self.__dict__.items()
                if not name.endswith("_") and name not in self._derived
            }
        )
        yield twin
        self.__dict__.clear()
        self.__dict__.update(twin.__dict__)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        return {**state, "_ricsk_version": __version__, "_ricsk_state": STATE_FORMAT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version, number = state.pop("_ricsk_version", None), state.pop("_ricsk_state", None)
        name = type(self).__name__
        if number is None:
            raise StateVersionError(
                f"this {name} was stored before ricsk wrote versions into its files, and cannot be "
                "read. Fit it again, with the same key."
            )
        if number != STATE_FORMAT:
            raise StateVersionError(
                f"this {name} was stored by ricsk {version} in the format {number}; ricsk "
                f"{__version__} reads the format {STATE_FORMAT}. Install ricsk {version}, or fit "
                "it again."
            )
        for parameter in signature(type(self)).parameters.values():
            if parameter.default is not Parameter.empty:
                state.setdefault(parameter.name, parameter.default)
            elif parameter.name not in state:
                raise StateError(
                    f"this {name} was not stored by ricsk: it has no {parameter.name!r}. Do not "
                    "use the file."
                )
        check_names(type(self), state, self._derived)
        check_values(type(self), state, self._state_constraints)
        super().__setstate__(state)
        with explain_restoring(type(self)):
            self._check_state()

    def _check_state(self) -> None:
        """Check, after loading, how the fitted attributes hang together.

        It is called before anything is made of them, and raises ValueError.
        """
        shape, n_features = (vars(self).get(name) for name in ("image_shape_in_", "n_features_in_"))
        if shape is not None and math.prod(shape) != n_features:
            raise ValueError(f"images of the shape {shape} do not have {n_features} values")


class ImageTransformerMixin(TransformerMixin):
    """A transformer whose images stay arrays, whatever `set_output` asks for.

    A table holds flattened images alone; pandas would refuse others in words of its own.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("transform", "fit_transform"):
            wrapped = getattr(cls, name, None)
            if hasattr(wrapped, "__wrapped__") and not hasattr(wrapped, "keeps_images"):
                setattr(cls, name, _keep_images(wrapped))


def _keep_images(wrapped: Any) -> Callable[..., Any]:
    """Go past the wrapper that scikit-learn put around a method, where images come out."""
    # A fitted encryptor flattens or not, whatever its parameter is set to for the next fit.
    flattens = "flatten" if wrapped.__name__ == "fit_transform" else "flattens_"

    @wraps(wrapped)
    def method(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        several_sizes = group_by_size(X) is not None
        flat = getattr(self, flattens, False) or (not several_sizes and len(as_table(X).shape) == 2)
        return (wrapped if flat else wrapped.__wrapped__)(self, X, *args, **kwargs)

    method.keeps_images = True  # type: ignore[attr-defined]  # functions have attributes
    return method

"""Whether an estimator is fitted for good."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, clone

__all__ = ["is_frozen"]


def is_frozen(estimator: Any) -> bool:
    """Tell whether an estimator is fitted for good: its clone is the object itself.

    Parameters
    ----------
    estimator : object
        Such as a `FrozenEstimator`, or an estimator that needs none.

    Returns
    -------
    bool

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> is_frozen(FrozenEstimator(LogisticRegression())), is_frozen(LogisticRegression())
    (True, False)
    """
    # What clones by its parameters is another object; only who says otherwise needs asking.
    own = getattr(type(estimator), "__sklearn_clone__", BaseEstimator.__sklearn_clone__)
    return own is not BaseEstimator.__sklearn_clone__ and clone(estimator) is estimator

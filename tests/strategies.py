"""Hypothesis's strategies: what may come from outside."""

from hypothesis import strategies as st


def files(target):
    """Files that are like those that a target reads, and forged ones where it has such.

    Parameters
    ----------
    target : Target
        Of `tests.fuzz`.

    Returns
    -------
    strategy of bytes
    """
    chance = st.randoms(use_true_random=False, note_method_calls=False)
    changed = chance.map(target.change)
    return changed if target.forge is None else changed | chance.map(target.forge)

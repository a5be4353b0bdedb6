"""Doctest looks for examples in what a package holds: have it hold what it loads on first use."""

from ricsk.encryptors import *  # noqa: F403 (all of them are meant)

"""Noise-like adversarial examples: noise that a given classifier reads as a given label.

`view_classifier` turns a fitted classifier into a differentiable function of pixels; `find_noise`
searches with it, and `ClassPatterns` makes most searches needless. `find_noise_by_queries` searches
where there is no such function.
"""

from ricsk._publish import publish
from ricsk.nae._correlation import NoiseCorrelation, noise_correlation
from ricsk.nae._patterns import ClassPatterns, find_patterns
from ricsk.nae._queries import find_noise_by_queries
from ricsk.nae._reader import Reader
from ricsk.nae._search import NoiseResult, find_noise
from ricsk.nae._views import ClassifierView, register_view, view_classifier

__all__ = [
    "ClassPatterns",
    "ClassifierView",
    "NoiseCorrelation",
    "NoiseResult",
    "Reader",
    "find_noise",
    "find_noise_by_queries",
    "find_patterns",
    "noise_correlation",
    "register_view",
    "view_classifier",
]

publish(globals())

"""Noise-like adversarial examples: noise that a given classifier reads as a given label.

`view_classifier` turns a fitted classifier into a differentiable function of pixels; `find_noise`
searches with it, and `find_template` makes most searches needless: a template is found once for
each class. `find_noise_by_queries` searches where there is no such function.
"""

from ricsk._publish import publish
from ricsk.nae._correlation import NoiseCorrelation, noise_correlation
from ricsk.nae._queries import find_noise_by_queries
from ricsk.nae._reader import Reader
from ricsk.nae._search import NoiseResult, find_noise, group_small
from ricsk.nae._templates import ClassTemplates, Draw, find_template, round_through
from ricsk.nae._views import ClassifierView, register_view, view_classifier

__all__ = [
    "ClassTemplates",
    "ClassifierView",
    "Draw",
    "NoiseCorrelation",
    "NoiseResult",
    "Reader",
    "find_noise",
    "find_noise_by_queries",
    "find_template",
    "group_small",
    "noise_correlation",
    "register_view",
    "round_through",
    "view_classifier",
]

publish(globals())

"""Texts that stand in several docstrings, written once."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import indent
from typing import TypeVar

__all__ = [
    "DEVICE",
    "EXACT_VALUE_RANGE",
    "FITTED",
    "FLATTEN",
    "GUIDED_DEVICE",
    "IMAGE_SHAPE",
    "KEY",
    "KEY_IN_USE",
    "N_JOBS",
    "PER_IMAGE_KEYS",
    "VALUE_RANGE",
    "VERBOSE",
    "fill_in",
]

DEVICE = """
device : str, default="auto"
    Where to train: "auto" (a CUDA device, else MPS, else the CPU), or one of these by torch's name.
"""
GUIDED_DEVICE = """
device : str, default="auto"
    Where templates are made and searches run: "auto" (a CUDA device, else MPS, else the CPU), or
    one of these by torch's name. Another kind of device makes other templates, and so other
    ciphertexts, which open everywhere. The classifier computes where it is.
"""
FLATTEN = """
flatten : bool, default=False
    Whether ciphertexts come out flattened, ``(n_samples, n_features)``, so that any classifier of
    scikit-learn can stand behind the encryptor in a pipeline.
"""
IMAGE_SHAPE = """
image_shape : tuple of int, optional
    ``(height, width)`` or ``(height, width, channels)`` of the images that a 2-D `X` holds. Without
    it, rows of 64 features and more are read as square images, grey or with three channels.
"""
KEY = """
key : SecretKey, bytes or path
    The secret: a `SecretKey`, 32 bytes, or the path of a key file.
"""
EXACT_VALUE_RANGE = """
value_range : (float, float), optional
    Black and white of floating-point images. None takes [0, 1] where the images of `fit` lie in it,
    [0, 255] where they hold 8-bit values, and their extreme values otherwise.
"""
PER_IMAGE_KEYS = """
per_image_keys : bool, default=False
    Whether each image is encrypted under a key of its own, which follows from `key` and a nonce of
    64 bits. The nonce follows from `key` and the image; black and white squares carry it, which add
    rows at the bottom of the ciphertext. An adversary with pairs, or with many ciphertexts, then
    has one image at a time. What one ciphertext gives away, it gives away as before: see
    :ref:`guide-threats`. And a classifier finds little that ciphertexts share, and is far less
    accurate, see :ref:`guide-per-image-keys`.
"""
VALUE_RANGE = f"""
{EXACT_VALUE_RANGE.strip()} Images are
    rounded to 256 levels of the range.
"""
KEY_IN_USE = """
key_ : SecretKey
    The key in use.
"""
FITTED = """
image_shape_in_, ciphertext_shape_ : tuple of int
    Height, width and channels of images and of ciphertexts.
value_range_ : ValueRange
    Black and white of floating-point images.
n_features_in_ : int
    Height × width × channels.
feature_names_in_ : ndarray of str
    Column names, if `fit` was given a data frame.
"""
N_JOBS = """
n_jobs : int, optional
    How many processes encrypt and decrypt, each in one thread: -1 for one per core; None for one,
    or as many as `joblib.parallel_config` says. What comes out is the same. It acts without a new
    `fit`, and processes are sent the key.
"""
VERBOSE = """
verbose : int, default=0
    Whether to show the progress of the training, on the standard error stream.
"""

_Documented = TypeVar("_Documented", bound=type | Callable[..., object])
_PLACE = re.compile(r"^( *)\{(\w+)\}$", re.MULTILINE)


def fill_in(**texts: str) -> Callable[[_Documented], _Documented]:
    r'''Make a decorator that puts texts into a docstring.

    Parameters
    ----------
    **texts : str
        What to put in the place of a line with nothing but ``{name}``, which tells the indentation.

    Returns
    -------
    callable
        It changes and returns a class or function.

    Raises
    ------
    KeyError
        When it decorates, if a text is missing or has no place.

    Examples
    --------
    >>> from inspect import getdoc
    >>> @fill_in(seed="seed : int\n    Where the random numbers begin.")
    ... def draw(seed):
    ...     """Draw a number from this:
    ...
    ...     {seed}
    ...     """
    >>> print(getdoc(draw))
    Draw a number from this:
    <BLANKLINE>
    seed : int
        Where the random numbers begin.
    '''

    def decorate(documented: _Documented) -> _Documented:
        doc = documented.__doc__
        if doc is None:  # as under python -OO
            return documented
        places = {place for _, place in _PLACE.findall(doc)}
        if places != set(texts):
            raise KeyError(f"{documented.__name__}: {sorted(places ^ set(texts))}")
        documented.__doc__ = _PLACE.sub(
            lambda found: indent(texts[found[2]].strip(), found[1]), doc
        )
        return documented

    return decorate

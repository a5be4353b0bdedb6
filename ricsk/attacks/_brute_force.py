"""Dictionary attack: try one key after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from ricsk._secrets import show_value
from ricsk.attacks._base import Adversary, BaseAttack
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.exceptions import WrongKeyWarning
from ricsk.keys import KeyedMixin, KeyParameter, SecretKey, UnusableKey

__all__ = ["BruteForceAttack"]

_GREY = 128


class _KeyList(KeyParameter):
    """How many keys, or a list of them, which is kept as a tuple of `SecretKey`."""

    def find_fault(self, value: Any) -> Exception | None:
        if isinstance(value, list | tuple):
            try:
                self.wrap(value)
            except (TypeError, ValueError, OSError) as fault:
                return fault.with_traceback(None)  # which would hold the list
        elif value is not None and not isinstance(value, Integral | float):
            return TypeError(
                "keys must be a list of SecretKey, or how many random ones to draw, got "
                f"{type(value).__name__}. Put a single key into a list"
            )
        return None

    def wrap(self, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        if isinstance(value, tuple) and all(isinstance(key, SecretKey) for key in value):
            return value  # itself, or the attack could not be cloned
        return tuple(SecretKey.coerce(key) for key in value)


class BruteForceAttack(KeyedMixin, BaseAttack):
    """Decrypt with each key of a list, and keep the one whose images are smoothest.

    This is a dictionary attack, of an adversary with a list of likely passphrases, and is as strong
    as the list. A key of 256 random bits is on no list; see `brute_force_bound` for what random
    guesses at keys of RIC yield.

    Read more in the :ref:`User Guide <guide-security>`.

    Parameters
    ----------
    keys : int or list of SecretKey, default=100
        The keys to try, or how many random ones. In a list, their 32 bytes or paths of key files
        are taken too, and read at once.
    n_images : int, default=20
        How many ciphertexts of `fit` are decrypted with each key.
    random_state : int, RandomState or None
        Of random keys.

    Attributes
    ----------
    adversary : Adversary
        A list of keys.
    best_key_ : SecretKey or None
        The key that is used. None if the scheme refused all of them: every image is then grey.
    scores_ : ndarray of shape (n_keys,)
        For each key the mean absolute difference of neighbouring pixels of its images, in levels of
        255, plus that of the differences of their channels: in photographs, edges are there in all
        channels at once. Above 150 for noise in colour, below 40 for most photographs; infinite
        where the scheme refused the key.
    ciphertext_shape_, image_shape_ : tuple of int
        Height, width and channels of the ciphertexts, and of the images behind them.

    See Also
    --------
    brute_force_bound : How far guesses at keys of RIC come.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.attacks import BruteForceAttack
    >>> from ricsk.datasets import make_street_numbers
    >>> X, _ = make_street_numbers(10, random_state=0)
    >>> keys = [SecretKey.generate() for _ in range(20)]
    >>> encryptor = PixelEncryptor(keys[7]).fit(X)
    >>> C = encryptor.transform(X)
    >>> attack = BruteForceAttack(keys).fit(C, encryptor=encryptor)
    >>> attack.best_key_ == keys[7]
    True
    >>> bool((attack.reconstruct(C) == X).all())
    True
    """

    adversary = Adversary(keys="listed")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "keys": "no_validation",
        "n_images": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    keys = _KeyList()
    best_key_: SecretKey | None
    scores_: NDArray[np.float64]

    def __init__(
        self,
        keys: int | Sequence[SecretKey] = 100,
        *,
        n_images: int = 20,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.keys = keys
        self.n_images = n_images
        self.random_state = random_state

    def _fit(
        self,
        ciphertexts: NDArray[np.uint8],
        rekey: Callable[[SecretKey], BaseImageEncryptor],
    ) -> None:
        keys = self.keys
        if isinstance(keys, UnusableKey):
            raise keys.make_fault()
        if isinstance(keys, Integral):
            rng = check_random_state(self.random_state)
            keys = [SecretKey(rng.bytes(32)) for _ in range(int(keys))]
        if not isinstance(keys, list | tuple):
            raise TypeError(
                f"keys={show_value(keys)}: expected a list of keys, or how many to draw."
            )
        if not keys:
            raise ValueError("keys is empty: expected at least one key, or how many to draw.")
        sample = ciphertexts[: self.n_images]
        self.scores_ = np.array([_measure_roughness(_decrypt(rekey(key), sample)) for key in keys])
        best = int(self.scores_.argmin())
        self.best_key_ = keys[best] if np.isfinite(self.scores_[best]) else None
        self._encryptor = None if self.best_key_ is None else rekey(self.best_key_)

    def _reconstruct(self, ciphertexts: NDArray[np.uint8], *_: Any) -> NDArray[np.uint8]:
        found = None if self._encryptor is None else _decrypt(self._encryptor, ciphertexts)
        if found is None:
            return np.full((len(ciphertexts), *self.image_shape_), _GREY, np.uint8)
        return found

    def _why_not(self, encryptor: BaseImageEncryptor) -> str | None:
        if get_encryptor_tags(encryptor).recoverable:
            return None
        return "it has no inverse_transform, so no key brings its images back."


def _decrypt(encryptor: Any, ciphertexts: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WrongKeyWarning)
            images: NDArray[np.uint8] = encryptor.inverse_transform(ciphertexts)
    except ValueError:  # a scheme that knows a wrong key
        return None
    return images


def _measure_roughness(images: NDArray[np.uint8] | None) -> float:
    if images is None:
        return np.inf
    levels = images.astype(np.float64)
    colours = levels - np.roll(levels, 1, axis=-1)
    steps = [np.abs(np.diff(x, axis=axis)).mean() for x in (levels, colours) for axis in (1, 2)]
    return float(np.mean(steps[:2]) + np.mean(steps[2:]))

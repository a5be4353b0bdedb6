"""Keys as parameters of estimators, which `repr`, HTML views and searches show."""

import math
import os
from typing import Any, Self

from ricsk._secrets import MIN_SECRET, RAW_TYPES
from ricsk.keys._paths import KeyPath, StoredPath
from ricsk.keys._private_key import PublicKey
from ricsk.keys._secret_key import SecretKey
from ricsk.keys._stored_secret import StoredSecret
from ricsk.keys._unusable import UnusableKey

__all__ = ["KeyParameter", "KeyedMixin", "RecipientsParameter"]


class KeyParameter:
    """A constructor parameter of an estimator that takes a key and never shows it.

    It is a descriptor, which the class body gives the parameter's name; ``__init__`` assigns the
    parameter as usual. Something that cannot be a key may still be a secret, such as a passphrase,
    the text of a key, or its bytes in an array, and ``repr`` would show it. So it is refused on
    assignment, by an error that does not repeat it.

    ===========================  =============================================================
    assigned                     kept
    ===========================  =============================================================
    a `SecretKey`, None          the same
    32 bytes                     a `SecretKey`
    the path of a key file       the path as a ``str``; the file is read by `fit`
    anything else                nothing: it is refused at once; or if it is shorter than
                                 12 characters or items, an `UnusableKey`, which `fit` refuses
    ===========================  =============================================================

    The exception for short values is there because scikit-learn's checks want constructors to take
    them. `KeyedMixin` lets ``set_params`` refuse them, too.

    A path is refused if no file is there, but not once it has been accepted: an estimator can be
    cloned and unpickled on a machine without the key file, and `fit` then fails. A path that comes
    out of a file of data alone, such as skops, which anybody may have made, is shown and not
    followed until it is given again.

    Parameters
    ----------
    *kinds : type
        Of the keys that it takes: `SecretKey` by default. Only a `SecretKey` is made of bytes.

    Raises
    ------
    TypeError, ValueError
        On assignment of something that the ``coerce`` of the first kind would refuse; the errors
        are the same.

    See Also
    --------
    KeyedMixin : Keeps searches over parameters from showing keys.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from ricsk.keys import KeyedMixin, KeyParameter
    >>> class Scheme(KeyedMixin, BaseEstimator):
    ...     key = KeyParameter()
    ...
    ...     def __init__(self, key=None):
    ...         self.key = key
    >>> Scheme(bytes(range(32)))
    Scheme(key=SecretKey(key_id='c01603b676738217', source='bytes'))
    """

    def __init__(self, *kinds: type[StoredSecret]) -> None:
        self.kinds: tuple[type[StoredSecret], ...] = kinds or (SecretKey,)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        try:
            value = instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(f"{type(instance).__name__} has no {self.name}") from None
        if isinstance(value, str | os.PathLike) and not isinstance(value, KeyPath | StoredPath):
            # From a file that holds data alone, which anybody may have made.
            value = instance.__dict__[self.name] = StoredPath(value)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        fault = None if isinstance(value, UnusableKey) else self.find_fault(value)
        if fault is None:
            kept = self.wrap(value)
        elif _may_be_secret(value):
            del value  # which some tools show with a traceback
            raise fault
        else:
            kept = UnusableKey(value, fault)
        instance.__dict__[self.name] = kept

    def find_fault(self, value: Any) -> Exception | None:
        """Say why a value is refused.

        Parameters
        ----------
        value : object
            What is to be assigned.

        Returns
        -------
        Exception or None
            The error to raise, which does not repeat the value; None if the value is accepted.
        """
        # Infinities are what scikit-learn's checks assign, and not secret: `fit` refuses them.
        if value is None or isinstance(value, KeyPath | StoredPath) or _is_infinite(value):
            return None
        return self._find_fault(value)

    def _find_fault(self, value: Any) -> Exception | None:
        return None if isinstance(value, self.kinds) else self.kinds[0].find_fault(value)

    def wrap(self, value: Any) -> Any:
        """Make what is kept from a value that is accepted.

        Parameters
        ----------
        value : object
            For which `find_fault` returned None.

        Returns
        -------
        object
            The value in a form that does not show a key; itself if it is in such a form.
        """
        if isinstance(value, RAW_TYPES):
            return SecretKey(value)
        if isinstance(value, str | os.PathLike) and not isinstance(value, KeyPath | StoredPath):
            return KeyPath(os.fspath(value))
        return value


class RecipientsParameter(KeyParameter):
    """Constructor parameter of an estimator that takes public keys, and never shows another thing.

    What is given in their place may be a secret, such as a private key as text. So it is refused in
    the same way as by a `KeyParameter`.

    See Also
    --------
    PublicKey : What it takes a list of.
    """

    def _find_fault(self, value: Any) -> Exception | None:
        if isinstance(value, list | tuple) and all(isinstance(key, PublicKey) for key in value):
            return None
        return TypeError(
            f"recipients must be a list of PublicKey, got {type(value).__name__} of something "
            "else. Take private_key.public_key, or PublicKey.from_text and PublicKey.from_file"
        )


class KeyedMixin:
    """Mix-in for estimators with a `KeyParameter`, named before ``BaseEstimator``.

    A search keeps and shows the parameters that it was given, in ``param_grid`` and
    ``cv_results_``, whatever becomes of them in an estimator. So `set_params` refuses everything
    that cannot be a key, and keys as bytes, although constructors take them. That ends a search
    before there are results.

    See Also
    --------
    KeyParameter : The parameters that this is for.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> encryptor = PixelEncryptor(bytes(range(32)))
    >>> encryptor.set_params(key=bytes(32))
    Traceback (most recent call last):
        ...
    TypeError: set_params does not take key as bytes, which a search would keep and show in
    cv_results_. Give it as SecretKey(raw)
    >>> encryptor.set_params(key=SecretKey(bytes(32))).key.key_id
    '...'
    """

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this estimator, or of those in it.

        Parameters
        ----------
        **params : dict
            Parameters by name. A key is given as a `SecretKey` or the path of a key file.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a key cannot be used, or is given as bytes. Nothing is changed then.
        """
        for name, value in params.items():
            fault = self._find_key_fault(name, value)
            if fault is not None:
                del params, value
                raise fault
        return super().set_params(**params)  # type: ignore[misc]  # of BaseEstimator

    def _find_key_fault(self, name: str, value: Any) -> Exception | None:
        parameter = getattr(type(self), name, None)
        if not isinstance(parameter, KeyParameter):
            return None
        if isinstance(vars(self).get(name), UnusableKey) and not _may_be_secret(value):
            return None  # scikit-learn's checks set again what they gave the constructor
        fault = parameter.find_fault(value)
        if fault is None and _shows(value):
            return TypeError(
                f"set_params does not take {name} as bytes, which a search would keep and show in "
                "cv_results_. Give it as SecretKey(raw)"
            )
        return fault


def _shows(value: Any) -> bool:
    values = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(each, RAW_TYPES) for each in values)


def _may_be_secret(value: Any) -> bool:
    """Tell whether a value is long enough for a secret: any bytes, or 12 characters or items."""
    if isinstance(value, list | tuple) and any(map(_may_be_secret, value)):
        return True
    if isinstance(value, RAW_TYPES):
        return True
    try:
        return len(os.fspath(value) if isinstance(value, os.PathLike) else value) >= MIN_SECRET
    except TypeError:  # it has no length
        return False


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)

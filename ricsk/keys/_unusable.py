"""`UnusableKey`: what stands for something that cannot be a key, without showing it."""

from typing import Any

__all__ = ["UnusableKey"]


class UnusableKey:
    """In a `KeyParameter`, what is kept of a short value that cannot be a key.

    scikit-learn wants constructors to take any value, and `fit` to refuse it. The value may be a
    secret, such as a short passphrase, so it is forgotten; what is kept is why it cannot be used.
    `SecretKey.coerce` raises that.

    Parameters
    ----------
    value : object
        What was given. It is not kept.
    fault : Exception
        Why it cannot be used.

    Examples
    --------
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> encryptor = PixelEncryptor("hunter2")
    >>> encryptor
    PixelEncryptor(key=<unusable str>)
    >>> SecretKey.coerce(encryptor.key)
    Traceback (most recent call last):
        ...
    ricsk.exceptions.KeyFileNotFoundError: there is no key file at the path given. A str is taken
    for the path of a key file; a passphrase goes through SecretKey.from_passphrase
    """

    def __init__(self, value: Any, fault: Exception) -> None:
        self._kind = type(value).__name__
        self._error = type(fault)
        self._message = str(fault)

    def make_fault(self) -> Exception:
        """Make the error that says why the value cannot be used.

        Returns
        -------
        Exception
            To be raised; a new one each time.
        """
        return self._error(self._message)

    def __repr__(self) -> str:
        return f"<unusable {self._kind}>"

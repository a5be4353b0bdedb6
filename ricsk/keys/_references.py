"""Keys that files of data alone may refer to."""

from collections.abc import Iterator
from contextlib import contextmanager

from ricsk.keys._stored_secret import ALLOWED, StoredSecret

__all__ = ["allow_references"]


@contextmanager
def allow_references(*keys: StoredSecret) -> Iterator[None]:
    """Hand over keys to what is loaded meanwhile from files that refer to them.

    A file of a format that holds data alone, such as skops, may have been made by anybody. So a
    reference to a key in it is never followed: no path and no environment variable that it names is
    read. Within this context a reference with the id of one of the keys becomes that key.

    What is loaded then encrypts and decrypts with the key, in the way that the file says, which may
    hide nothing. Hand a key over to files of your own, and to others once you have looked at their
    parameters. Pickles need no such context, because opening one trusts it with everything.

    Parameters
    ----------
    *keys : SecretKey, PrivateKey or SigningKey
        The keys that files may refer to.

    Raises
    ------
    TypeError
        If one of them is not such a key.

    Examples
    --------
    >>> import os, tempfile
    >>> import skops.io
    >>> from ricsk.keys import SecretKey, allow_references
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     key = SecretKey.generate().save(os.path.join(folder, "images.key"))
    >>> data = skops.io.dumps(key)
    >>> with allow_references(key):
    ...     again = skops.io.loads(data, trusted=["ricsk.keys.SecretKey"])
    >>> again == key
    True
    """
    for key in keys:
        if not isinstance(key, StoredSecret):
            given = type(key).__name__
            del keys, key
            raise TypeError(
                f"allow_references takes keys of the class SecretKey, got {given}: read the key "
                "with SecretKey.from_file or SecretKey.from_env"
            )
    token = ALLOWED.set((*ALLOWED.get(), *keys))
    try:
        yield
    finally:
        ALLOWED.reset(token)

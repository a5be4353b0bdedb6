"""Keys that open: a secret one, or a private one."""

import os
from typing import Any

from ricsk.keys._file import MAX_FILE_BYTES
from ricsk.keys._private_key import PrivateKey
from ricsk.keys._secret_key import SecretKey
from ricsk.keys._text import decode, split_lines

__all__ = ["coerce_opening_key"]


def coerce_opening_key(key: Any) -> SecretKey | PrivateKey:
    """Make a key that opens from what was given.

    Parameters
    ----------
    key : SecretKey, PrivateKey, bytes, str or path-like
        A key (returned as it is), the 32 bytes of a secret one, or the path of a file of one.

    Returns
    -------
    SecretKey or PrivateKey

    Raises
    ------
    TypeError, ValueError
        If `key` is anything else.
    KeyFileNotFoundError, KeyFileError, KeyReferenceError
        As `SecretKey.coerce`.

    Examples
    --------
    >>> import os, tempfile
    >>> from ricsk.keys import PrivateKey, coerce_opening_key
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "mine.key")
    ...     private = PrivateKey.generate().save(path)
    ...     coerce_opening_key(path) == private
    True
    """
    fault = None if isinstance(key, PrivateKey) else SecretKey.find_fault(key)
    if fault is not None:
        del key
        raise fault
    if isinstance(key, PrivateKey) or _is_file_of_private_key(key):
        return PrivateKey.coerce(key)
    return SecretKey.coerce(key)


def _is_file_of_private_key(key: Any) -> bool:
    if not isinstance(key, str | os.PathLike):
        return False
    with open(key, "rb") as file:
        lines, _ = split_lines(decode(file.read(MAX_FILE_BYTES)))
    return any(line.startswith("RICSK-PRIVATE-") for line in lines)

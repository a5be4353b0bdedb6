"""Paths of key files in estimators: those that were given, and those that came out of a file."""

import os
from typing import Any, Self

__all__ = ["KeyPath", "StoredPath"]


class KeyPath(str):
    """The path of a key file that was there when it was given, so that it is not a secret text.

    It stays one in copies and pickles, so that an estimator can be cloned after the file has gone.
    Files of data alone, such as skops, hold a plain text instead, which loads as a ``StoredPath``.

    Examples
    --------
    >>> import os, tempfile
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "images.key")
    ...     key = SecretKey.generate().save(path)
    ...     type(PixelEncryptor(path).key)
    <class 'ricsk.keys.KeyPath'>
    """

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class StoredPath(str):
    """The path of a key file that a file of data alone named, and that nobody has given.

    It is shown, and not followed: `fit` asks for it to be given.
    """

    __slots__ = ()

    def __new__(cls, path: str | os.PathLike[str]) -> Self:
        return super().__new__(cls, os.fspath(path))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

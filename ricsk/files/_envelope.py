"""What the writer and the reader of sealed photographs have in common.

`docs/guide/formats.rst` specifies the format byte by byte.
"""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ricsk._atomic import open_whole
from ricsk.keys import SecretKey, encode_context

__all__ = [
    "COMMITMENT_BYTES",
    "MAX_DETAILS_BYTES",
    "MAX_NAME",
    "SALT_BYTES",
    "SCHEME",
    "VERSION",
    "Place",
    "derive",
    "open_destination",
    "open_source",
]

SCHEME, VERSION = "photograph", 1

SALT_BYTES, COMMITMENT_BYTES = 16, 32

MAX_NAME = 1024
"""The most characters of the name of a file."""

MAX_DETAILS_BYTES = 1 << 14
"""The most bytes of what is encrypted before the file, which must be in the first segment."""

_FILE_KEY_BYTES = 32

Place = str | os.PathLike[str] | BinaryIO
"""Where a file is read or written: a path, or an open file."""


def derive(
    key: SecretKey, header: bytes, salt: bytes, pixels: NDArray[np.uint8]
) -> tuple[bytes, bytes]:
    """Derive the key of the file, and what commits to it: both follow from the pixels, too.

    Parameters
    ----------
    key : SecretKey
        The secret.
    header : bytes
        The content of the chunk riCM.
    salt : bytes
        Random, 16 bytes.
    pixels : ndarray of shape (height, width, channels), uint8
        The picture.

    Returns
    -------
    file_key : bytes
    commitment : bytes
    """
    digest = hashlib.sha256(struct.pack("<3I", *pixels.shape) + pixels.tobytes()).digest()
    context = encode_context(SCHEME, VERSION, header=header, pixels=digest, salt=salt)
    derived = key.derive("photograph/file", context, _FILE_KEY_BYTES + COMMITMENT_BYTES)
    return derived[:_FILE_KEY_BYTES], derived[_FILE_KEY_BYTES:]


def open_source(source: Place) -> AbstractContextManager[BinaryIO]:
    """Open a path; leave an open file open.

    Parameters
    ----------
    source : path or binary file
        What to read.

    Returns
    -------
    context manager of binary file
    """
    if isinstance(source, str | os.PathLike):
        return open(source, "rb")
    return nullcontext(source)


def open_destination(destination: Place, overwrite: bool) -> AbstractContextManager[BinaryIO]:
    """Open a path that is written whole or not at all; leave an open file open.

    Parameters
    ----------
    destination : path or binary file
        Where to write.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    context manager of binary file
    """
    if isinstance(destination, str | os.PathLike):
        return open_whole(destination, overwrite=overwrite)
    return nullcontext(destination)

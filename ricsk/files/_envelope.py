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
    "RECIPIENTS_VERSION",
    "SALT_BYTES",
    "SCHEME",
    "VERSION",
    "Place",
    "derive",
    "digest_pixels",
    "list_signed",
    "open_destination",
    "open_source",
]

SCHEME = "photograph"

VERSION, RECIPIENTS_VERSION = 1, 2
"""Versions of photographs: sealed with a secret key, and for recipients."""

SALT_BYTES, COMMITMENT_BYTES = 16, 32

MAX_NAME = 1024
"""The most characters of the name of a file."""

MAX_DETAILS_BYTES = 1 << 14
"""The most bytes of what is encrypted before the file, which must be in the first segment."""

_FILE_KEY_BYTES = 32

Place = str | os.PathLike[str] | BinaryIO
"""Where a file is read or written: a path, or an open file."""


def derive(
    key: SecretKey, header: bytes, salt: bytes, digest: bytes, version: int
) -> tuple[bytes, bytes]:
    """Derive the key of the file, and what commits to it: both follow from the pixels, too.

    Parameters
    ----------
    key : SecretKey
        The secret, or for recipients the key of the picture.
    header : bytes
        The content of the chunk riCM.
    salt : bytes
        Random, 16 bytes.
    digest : bytes
        What `digest_pixels` returned.
    version : int
        Of the photograph.

    Returns
    -------
    file_key : bytes
    commitment : bytes
    """
    context = encode_context(SCHEME, version, header=header, pixels=digest, salt=salt)
    derived = key.derive("photograph/file", context, _FILE_KEY_BYTES + COMMITMENT_BYTES)
    return derived[:_FILE_KEY_BYTES], derived[_FILE_KEY_BYTES:]


def digest_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """Compute what stands for the picture.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, channels), uint8
        The picture.

    Returns
    -------
    bytes
    """
    return hashlib.sha256(struct.pack("<3I", *pixels.shape) + pixels.tobytes()).digest()


def list_signed(name: str | None, salt: bytes, digest: bytes, sha256: bytes) -> bytes:
    """List what the signature of a file covers.

    Parameters
    ----------
    name : str or None
        Of the file.
    salt, digest : bytes
        As for `derive`.
    sha256 : bytes
        Of the file.

    Returns
    -------
    bytes
    """
    return encode_context(
        f"{SCHEME}/signature",
        RECIPIENTS_VERSION,
        name=name,
        pixels=digest,
        salt=salt,
        sha256=sha256,
    )


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

"""Writing sealed photographs: a picture, and beside it the encrypted file."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ricsk.codecs import read_image
from ricsk.files._envelope import (
    RECIPIENTS_VERSION,
    SALT_BYTES,
    SCHEME,
    VERSION,
    derive,
    digest_pixels,
    list_signed,
)
from ricsk.files._header import CiphertextHeader, show_key_id, to_json
from ricsk.files._png import (
    HEADER,
    ORIGINAL,
    SIGNATURE,
    compress_pixels,
    pack_chunk,
    pack_ihdr,
)
from ricsk.files._stream import Read, encrypt_segments
from ricsk.keys import SecretKey, SigningKey, fresh_bytes

__all__ = ["Signing", "encode_picture", "hash_all", "write_photograph", "write_picture"]

# Some readers of PNG refuse chunks of more than 8 MB, even those that they pass over.
_CHUNK_BYTES = 1 << 20

Signing = tuple[SigningKey, bytes]
"""A key, and the SHA-256 of the file that it signs."""


def write_photograph(
    target: BinaryIO,
    pixels: NDArray[np.uint8],
    key: SecretKey,
    name: str | None,
    read: Read,
    *,
    for_recipients: bool,
    signing: Signing | None = None,
) -> None:
    """Write a photograph.

    Parameters
    ----------
    target : binary file
        Where to write.
    pixels : ndarray of shape (height, width, channels), uint8
        The picture.
    key : SecretKey
        With which the picture was sealed; for recipients the one of this picture.
    name : str, optional
        Of the file.
    read : callable
        Reads the file.
    for_recipients : bool
        Whether the picture is sealed for recipients.
    signing : (SigningKey, bytes), optional
        Who signs the file, and its SHA-256.

    Raises
    ------
    RuntimeError
        If the file is not that of the SHA-256 any more.
    """
    version = RECIPIENTS_VERSION if for_recipients else VERSION
    key_id = None if for_recipients else show_key_id(key)
    header = CiphertextHeader(SCHEME, version, key_id).to_bytes()
    salt, digest = fresh_bytes(SALT_BYTES), digest_pixels(pixels)
    details: dict[str, str | None] = {"name": name}
    hashing = _Hashing(read)
    if signing is not None:
        signing_key, expected = signing
        signature = signing_key.sign(list_signed(name, salt, digest, expected))
        details["signature"] = signature.hex()
    file_key, commitment = derive(key, header, salt, digest, version)
    _write_pixels(target, pixels, pack_chunk(HEADER, header))
    encoded = to_json(details)
    prefix = io.BytesIO(struct.pack("<I", len(encoded)) + encoded)
    segments = encrypt_segments(file_key, lambda n: _read_both(prefix.read, hashing.read, n))
    for content in _gather(salt + commitment, segments):
        target.write(pack_chunk(ORIGINAL, content))
    if signing is not None and hashing.digest() != signing[1]:
        raise RuntimeError("the file was changed while it was sealed; nothing was kept. Try again.")
    target.write(pack_chunk(b"IEND", b""))


def hash_all(read: Read) -> bytes:
    """Compute the SHA-256 of a file.

    Parameters
    ----------
    read : callable
        Reads the file.

    Returns
    -------
    bytes
    """
    hashing = _Hashing(read)
    while hashing.read(_CHUNK_BYTES):
        pass
    return hashing.digest()


class _Hashing:
    """Hashes what is read."""

    def __init__(self, read: Read) -> None:
        self._read, self._hash = read, hashlib.sha256()
        self.digest: Callable[[], bytes] = self._hash.digest

    def read(self, n: int) -> bytes:
        data = self._read(n)
        self._hash.update(data)
        return data


def write_picture(target: BinaryIO, pixels: NDArray[np.uint8]) -> None:
    """Write a PNG file of pixels alone.

    Parameters
    ----------
    target : binary file
        Where to write.
    pixels : ndarray of shape (height, width, channels), uint8
        The picture.
    """
    _write_pixels(target, pixels)
    target.write(pack_chunk(b"IEND", b""))


def encode_picture(pixels: NDArray[np.uint8]) -> bytes:
    """Make a PNG file of pixels alone.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, channels), uint8
        The picture.

    Returns
    -------
    bytes
        What `write_picture` writes.
    """
    file = io.BytesIO()
    write_picture(file, pixels)
    return file.getvalue()


def _write_pixels(target: BinaryIO, pixels: NDArray[np.uint8], header: bytes = b"") -> None:
    """Write pixels, once the file is sure to hold what the classifier has read."""
    ihdr, idat = pack_ihdr(*pixels.shape), pack_chunk(b"IDAT", compress_pixels(pixels))
    if not np.array_equal(read_image(SIGNATURE + ihdr + idat + pack_chunk(b"IEND", b"")), pixels):
        raise RuntimeError("the pixels written are not those read back; nothing was kept")
    target.write(SIGNATURE + ihdr + header + idat)


def _read_both(first: Read, second: Read, n: int) -> bytes:
    start = first(n)
    return start + second(n - len(start))


def _gather(start: bytes, segments: Iterator[bytes]) -> Iterator[bytes]:
    """Put segments together, to the content of as few chunks as may be."""
    parts, n_bytes = [start], len(start)
    for segment in segments:
        if n_bytes + len(segment) > _CHUNK_BYTES:
            yield b"".join(parts)
            parts, n_bytes = [], 0
        parts.append(segment)
        n_bytes += len(segment)
    yield b"".join(parts)

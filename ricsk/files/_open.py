"""Opening sealed photographs, which takes the key alone: no classifier, and no PyTorch.

What is read may be anybody's. So sizes are checked before memory is taken, and nothing is used
before it is authentic.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from ricsk.codecs import read_image, read_size
from ricsk.encryptors.sealed import make_opener
from ricsk.exceptions import NewerFormatError, NotSealedError, WrongKeyError
from ricsk.files._envelope import (
    COMMITMENT_BYTES,
    MAX_DETAILS_BYTES,
    MAX_NAME,
    RECIPIENTS_VERSION,
    SALT_BYTES,
    SCHEME,
    VERSION,
    Place,
    derive,
    digest_pixels,
    list_signed,
    open_destination,
    open_source,
)
from ricsk.files._header import MAX_HEADER_BYTES, CiphertextHeader
from ricsk.files._png import HEADER, ORIGINAL, SIGNATURE, ChunkReader, pack_chunk, read_exactly
from ricsk.files._stream import REFUSED, Read, decrypt_segments
from ricsk.keys import PrivateKey, SecretKey, VerifyingKey, coerce_opening_key

__all__ = ["OpenedPhotograph", "PhotographReader", "open_photograph"]

# Classifiers read far smaller pictures.
_MAX_PICTURE_PIXELS = 1 << 22
_MAX_PICTURE_BYTES = 1 << 26
_MAX_PALETTE_BYTES = 768
_MAX_LEVELS = 32
_IHDR = struct.Struct(">2I5B")


@dataclass(frozen=True)
class OpenedPhotograph:
    """What a sealed photograph held.

    Parameters
    ----------
    found : {"original", "thumbnail"}
        Whether the file came back, byte for byte, or, where somebody has taken it out on the way,
        the thumbnail alone.
    thumbnail : ndarray of shape (height, width, channels), uint8
        The photograph, small and coarse. Of a file that could not be read as an image, even grey.
    name : str, optional
        What the file was called, without folders.
    data : bytes, optional
        The content of the file, if it was not written elsewhere.
    path : Path, optional
        Where the file was written.
    signer : VerifyingKey, optional
        Who signed the picture, and the file, if it was found.
    """

    found: Literal["original", "thumbnail"]
    thumbnail: NDArray[np.uint8] = field(repr=False)
    name: str | None = None
    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None
    signer: VerifyingKey | None = None


def open_photograph(
    source: Place,
    key: SecretKey | PrivateKey | bytes | str | os.PathLike[str],
    destination: Place | None = None,
    *,
    signers: Collection[VerifyingKey] | None = None,
    overwrite: bool = False,
) -> OpenedPhotograph:
    """Open a sealed photograph: the file comes back, byte for byte.

    It takes the key alone: neither the encryptor nor its classifier, nor PyTorch. Memory is bounded
    where source and destination are files, however large the photograph.

    Parameters
    ----------
    source : path or binary file
        What `seal_photograph` wrote, or what a service has left of it.
    key : SecretKey, PrivateKey, bytes or path
        The key; or the private key of one of those for whom it was sealed.
    destination : path or binary file, optional
        Where the file goes. In a folder it gets the name that it had. A path appears once all of
        the file is authenticated. A file object is given each piece of up to 64 KiB as soon as
        that is authentic; only when the call returns, they are the whole file. By default the
        content is returned.
    signers : collection of VerifyingKey, optional
        With a private key: who may have sealed it. Others are refused, before anything is decoded.
    overwrite : bool, default=False
        Whether a file at `destination` is replaced.

    Returns
    -------
    OpenedPhotograph
        Its `found` says whether the file was there. Where it was not, a thumbnail is all there is,
        and nothing is written.

    Raises
    ------
    NotSealedError
        If it was sealed with another key, has been changed, or is not a sealed photograph.
    WrongKeyError
        If it says that it was sealed with another key.
    NewerFormatError
        If it says that a newer version of this package made it.
    FileExistsError
        If something is at `destination`.
    FileNotFoundError
        If `source` or the folder of `destination` is not there.
    ValueError
        If `destination` is a folder, and the file had no name that every system allows.

    See Also
    --------
    seal_photograph : Makes them.
    ricsk.unseal : Opens the thumbnail alone, from the pixels.
    """
    secret = coerce_opening_key(key)
    with open_source(source) as file:
        reader = PhotographReader(file, secret, signers)
        if reader.read_original is None:
            return OpenedPhotograph("thumbnail", reader.thumbnail, signer=reader.signer)
        pieces = reader.decrypt()
        name = reader.name
        if destination is None:
            data = b"".join(pieces)
            return OpenedPhotograph("original", reader.thumbnail, name, data, signer=reader.signer)
        if isinstance(destination, str | os.PathLike) and Path(destination).is_dir():
            destination = Path(destination) / _check_name(name)
        with open_destination(destination, overwrite) as target:
            for piece in pieces:
                target.write(piece)
    path = Path(destination) if isinstance(destination, str | os.PathLike) else None
    return OpenedPhotograph("original", reader.thumbnail, name, path=path, signer=reader.signer)


class PhotographReader:
    """Reads a sealed photograph up to its encrypted file, and what comes behind that.

    Parameters
    ----------
    file : binary file
        The photograph.
    key : SecretKey or PrivateKey
        The key.
    signers : collection of VerifyingKey, optional
        Who may have signed it.

    Attributes
    ----------
    pixels : ndarray of shape (height, width, channels)
        The picture.
    thumbnail : ndarray of shape (height, width, channels)
        What it holds.
    signer : VerifyingKey or None
        Who signed it.
    read_original : callable or None
        Reads the encrypted segments, if they are there.
    name : str or None
        What the file was called, once `decrypt` was called.
    """

    def __init__(
        self,
        file: BinaryIO,
        key: SecretKey | PrivateKey,
        signers: Collection[VerifyingKey] | None = None,
    ) -> None:
        self._file, self._reader = file, ChunkReader(file)
        self._names = iter(self._reader)
        self._name = b""
        opener = make_opener(key, signers)
        self._version = RECIPIENTS_VERSION if isinstance(key, PrivateKey) else VERSION
        self.read_original: Read | None = None
        self.name: str | None = None
        self._file_key = self._salt = b""
        start = read_exactly(file, len(SIGNATURE))
        if start == SIGNATURE:
            picture, header = self._read_picture(key)
        else:  # a service may have made a file of another lossless format of it
            picture, header = start + read_exactly(file, _MAX_PICTURE_BYTES), None
        self.pixels = _decode(picture)
        with _refusing():
            unsealed = opener.read(self.pixels)
            self.thumbnail, self.signer = unsealed.compressed.decompress(), unsealed.signer
        if self._name == ORIGINAL:
            self._open_original(unsealed.content_key, header)

    def decrypt(self) -> Iterator[bytes]:
        """Decrypt the file, and find its name at once.

        Returns
        -------
        iterator of bytes
            Pieces that are authentic. They are the whole file once the last has come without an
            error.

        Raises
        ------
        NotSealedError
            At once or from the iterator, if it was not made with this key, or was changed.
        """
        assert self.read_original is not None
        segments = decrypt_segments(self._file_key, self.read_original)
        self.name, signature, first = _split_details(next(segments))
        return self._decrypt(first, segments, signature)

    def _decrypt(
        self, first: bytes, segments: Iterator[bytes], signature: bytes
    ) -> Iterator[bytes]:
        hashed = hashlib.sha256()
        for piece in chain([first], segments):
            hashed.update(piece)
            yield piece
        self._finish()
        if self.signer is not None:
            digest = digest_pixels(self.pixels)
            signed = list_signed(self.name, self._salt, digest, hashed.digest())
            if not self.signer.verify(signature, signed):
                raise NotSealedError(REFUSED)

    def _finish(self) -> None:
        """Check what follows the encrypted file: nothing but chunks of others, and the end."""
        with _refusing():
            while self._name != b"IEND":
                self._pass_over()
                self._advance()
            self._end()

    def _pass_over(self) -> None:
        """Refuse a chunk that means something, at a place where nothing is to mean anything."""
        if self._name in (ORIGINAL, HEADER) or _is_critical(self._name):
            raise NotSealedError(REFUSED)

    def _read_up_to(self, n: int) -> bytes:
        """Read all of a chunk that may not be longer."""
        if self._reader.length > n:
            raise NotSealedError(REFUSED)
        return self._reader.read_all()

    def _advance(self) -> None:
        """Go on to the next chunk, once the check sum of this one was right."""
        self._name = next(self._names)

    def _end(self) -> None:
        """Compare the check sum of the last chunk, which is empty, and which nothing follows."""
        next(self._names, None)
        if self._reader.length or self._file.read(1):
            raise NotSealedError(REFUSED)

    def _read_picture(self, key: SecretKey | PrivateKey) -> tuple[bytes, bytes | None]:
        """Read the chunks of pixels as a PNG file of its own, and the header; check that first."""
        picture, header = [SIGNATURE], None
        with _refusing():
            self._advance()
            if self._name != b"IHDR" or self._reader.length != _IHDR.size:
                raise NotSealedError(REFUSED)
            ihdr = self._reader.read_all()
            picture.append(pack_chunk(b"IHDR", ihdr))
            left = _bound_picture(ihdr)
            self._advance()
            while self._name != b"IDAT":
                if self._name == HEADER and header is None and len(picture) == 2:
                    header = self._read_up_to(MAX_HEADER_BYTES)
                    self._advance()
                    CiphertextHeader.from_bytes(header).check(SCHEME, self._version, key)
                    continue
                if self._name == b"PLTE" and len(picture) == 2:
                    picture.append(pack_chunk(self._name, self._read_up_to(_MAX_PALETTE_BYTES)))
                else:
                    self._pass_over()
                self._advance()
            while self._name == b"IDAT":
                data = self._read_up_to(left)
                left -= len(data)
                picture.append(pack_chunk(self._name, data))
                self._advance()
            while self._name not in (ORIGINAL, b"IEND"):
                self._pass_over()
                self._advance()
            if self._name == b"IEND":
                self._end()
        return b"".join([*picture, pack_chunk(b"IEND", b"")]), header

    def _open_original(self, key: SecretKey, header: bytes | None) -> None:
        """Check that the encrypted file belongs to this key, header and picture."""
        if header is None:
            raise NotSealedError(REFUSED)
        opening = self._read(SALT_BYTES + COMMITMENT_BYTES)
        self._salt, stored = opening[:SALT_BYTES], opening[SALT_BYTES:]
        digest = digest_pixels(self.pixels)
        self._file_key, commitment = derive(key, header, self._salt, digest, self._version)
        if not hmac.compare_digest(commitment, stored):
            raise NotSealedError(REFUSED)
        self.read_original = self._read

    def _read(self, n: int) -> bytes:
        """Read from the chunks that hold the encrypted file, as if they were one."""
        parts = []
        with _refusing():
            while n and self._name == ORIGINAL:
                part = self._reader.read(n)
                if not part:
                    self._advance()
                parts.append(part)
                n -= len(part)
        return b"".join(parts)


@contextmanager
def _refusing() -> Iterator[None]:
    """Say the same of all that does not open. Errors of the disk are no answer of the decoder."""
    try:
        yield
    except (NewerFormatError, WrongKeyError):
        raise
    except (ValueError, StopIteration):
        raise NotSealedError(REFUSED) from None


def _is_critical(name: bytes) -> bool:
    """Tell whether readers that do not know a chunk must not pass over it."""
    return name[:1].isupper()


def _bound_picture(ihdr: bytes) -> int:
    """Say how many bytes its pixels may take, compressed or not."""
    width, height, _, _, compression, filtering, interlacing = _IHDR.unpack(ihdr)
    if not 0 < width * height <= _MAX_PICTURE_PIXELS or compression or filtering or interlacing > 1:
        raise NotSealedError(REFUSED)
    # Deflate makes nothing twice as long; four channels are the most, with a byte for each row.
    return 2 * height * (4 * width + 1) + 1024


def _decode(picture: bytes) -> NDArray[np.uint8]:
    with _refusing():
        height, width = read_size(picture)
        if height * width > _MAX_PICTURE_PIXELS:
            raise NotSealedError(REFUSED)
        return read_image(picture)


def _split_details(first: bytes) -> tuple[str | None, bytes, bytes]:
    """Split the first segment into the name, the signature, and the beginning of the file."""
    with _refusing():
        (n_bytes,) = struct.unpack("<I", first[:4].ljust(4, b"\xff"))
        if n_bytes > min(len(first) - 4, MAX_DETAILS_BYTES):
            raise NotSealedError(REFUSED)
        end = 4 + n_bytes
        details = _read_json(first[4:end])
        if not isinstance(details, dict) or not _is_name(details.get("name", b"")):
            raise NotSealedError(REFUSED)
        name = details["name"]
    return name, _read_signature(details), first[end:]


def _read_json(content: bytes) -> Any:
    """Read JSON as RFC 8259 has it, in UTF-8; `json` by itself is more generous."""
    try:
        # Numbers mean nothing here, and as whole ones might have thousands of digits.
        value = json.loads(content.decode(), parse_int=float, parse_constant=_refuse_constant)
    except RecursionError:
        raise NotSealedError(REFUSED) from None
    if not _has_levels(value, _MAX_LEVELS):
        raise NotSealedError(REFUSED)
    return value


def _refuse_constant(_: str) -> None:
    raise NotSealedError(REFUSED)


def _has_levels(value: Any, n: int) -> bool:
    """Tell whether objects and lists are nested in no more than so many levels."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return n > 0 and all(_has_levels(each, n - 1) for each in inner)


def _is_name(name: Any) -> bool:
    """Tell whether it is the name of a file, or null."""
    if name is None:
        return True
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return False
    is_text = not any("\ud800" <= letter <= "\udfff" for letter in name)
    return is_text and not {"/", "\0"} & {*name}


def _read_signature(details: dict[str, Any]) -> bytes:
    """Read a signature in lower-case hexadecimal digits; nothing else is one."""
    text = details.get("signature")
    if not isinstance(text, str) or not {*text} <= {*"0123456789abcdef"} or len(text) != 128:
        return b""
    return bytes.fromhex(text)


def _check_name(name: str | None) -> str:
    """Refuse a name that would lead out of a folder on any system."""
    if name is None:
        raise ValueError("the file has no name of its own. Give the path of a file as destination.")
    if name in (".", "..") or {PurePosixPath(name).name, PureWindowsPath(name).name} != {name}:
        raise ValueError(
            f"the file was called {name!r}, which is not the name of a file on every system. Give "
            "the path of a file as destination."
        )
    return name

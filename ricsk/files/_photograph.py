"""The sealed photograph: a file of any kind, inside a picture that a classifier reads.

`docs/guide/formats.rst` specifies it byte by byte.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk._atomic import open_whole
from ricsk.codecs import crop_and_resize, read_image, read_size
from ricsk.encryptors.sealed import seal_noise, unseal
from ricsk.exceptions import NewerFormatError, NotSealedError, WrongKeyError
from ricsk.files._header import MAX_HEADER_BYTES, CiphertextHeader, show_key_id, to_json
from ricsk.files._png import (
    HEADER,
    ORIGINAL,
    SIGNATURE,
    ChunkReader,
    compress_pixels,
    pack_chunk,
    pack_ihdr,
    read_exactly,
)
from ricsk.files._stream import REFUSED, Read, decrypt_segments, encrypt_segments
from ricsk.images import ImageForm
from ricsk.keys import SecretKey, encode_context, fresh_bytes

if TYPE_CHECKING:
    from ricsk.encryptors import SealedEncryptor

__all__ = ["OpenedPhotograph", "open_photograph", "read_photograph", "seal_photograph"]

SCHEME, VERSION = "photograph", 1

_SALT_BYTES, _COMMITMENT_BYTES, _FILE_KEY_BYTES = 16, 32, 32
# Some readers of PNG refuse chunks of more than 8 MB, even those that they pass over.
_CHUNK_BYTES = 1 << 20
_MAX_DETAILS_BYTES = 1 << 14
_MAX_NAME = 1024
# Classifiers read far smaller pictures.
_MAX_PICTURE_PIXELS = 1 << 22
_MAX_PICTURE_BYTES = 1 << 26
_IHDR = struct.Struct(">2I5B")
# Without a classifier, the picture is as large as a thumbnail needs, and costs 12 kB.
_NOISE_SIZE = (64, 64)

Source = str | os.PathLike[str] | BinaryIO


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
    """

    found: Literal["original", "thumbnail"]
    thumbnail: NDArray[np.uint8] = field(repr=False)
    name: str | None = None
    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None


def seal_photograph(
    source: Source,
    destination: Source,
    encryptor: SealedEncryptor | None = None,
    *,
    key: SecretKey | bytes | str | os.PathLike[str] | None = None,
    image: ArrayLike | None = None,
    overwrite: bool = False,
) -> None:
    """Put a photograph, the file itself, into a PNG file that a classifier reads as the photograph.

    The pixels of the PNG file are a sealed image: the classifier of the encryptor reads it as the
    photograph, and the key opens a thumbnail in it. A chunk beside the pixels holds the file, byte
    for byte and whatever its format, encrypted and authenticated, with its name, its EXIF data and
    all that it is made of. Pixels and chunk open together only.

    Read more in the :ref:`User Guide <guide-photographs>`.

    Parameters
    ----------
    source : path or binary file
        The photograph. A path is read piece by piece, and a file object into memory.
    destination : path or binary file
        Where the PNG file goes. A path is written whole or not at all.
    encryptor : SealedEncryptor, optional
        Fitted; see `read_photograph` for what its classifier is asked about. With
        ``appearance="compact", bit_planes=1`` the files are smallest. By default pixels are plain
        noise that no classifier was asked about.
    key : SecretKey, bytes or path, optional
        The key, where there is no encryptor with one.
    image : array-like of shape (height, width, channels), uint8, optional
        The photograph decoded, for formats that `ricsk.codecs.read_image` does not read, such as
        HEIC and camera raw, or for more than 8 bits.
    overwrite : bool, default=False
        Whether a file at `destination` is replaced.

    Raises
    ------
    FileExistsError
        If something is at `destination`.
    FileNotFoundError
        If `source` or the folder of `destination` is not there.
    TargetNotReachedError, TooLargeError
        As `SealedEncryptor.seal_thumbnails`.
    ValueError, TypeError
        If the photograph cannot be decoded and the classifier has to see it, or there is not one
        key.

    See Also
    --------
    open_photograph : The way back.

    Examples
    --------
    >>> import io
    >>> from ricsk import SecretKey
    >>> from ricsk.files import open_photograph, seal_photograph
    >>> key, sealed = SecretKey.generate(), io.BytesIO()
    >>> seal_photograph(io.BytesIO(b"any file"), sealed, key=key)
    >>> open_photograph(io.BytesIO(sealed.getvalue()), key).data
    b'any file'
    """
    if (encryptor is None) == (key is None):
        raise ValueError(
            "give a fitted SealedEncryptor, which has a key, or key=..., for pixels that are plain "
            "noise; not both."
        )
    secret = SecretKey.coerce(key) if encryptor is None else encryptor.key_
    source, name = _rewindable(source)
    header = CiphertextHeader(SCHEME, VERSION, show_key_id(secret)).to_bytes()
    details = to_json({"name": name})
    with _open_source(source) as file, _open_destination(destination, overwrite) as target:
        pixels = _make_pixels(source, encryptor, secret, image)
        salt = fresh_bytes(_SALT_BYTES)
        file_key, commitment = _derive(secret, header, salt, pixels)
        compressed = compress_pixels(pixels)
        _check_pixels(pixels, compressed)
        target.write(SIGNATURE + pack_ihdr(*pixels.shape))
        target.write(pack_chunk(HEADER, header) + pack_chunk(b"IDAT", compressed))
        prefix = io.BytesIO(struct.pack("<I", len(details)) + details)
        segments = encrypt_segments(file_key, lambda n: _read_both(prefix, file, n))
        for content in _gather(salt + commitment, segments):
            target.write(pack_chunk(ORIGINAL, content))
        target.write(pack_chunk(b"IEND", b""))


def open_photograph(
    source: Source,
    key: SecretKey | bytes | str | os.PathLike[str],
    destination: Source | None = None,
    *,
    overwrite: bool = False,
) -> OpenedPhotograph:
    """Open a sealed photograph: the file comes back, byte for byte.

    It takes the key alone: neither the encryptor nor its classifier, nor PyTorch. Memory is bounded
    where source and destination are files, however large the photograph.

    Parameters
    ----------
    source : path or binary file
        What `seal_photograph` wrote, or what a service has left of it.
    key : SecretKey, bytes or path
        The key.
    destination : path or binary file, optional
        Where the file goes. In a folder it gets the name that it had. A path appears once all of
        the file is authenticated. A file object is given each piece of up to 64 KiB as soon as
        that is authentic; only when the call returns, they are the whole file. By default the
        content is returned.
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
    secret = SecretKey.coerce(key)
    with _open_source(source) as file:
        reader = _Reader(file, secret)
        if reader.read_original is None:
            return OpenedPhotograph("thumbnail", reader.thumbnail)
        segments = decrypt_segments(reader.file_key, reader.read_original)
        name, first = _split_details(next(segments))
        if destination is None:
            data = b"".join([first, *segments])
            reader.finish()
            return OpenedPhotograph("original", reader.thumbnail, name, data)
        if isinstance(destination, str | os.PathLike) and Path(destination).is_dir():
            destination = Path(destination) / _check_name(name)
        with _open_destination(destination, overwrite) as target:
            target.write(first)
            for segment in segments:
                target.write(segment)
            reader.finish()
    path = Path(destination) if isinstance(destination, str | os.PathLike) else None
    return OpenedPhotograph("original", reader.thumbnail, name, path=path)


def read_photograph(
    source: str | os.PathLike[str] | bytes | ArrayLike, encryptor: SealedEncryptor
) -> NDArray[Any]:
    """Read a photograph as the classifier of an encryptor is given it.

    It is turned as its EXIF orientation says, cropped around its middle to the aspect of the images
    that the encryptor was fitted on, and resized to their size with Lanczos' filter, as by
    `ricsk.datasets.load_folder`; grey becomes colour, or colour grey, where they were so.

    Parameters
    ----------
    source : path, bytes, or array-like of shape (height, width, channels)
        An image file that `ricsk.codecs.read_image` reads, its content, or its pixels as uint8.
    encryptor : SealedEncryptor
        Fitted.

    Returns
    -------
    ndarray of shape (1, height, width, channels), (1, height, width) or (1, n_features)
        A batch of one, of the dtype and number of dimensions of the images of `fit`: what
        `seal_photograph` has the classifier match.

    Raises
    ------
    FileNotFoundError, ValueError
        As `ricsk.codecs.read_image`; or if the array is not an image.
    """
    if isinstance(source, str | os.PathLike | bytes):
        pixels = read_image(source)
    else:
        pixels = np.asarray(source)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.dtype != np.uint8:
        raise ValueError(
            f"image has shape {pixels.shape} and dtype {pixels.dtype}; expected (height, width), "
            "(height, width, 1) or (height, width, 3), and uint8."
        )
    height, width, channels = encryptor.image_shape_in_
    resized = crop_and_resize(pixels, (height, width))
    if channels == 3 and resized.shape[2] == 1:
        resized = resized.repeat(3, axis=2)
    elif channels == 1 and resized.shape[2] == 3:
        # ITU-R 601, which Pillow and torchvision take as well.
        grey = resized @ np.array([299, 587, 114]) / 1000
        resized = np.rint(grey).astype(np.uint8)[..., np.newaxis]
    form = ImageForm(encryptor.input_ndim_, np.dtype(encryptor.input_dtype_))
    return form.restore(encryptor.value_range_.from_uint8(resized[np.newaxis], form.dtype))


class _Reader:
    """Reads a sealed photograph up to its encrypted file, and what comes behind that.

    Parameters
    ----------
    file : binary file
        The photograph.
    key : SecretKey
        The key.

    Attributes
    ----------
    thumbnail : ndarray of shape (height, width, channels)
        What the pixels hold.
    read_original : callable or None
        Reads the encrypted segments, if they are there.
    file_key : bytes
        What they are encrypted with.
    """

    def __init__(self, file: BinaryIO, key: SecretKey) -> None:
        self._file, self._reader = file, ChunkReader(file)
        self._names = iter(self._reader)
        self._name = b""
        self.read_original: Read | None = None
        self.file_key = b""
        start = read_exactly(file, len(SIGNATURE))
        if start == SIGNATURE:
            picture, header = self._read_picture(key)
        else:  # a service may have made a file of another lossless format of it
            picture, header = start + read_exactly(file, _MAX_PICTURE_BYTES), None
        pixels = _decode(picture)
        self.thumbnail = _open_thumbnail(pixels, key)
        if self._name == ORIGINAL:
            self._open_original(key, header, pixels)

    def finish(self) -> None:
        """Check what follows the encrypted file: nothing but chunks of others, and the end."""
        with _refusing():
            while self._name != b"IEND":
                if self._name in (ORIGINAL, HEADER) or _is_critical(self._name):
                    raise NotSealedError(REFUSED)
                self._advance()
            self._end()

    def _advance(self) -> None:
        """Go on to the next chunk, once the check sum of this one was right."""
        self._name = next(self._names)

    def _end(self) -> None:
        """Compare the check sum of the last chunk, which nothing follows."""
        next(self._names, None)
        if self._file.read(1):
            raise NotSealedError(REFUSED)

    def _read_picture(self, key: SecretKey) -> tuple[bytes, bytes | None]:
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
            while self._name not in (ORIGINAL, b"IEND"):
                if self._name == HEADER and header is None and len(picture) == 2:
                    header = self._reader.read(MAX_HEADER_BYTES)
                    self._advance()
                    CiphertextHeader.from_bytes(header).check(SCHEME, VERSION, key)
                    continue
                if self._name in (b"PLTE", b"IDAT"):
                    data = self._reader.read(left)
                    left -= len(data)
                    picture.append(pack_chunk(self._name, data))
                elif self._name == HEADER or _is_critical(self._name):
                    raise NotSealedError(REFUSED)
                self._advance()
            if self._name == b"IEND":
                self._end()
        return b"".join([*picture, pack_chunk(b"IEND", b"")]), header

    def _open_original(
        self, key: SecretKey, header: bytes | None, pixels: NDArray[np.uint8]
    ) -> None:
        """Check that the encrypted file belongs to this key, header and picture."""
        if header is None:
            raise NotSealedError(REFUSED)
        opening = self._read(_SALT_BYTES + _COMMITMENT_BYTES)
        salt, stored = opening[:_SALT_BYTES], opening[_SALT_BYTES:]
        self.file_key, commitment = _derive(key, header, salt, pixels)
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


def _open_thumbnail(pixels: NDArray[np.uint8], key: SecretKey) -> NDArray[np.uint8]:
    with _refusing():
        thumbnail: NDArray[np.uint8] = unseal(pixels[np.newaxis], key)[0]
        return thumbnail


def _derive(
    key: SecretKey, header: bytes, salt: bytes, pixels: NDArray[np.uint8]
) -> tuple[bytes, bytes]:
    """Derive the key of the file, and what commits to it: both follow from the pixels, too."""
    digest = hashlib.sha256(struct.pack("<3I", *pixels.shape) + pixels.tobytes()).digest()
    context = encode_context(SCHEME, VERSION, header=header, pixels=digest, salt=salt)
    derived = key.derive("photograph/file", context, _FILE_KEY_BYTES + _COMMITMENT_BYTES)
    return derived[:_FILE_KEY_BYTES], derived[_FILE_KEY_BYTES:]


def _make_pixels(
    source: Source,
    encryptor: SealedEncryptor | None,
    key: SecretKey,
    image: ArrayLike | None,
) -> NDArray[np.uint8]:
    if encryptor is not None:
        X = read_photograph(_read_for_image(source) if image is None else image, encryptor)
        C = encryptor.seal_thumbnails(X)
        levels = encryptor.value_range_.to_uint8(C)
        return levels.reshape(encryptor.ciphertext_shape_)
    try:
        given = read_image(_read_for_image(source)) if image is None else np.asarray(image)
        thumbnail = crop_and_resize(given, _NOISE_SIZE)
    except ValueError:
        if image is not None:
            raise
        thumbnail = np.full((*_NOISE_SIZE, 1), 128, np.uint8)
    return seal_noise(thumbnail, key)


def _read_for_image(source: Source) -> str | os.PathLike[str] | bytes:
    if isinstance(source, str | os.PathLike):
        return source
    content = source.read()
    source.seek(0)
    return content


def _check_pixels(pixels: NDArray[np.uint8], compressed: bytes) -> None:
    """Make sure that the classifier will read in the file what it has read."""
    picture = pack_ihdr(*pixels.shape) + pack_chunk(b"IDAT", compressed) + pack_chunk(b"IEND", b"")
    if not np.array_equal(read_image(SIGNATURE + picture), pixels):
        raise RuntimeError("the pixels written are not those read back; nothing was kept")


def _rewindable(source: Source) -> tuple[Source, str | None]:
    """Return what can be read twice, and what it is called."""
    if isinstance(source, str | os.PathLike):
        return source, Path(source).name[:_MAX_NAME]
    name = getattr(source, "name", None)
    if not isinstance(name, str) or name.startswith("<"):  # a number, or "<stdin>"
        name = ""
    return io.BytesIO(source.read()), Path(name).name[:_MAX_NAME] or None


def _open_source(source: Source) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, str | os.PathLike):
        return open(source, "rb")
    return nullcontext(source)


def _open_destination(destination: Source, overwrite: bool) -> AbstractContextManager[BinaryIO]:
    if isinstance(destination, str | os.PathLike):
        return open_whole(destination, overwrite=overwrite)
    return nullcontext(destination)


def _read_both(first: BinaryIO, second: BinaryIO, n: int) -> bytes:
    start = first.read(n)
    return start + read_exactly(second, n - len(start))


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


def _split_details(first: bytes) -> tuple[str | None, bytes]:
    """Split the first segment into the name and the beginning of the file."""
    with _refusing():
        (n_bytes,) = struct.unpack("<I", first[:4].ljust(4, b"\xff"))
        if n_bytes > min(len(first) - 4, _MAX_DETAILS_BYTES):
            raise NotSealedError(REFUSED)
        end = 4 + n_bytes
        try:
            name = json.loads(first[4:end])["name"]
        except (KeyError, TypeError, RecursionError):
            raise NotSealedError(REFUSED) from None
        is_name = isinstance(name, str) and 0 < len(name) <= _MAX_NAME and not {"/", "\0"} & {*name}
        if name is not None and not is_name:
            raise NotSealedError(REFUSED)
    return name, first[end:]


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

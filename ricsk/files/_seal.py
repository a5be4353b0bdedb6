"""Sealing photographs: a file of any kind, inside a picture that a classifier reads."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.codecs import crop_and_resize, fit_to_shape, read_image
from ricsk.encryptors.sealed import seal_noise
from ricsk.files._envelope import (
    MAX_NAME,
    SALT_BYTES,
    SCHEME,
    VERSION,
    Place,
    derive,
    open_destination,
    open_source,
)
from ricsk.files._header import CiphertextHeader, show_key_id, to_json
from ricsk.files._png import (
    HEADER,
    ORIGINAL,
    SIGNATURE,
    compress_pixels,
    pack_chunk,
    pack_ihdr,
    read_exactly,
)
from ricsk.files._stream import encrypt_segments
from ricsk.images import ImageForm
from ricsk.keys import SecretKey, fresh_bytes

if TYPE_CHECKING:
    from ricsk.encryptors import SealedEncryptor

__all__ = ["read_photograph", "seal_photograph"]

# Some readers of PNG refuse chunks of more than 8 MB, even those that they pass over.
_CHUNK_BYTES = 1 << 20
# Without a classifier, the picture is as large as a thumbnail needs, and costs 12 kB.
_NOISE_SIZE = (64, 64)


def seal_photograph(
    source: Place,
    destination: Place,
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
    with open_source(source) as file, open_destination(destination, overwrite) as target:
        pixels = _make_pixels(source, encryptor, secret, image)
        salt = fresh_bytes(SALT_BYTES)
        file_key, commitment = derive(secret, header, salt, pixels)
        compressed = compress_pixels(pixels)
        _check_pixels(pixels, compressed)
        target.write(SIGNATURE + pack_ihdr(*pixels.shape))
        target.write(pack_chunk(HEADER, header) + pack_chunk(b"IDAT", compressed))
        prefix = io.BytesIO(struct.pack("<I", len(details)) + details)
        segments = encrypt_segments(file_key, lambda n: _read_both(prefix, file, n))
        for content in _gather(salt + commitment, segments):
            target.write(pack_chunk(ORIGINAL, content))
        target.write(pack_chunk(b"IEND", b""))


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
    resized = fit_to_shape(pixels, encryptor.image_shape_in_)
    form = ImageForm(encryptor.input_ndim_, np.dtype(encryptor.input_dtype_))
    return form.restore(encryptor.value_range_.from_uint8(resized[np.newaxis], form.dtype))


def _make_pixels(
    source: Place,
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


def _read_for_image(source: Place) -> str | os.PathLike[str] | bytes:
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


def _rewindable(source: Place) -> tuple[Place, str | None]:
    """Return what can be read twice, and what it is called."""
    if isinstance(source, str | os.PathLike):
        return source, Path(source).name[:MAX_NAME]
    name = getattr(source, "name", None)
    if not isinstance(name, str) or name.startswith("<"):  # a number, or "<stdin>"
        name = ""
    return io.BytesIO(source.read()), Path(name).name[:MAX_NAME] or None


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

"""Sealing photographs: a file of any kind, inside a picture that a classifier reads."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricsk.codecs import crop_and_resize, fit_to_shape, read_image
from ricsk.encryptors.sealed import seal_noise
from ricsk.files._envelope import MAX_NAME, Place, open_destination, open_source
from ricsk.files._png import read_exactly
from ricsk.files._write import Signing, hash_all, write_photograph
from ricsk.images import ImageForm
from ricsk.keys import PublicKey, SecretKey, SigningKey

if TYPE_CHECKING:
    from ricsk.encryptors import SealedEncryptor

__all__ = ["read_for_image", "read_photograph", "restore_images", "seal_photograph"]

# Without a classifier, the picture is as large as a thumbnail needs, and costs 12 kB.
_NOISE_SIZE = (64, 64)


def seal_photograph(
    source: Place,
    destination: Place,
    encryptor: SealedEncryptor | None = None,
    *,
    key: SecretKey | bytes | str | os.PathLike[str] | None = None,
    recipients: Iterable[PublicKey] | None = None,
    signing_key: SigningKey | str | os.PathLike[str] | None = None,
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
    recipients : list of PublicKey, optional
        For whom to seal, in the place of a key, where there is no encryptor with some.
    signing_key : SigningKey or path, optional
        Signs picture and file for `recipients`. An encryptor has its own. The file is read twice.
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
        key or list of recipients.

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
    n_given = sum(each is not None for each in (encryptor, key, recipients))
    if n_given != 1 or (encryptor is not None and signing_key is not None):
        del key
        raise ValueError(
            "give a fitted SealedEncryptor, which has a key or recipients, and its signing key; or "
            "key=... or recipients=..., for pixels that are plain noise; not both."
        )
    if encryptor is not None:
        signer, for_recipients = encryptor.signing_key_, bool(encryptor.recipients_)
    else:
        signer = None if signing_key is None else SigningKey.coerce(signing_key)
        for_recipients = recipients is not None
    source, name = _rewindable(source)
    with open_source(source) as file, open_destination(destination, overwrite) as target:
        if encryptor is not None:
            pixels, secret = _seal_for_classifier(source, encryptor, image)
        else:
            noise = _read_thumbnail(source, image)
            pixels, secret = seal_noise(
                noise, key, recipients=recipients, signing_key=signing_key, return_key=True
            )
        signing: Signing | None = None
        if signer is not None:
            signing = signer, hash_all(file.read)
            file.seek(0)
        write_photograph(
            target,
            pixels,
            secret,
            name,
            lambda n: read_exactly(file, n),
            for_recipients=for_recipients,
            signing=signing,
        )


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
    return restore_images(resized[np.newaxis], encryptor)


def restore_images(
    levels: NDArray[np.uint8], encryptor: Any, *, flat: bool = False
) -> NDArray[Any]:
    """Bring pixels into the form of the images that an encryptor was fitted on.

    Parameters
    ----------
    levels : ndarray of shape (n_samples, height, width, channels), uint8
        Of images, or of ciphertexts.
    encryptor : encryptor
        Fitted.
    flat : bool, default=False
        Whether to make rows of them, as encryptors with ``flatten=True`` do of ciphertexts.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        Of the dtype, range of values and number of dimensions of the images of `fit`.
    """
    form = ImageForm(encryptor.input_ndim_, np.dtype(encryptor.input_dtype_))
    images = form.restore(encryptor.value_range_.from_uint8(levels, form.dtype))
    return images.reshape(len(images), -1) if flat else images


def _seal_for_classifier(
    source: Place, encryptor: SealedEncryptor, image: ArrayLike | None
) -> tuple[NDArray[np.uint8], SecretKey]:
    X = read_photograph(read_for_image(source) if image is None else image, encryptor)
    C, (key,) = encryptor.seal_thumbnails(X, return_keys=True)
    levels = encryptor.value_range_.to_uint8(C)
    return levels.reshape(encryptor.ciphertext_shape_), key


def _read_thumbnail(source: Place, image: ArrayLike | None) -> NDArray[np.uint8]:
    """Read what fits into noise: a small picture, or an even one of what is none."""
    try:
        given = read_image(read_for_image(source)) if image is None else np.asarray(image)
        return crop_and_resize(given, _NOISE_SIZE)
    except ValueError:
        if image is not None:
            raise
        return np.full((*_NOISE_SIZE, 1), 128, np.uint8)


def read_for_image(source: Place) -> str | os.PathLike[str] | bytes:
    """Return what `ricsk.codecs.read_image` takes, and leave a file object at its beginning.

    Parameters
    ----------
    source : path or binary file
        Of an image.

    Returns
    -------
    path or bytes
    """
    if isinstance(source, str | os.PathLike):
        return source
    content = source.read()
    source.seek(0)
    return content


def _rewindable(source: Place) -> tuple[Place, str | None]:
    """Return what can be read twice, and what it is called."""
    if isinstance(source, str | os.PathLike):
        return source, Path(source).name[:MAX_NAME]
    name = getattr(source, "name", None)
    if not isinstance(name, str) or name.startswith("<"):  # a number, or "<stdin>"
        name = ""
    return io.BytesIO(source.read()), Path(name).name[:MAX_NAME] or None

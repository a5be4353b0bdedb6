"""Pictures whose pixels are encrypted, and nothing else of the file is kept."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ricsk.codecs import read_image
from ricsk.encryptors import EtCEncryptor, LearnableEncryptor, PixelEncryptor, unseal
from ricsk.encryptors.perceptual import PixelMapEncryptor
from ricsk.exceptions import NewerFormatError
from ricsk.files._ciphertexts import encode_ciphertexts, read_ciphertexts, read_header
from ricsk.files._envelope import SCHEME, Place, open_destination
from ricsk.files._header import find_scheme
from ricsk.files._seal import read_for_image, read_photograph
from ricsk.files._write import encode_picture
from ricsk.keys import PrivateKey, SecretKey, coerce_opening_key

__all__ = ["check_ready", "decrypt_picture", "encrypt_picture", "is_encrypted_picture"]

_SEALED = "sealed"
# Those whose encryptor follows from key, header and nothing else.
_ENCRYPTORS: dict[str, type[PixelMapEncryptor]] = {
    "etc": EtCEncryptor,
    "le": LearnableEncryptor,
    "pe": PixelEncryptor,
}
_SCHEMES = {_SEALED, *_ENCRYPTORS}


def encrypt_picture(
    source: Place, destination: Place, encryptor: Any, *, overwrite: bool = False
) -> None:
    """Encrypt the pixels of a picture into a PNG file with a header.

    Nothing else of the file is kept: no EXIF data, no name, not its format. `seal_photograph` keeps
    all of it.

    Parameters
    ----------
    source : path or binary file
        A picture that `ricsk.codecs.read_image` reads.
    destination : path or binary file
        Where the PNG file goes. A path is written whole or not at all.
    encryptor : encryptor
        Fitted, it gets the picture as `read_photograph` crops and resizes it. `EtCEncryptor`,
        `PixelEncryptor` and `LearnableEncryptor` may be unfitted, and encrypt the picture in its
        own size; with ``pad=True`` the first and the last take any.
    overwrite : bool, default=False
        Whether a file at `destination` is replaced.

    Raises
    ------
    FileExistsError
        If something is at `destination`.
    FileNotFoundError
        If `source` or the folder of `destination` is not there.
    ValueError, TypeError
        If the picture cannot be decoded, or the encryptor refuses it.
    sklearn.exceptions.NotFittedError
        If another encryptor is not fitted.

    See Also
    --------
    decrypt_picture : The way back, by the key alone.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.files import decrypt_picture, encrypt_picture
    >>> key, picture, encrypted = SecretKey.generate(), io.BytesIO(), io.BytesIO()
    >>> Image.effect_noise((100, 70), 50).convert("RGB").save(picture, "png")
    >>> _ = picture.seek(0)
    >>> encrypt_picture(picture, encrypted, EtCEncryptor(key, pad=True))
    >>> _ = encrypted.seek(0)
    >>> decrypt_picture(encrypted, key).shape
    (70, 100, 3)
    """
    check_ready(encryptor)
    content = read_for_image(source)
    if hasattr(encryptor, "image_shape_in_"):
        X = read_photograph(content, encryptor)
    else:
        X = read_image(content)[np.newaxis]
        encryptor = clone(encryptor).fit(X)
    (encoded,) = encode_ciphertexts(encryptor.transform(X), encryptor)
    with open_destination(destination, overwrite) as target:
        target.write(encoded)


def decrypt_picture(
    source: Place,
    key: SecretKey | PrivateKey | bytes | str | os.PathLike[str],
    destination: Place | None = None,
    *,
    overwrite: bool = False,
) -> NDArray[np.uint8]:
    """Decrypt the pixels of a picture by the key and what its file says of itself.

    Parameters
    ----------
    source : path or binary file
        Of a scheme that the key alone opens: "etc", "pe", "le" or "sealed". For others, fit the
        encryptor, and use `read_ciphertexts`.
    key : SecretKey, PrivateKey, bytes or path
        The key.
    destination : path or binary file, optional
        Where the picture is written to, too, as a PNG file.
    overwrite : bool, default=False
        Whether a file at `destination` is replaced.

    Returns
    -------
    ndarray of shape (height, width, channels), uint8
        The picture.

    Raises
    ------
    FileExistsError
        If something is at `destination`.
    WrongKeyError, NewerFormatError
        If the file was encrypted with another key, or by a newer version.
    NotSealedError
        If a sealed image was changed.
    ValueError
        If the file is damaged, has no header, or is of another scheme.

    See Also
    --------
    encrypt_picture : Makes them, and has an example.
    open_photograph : Opens sealed photographs.
    """
    opening = coerce_opening_key(key)
    picture = _decrypt(read_for_image(source), opening)
    if destination is not None:
        with open_destination(destination, overwrite) as target:
            target.write(encode_picture(picture))
    return picture


def check_ready(encryptor: Any | None) -> None:
    """Refuse an encryptor that is not fitted, where it cannot be fitted on each picture by itself.

    Parameters
    ----------
    encryptor : encryptor or None
        What is to encrypt pictures.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted, and learns more than the size of images.
    """
    if encryptor is not None and not isinstance(encryptor, PixelMapEncryptor):
        check_is_fitted(encryptor)


def is_encrypted_picture(source: Place) -> bool:
    """Say whether `decrypt_picture` opens a file, by its header.

    Parameters
    ----------
    source : path or binary file
        Of anything. A file object is left at its beginning.

    Returns
    -------
    bool

    Examples
    --------
    >>> import io
    >>> from ricsk.files import is_encrypted_picture
    >>> is_encrypted_picture(io.BytesIO(b"any file"))
    False
    """
    try:
        scheme = read_header(read_for_image(source)).scheme
    except (NewerFormatError, ValueError):  # as the one that opens it says
        return False
    return scheme in _SCHEMES


def _decrypt(content: str | os.PathLike[str] | bytes, key: Any) -> NDArray[np.uint8]:
    header = read_header(content)
    if header.scheme not in _SCHEMES:
        fitting = "Fit the encryptor, and use read_ciphertexts."
        remedy = "Use open_photograph." if header.scheme == SCHEME else fitting
        raise ValueError(
            f"the key alone does not open a ciphertext of the scheme {header.scheme!r}. {remedy}"
        )
    if header.scheme == _SEALED:
        picture: NDArray[np.uint8] = unseal(read_ciphertexts(content), key)[0]
        return picture
    kind, shape = _ENCRYPTORS[header.scheme], header.image_shape
    header.check(*find_scheme(kind()), key)
    C = read_ciphertexts(content)
    if shape is None or math.prod(shape) > C.size:
        raise ValueError("the header of the file is damaged: it is not of its pixels.")
    encryptor = kind.from_settings(key, shape, header.parameters)
    if not hasattr(encryptor, "inverse_transform"):
        raise ValueError(f"with the settings {header.parameters} nothing brings pictures back.")
    image: NDArray[np.uint8] = encryptor.inverse_transform(C)[0]
    return image

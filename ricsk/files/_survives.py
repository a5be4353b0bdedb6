"""What services leave of ciphertexts: files are sent through a transport, opened and read."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ricsk.base import get_encryptor_tags
from ricsk.codecs import fit_to_shape, read_image
from ricsk.exceptions import NotSealedError, WrongKeyError, WrongKeyWarning
from ricsk.files._ciphertexts import encode_ciphertexts
from ricsk.files._header import describe_encryptor
from ricsk.files._open import open_photograph
from ricsk.files._seal import restore_images, seal_photograph
from ricsk.files._write import encode_picture
from ricsk.images import check_images, describe
from ricsk.keys import SecretKey
from ricsk.metrics import FileTransport, carry_images, psnr

__all__ = ["Survival", "survives"]

Left = Literal["bit-exact", "close", "thumbnail", "prediction", "nothing"]

# Photographs whose pixels are all their own mean are at 10 to 20 dB.
_CLOSE_DECIBELS = 25.0
_ORDER: tuple[Left, ...] = get_args(Left)


@dataclass(frozen=True)
class Survival:
    """What is left of ciphertexts after a transport.

    Parameters
    ----------
    left : {"bit-exact", "close", "thumbnail", "prediction", "nothing"}
        What is left of every image, so the least of `images`.
    images : tuple of str
        What is left of each. "bit-exact": what the key opens is what it opened before. "close": the
        key gives an image that is at least 25 dB (PSNR) from the plain one. "thumbnail": the key
        gives the thumbnail of a sealed photograph. "prediction": the key opens nothing, or an image
        that is further away, and the classifier says what it said of the ciphertext before.
    psnr : float or None
        The mean PSNR, in dB, of whole images that the key gives, against the plain ones, infinite
        where one is equal; None where the key gives none.
    agreement : float or None
        The share of ciphertexts of which the classifier says what it said before, from 0 to 1;
        None without a classifier. A file that was refused does not agree.
    """

    left: Left
    images: tuple[Left, ...]
    psnr: float | None
    agreement: float | None


def survives(
    encryptor: Any, X: ArrayLike, transport: Any, *, classifier: Any | None = None
) -> Survival:
    """Send ciphertexts through what happens to files on the way, and say what is left of them.

    Images are encrypted and stored as PNG files: with a `SealedEncryptor` as sealed photographs of
    their own PNG files, by `seal_photograph`; with another as by `encode_ciphertexts`. The
    transport takes the files. What arrives is opened with the key, and read by the classifier.

    Read more in the :ref:`User Guide <guide-survives>`.

    Parameters
    ----------
    encryptor : encryptor
        Fitted, one of this package's.
    X : array-like
        Plain images, as for `transform` of the encryptor.
    transport : FileTransport, callable or transformer
        What a service does: `ricsk.metrics.Transcode`, `StripChunks`, `StripMetadata`, `ByteLimit`
        or `LeastSide`; or to pixels, as for `ricsk.metrics.carry_images`: `ricsk.JPEGCodec`,
        `resize_and_back` or `convert_colours`. The latter's results are stored as PNG files of
        pixels alone.
    classifier : classifier, optional
        Fitted, and behind the encryptor. Without one nobody says what is left of predictions.

    Returns
    -------
    Survival

    Raises
    ------
    ValueError
        If `X` does not hold images of the encryptor, or ciphertexts are for recipients, which their
        encryptor cannot open.
    TypeError
        If the encryptor is none of this package, or the transport is none.
    sklearn.exceptions.NotFittedError
        If the encryptor is not fitted.

    See Also
    --------
    ricsk.metrics.AgreementAfter : A scorer, for searches.

    Examples
    --------
    >>> from ricsk import EtCEncryptor, JPEGCodec, PixelEncryptor, SecretKey
    >>> from ricsk.datasets import load_photos
    >>> from ricsk.files import survives
    >>> from ricsk.metrics import Transcode
    >>> X, key = load_photos(size=(64, 64)), SecretKey.generate()
    >>> for encryptor in (EtCEncryptor(key).fit(X), PixelEncryptor(key).fit(X)):
    ...     for transport in (Transcode("jpeg2000"), JPEGCodec(quality=90)):
    ...         print(survives(encryptor, X, transport).left)
    bit-exact
    close
    bit-exact
    nothing
    """
    check_is_fitted(encryptor)
    if describe_encryptor(encryptor).scheme == "sealed":
        sender: _Photographs | _Ciphertexts = _Photographs(encryptor)
    else:
        sender = _Ciphertexts(encryptor)
    levels = _read_plain(encryptor, X)
    sent = sender.send(levels)
    arrived = _carry(sent, transport)
    opened = [sender.open(*each) for each in zip(levels, sent, arrived, strict=True)]
    reads = None if classifier is None else _compare(encryptor, classifier, sent, arrived)
    images = []
    for i, (left, _) in enumerate(opened):
        is_read = reads is not None and reads[i]
        images.append("prediction" if left == "nothing" and is_read else left)
    decibels = [value for _, value in opened if value is not None]
    return Survival(
        max(images, key=_ORDER.index),
        tuple(images),
        float(np.mean(decibels)) if decibels else None,
        None if reads is None else float(np.mean(reads)),
    )


class _Photographs:
    """Sealed photographs, and what the key opens in them."""

    def __init__(self, encryptor: Any) -> None:
        if not isinstance(encryptor.key_, SecretKey):
            raise ValueError(
                "the encryptor seals for recipients, and cannot open what arrives. Give one with a "
                "secret key: transports do the same to both."
            )
        self._encryptor = encryptor

    def send(self, levels: NDArray[np.uint8]) -> list[bytes]:
        """Seal images, as PNG files."""
        files = []
        for pixels in levels:
            sealed = io.BytesIO()
            seal_photograph(io.BytesIO(encode_picture(pixels)), sealed, self._encryptor)
            files.append(sealed.getvalue())
        return files

    def open(
        self, plain: NDArray[np.uint8], sent: bytes, arrived: bytes | None
    ) -> tuple[Left, float | None]:
        """Say what is left of one, and how far what comes back is from the plain image."""
        if arrived is None:
            return "nothing", None
        try:
            opened = open_photograph(io.BytesIO(arrived), self._encryptor.key_)
        except (NotSealedError, WrongKeyError):
            return "nothing", None
        if opened.data is None:
            return "thumbnail", None
        return "bit-exact", float(psnr(plain[np.newaxis], read_image(opened.data)[np.newaxis])[0])


class _Ciphertexts:
    """Ciphertexts of a scheme other than sealed, and what the key makes of them."""

    def __init__(self, encryptor: Any) -> None:
        self._encryptor = encryptor
        self._is_recoverable = get_encryptor_tags(encryptor).recoverable

    def send(self, levels: NDArray[np.uint8]) -> list[bytes]:
        """Encrypt images."""
        C = self._encryptor.transform(restore_images(levels, self._encryptor))
        return encode_ciphertexts(C, self._encryptor)

    def open(
        self, plain: NDArray[np.uint8], sent: bytes, arrived: bytes | None
    ) -> tuple[Left, float | None]:
        """Say what is left of one, and how far what comes back is from the plain image."""
        if arrived is None:
            return "nothing", None
        pixels = _read_pixels(self._encryptor, arrived)
        decibels = self._decrypt(plain, pixels) if self._is_recoverable else None
        if np.array_equal(pixels, read_image(sent)):
            return "bit-exact", decibels
        is_close = decibels is not None and decibels >= _CLOSE_DECIBELS
        return ("close", decibels) if is_close else ("nothing", None)

    def _decrypt(self, plain: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> float:
        encryptor = self._encryptor
        C = restore_images(pixels[np.newaxis], encryptor, flat=encryptor.flattens_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WrongKeyWarning)  # of what was changed on the way
            X = encryptor.inverse_transform(C)
        return float(psnr(plain[np.newaxis], _read_plain(encryptor, X))[0])


def _read_plain(encryptor: Any, X: ArrayLike) -> NDArray[np.uint8]:
    shape = encryptor.image_shape_in_
    batch = check_images(X, image_shape=shape, caller="survives")
    if batch.shape != shape:
        raise ValueError(
            f"X holds images of {describe(batch.shape)}, but this encryptor was fitted on those of "
            f"{describe(shape)}. Give images of that shape."
        )
    levels: NDArray[np.uint8] = encryptor.value_range_.to_uint8(batch.pixels)
    return levels


def _carry(files: list[bytes], transport: Any) -> list[bytes | None]:
    if isinstance(transport, FileTransport):
        return [transport.carry(file) for file in files]
    images = np.stack([read_image(file) for file in files]) / 255
    arrived = carry_images(images.astype(np.float32), transport)
    return [
        encode_picture(np.rint(pixels * 255).clip(0, 255).astype(np.uint8)) for pixels in arrived
    ]


def _compare(
    encryptor: Any, classifier: Any, sent: list[bytes], arrived: list[bytes | None]
) -> NDArray[np.bool_]:
    """Say of which files the classifier says the same before and after."""
    is_there = np.array([file is not None for file in arrived])
    agrees = np.zeros(len(sent), bool)
    if is_there.any():
        pairs = [(old, new) for old, new in zip(sent, arrived, strict=True) if new is not None]
        before, after = (
            classifier.predict(
                restore_images(
                    np.stack([_read_pixels(encryptor, file) for file in files]),
                    encryptor,
                    flat=encryptor.flattens_,
                )
            )
            for files in zip(*pairs, strict=True)
        )
        agrees[is_there] = before == after
    return agrees


def _read_pixels(encryptor: Any, file: bytes) -> NDArray[np.uint8]:
    return fit_to_shape(read_image(file), encryptor.ciphertext_shape_)

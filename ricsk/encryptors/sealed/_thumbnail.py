"""Thumbnails: images as coarse as it takes to fit into a ciphertext."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricsk.codecs import compress
from ricsk.encryptors.sealed._format import capacity
from ricsk.encryptors.sealed._message import NONCE_BYTES
from ricsk.encryptors.sealed._sealing import make_sealing
from ricsk.images import describe
from ricsk.keys import PublicKey, SecretKey, SigningKey, fresh_bytes

__all__ = ["compress_thumbnail", "seal_noise"]

# Sides of the squares that are made one colour: each a third or a half more than the one before.
_SIDES = sorted([2**i for i in range(17)] + [3 * 2**i for i in range(16)])
# What noise leaves to itself, so that all of a thumbnail is below it.
_NOISE_PLANES = 7


def compress_thumbnail(image: NDArray[np.uint8], codec: str, room: int) -> tuple[str, bytes]:
    """Compress an image, made of squares of one colour that are as small as the room allows.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels), uint8
        The image.
    codec : str
        See `ricsk.codecs.compress`.
    room : int
        How many bytes there are.

    Returns
    -------
    codec : str
    data : bytes
        Of an image of the same shape. Where not even one colour fits, it is longer than the room.
    """
    for side in _SIDES:
        found = compress(_coarsen(image, side), codec)
        if len(found[1]) <= room or side >= max(image.shape[:2]):
            break
    return found


def _coarsen(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Give all pixels of a square, or of what is left of one at the border, their mean."""
    if side == 1:
        return image
    height, width, channels = image.shape
    rows, columns = -(-height // side), -(-width // side)
    borders = ((0, rows * side - height), (0, columns * side - width), (0, 0))
    padded = np.pad(image, borders, mode="edge")
    squares = padded.reshape(rows, side, columns, side, channels)
    means = np.rint(squares.mean(axis=(1, 3))).astype(np.uint8)
    return means.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def seal_noise(
    image: NDArray[np.uint8],
    key: SecretKey | bytes | str | PathLike[str] | None = None,
    *,
    recipients: Iterable[PublicKey] | None = None,
    signing_key: SigningKey | str | PathLike[str] | None = None,
    return_key: bool = False,
) -> Any:
    """Seal an image, or a thumbnail of it, inside noise that no classifier was asked about.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels), uint8
        With 1 or 3 channels. Where it does not fit, squares of it become one colour.
    key : SecretKey, bytes or path
        The key that opens it, with `unseal`.
    recipients : iterable of PublicKey, optional
        For whom it is sealed, in the place of a key.
    signing_key : SigningKey or path, optional
        Who seals it, for recipients.
    return_key : bool, default=False
        Whether the key of the image is returned, for what is to be encrypted along with it.

    Returns
    -------
    noise : ndarray of that shape, uint8
        Another one each time.
    key : SecretKey
        With ``return_key=True``: for recipients a fresh one, which each of them will find.

    Raises
    ------
    ValueError, TypeError
        If the image is not one, or too small for the tags of a sealed image; or if there is not
        either a key or recipients.

    Examples
    --------
    >>> from ricsk import SecretKey, unseal
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.encryptors.sealed import seal_noise
    >>> key, (X, _) = SecretKey.generate(), load_digits(size=32)
    >>> noise = seal_noise(X[0], key)
    >>> bool((unseal(noise[None], key) == X[0]).all())
    True
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype != np.uint8:
        raise ValueError(
            f"image has shape {image.shape} and dtype {image.dtype}; expected (height, width, 1) "
            "or (height, width, 3), and uint8."
        )
    sealing = make_sealing(key, recipients, signing_key)
    height, width, channels = image.shape
    shape = height, width, channels
    room = capacity(image.size, _NOISE_PLANES, sealing.overhead)
    codec, data = compress_thumbnail(image, "webp", room)
    if len(data) > room:
        raise ValueError(
            f"an image of {describe(shape)} has no room for the tags of a sealed image, which take "
            f"{sealing.overhead} bytes; {len(data) - room} are missing. Enlarge it."
        )
    sealer = sealing.make_sealer(shape, _NOISE_PLANES)
    noise = np.frombuffer(fresh_bytes(image.size), np.uint8).reshape(image.shape)
    body = sealer.encrypt(codec, data, fresh_bytes(NONCE_BYTES))
    sealed = sealer.sign(sealer.embed(body, noise))
    return (sealed, sealer.content_key) if return_key else sealed

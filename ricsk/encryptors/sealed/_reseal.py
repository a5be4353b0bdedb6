"""Sealing what is sealed anew, without a classifier: the low planes change, the high ones stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ricsk.encryptors.sealed._format import capacity
from ricsk.encryptors.sealed._message import NONCE_BYTES
from ricsk.encryptors.sealed._opener import Reader
from ricsk.encryptors.sealed._sealing import Sealing
from ricsk.encryptors.sealed._thumbnail import compress_thumbnail
from ricsk.exceptions import TooLargeError
from ricsk.keys import SecretKey, fresh_bytes

__all__ = ["reseal"]


def reseal(
    pixels: NDArray[np.uint8], reader: Reader, sealing: Sealing, *, may_shrink: bool = False
) -> tuple[NDArray[np.uint8], SecretKey]:
    """Open an image, and seal it anew in the same planes. It is not decompressed.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, channels), uint8
        A ciphertext.
    reader : Reader
        What opens it.
    sealing : Sealing
        With what to seal.
    may_shrink : bool, default=False
        Whether the image may become a coarser one where it does not fit.

    Returns
    -------
    sealed : ndarray of that shape, uint8
        Another ciphertext, whose high bit planes are those of the first. So a classifier that reads
        the template with any low planes reads it as before; but nobody has asked it.
    key : SecretKey
        Of this image.

    Raises
    ------
    NotSealedError, NewerFormatError
        As `unseal`.
    TooLargeError
        If the image does not fit beside what the sealing takes.
    """
    unsealed = reader.read(pixels)
    compressed, (height, width, channels) = unsealed.compressed, pixels.shape
    codec, data = compressed.codec, compressed.data
    room = capacity(pixels.size, unsealed.bit_planes, sealing.overhead)
    if len(data) > room and may_shrink:
        codec, data = compress_thumbnail(compressed.decompress(), codec, room)
    if len(data) > room:
        raise TooLargeError(
            f"the image takes {len(data)} bytes, and its {unsealed.bit_planes} bit planes hold "
            f"{max(room, 0)} besides the {sealing.overhead} for whom it is sealed; "
            f"{len(data) - room} bytes are missing. Seal it with SealedEncryptor.rekey and more "
            "bit planes, or for fewer recipients."
        )
    sealer = sealing.make_sealer((height, width, channels), unsealed.bit_planes)
    body = sealer.encrypt(codec, data, fresh_bytes(NONCE_BYTES), compressed.scale)
    return sealer.sign(sealer.embed(body, pixels)), sealer.content_key

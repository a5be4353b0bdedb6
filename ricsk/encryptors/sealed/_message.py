"""The message in a sealed image: a compressed image, and what it takes to decompress it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ricsk.codecs import decompress
from ricsk.exceptions import NewerFormatError, NotSealedError, TooLargeError
from ricsk.images import ImageShape

__all__ = [
    "CODEC_NUMBERS",
    "MESSAGE_OVERHEAD",
    "NONCE_BYTES",
    "REFUSED",
    "Compressed",
    "pack_message",
    "read_message",
]

_HEADER_BYTES = 2
_MARK = b"\x80"

NONCE_BYTES = 16
"""Bytes of the nonce: random ones, or a digest of the settings."""

MESSAGE_OVERHEAD = _HEADER_BYTES + NONCE_BYTES + len(_MARK)
"""Bytes of a message besides the compressed image."""

CODEC_NUMBERS = {"raw": 0, "webp": 1, "jpegxl": 2}
"""Numbers of the codecs of `ricsk.codecs` in the header."""

REFUSED = "wrong key, damaged, or not sealed with ricsk"
"""What is said of all that does not open, so that nothing more is learnt from an error."""

_NO_IMAGE = f"{REFUSED}: it does not hold an image of this size"


def pack_message(
    version: int, codec: str, data: bytes, nonce: bytes, scale: int, room: int
) -> bytes:
    """Make a message of a compressed image.

    Parameters
    ----------
    version : int
        Of the format.
    codec : str
        A key of `CODEC_NUMBERS`.
    data : bytes
        The compressed image.
    nonce : bytes
        16 bytes.
    scale : int
        How many times as high and as wide as the image the ciphertext is.
    room : int
        How long the message is to be.

    Returns
    -------
    bytes

    Raises
    ------
    TooLargeError
        If the image does not fit.
    """
    head = bytes([version << 4 | CODEC_NUMBERS[codec], scale])
    message = head + nonce + data + _MARK
    if len(message) > room:
        raise TooLargeError(f"{len(message)} bytes do not fit into the room for {room}")
    return message.ljust(room, b"\0")


@dataclass(frozen=True)
class Compressed:
    """A compressed image.

    Parameters
    ----------
    codec : str
        A key of `CODEC_NUMBERS`.
    data : bytes
        What the codec made.
    scale : int
        How many times as high and as wide as the image the ciphertext is.
    shape : (int, int, int)
        Height, width and channels of the image.
    """

    codec: str
    data: bytes
    scale: int
    shape: ImageShape

    def decompress(self) -> NDArray[np.uint8]:
        """Bring back the image.

        Returns
        -------
        ndarray of shape `shape`, uint8

        Raises
        ------
        NotSealedError
            If the data are no image of this size.
        """
        try:
            return decompress(self.data, self.codec, self.shape)
        except ValueError as error:
            raise NotSealedError(_NO_IMAGE) from error


def read_message(message: bytes, shape: ImageShape, expected: int) -> Compressed:
    """Read an authentic message.

    Parameters
    ----------
    message : bytes
        From somebody who has the key, or for whom it was enough to have the public one.
    shape : (int, int, int)
        Height, width and channels of the ciphertext.
    expected : int
        The version that this reader reads.

    Returns
    -------
    Compressed

    Raises
    ------
    NewerFormatError
        If a newer version made it.
    NotSealedError
        If an older version made it, or it does not hold an image of this size.
    """
    version, codec, scale = message[0] >> 4, message[0] & 0x0F, message[1]
    names = {number: name for name, number in CODEC_NUMBERS.items()}
    if version < expected:
        raise NotSealedError(
            f"authentic, but of format {version}, from before the first release; this version "
            f"of ricsk reads format {expected}. Open it with the code that sealed it, and seal "
            "the image again"
        )
    if version > expected or codec not in names:
        raise NewerFormatError(
            f"this ciphertext is authentic, but of format {version}, codec {codec}; this "
            f"version of ricsk reads format {expected}. Update ricsk."
        )
    data = message[_HEADER_BYTES + NONCE_BYTES :].rstrip(b"\0")
    height, width, channels = shape
    # Without the mark there is no telling where the data end.
    if not data.endswith(_MARK) or scale == 0 or height % scale or width % scale:
        raise NotSealedError(_NO_IMAGE)
    size = height // scale, width // scale, channels
    return Compressed(names[codec], data.removesuffix(_MARK), scale, size)

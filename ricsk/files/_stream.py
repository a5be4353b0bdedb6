"""Encryption in segments: memory is bounded, and no byte comes out before it is authenticated.

This is the STREAM construction [1]_ as age [2]_ has it: the number of a segment, and whether it is
the last, are in its nonce. So segments that are missing, exchanged or added do not open.

References
----------
.. [1] V. T. Hoang, R. Reyhanitabar, P. Rogaway and D. Vizár, "Online authenticated-encryption and
   its nonce-reuse misuse-resistance", CRYPTO 2015.
.. [2] F. Valsorda and B. Cartwright-Cox, "The age file encryption format", age-encryption.org/v1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ricsk.exceptions import NotSealedError

__all__ = ["REFUSED", "SEGMENT_BYTES", "TAG_BYTES", "Read", "decrypt_segments", "encrypt_segments"]

SEGMENT_BYTES = 1 << 16
"""Bytes of plaintext in a segment, but for the last, which may have fewer."""

TAG_BYTES = 16
"""By how much an encrypted segment is longer."""

REFUSED = "the photograph does not open: wrong key, damaged, or not sealed with ricsk"
"""What is said of all that does not open, so that nothing more is learnt from an error."""

Read = Callable[[int], bytes]
"""Reads as many bytes as it is asked for, and fewer at the end only."""


def encrypt_segments(key: bytes, read: Read) -> Iterator[bytes]:
    """Encrypt a stream.

    Parameters
    ----------
    key : bytes
        32 bytes that encrypt this stream and no other: nonces begin at zero.
    read : callable
        Reads the plaintext.

    Yields
    ------
    bytes
        An encrypted segment; at least one.
    """
    cipher = ChaCha20Poly1305(key)
    for number, (segment, last) in enumerate(_split(read, SEGMENT_BYTES)):
        yield cipher.encrypt(_make_nonce(number, last), segment, None)


def decrypt_segments(key: bytes, read: Read) -> Iterator[bytes]:
    """Decrypt a stream.

    Parameters
    ----------
    key : bytes
        The key of `encrypt_segments`.
    read : callable
        Reads the encrypted segments.

    Yields
    ------
    bytes
        A segment that is authentic, in its place. The stream is whole only once the last has come
        without an error.

    Raises
    ------
    NotSealedError
        If the next segment was not made with this key for this place, or was changed.
    """
    cipher = ChaCha20Poly1305(key)
    for number, (segment, last) in enumerate(_split(read, SEGMENT_BYTES + TAG_BYTES)):
        if number and len(segment) <= TAG_BYTES:  # an empty stream has one empty segment, no other
            raise NotSealedError(REFUSED)
        try:
            yield cipher.decrypt(_make_nonce(number, last), segment, None)
        except InvalidTag:
            raise NotSealedError(REFUSED) from None


def _split(read: Read, size: int) -> Iterator[tuple[bytes, bool]]:
    """Yield each segment, and whether it is the last."""
    segment = read(size)
    while True:
        following = read(size) if len(segment) == size else b""
        yield segment, not following
        if not following:
            return
        segment = following


def _make_nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])

"""Key pairs as text: a mark that says which key it is, the key, and a checksum."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from ricsk.keys._text import DAMAGED, split_lines

__all__ = ["compute_fingerprint", "format_pair_file", "format_pair_line", "scan_pair"]

_CHECKSUM_BYTES, _FINGERPRINT_BYTES = 4, 16
_BASE64 = re.compile(r"[A-Za-z0-9_-]*")
# By the beginning of a line: which key it holds, and who reads it.
_HOLDS = {
    "RICSK-KEY-": ("a secret key", "SecretKey"),
    "RICSK-PRIVATE-": ("a private key", "PrivateKey"),
    "RICSK-PUBLIC-": ("a public key", "PublicKey"),
    "RICSK-SIGNING-": ("a signing key", "SigningKey"),
    "RICSK-VERIFYING-": ("a verifying key", "VerifyingKey"),
}


def format_pair_line(mark: str, raw: bytes) -> str:
    """Write a key as one line of text.

    Parameters
    ----------
    mark : str
        What the line begins with: which key it is, and of which kind.
    raw : bytes
        The key.

    Returns
    -------
    str
    """
    encoded = base64.urlsafe_b64encode(raw + _digest(mark, raw)[:_CHECKSUM_BYTES])
    return mark + encoded.decode().rstrip("=")


def format_pair_file(said: Iterable[str], line: str) -> str:
    """Write what is in the file of a key.

    Parameters
    ----------
    said : iterable of str
        What the comments say.
    line : str
        The key as text.

    Returns
    -------
    str
    """
    comments = [*said, f"Saved: {datetime.now(UTC).date().isoformat()}"]
    return "".join(f"# {comment}\n" for comment in comments) + line + "\n"


def compute_fingerprint(mark: str, raw: bytes) -> str:
    """Compute what tells public keys apart.

    Parameters
    ----------
    mark, raw
        As for `format_pair_line`.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    return _digest(mark, raw)[:_FINGERPRINT_BYTES].hex()


def scan_pair(text: str, marks: Iterable[str]) -> tuple[str, bytes] | str:
    """Find a key in a text.

    A fault is returned, not raised: a traceback from here would hold the secret in its local
    variables, which some tools show.

    Parameters
    ----------
    text : str
        The content of a file, or the line alone.
    marks : iterable of str
        Of the keys that are looked for.

    Returns
    -------
    tuple of str and bytes, or str
        The mark and the key; or what is wrong with the text, to be written behind its name.
    """
    lines, fault = split_lines(text)
    if fault is not None:
        return fault
    marks = tuple(marks)
    # One mark may begin as another does.
    mark = max((mark for mark in marks if lines[0].startswith(mark)), key=len, default=None)
    if mark is None:
        return _describe_fault(lines[0], marks)
    raw = _decode(lines[0].removeprefix(mark))
    raw, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if not hmac.compare_digest(checksum, _digest(mark, raw)[:_CHECKSUM_BYTES]):
        return DAMAGED
    return mark, raw


def _decode(text: str) -> bytes:
    """Decode base64; what is none becomes no bytes."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
    # The decoder passes over characters, and over bits at the end, that say nothing.
    again = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return raw if _BASE64.fullmatch(text) and again == text else b""


def _describe_fault(line: str, marks: tuple[str, ...]) -> str:
    beginning = "-".join(marks[0].split("-")[:2]) + "-"
    expected, _ = _HOLDS[beginning]
    for other, (held, reader) in _HOLDS.items():
        if line.startswith(other) and other != beginning:
            return f"holds {held}, which {reader} reads; expected {expected}"
    if line.startswith(beginning):
        return f"holds {expected} of a kind that this version does not know: upgrade ricsk"
    return f"does not hold {expected}, which would start with {beginning}"


def _digest(mark: str, raw: bytes) -> bytes:
    return hashlib.sha256(mark.encode() + raw).digest()

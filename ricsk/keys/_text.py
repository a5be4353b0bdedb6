"""A key as text: the one line that `SecretKey.reveal` returns, alone or in a file with comments."""

import base64
import codecs
import hashlib
import hmac
import re
from datetime import UTC, datetime

from ricsk._secrets import KEY_MARK, KEY_MARKS

__all__ = [
    "DAMAGED",
    "KEY_BYTES",
    "decode",
    "format_file",
    "format_line",
    "looks_like_key",
    "scan",
    "split_lines",
]

KEY_BYTES = 32

DAMAGED = "holds a damaged key: copy it again from where it was saved"
"""What is said of a line whose checksum is wrong."""

_VERSION = "1"
_ANY_MARK = "RICSK-"
_LINE = re.compile(rf"{KEY_MARK}{_VERSION}-([A-Za-z0-9_-]{{48}})(?:\.([0-9a-f]{{32}}))?")
_FILE = """\
# A secret key of ricsk, made for image encryption.
# Anyone who can read this file can decrypt what was encrypted with it. Without it, nobody can.
# Key id: {key_id}
# Saved: {date}
{line}
"""

# The mark of UTF-32 begins with that of UTF-16, and so stands before it.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Without a mark: where the first four bytes are zero, which the first characters, in ASCII, decide.
_ZERO_BYTES: dict[tuple[bool, ...], str] = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}


def format_line(raw: bytes, salt: bytes) -> str:
    """Write a key, and its salt if it was made from a passphrase, as one line of text."""
    body = base64.urlsafe_b64encode(raw + _checksum(raw, salt)).decode()
    return f"{KEY_MARK}{_VERSION}-{body}" + (f".{salt.hex()}" if salt else "")


def format_file(key_id: str, line: str) -> str:
    """Write what is in a key file."""
    return _FILE.format(key_id=key_id, date=datetime.now(UTC).date().isoformat(), line=line)


def looks_like_key(text: str) -> bool:
    """Tell whether there may be a key in a text that was expected to be something else."""
    return any(mark in text for mark in KEY_MARKS)


def decode(content: bytes) -> str:
    """Decode what is in a key file, from UTF-8, UTF-16 or UTF-32.

    What cannot be decoded is replaced, because the error would carry the content.
    """
    marked = (name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark))
    guessed = _ZERO_BYTES.get(tuple(byte == 0 for byte in content[:4]), "utf-8")
    return content.decode(next(marked, guessed), errors="replace")


def scan(text: str) -> tuple[bytes, bytes] | str:
    """Find the key in a text.

    A fault is returned, not raised: a traceback from here would hold the secret in its local
    variables, which some tools show.

    Returns
    -------
    tuple of bytes or str
        The key and its salt, which is empty unless the key was made from a passphrase. Or what is
        wrong with the text, to be written behind its name; it does not quote the text.
    """
    lines, fault = split_lines(text)
    match = _LINE.fullmatch(lines[0]) if len(lines) == 1 else None
    if match is not None:
        data, salt = base64.urlsafe_b64decode(match[1]), bytes.fromhex(match[2] or "")
        raw, checksum = data[:KEY_BYTES], data[KEY_BYTES:]
        if hmac.compare_digest(checksum, _checksum(raw, salt)):
            return raw, salt
    return fault or _describe_fault(lines[0])


def split_lines(text: str) -> tuple[list[str], str | None]:
    """Split a text into the lines that are neither empty nor comments.

    Parameters
    ----------
    text : str
        The content of a key file.

    Returns
    -------
    lines : list of str
    fault : str or None
        What is wrong with the text, unless it has a single line that may hold a key.
    """
    stripped = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    filled = [line for line in stripped if line]
    lines = [line for line in filled if not line.startswith("#")]
    marked = [line.startswith(_ANY_MARK) for line in lines]
    fault = None
    if not filled:
        fault = "is empty"
    elif not lines:
        fault = "holds comments, but no key"
    elif not any(marked) and any("\ufffd" in line or not line.isprintable() for line in lines):
        fault = (
            "is not text in UTF-8, UTF-16 or UTF-32: save it again in the encoding UTF-8. The 32 "
            "bytes of a key go through SecretKey(raw)"
        )
    elif len(lines) > 1:
        fault = f"must hold one line with a key, but holds {len(lines)} lines"
    return lines, fault


def _describe_fault(line: str) -> str:
    if not line.startswith(KEY_MARK):
        return f"does not hold a ricsk key, which would start with {KEY_MARK}{_VERSION}-"
    if not line.startswith(f"{KEY_MARK}{_VERSION}-"):
        return "holds a key made by a newer version of ricsk: upgrade ricsk"
    return DAMAGED


def _checksum(raw: bytes, salt: bytes) -> bytes:
    return hashlib.sha256(b"ricsk/1 checksum" + raw + salt).digest()[:4]

"""Where a secret could show."""

import base64
import hashlib
import traceback
from pathlib import Path

import ricsk
from ricsk.keys import SecretKey

PACKAGE = str(Path(ricsk.__file__).parent)

SECRET = hashlib.sha256(b"a secret of these tests").digest()
SECRET_TEXT = SecretKey(SECRET).reveal()


def forms(raw):
    """Every way in which the bytes could show up in a text, whole or by their first half."""
    found = []
    for part in (raw, raw[:16]):
        found += [part.hex(), repr(part)[2:-1], repr(list(part))[1:-1]]
        found += [
            encode(part).decode().rstrip("=")[:-1]
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
        ]
    return found


def shows_secret(text):
    return any(form in text for form in [SECRET_TEXT[12:30], *forms(SECRET)])


def show(value):
    try:
        return repr(value)
    except AttributeError:  # of an object that is not made yet
        return object.__repr__(value)


def assert_no_secret(error):
    """Look at an error, at those behind it, and at all that they carry.

    That includes the local variables of this package in their tracebacks.
    """
    behind = [error]
    while behind:
        error = behind.pop()
        if error is None:
            continue
        behind += [error.__cause__, error.__context__]
        assert not shows_secret("".join(traceback.format_exception(error)))
        assert not shows_secret(f"{vars(error)} {error.args} {getattr(error, 'object', '')}")
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename.startswith(PACKAGE):
                for name, value in frame.f_locals.items():
                    assert not shows_secret(show(value)), (name, frame)

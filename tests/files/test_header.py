"""What a file says of itself in public."""

import json

import numpy as np
import pytest

from ricsk import SecretKey
from ricsk.exceptions import NewerFormatError, WrongKeyError
from ricsk.files import CiphertextHeader
from ricsk.files._header import MAX_HEADER_BYTES, describe_encryptor
from tests.files.reference import KEY, make_header

HEADER = CiphertextHeader("etc", 2, "0123456789abcdef", (32, 48, 3), {"block_size": 8})
TEXT = (
    b'{"image_shape":[32,48,3],"key_id":"0123456789abcdef","parameters":{"block_size":8},'
    b'"ricsk":1,"scheme":"etc","version":2}'
)


def test_it_is_canonical_json():
    assert HEADER.to_bytes() == TEXT
    assert CiphertextHeader.from_bytes(TEXT) == HEADER
    assert CiphertextHeader("photograph", 1, KEY.key_id).to_bytes() == make_header()


def change(**changes):
    content = {**json.loads(TEXT), **changes}
    content = {name: value for name, value in content.items() if value is not ...}
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


DAMAGED = [
    b"",
    b"null",
    b"[]",
    b"\xff",
    TEXT[:-1],
    TEXT + b" ",
    TEXT.replace(b":2", b": 2"),
    TEXT.replace(b'"ricsk":1,', b'"ricsk":1,"ricsk":1,'),
    b"[" * (MAX_HEADER_BYTES - 1),
    b'{"a":' * 2000,
    change(scheme=...),
    change(more=1),
    change(scheme=1),
    change(version=0),
    change(version=True),
    change(version="2"),
    change(version=1 << 40),
    change(key_id=12),
    change(key_id="0123456789ABCDEF"),
    change(key_id="0" * 17),
    change(image_shape=[32, 48]),
    change(image_shape=[32, 48, 0]),
    change(image_shape=[32, 48, 3.0]),
    change(parameters=[]),
    change(ricsk=None),
    change(scheme="x" * MAX_HEADER_BYTES),
    TEXT.replace(b'"version":2', b'"version":NaN'),
]


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_anything_else_is_refused(data):
    with pytest.raises(ValueError, match=r"damaged|too long"):
        CiphertextHeader.from_bytes(data)


def test_a_newer_layout_is_named():
    with pytest.raises(NewerFormatError, match=r"layout 2.*Update ricsk"):
        CiphertextHeader.from_bytes(change(ricsk=2, more=1))


def test_what_does_not_fit_is_said():
    key, other = SecretKey(bytes(32)), SecretKey(bytes(range(32)))
    header = CiphertextHeader("etc", 2, key.key_id)
    header.check("etc", 2, key)
    with pytest.raises(WrongKeyError, match=f"key {key.key_id}, you gave {other.key_id}"):
        header.check("etc", 2, other)
    with pytest.raises(WrongKeyError, match="you gave None"):
        header.check("etc", 2, None)
    with pytest.raises(ValueError, match=r"scheme 'etc'; expected 'pe'"):
        header.check("pe", 2, key)
    with pytest.raises(NewerFormatError, match="Update"):
        header.check("etc", 1, key)
    with pytest.raises(ValueError, match="from before"):
        header.check("etc", 3, key)


def test_the_salt_of_a_passphrase_stays_out():
    """With it, whoever has the file could try passphrases."""
    from ricsk import PixelEncryptor

    key = SecretKey.from_passphrase("correct horse battery staple")
    encryptor = PixelEncryptor(key).fit(np.zeros((1, 8, 8, 3), np.uint8))
    written = describe_encryptor(encryptor).to_bytes()
    assert key.key_id[:16].encode() in written
    assert key.key_id[17:].encode() not in written


def test_what_is_not_ours_has_no_header():
    from sklearn.preprocessing import StandardScaler

    with pytest.raises(TypeError, match="not an encryptor whose files are known"):
        describe_encryptor(StandardScaler())

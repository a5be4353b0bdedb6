"""Sealed photographs for recipients, from the second implementation of the tests."""

import numpy as np

from ricsk import SecretKey
from tests.encryptors.sealed.recipients_vectors import CONTENT, SIGNER
from tests.files import recipients as photographs
from tests.files.reference import join_chunks, make_header
from tests.files.reference import seal as seal_with_secret_key
from tests.testkit.kit import OPENS, REFUSED, WRONG_KEY, Case, describe_image, digest
from tests.testkit.recipients import CAMERA, OTHER_SIGNER, private_text, verifying_text

ORIGINAL = bytes(range(200))


def make_photographs_for_recipients():
    for i in range(2):
        yield opens_photograph(f"plain-{i}", photographs.seal(ORIGINAL), key=private_text(i))
    yield opens_photograph("empty", photographs.seal(b""), original=b"")
    yield opens_photograph("no-name", photographs.seal(ORIGINAL, name=None), name=None)
    signed = photographs.seal(ORIGINAL, signer=SIGNER)
    yield opens_photograph("signed", signed, signer=CAMERA)
    yield opens_photograph("signed-asked", signed, signer=CAMERA, signers=[CAMERA])
    others = [verifying_text(OTHER_SIGNER)]
    yield refused_photograph("signed-by-another", signed, "by none who was asked for", others)
    plain = photographs.seal(ORIGINAL)
    yield refused_photograph("unsigned", plain, "not signed, as was asked for", [CAMERA])
    ihdr, head, idat, file, end = plain
    without_file = join_chunks([ihdr, head, idat, end])
    result = {"found": "thumbnail", "thumbnail": THUMBNAIL, "signer": None}
    comment = "the file was taken out on the way"
    name = "photograph-recipients-no-file"
    yield Case(name, private_text(0), without_file, OPENS, comment, result)
    pixels, _ = photographs.make_picture(signer=SIGNER)
    true = photographs.sign(ORIGINAL, pixels)
    for name, signature in {
        "missing": None,
        "of-another-file": photographs.sign(ORIGINAL[1:], pixels),
        "of-another-name": photographs.sign(ORIGINAL, pixels, name="b.jpg"),
        "of-another-salt": photographs.sign(ORIGINAL, pixels, salt=bytes(16)),
        "of-another-picture": photographs.sign(ORIGINAL, pixels ^ 128),
        "by-another": photographs.sign(ORIGINAL, pixels, signer=OTHER_SIGNER),
        "short": true[:-2],
        "of-capitals": true.upper(),
        "with-a-space": " " + true[1:],
        "number": 5,
    }.items():
        details = (
            {"name": "a.jpg"} if signature is None else {"name": "a.jpg", "signature": signature}
        )
        chunks = photographs.seal(ORIGINAL, pixels=pixels, details=details)
        yield refused_photograph(f"signature-{name}", chunks, "the file is not signed so")
    ignored = photographs.seal(ORIGINAL, details={"name": "a.jpg", "signature": 5})
    yield opens_photograph("signature-unasked", ignored)
    for place in (0, 16, 48, -1):
        content = bytearray(file[1])
        content[place] ^= 1
        chunks = [ihdr, head, idat, (b"riCS", bytes(content)), end]
        yield refused_photograph(f"flip-{place % len(content)}", chunks, "a bit flipped")
    other = photographs.seal(ORIGINAL, salt=bytes(16), details={"name": "b.jpg"})
    mixed = [ihdr, head, signed[2], other[3], end]
    yield refused_photograph("other-picture", mixed, "picture and file of two")
    old = (b"riCM", make_header(version=2))
    yield wrong_key("key-id", [ihdr, old, idat, file, end], private_text(0))
    yield wrong_key("secret-key", plain, SecretKey(CONTENT).reveal())
    yield wrong_key("private-for-secret", seal_with_secret_key(ORIGINAL), private_text(0))
    yield refused_photograph("stranger", plain, "no recipient", key=private_text(99))
    no_version = (b"riCM", make_header(version=1, key_id=None))
    yield wrong_key("version-1", [ihdr, no_version, idat, file, end], private_text(0))


THUMBNAIL = describe_image(np.full((6, 5, 1), 7, np.uint8))


def opens_photograph(
    case, chunks, *, key=None, original=ORIGINAL, name="a.jpg", signer=None, signers=None
):
    result = {
        "found": "original",
        "original": {"name": name, "length": len(original), "sha256": digest(original)},
        "thumbnail": THUMBNAIL,
        "signer": signer,
    }
    key = private_text(0) if key is None else key
    data, name = join_chunks(chunks), f"photograph-recipients-{case}"
    return Case(name, key, data, OPENS, "for recipients", result, signers=signers)


def refused_photograph(case, chunks, comment, signers=None, key=None):
    key = private_text(0) if key is None else key
    data, name = join_chunks(chunks), f"photograph-recipients-{case}"
    return Case(name, key, data, REFUSED, comment, signers=signers)


def wrong_key(case, chunks, key):
    data, name = join_chunks(chunks), f"photograph-recipients-{case}"
    return Case(name, key, data, WRONG_KEY, "the header says that another key is needed")

"""Known answers of sealed images for recipients: ``python -m`` this module writes them anew.

Slots of hybrid keys are taken from what was written before: nothing makes the same ones again.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.encryptors.sealed.recipients import (
    fingerprint,
    public_of,
    seal,
    text,
    wrap_hybrid,
)
from tests.encryptors.sealed.reference import carrier_of, header, ramp

FILE = Path(__file__).parents[2] / "vectors" / "recipients.json"
WEBP = Path(__file__).parents[2] / "vectors" / "sealed.json"
KNOWN = json.loads(FILE.read_text()) if FILE.exists() else {"images": []}
CONTENT = hashlib.sha256(b"content").digest()
SIGNER = hashlib.sha256(b"signer").digest()
KINDS = ("X25519", "MLKEM768-X25519")


def private(i):
    return hashlib.sha256(b"recipient" + bytes([i])).digest()


# Kind, recipients, whether it is signed; height, width and channels, scale, bit planes.
CASES = [
    ("X25519", 1, False, (8, 8, 1), 5, 4),
    ("X25519", 2, False, (5, 7, 3), 3, 7),
    ("X25519", 2, True, (9, 9, 1), 5, 3),
    ("X25519", 16, True, (8, 8, 3), 5, 5),
    ("X25519", 3, True, (1, 3, 1), 40, 1),
    ("MLKEM768-X25519", 1, False, (8, 8, 1), 8, 5),
    ("MLKEM768-X25519", 2, True, (8, 8, 3), 8, 3),
]


def make_vectors():
    return {
        "key_pairs": list(make_key_pairs()),
        "image": "values 0, 1, 2, ... in (row, column, channel) order, modulo 256",
        "carrier": "values 0, 37, 74, ... in that order, modulo 256; it gives the bits that the "
        "format leaves free",
        "images": list(make_images()),
    }


def make_key_pairs():
    for kind in KINDS:
        for i in range(2):
            public, mark = public_of(kind, private(i)), f"RICSK-PUBLIC-{kind}-"
            yield {
                "kind": kind,
                "private": private(i).hex(),
                "private_text": text(f"RICSK-PRIVATE-{kind}-", private(i)),
                "public_text": text(mark, public),
                "fingerprint": fingerprint(mark, public),
            }
    public, mark = public_of_signer(SIGNER), "RICSK-VERIFYING-ED25519-"
    yield {
        "kind": "ED25519",
        "private": SIGNER.hex(),
        "private_text": text("RICSK-SIGNING-ED25519-", SIGNER),
        "public_text": text(mark, public),
        "fingerprint": fingerprint(mark, public),
    }


def public_of_signer(raw):
    return Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()


def make_images():
    nonce = bytes(range(100, 116))
    for number, (kind, n, signed, shape, scale, planes) in enumerate(CASES):
        message = header(version=3, scale=scale, nonce=nonce) + ramp(shape).tobytes()
        slots = make_slots(number, kind, n, planes, signed)
        height, width, channels = shape
        carrier = carrier_of((height * scale, width * scale, channels))
        yield describe("raw", shape, scale, planes, carrier, message, kind, n, slots, signed)
    webp = next(v for v in json.loads(WEBP.read_text())["images"] if v["codec"] == "webp")
    message = header(version=3, codec=1, nonce=nonce) + bytes.fromhex(webp["compressed"])
    shape = tuple(webp["shape"])
    yield describe("webp", shape, 1, 7, carrier_of(shape), message, "X25519", 2, None, False)


def describe(codec, shape, scale, planes, carrier, message, kind, n, slots, signed):
    publics = [public_of(kind, private(i)) for i in range(n)]
    signer = SIGNER if signed else None
    pixels = seal(carrier, planes, message, publics, content=CONTENT, slots=slots, signer=signer)
    return {
        "codec": codec,
        "kind": kind,
        "private": [private(i).hex() for i in range(n)],
        "content_key": CONTENT.hex(),
        "slots": None if slots is None else [slot.hex() for slot in slots],
        "signer": public_of_signer(SIGNER).hex() if signed else None,
        "shape": list(shape),
        "scale": scale,
        "bit_planes": planes,
        "nonce": message[2:18].hex(),
        "compressed": message[18:].hex(),
        "ciphertext": pixels.tobytes().hex(),
    }


def make_slots(number, kind, n, planes, signed):
    """Take hybrid slots that were made once; None where the ephemeral keys make them."""
    if kind == "X25519":
        return None
    if number < len(KNOWN["images"]):
        return [bytes.fromhex(slot) for slot in KNOWN["images"][number]["slots"]]
    plaintext = CONTENT + bytes([planes, n, signed])
    return [wrap_hybrid(public_of(kind, private(i)), plaintext) for i in range(n)]


def ciphertext_of(vector):
    height, width, channels = vector["shape"]
    pixels = np.frombuffer(bytes.fromhex(vector["ciphertext"]), np.uint8)
    return pixels.reshape(height * vector["scale"], width * vector["scale"], channels)


if __name__ == "__main__":
    FILE.write_text(json.dumps(make_vectors(), indent=1) + "\n")

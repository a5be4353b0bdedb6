"""A second implementation of photographs for recipients, after the user guide."""

import hashlib

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ricsk import SecretKey
from ricsk.keys import encode_context
from tests.encryptors.sealed import recipients as sealed
from tests.encryptors.sealed.recipients_vectors import CONTENT, SIGNER, private
from tests.encryptors.sealed.reference import carrier_of, header
from tests.files import reference

KEY = SecretKey(CONTENT)
PUBLICS = [sealed.public_of("X25519", private(i)) for i in range(2)]
SALT = bytes(range(16))


def make_picture(shape=(24, 20, 1), signer=None, message=None):
    """Seal an even thumbnail of half the size in 7 planes, for two recipients."""
    thumbnail = np.zeros((shape[0] // 4, shape[1] // 4, shape[2]), np.uint8) + 7
    if message is None:
        message = header(version=3, scale=4) + thumbnail.tobytes()
    pixels = sealed.seal(carrier_of(shape), 7, message, PUBLICS, content=CONTENT, signer=signer)
    return pixels, thumbnail


def sign(original, pixels, *, name="a.jpg", salt=SALT, signer=SIGNER):
    """Sign a file, in hexadecimal digits."""
    signed = encode_context(
        "photograph/signature",
        2,
        name=name,
        pixels=reference.digest_of(pixels),
        salt=salt,
        sha256=hashlib.sha256(original).digest(),
    )
    return Ed25519PrivateKey.from_private_bytes(signer).sign(signed).hex()


def seal(original, *, signer=None, pixels=None, name="a.jpg", details=None, **options):
    """Make a photograph's chunks."""
    pixels = make_picture(signer=signer)[0] if pixels is None else pixels
    if details is None:
        details = {"name": name}
        if signer is not None:
            details["signature"] = sign(original, pixels, name=name, signer=signer)
    options = {"salt": SALT, "key": KEY, "version": 2, **options}
    return reference.seal(original, details=details, pixels=pixels, **options)

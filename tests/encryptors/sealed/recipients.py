"""A second implementation of sealed images for recipients, after the user guide.

Of HPKE it has what is deterministic: wraps to keys of X25519, with an ephemeral key that is given.
"""

import base64
import hashlib
import hmac
import struct

import numpy as np
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV, ChaCha20Poly1305

from ricsk import SecretKey

INFO = b"ricsk/sealed/3"
SLOT = {"X25519": 83, "MLKEM768-X25519": 1171}


def text(mark, raw):
    """Write a key as text."""
    check = hashlib.sha256(mark.encode() + raw).digest()[:4]
    return mark + base64.urlsafe_b64encode(raw + check).decode().rstrip("=")


def fingerprint(mark, raw):
    return hashlib.sha256(mark.encode() + raw).digest()[:16].hex()


def public_of(kind, raw):
    """Find the public key of a private one."""
    if kind == "X25519":
        return X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    lattice, curve = expand(raw)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def expand(seed):
    expanded = hashlib.shake_256(seed).digest(96)
    return (
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        X25519PrivateKey.from_private_bytes(expanded[64:]),
    )


def extract(salt, ikm):
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def expand_hkdf(key, info, length):
    made, block = b"", b""
    while len(made) < length:
        block = hmac.digest(key, block + info + bytes([len(made) // 32 + 1]), "sha256")
        made += block
    return made[:length]


def labeled_extract(suite, salt, label, ikm):
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, key, label, info, length):
    labeled = struct.pack(">H", length) + b"HPKE-v1" + suite + label + info
    return expand_hkdf(key, labeled, length)


def schedule(kem_id, shared, info=INFO):
    """Make key and nonce of HPKE's base mode."""
    suite = b"HPKE" + struct.pack(">3H", kem_id, 1, 3)
    identity = labeled_extract(suite, b"", b"psk_id_hash", b"")
    context = b"\0" + identity + labeled_extract(suite, b"", b"info_hash", info)
    secret = labeled_extract(suite, shared, b"secret", b"")
    return (
        labeled_expand(suite, secret, b"key", context, 32),
        labeled_expand(suite, secret, b"base_nonce", context, 12),
    )


def share(dh, enc, public):
    suite = b"KEM\0\x20"
    key = labeled_extract(suite, b"", b"eae_prk", dh)
    return labeled_expand(suite, key, b"shared_secret", enc + public, 32)


def wrap(public, plaintext, ephemeral, info=INFO):
    """Encrypt to a key of X25519."""
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = private.public_key().public_bytes_raw()
    dh = private.exchange(X25519PublicKey.from_public_bytes(public))
    key, nonce = schedule(0x20, share(dh, enc, public), info)
    return enc + ChaCha20Poly1305(key).encrypt(nonce, plaintext, b"")


def wrap_hybrid(public, plaintext):
    """Encrypt to a hybrid key, another time otherwise."""
    key = hpke.MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:1184]),
        X25519PublicKey.from_public_bytes(public[1184:]),
    )
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    return suite.encrypt(plaintext, key, info=INFO)


def unwrap_hybrid(raw, slot):
    """Open a slot by the components: ML-KEM, X25519, and the combiner of X-Wing."""
    lattice, curve = expand(raw)
    enc, ciphertext = slot[:1120], slot[1120:]
    dh = curve.exchange(X25519PublicKey.from_public_bytes(enc[1088:]))
    parts = lattice.decapsulate(enc[:1088]) + dh + enc[1088:]
    parts += curve.public_key().public_bytes_raw() + bytes.fromhex("5c2e2f2f5e5c")
    key, nonce = schedule(0x647A, hashlib.sha3_256(parts).digest())
    return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, b"")


def seal(
    carrier,
    planes,
    message,
    publics,
    *,
    content=bytes(range(32)),
    slots=None,
    signer=None,
    mark=b"\x80",
    forged=None,
):
    """Seal a message for keys of X25519, or with slots that are given.

    What is `forged` takes the place of what was signed: a carrier, a message, or who claims it.
    """
    shape, n_values = carrier.shape, carrier.size
    signed = signer is not None
    head = bytes([planes, len(publics), signed])
    context = struct.pack("<IIII", *shape, n_values) + head
    key = SecretKey(content)
    if slots is None:
        slots = [
            wrap(public, content + head, hashlib.sha256(b"ephemeral" + bytes([i])).digest())
            for i, public in enumerate(publics)
        ]
    before = b"".join(slots)
    room = n_values * planes // 8 - 32 - len(before) - 112 * signed - 16
    assert len(message) < room, (len(message), room)

    def embed(carrier, message):
        padded = (message + mark).ljust(room, b"\0")
        body = AESSIV(key.derive("recipients/siv", length=64)).encrypt(padded, [context])
        values = [int(value) for value in carrier.reshape(-1)]
        write(values, bytes(32) + before + bytes(112 * signed) + body)
        return values

    values = embed(carrier, message)
    if signed:
        private = Ed25519PrivateKey.from_private_bytes(signer)
        signature = private.sign(INFO + b"\0" + context + bytes(values))
        forged = {"carrier": carrier, "message": message, "claimed": signer, **(forged or {})}
        values = embed(forged["carrier"], forged["message"])
        claimed = Ed25519PrivateKey.from_private_bytes(forged["claimed"])
        block = claimed.public_key().public_bytes_raw() + signature
        cipher = AESSIV(key.derive("recipients/signature", length=64))
        write(values, cipher.encrypt(block, [context]), 32 + len(before))
    write(values, hmac.digest(key.derive("recipients/tag"), context + bytes(values), "sha256"))
    return np.array(values, np.uint8).reshape(shape)


def write(values, data, start=0):
    """Write bytes into low bits, one bit at a time."""
    for place in range(8 * len(data)):
        bit = data[place // 8] >> (7 - place % 8) & 1
        plane, value = divmod(8 * start + place, len(values))
        values[value] = values[value] & ~(1 << plane) | bit << plane

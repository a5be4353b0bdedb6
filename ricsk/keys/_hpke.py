"""HPKE (RFC 9180) for the kinds of key pairs there are, over `cryptography`.

Single-shot base mode: KDF HKDF-SHA256, AEAD ChaCha20-Poly1305.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

__all__ = ["KEMS", "Kem"]

_TAG_BYTES = 16
_MLKEM_PUBLIC_BYTES = 1184


@dataclass(frozen=True)
class Kem:
    """A key encapsulation mechanism, and how its keys are read.

    Parameters
    ----------
    name : str
        What `cryptography` calls it.
    encapsulated_bytes : int
        How long an encapsulated key is.
    load_private, load_public : callable
        Read a key from bytes.
    dump_public : callable
        Finds the bytes of the public key of a private one.
    """

    name: str
    encapsulated_bytes: int
    load_private: Callable[[bytes], Any]
    load_public: Callable[[bytes], Any]
    dump_public: Callable[[bytes], bytes]

    @property
    def overhead(self) -> int:
        """By how many bytes what is wrapped is longer."""
        return self.encapsulated_bytes + _TAG_BYTES

    def encrypt(self, plaintext: bytes, public: Any, info: bytes) -> bytes:
        """Encrypt to a public key.

        Parameters
        ----------
        plaintext : bytes
            What to encrypt.
        public : key
            What `load_public` made.
        info : bytes
            What it is for.

        Returns
        -------
        bytes
            The encapsulated key and the ciphertext.
        """
        return self._suite.encrypt(plaintext, public, info=info)

    def decrypt(self, ciphertext: bytes, private: Any, info: bytes) -> bytes | None:
        """Decrypt what was encrypted to the public key of a private one.

        Parameters
        ----------
        ciphertext : bytes
            What `encrypt` returned, or anything else.
        private : key
            What `load_private` made.
        info : bytes
            What it is for.

        Returns
        -------
        bytes or None
            None if it was not encrypted to this key, or was changed.
        """
        try:
            return self._suite.decrypt(ciphertext, private, info=info)
        except (InvalidTag, ValueError):
            return None

    @property
    def _suite(self) -> Any:
        return hpke.Suite(
            getattr(hpke.KEM, self.name), hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305
        )


def _dump_x25519(raw: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()


def _expand(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """Expand a seed as draft-connolly-cfrg-xwing-kem, section 5.2, has it."""
    expanded = hashlib.shake_256(seed).digest(96)
    try:
        lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    except UnsupportedAlgorithm as error:
        del seed, expanded
        raise _make_unsupported_error() from error
    return lattice, X25519PrivateKey.from_private_bytes(expanded[64:])


def _load_hybrid_private(seed: bytes) -> Any:
    return hpke.MLKEM768X25519PrivateKey(*_expand(seed))


def _load_hybrid_public(raw: bytes) -> Any:
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES])
    except UnsupportedAlgorithm as error:
        raise _make_unsupported_error() from error
    curve = X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC_BYTES:])
    return hpke.MLKEM768X25519PublicKey(lattice, curve)


def _dump_hybrid(seed: bytes) -> bytes:
    lattice, curve = _expand(seed)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def _make_unsupported_error() -> NotImplementedError:
    return NotImplementedError(
        "this build of cryptography has no ML-KEM-768, which keys of the kind MLKEM768-X25519 "
        "need. Install cryptography from its wheels, or take keys of the kind X25519"
    )


KEMS = {
    "X25519": Kem(
        "X25519",
        32,
        X25519PrivateKey.from_private_bytes,
        X25519PublicKey.from_public_bytes,
        _dump_x25519,
    ),
    "MLKEM768-X25519": Kem(
        "MLKEM768_X25519", 1120, _load_hybrid_private, _load_hybrid_public, _dump_hybrid
    ),
}
"""By the kind of the key pair."""

"""Sealed images: authenticated encryption in the low bits of what a classifier reads."""

from ricsk.encryptors.sealed._encryptor import SealedEncryptor, unseal

__all__ = ["SealedEncryptor", "unseal"]

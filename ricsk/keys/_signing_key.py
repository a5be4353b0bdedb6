"""`SigningKey` and `VerifyingKey`: who sealed an image."""

from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ricsk.keys._pair_secret import PairSecret
from ricsk.keys._public import PublicHalf

__all__ = ["SigningKey", "VerifyingKey"]

_KIND = "ED25519"


class VerifyingKey(PublicHalf):
    """The public half of a `SigningKey`, by which those who open images know who sealed them.

    Read more in the :ref:`User Guide <guide-recipients>`.

    Parameters
    ----------
    raw : bytes
        The key, 32 bytes.

    Raises
    ------
    ValueError
        If it does not have 32 bytes.

    Examples
    --------
    >>> from ricsk.keys import SigningKey, VerifyingKey
    >>> camera = SigningKey.generate()
    >>> camera.verifying_key
    VerifyingKey(fingerprint='...')
    >>> camera.verifying_key.verify(camera.sign(b"text"), b"text")
    True
    """

    __slots__ = ()

    _MARKS = {_KIND: f"RICSK-VERIFYING-{_KIND}-"}  # noqa: RUF012 (nobody changes it)
    _PURPOSE = "A verifying key of ricsk. It tells whose images these are; it is no secret."

    def __init__(self, raw: bytes) -> None:
        self._fill(_KIND, bytes(raw))

    @classmethod
    def _load(cls, kind: str, raw: bytes) -> Any:
        return Ed25519PublicKey.from_public_bytes(raw)

    @property
    def raw(self) -> bytes:
        """The key, 32 bytes."""
        return self._raw

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Tell whether a signature is by this key, of these data.

        Parameters
        ----------
        signature : bytes
            What `SigningKey.sign` returned, or anything else.
        data : bytes
            What was signed.

        Returns
        -------
        bool
        """
        try:
            self._load(_KIND, self._raw).verify(signature, data)
        except InvalidSignature:
            return False
        return True


class SigningKey(PairSecret):
    """A key that signs images where they are sealed, and never prints itself.

    Whoever has it can sign as its owner, and opens nothing with it. It appears, and does not
    appear, in the same places as a `SecretKey`.

    Read more in the :ref:`User Guide <guide-recipients>`.

    See Also
    --------
    VerifyingKey : The public half.

    Examples
    --------
    >>> from ricsk.keys import SigningKey
    >>> SigningKey.generate()
    SigningKey(fingerprint='...', source='generated')
    """

    __slots__ = ()

    _MARKS = {_KIND: f"RICSK-SIGNING-{_KIND}-"}  # noqa: RUF012 (nobody changes it)
    _PURPOSE = "A signing key of ricsk. It signs images as its owner's."

    @classmethod
    def generate(cls) -> Self:
        """Make a new random key with the operating system's generator.

        Returns
        -------
        SigningKey
            A key that exists nowhere else.
        """
        return cls._generate(_KIND)

    @classmethod
    def _find_public(cls, raw: bytes, kind: str) -> VerifyingKey:
        private = Ed25519PrivateKey.from_private_bytes(raw)
        return VerifyingKey(private.public_key().public_bytes_raw())

    @property
    def verifying_key(self) -> VerifyingKey:
        """The key that is given to those who open."""
        return self._find_public(*self._content)

    def sign(self, data: bytes) -> bytes:
        """Sign data with Ed25519 (RFC 8032).

        Parameters
        ----------
        data : bytes
            What to sign. It begins with what it is for, so that no signature is taken for another.

        Returns
        -------
        bytes
            64 bytes.
        """
        return Ed25519PrivateKey.from_private_bytes(self._content[0]).sign(data)

"""`PrivateKey` and `PublicKey`: who opens what was sealed to the public half."""

from typing import Any, Literal, Self

from ricsk.keys._hpke import KEMS
from ricsk.keys._pair_secret import PairSecret
from ricsk.keys._public import PublicHalf

__all__ = ["PrivateKey", "PublicKey"]


class PublicKey(PublicHalf):
    """A public key: whoever has it can seal images, and cannot open them.

    It comes from `PrivateKey.public_key`, or from the text or file of one. Everybody may have it.
    But take it from its owner: what is sealed to the key of somebody else is open to them. Compare
    the `fingerprint`.

    Read more in the :ref:`User Guide <guide-recipients>`.

    See Also
    --------
    PrivateKey : The half that opens.

    Examples
    --------
    >>> from ricsk.keys import PrivateKey, PublicKey
    >>> public = PrivateKey.generate().public_key
    >>> public
    PublicKey(fingerprint='...')
    >>> PublicKey.from_text(public.text) == public
    True
    """

    __slots__ = ()

    _MARKS = {kind: f"RICSK-PUBLIC-{kind}-" for kind in KEMS}  # noqa: RUF012 (nobody changes it)
    _PURPOSE = "A public key of ricsk. Whoever has it can seal for its owner. It is no secret."

    def __init__(self) -> None:
        raise TypeError("take PrivateKey.public_key, or read a key with PublicKey.from_text")

    @classmethod
    def _load(cls, kind: str, raw: bytes) -> Any:
        return KEMS[kind].load_public(raw)

    @property
    def overhead(self) -> int:
        """By how many bytes what `wrap` returns is longer than the data."""
        return KEMS[self._kind].overhead

    def wrap(self, data: bytes, info: bytes) -> bytes:
        """Encrypt a few bytes, such as the key of an image, for the owner of the private key.

        This is HPKE (RFC 9180) in base mode and single-shot form, with HKDF-SHA256 and
        ChaCha20-Poly1305. Each call gives another ciphertext.

        Parameters
        ----------
        data : bytes
            What to encrypt.
        info : bytes
            What it is for. It is opened for the same purpose only.

        Returns
        -------
        bytes
            The encapsulated key and the ciphertext.

        Raises
        ------
        ValueError
            If the key is one that no private key has.

        Examples
        --------
        >>> from ricsk.keys import PrivateKey
        >>> private = PrivateKey.generate()
        >>> wrapped = private.public_key.wrap(b"a key", b"example")
        >>> private.unwrap(wrapped, b"example")
        b'a key'
        """
        kem = KEMS[self._kind]
        try:
            return kem.encrypt(data, kem.load_public(self._raw), info)
        except ValueError:
            raise ValueError(
                f"nothing can be encrypted to {self!r}: no private key has such a public key. Take "
                "the key from its owner again"
            ) from None


class PrivateKey(PairSecret):
    """A private key, which opens what was sealed to its public key, and never prints itself.

    Make one with `generate`, keep it with `save`, and give `public_key` to those who are to seal.
    Secrets appear, and do not appear, in the same places as those of a `SecretKey`: a key that was
    read from a file or the environment is pickled as a reference, any other with its secret bytes.

    Read more in the :ref:`User Guide <guide-recipients>`.

    See Also
    --------
    SecretKey : One key that both seals and opens.

    Examples
    --------
    >>> from ricsk import PrivateKey
    >>> private = PrivateKey.generate()
    >>> private
    PrivateKey(fingerprint='...', source='generated')
    >>> private.fingerprint == private.public_key.fingerprint
    True
    """

    __slots__ = ("_loaded",)

    _loaded: Any  # what the cryptography works on
    _MARKS = {kind: f"RICSK-PRIVATE-{kind}-" for kind in KEMS}  # noqa: RUF012 (nobody changes it)
    _PURPOSE = "A private key of ricsk. It opens what was sealed to its public key."

    def _fill(self, content: tuple[Any, ...], source: str, location: str | None = None) -> None:
        super()._fill(content, source, location)
        raw, kind = content
        object.__setattr__(self, "_loaded", KEMS[kind].load_private(raw))

    @classmethod
    def generate(cls, kind: Literal["X25519", "MLKEM768-X25519"] = "X25519") -> Self:
        """Make a new random key with the operating system's generator.

        Parameters
        ----------
        kind : {"X25519", "MLKEM768-X25519"}, default="X25519"
            The second is a hybrid that stays secret as long as one of X25519 and ML-KEM-768 does,
            so also from those who keep what they see today for a quantum computer. It takes 1,171
            bytes of each image for each recipient, and the first 83.

        Returns
        -------
        PrivateKey
            A key that exists nowhere else: `save` it, or what is sealed to it is lost.

        Raises
        ------
        ValueError
            If there is no such kind.
        NotImplementedError
            If the installed `cryptography` has no ML-KEM.

        Examples
        --------
        >>> from ricsk.keys import PrivateKey
        >>> PrivateKey.generate("MLKEM768-X25519").kind
        'MLKEM768-X25519'
        """
        return cls._generate(kind)

    @classmethod
    def _find_public(cls, raw: bytes, kind: str) -> PublicKey:
        return PublicKey._make(kind, KEMS[kind].dump_public(raw))

    @property
    def public_key(self) -> PublicKey:
        """The key that is given to those who seal."""
        return self._find_public(*self._content)

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes | None:
        """Decrypt what `PublicKey.wrap` encrypted.

        Parameters
        ----------
        wrapped : bytes
            What `PublicKey.wrap` returned, or anything else.
        info : bytes
            What it is for.

        Returns
        -------
        bytes or None
            The data, from somebody who has the public key; None if it was encrypted to another key
            or for another purpose, or was changed.
        """
        return KEMS[self.kind].decrypt(wrapped, self._loaded, info)

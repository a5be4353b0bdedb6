"""Secret keys, and everything random that follows from them.

A `SecretKey` is 32 secret bytes that never print themselves. A `Keystream` is the random bytes,
numbers and permutations that follow from a key, a purpose and a context; the same three give the
same stream on every machine. `encode_context` makes contexts that keep the streams of different
settings apart. The user guide's page on keys specifies all three to the byte. A `KeyParameter` is
how estimators hold a key. A `PrivateKey` opens what is sealed to its `PublicKey`, and a
`SigningKey` says who sealed it.
"""

from ricsk._publish import publish
from ricsk.keys._context import encode_context
from ricsk.keys._keystream import Keystream, fresh_bytes
from ricsk.keys._opening_key import coerce_opening_key
from ricsk.keys._parameter import KeyedMixin, KeyParameter, RecipientsParameter
from ricsk.keys._paths import KeyPath
from ricsk.keys._private_key import PrivateKey, PublicKey
from ricsk.keys._references import allow_references
from ricsk.keys._secret_key import SecretKey
from ricsk.keys._signing_key import SigningKey, VerifyingKey
from ricsk.keys._unusable import UnusableKey

__all__ = [
    "KeyParameter",
    "KeyPath",
    "KeyedMixin",
    "Keystream",
    "PrivateKey",
    "PublicKey",
    "RecipientsParameter",
    "SecretKey",
    "SigningKey",
    "UnusableKey",
    "VerifyingKey",
    "allow_references",
    "coerce_opening_key",
    "encode_context",
    "fresh_bytes",
]

publish(globals())

"""Secret keys, and everything random that follows from them.

A `SecretKey` is 32 secret bytes that never print themselves. A `Keystream` is the random bytes,
numbers and permutations that follow from a key, a purpose and a context; the same three give the
same stream on every machine. `encode_context` makes contexts that keep the streams of different
settings apart. The user guide's page on keys specifies all three to the byte. A `KeyParameter` is
how estimators hold a key.
"""

from ricsk._publish import publish
from ricsk.keys._context import encode_context
from ricsk.keys._keystream import Keystream, fresh_bytes
from ricsk.keys._parameter import KeyedMixin, KeyParameter
from ricsk.keys._paths import KeyPath
from ricsk.keys._secret_key import SecretKey, allow_references
from ricsk.keys._unusable import UnusableKey

__all__ = [
    "KeyParameter",
    "KeyPath",
    "KeyedMixin",
    "Keystream",
    "SecretKey",
    "UnusableKey",
    "allow_references",
    "encode_context",
    "fresh_bytes",
]

publish(globals())

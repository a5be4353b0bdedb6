"""Secret keys, and everything random that follows from them.

A `SecretKey` is 32 secret bytes that never print themselves. A `Keystream` is the random bytes,
numbers and permutations that follow from a key and a purpose; the same key and purpose give the
same stream on every machine. The user guide's page on keys specifies both to the byte. A
`KeyParameter` is how estimators hold a key.
"""

from ricsk._publish import publish
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
    "fresh_bytes",
]

publish(globals())

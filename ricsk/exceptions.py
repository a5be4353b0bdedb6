"""What can go wrong, as types of its own.

Wrong arguments raise `ValueError` or `TypeError`, as everywhere in Python. The types here are for
what a program may want to catch by name.
"""


class KeyFileError(ValueError):
    """A key file, or an environment variable with a key, holds no readable ricsk key."""


class WrongKeyError(ValueError):
    """The key found is not the one that was asked for."""


class SmallKeySpaceWarning(UserWarning):
    """An encryption has so few keys for this image size that trying them all comes into reach."""


class TargetNotReachedError(ValueError):
    """No ciphertext was found that the classifier reads as it reads the image."""


class AttackNotApplicableError(ValueError):
    """An attack cannot be run against this encryptor, so that its failure would say nothing."""


class NotSealedError(ValueError):
    """A ciphertext was not sealed with this key, or has been changed since, or is no ciphertext."""


class NewerFormatError(ValueError):
    """A ciphertext is authentic, but of a format that only a newer ricsk reads."""


class TooLargeError(ValueError):
    """An image does not fit, compressed, into the bit planes that a ciphertext has for it."""

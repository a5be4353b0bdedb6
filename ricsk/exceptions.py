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

"""What can go wrong, as types of its own.

Wrong arguments raise `ValueError` or `TypeError`, as everywhere in Python. The types here are for
what a program may want to catch by name, and `RicskError` catches them all::

    RicskError
    ├── AttackNotApplicableError (ValueError)
    ├── CloudHalfError (ValueError)
    ├── CommandError (RuntimeError)
    ├── KeyFileError (ValueError)
    │   └── KeyFileNotFoundError (FileNotFoundError)
    ├── KeyReferenceError (ValueError)
    ├── ModelChangedError (ValueError)
    ├── NewerFormatError (ValueError)
    ├── NoPrivateKeyError (ValueError)
    ├── NoViewError (TypeError)
    ├── NotAdaptableError (ValueError)
    ├── NotExportableError (ValueError)
    ├── NotSealedError (ValueError)
    ├── ProtocolError (ValueError)
    ├── ServiceError (RuntimeError)
    │   └── ServiceUnreachableError (ConnectionError)
    ├── StateError (ValueError)
    │   └── StateVersionError (StateError)
    ├── TargetNotReachedError (ValueError)
    ├── TooLargeError (ValueError)
    └── WrongKeyError (ValueError)
"""

__all__ = [
    "AttackNotApplicableError",
    "CloudHalfError",
    "CommandError",
    "KeyFileError",
    "KeyFileNotFoundError",
    "KeyReferenceError",
    "ModelChangedError",
    "NewerFormatError",
    "NoPrivateKeyError",
    "NoViewError",
    "NotAdaptableError",
    "NotExportableError",
    "NotSealedError",
    "ProtocolError",
    "RicskError",
    "ServiceError",
    "ServiceUnreachableError",
    "SmallKeySpaceWarning",
    "StateError",
    "StateVersionError",
    "TargetNotReachedError",
    "TooLargeError",
    "WrongKeyError",
    "WrongKeyWarning",
]


class RicskError(Exception):
    """Base of all errors that this package names."""


class AttackNotApplicableError(RicskError, ValueError):
    """An attack cannot be run against this encryptor, so that its failure would say nothing."""


class CloudHalfError(RicskError, ValueError):
    """A classifier holds training images, a key or an encryptor, which must not leave the owner."""


class CommandError(RicskError, RuntimeError):
    """What ends the command ``ricsk``.

    Parameters
    ----------
    message : str
        What was given, what was expected, and what to do.
    code : int
        What the process ends with.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.message, self.code = message, code


class KeyFileError(RicskError, ValueError):
    """A key file, or an environment variable with a key, does not hold a readable ricsk key."""


class KeyFileNotFoundError(KeyFileError, FileNotFoundError):
    """No key file is at a path. The path is not named, because it may be a secret."""


class KeyReferenceError(RicskError, ValueError):
    """A key that is referred to was not handed over, or one would have to travel."""


class ModelChangedError(RicskError, ValueError):
    """A network that is stored as the place it comes from is no longer what is found there."""


class NewerFormatError(RicskError, ValueError):
    """A ciphertext is authentic, but of a format that only a newer ricsk reads."""


class NoPrivateKeyError(RicskError, ValueError):
    """An encryptor that seals for others, and has no private key, was asked to open."""


class NoViewError(RicskError, TypeError):
    """There is no exact, differentiable view of a classifier: treat it as a black box."""


class NotAdaptableError(RicskError, ValueError):
    """The encryption cannot be moved into the network without changing what it answers."""


class NotExportableError(RicskError, ValueError):
    """A classifier cannot be written as an ONNX file that answers as it does."""


class NotSealedError(RicskError, ValueError):
    """A ciphertext was not sealed with this key, has been changed, or is not a ciphertext."""


class ProtocolError(RicskError, ValueError):
    """A message does not follow the Open Inference Protocol, or asks for what a model has not.

    Parameters
    ----------
    message : str
        In words.
    status : int
        What a service answers to it, as a status of HTTP.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ServiceError(RicskError, RuntimeError):
    """A service refused what it was asked, or did not answer as the protocol says."""


class ServiceUnreachableError(ServiceError, ConnectionError):
    """A service cannot be reached, or is too busy to answer."""


class StateError(RicskError, ValueError):
    """A stored estimator holds what no `fit` could have made: it is damaged, or made by hand."""


class StateVersionError(StateError):
    """A stored estimator was written by a version of this package that this one cannot read."""


class TargetNotReachedError(RicskError, ValueError):
    """No ciphertext was found that the classifier reads as it reads the image."""


class TooLargeError(RicskError, ValueError):
    """An image does not fit, compressed, into the bit planes that a ciphertext has for it."""


class WrongKeyError(RicskError, ValueError):
    """The key found is not the one that was asked for."""


class WrongKeyWarning(UserWarning):
    """What is decrypted was not encrypted with this key, and what comes back is noise."""


class SmallKeySpaceWarning(UserWarning):
    """An encryption has so few keys for this image size that trying them all comes into reach."""

"""RIC: images under noise-like adversarial examples, recoverable with the key."""

from ricsk._publish import publish
from ricsk.encryptors.ric._encryptor import RICEncryptor
from ricsk.encryptors.ric._published import PublishedRICEncryptor

__all__ = ["PublishedRICEncryptor", "RICEncryptor"]

publish(globals())

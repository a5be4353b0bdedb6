"""The image-to-perturbation transformation network."""

from ricsk._publish import publish
from ricsk.encryptors.transformation._encryptor import TransformationNetworkEncryptor

__all__ = ["TransformationNetworkEncryptor"]

publish(globals())

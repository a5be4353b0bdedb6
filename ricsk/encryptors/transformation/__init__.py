"""The image-to-perturbation transformation network."""

from ricsk.encryptors.transformation._encryptor import TransformationNetworkEncryptor

__all__ = ["TransformationNetworkEncryptor"]

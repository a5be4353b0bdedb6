"""The half without a key, and the service around it. It imports neither keys nor encryptors."""

from ricsk._publish import publish
from ricsk.cloud._half import CloudHalf
from ricsk.cloud._inventory import refuse_secrets, without_leftovers
from ricsk.cloud._limits import Limits
from ricsk.cloud._remote import RemoteClassifier
from ricsk.cloud._remote_index import RemoteIndex
from ricsk.cloud._service import create_app
from ricsk.cloud._training_images import find_training_images

__all__ = [
    "CloudHalf",
    "Limits",
    "RemoteClassifier",
    "RemoteIndex",
    "create_app",
    "find_training_images",
    "refuse_secrets",
    "without_leftovers",
]

publish(globals())

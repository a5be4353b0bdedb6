"""Search among sealed images: an index that the cloud fills and asks without a key.

It imports neither keys nor encryptors.
"""

from ricsk._publish import publish
from ricsk.search._features import to_images
from ricsk.search._ids import read_ids
from ricsk.search._index import ImageIndex
from ricsk.search._neighbors import Neighbors
from ricsk.search._private import PrivateIndex

__all__ = ["ImageIndex", "Neighbors", "PrivateIndex", "read_ids", "to_images"]

publish(globals())

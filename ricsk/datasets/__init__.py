"""Images to try the package on: made, shipped with scikit-learn, from a folder, or fetched.

Every function here returns images as one uint8 array of shape ``(n_samples, height, width,
channels)``, the form that all estimators of the package read.
"""

from ricsk._publish import publish
from ricsk.datasets._loaders import (
    fetch_cifar10,
    fetch_svhn,
    load_digits,
    load_folder,
    load_packed,
    load_photos,
    make_street_numbers,
)

__all__ = [
    "fetch_cifar10",
    "fetch_svhn",
    "load_digits",
    "load_folder",
    "load_packed",
    "load_photos",
    "make_street_numbers",
]

publish(globals())

"""Images to try the package on: made, shipped with scikit-learn, from a folder, or fetched.

Every function here returns images as one uint8 array of shape ``(n_samples, height, width,
channels)``, the form that all estimators of the package read.
"""

from ricsk._publish import publish
from ricsk.datasets._folder import load_folder
from ricsk.datasets._openml import fetch_cifar10, fetch_svhn
from ricsk.datasets._packed import load_packed
from ricsk.datasets._scikit_learn import load_digits, load_photos
from ricsk.datasets._street_numbers import make_street_numbers

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

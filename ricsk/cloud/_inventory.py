"""What a fitted classifier would take along to the cloud.

Whatever leaves, leaves as a pickle or in another form that holds the same objects. So a classifier
is searched by pickling it into nothing and looking at all that comes by: attributes, nested
estimators, dictionaries, the trees of a neighbours' search, tensors, bytes.
"""

from __future__ import annotations

import copy
import copyreg
import pickle
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags

from ricsk.exceptions import CloudHalfError

__all__ = ["Inventory", "refuse_secrets", "without_leftovers"]

# Parameters with files and folders of the client, and attributes that a training leaves and no
# prediction needs: the momentum of an optimizer is a sum of training images.
_PATHS = ("checkpoint", "memory")
_TRAINING = ("_optimizer", "optimizer_")


class Inventory(pickle.Pickler):
    """The objects, arrays and bytes that a pickle of a value would hold.

    Parameters
    ----------
    value : object
        It is not changed.

    Attributes
    ----------
    objects : list
        All objects of classes that are not Python's own.
    arrays : list of ndarray
        Numbers, in whatever kind of container: arrays, sparse matrices, tensors, tables, lists.
    buffers : list of bytes
    """

    def __init__(self, value: Any) -> None:
        super().__init__(_Nowhere(), protocol=5)
        self.objects: list[Any] = []
        self.arrays: list[NDArray[Any]] = []
        self.buffers: list[bytes] = []
        self.dump(value)

    def persistent_id(self, obj: Any) -> bool | None:
        """Note an object. True keeps pickle from taking it apart."""
        if isinstance(obj, type | BuiltinFunctionType | ModuleType):
            return True  # pickled by name
        if isinstance(obj, bytes | bytearray):
            self.buffers.append(bytes(obj))
            return True
        array = _as_array(obj)
        if array is not None:
            self.arrays.append(array)
            return True
        if type(obj).__module__ != "builtins":
            self.objects.append(obj)
        return None

    def reducer_override(self, obj: Any) -> Any:
        """Take an object apart as pickle does; what it cannot take apart it could not store.

        It stores functions by name, and others store what they were made with.
        """
        try:
            if isinstance(obj, FunctionType):
                cells = [cell.cell_contents for cell in obj.__closure__ or ()]
                return list, ([*cells, *(obj.__defaults__ or ())],)
            reduce = copyreg.dispatch_table.get(type(obj))
            parts = reduce(obj) if reduce else obj.__reduce_ex__(5)
        except Exception:
            return str, ()
        return parts if isinstance(parts, tuple) else (str, ())  # or it is pickled by name


class _Nowhere:
    def write(self, data: Any) -> int:
        return len(data)


def refuse_secrets(classifier: Any) -> None:
    """Refuse a classifier with a key or an encryptor in it.

    Parameters
    ----------
    classifier : classifier
        Fitted or not.

    Raises
    ------
    CloudHalfError
        With what was found.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from ricsk import PixelEncryptor, SecretKey
    >>> from ricsk.cloud import refuse_secrets
    >>> refuse_secrets(make_pipeline(PixelEncryptor(SecretKey.generate()), LogisticRegression()))
    Traceback (most recent call last):
    ...
    ricsk.exceptions.CloudHalfError: there is a PixelEncryptor in this Pipeline, which must not go
    to the cloud. ...
    """
    for owner in Inventory(classifier).objects:
        # By name and by tag, because nothing here may import keys or encryptors.
        if type(owner).__module__.startswith("ricsk.keys") or _is_encryptor(owner):
            raise CloudHalfError(
                f"there is a {type(owner).__name__} in this {type(classifier).__name__}, which "
                "must not go to the cloud. Give PrivateClassifier the encryptor as encryptor=, and "
                "as classifier= what stands behind it."
            )


def without_leftovers(classifier: Any) -> Any:
    """Take out what is the client's business and no prediction needs.

    Parameters
    ----------
    classifier : classifier
        Fitted. It is not changed.

    Returns
    -------
    classifier
        The same; or a copy of it without paths of files and states of optimizers, if it has any.

    Examples
    --------
    >>> from ricsk import CNNClassifier
    >>> from ricsk.cloud import without_leftovers
    >>> without_leftovers(CNNClassifier(checkpoint="/home/me/secret project/cnn"))
    CNNClassifier()
    """
    if not any(_leftovers_of(owner) for owner in Inventory(classifier).objects):
        return classifier
    copied = copy.deepcopy(classifier)
    for owner in Inventory(copied).objects:
        for name in _leftovers_of(owner):
            if name in _PATHS:
                setattr(owner, name, None)
            else:
                delattr(owner, name)
    return copied


def _leftovers_of(value: Any) -> list[str]:
    if not isinstance(value, BaseEstimator):
        return []
    paths = [name for name in _PATHS if value.get_params(deep=False).get(name) is not None]
    return paths + [name for name in _TRAINING if name in vars(value)]


def _is_encryptor(value: Any) -> bool:
    if not isinstance(value, BaseEstimator):
        return False
    return getattr(get_tags(value), "encryptor_tags", None) is not None


def _as_array(value: Any) -> NDArray[Any] | None:
    """Read anything that holds numbers as an array; None if it does not."""
    try:
        if isinstance(value, list | tuple):
            if not value or not isinstance(value[0], list | tuple | int | float | np.ndarray):
                return None
            value = np.asarray(value)
        elif hasattr(value, "toarray"):  # a sparse matrix
            value = value.toarray()
        elif hasattr(value, "detach"):  # a tensor, which NumPy may not read as it is
            value = value.detach().cpu()
        if isinstance(value, np.generic) or not hasattr(value, "__array__"):
            return None
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return array if array.size and array.dtype.kind in "uif" else None

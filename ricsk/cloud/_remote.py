"""`RemoteClassifier`: a model behind a service as a classifier of scikit-learn."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import Interval

from ricsk._estimator import Estimator
from ricsk._secrets import are_labels
from ricsk.cloud._connection import Connection
from ricsk.cloud._protocol import Tensor, find_datatype
from ricsk.exceptions import ServiceError
from ricsk.images import as_table

__all__ = ["RemoteClassifier"]

# What rounding in 16 bits, the least that a service computes with, takes off a sum of one.
_SUM_TOLERANCE = 1e-2


class RemoteClassifier(ClassifierMixin, Estimator):
    """A model behind a service as a classifier that is fitted from the start.

    It asks a service that speaks the Open Inference Protocol, version 2, over HTTP: that of
    `create_app`, or KServe, Triton, OpenVINO and MLServer with a model of the same names, as
    `ricsk.export_onnx` writes it. `fit` does nothing, and `sklearn.base.clone` returns the object
    itself, as of `PretrainedClassifier`.

    **Whatever it is given, it sends.** Let it stand behind an encryptor in a pipeline. Never give
    it to an encryptor or a `PrivateClassifier` as their classifier: they would ask it about plain
    images.

    Read more in the :ref:`User Guide <guide-service>`.

    Parameters
    ----------
    url : str
        Where the service is, such as ``"https://cloud.example:8080"``.
    name : str
        Name of the model.
    classes : sequence, optional
        The labels, in the order of the probabilities. By default the service says them, which only
        that of `create_app` does.
    batch_size : int
        Images of a request.
    n_connections : int
        Requests that are under way at a time.
    timeout : float
        Seconds that a request may wait for its answer.
    retries : int
        How often a request is repeated, with growing pauses, if the service cannot be reached or
        says that it is busy (the status 429 or 503). Nothing else is repeated.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.

    Raises
    ------
    ImportError
        When it is first used, if httpx is not installed.

    See Also
    --------
    CloudHalf : The same on this machine.

    Notes
    -----
    Connections are kept for the next call, until `close`; pickles and copies hold none. Nothing is
    compressed, because ciphertexts do not get smaller. Proxies are those of the environment.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from ricsk import EtCEncryptor, SecretKey
    >>> from ricsk.cloud import RemoteClassifier
    >>> remote = RemoteClassifier("http://127.0.0.1:8080", "digits")
    >>> pipeline = make_pipeline(EtCEncryptor(SecretKey.generate()), remote)
    """

    # What it is asked about leaves this machine: encryptors, which ask of plain images, refuse it.
    is_remote: ClassVar[bool] = True

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "url": [str],
        "name": [str],
        "classes": ["array-like", None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_connections": [Interval(Integral, 1, 256, closed="both")],
        "timeout": [Interval(Real, 0, None, closed="neither")],
        "retries": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        url: str,
        name: str,
        *,
        classes: Sequence[Any] | NDArray[Any] | None = None,
        batch_size: int = 32,
        n_connections: int = 4,
        timeout: float = 60.0,
        retries: int = 4,
    ) -> None:
        self.url = url
        self.name = name
        self.classes = classes
        self.batch_size = batch_size
        self.n_connections = n_connections
        self.timeout = timeout
        self.retries = retries

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels."""
        if self.classes is None:
            return self._described[0]
        classes = np.asarray(self.classes)
        if classes.ndim != 1 or len(classes) < 2 or len(np.unique(classes)) < len(classes):
            raise ValueError(
                f"classes has the shape {classes.shape}; expected two labels or more, all "
                "different, in the order of the probabilities."
            )
        return classes

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Do nothing: the model is fitted. Nothing is sent.

        Parameters
        ----------
        X, y : array-like
            Ignored.

        Returns
        -------
        self
        """
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Have the service classify ciphertexts.

        Parameters
        ----------
        X : array-like
            Ciphertexts, ``(n_samples, height, width, channels)`` or flattened. They are sent.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.

        Raises
        ------
        ServiceUnreachableError
            If the service cannot be reached, or is busy after all retries.
        ServiceError
            If it has no such model, refuses the images, or answers otherwise than the protocol
            says.
        ValueError, TypeError
            If `X` is not a batch of numbers of the size that the model takes.
        """
        classes = self.classes_
        labels = self._ask("labels", X)
        places = {label: i for i, label in enumerate(classes.tolist())}
        try:
            found = [places[label] for label in _to_labels(labels)]
        except KeyError:
            raise ServiceError(
                f"{self.name} answered with labels that are not among its classes."
            ) from None
        return classes[found]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Have the service estimate the probability of each class.

        Parameters
        ----------
        X : array-like
            As for `predict`, with the same errors.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        classes = self.classes_
        found = self._ask("probabilities", X)
        if found.shape[1:] != (len(classes),):
            raise ServiceError(
                f"{self.name} answered with probabilities of the shape {found.shape}; expected one "
                f"for each of {len(classes)} classes."
            )
        if (found < 0).any() or (abs(found.sum(axis=1) - 1) > _SUM_TOLERANCE).any():
            raise ServiceError(f"{self.name} answered with numbers that are no probabilities.")
        return found

    def features(self, X: ArrayLike) -> NDArray[np.floating]:
        """Have the service compute what the last layer of the network reads.

        Parameters
        ----------
        X : array-like
            As for `predict`, with the same errors.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        found = self._ask("features", X)
        if found.ndim != 2:
            raise ServiceError(
                f"{self.name} answered with features of the shape {found.shape}; expected a vector "
                "for each image."
            )
        return found

    def close(self) -> None:
        """Close the connections. They are opened again when they are needed."""
        connection = self.__dict__.pop("_opened", None)
        if connection is not None:
            connection.close()

    @property
    def _connection(self) -> Connection:
        connection = self.__dict__.get("_opened")
        if connection is None or not connection.is_ours:
            self._validate_params()
            connection = self.__dict__["_opened"] = Connection(
                self.url,
                n_connections=self.n_connections,
                timeout=self.timeout,
                retries=self.retries,
            )
        return connection

    @property
    def _described(self) -> tuple[NDArray[Any], tuple[int, ...]]:
        """The labels and the shape of an image, as the service says them."""
        if "_metadata" not in self.__dict__:
            metadata = self._connection.describe(self.name)
            self.__dict__["_metadata"] = _read_metadata(metadata, self.name)
        classes, shape = self.__dict__["_metadata"]
        if classes is None and self.classes is None:
            raise ServiceError(
                f"the service does not say the labels of {self.name}. Give them as classes=, in "
                "the order of the probabilities."
            )
        return classes, shape

    def _ask(self, output: str, X: ArrayLike) -> NDArray[Any]:
        images = np.asarray(as_table(X))
        if images.ndim < 2 or 0 in images.shape:
            raise ValueError(
                f"X has the shape {images.shape}; expected a batch of one image or more."
            )
        if images.dtype.kind not in "uif":
            raise TypeError(f"X has dtype {images.dtype}; expected numbers.")
        self._check_size(images)
        ask = partial(self._connection.infer, self.name, output)
        parts = [
            Tensor("images", find_datatype(part.dtype), part)
            for part in (
                images[start : start + self.batch_size]
                for start in range(0, len(images), self.batch_size)
            )
        ]
        if len(parts) == 1:
            return ask(parts[0])
        with ThreadPoolExecutor(min(self.n_connections, len(parts))) as pool:
            answers = list(pool.map(ask, parts))
        if len({answer.shape[1:] for answer in answers}) > 1:
            raise ServiceError(f"{self.name} answered with {output} of several shapes.")
        return np.concatenate(answers)

    def _check_size(self, images: NDArray[Any]) -> None:
        """Refuse images that the service would refuse, before they are sent."""
        _, shape = self._described
        given = images.shape[1:]
        if (
            -1 in shape
            or given == shape
            or (
                math.prod(given) == math.prod(shape)
                and (len(given) == 1 or len(shape) == 1 or shape == (*given, 1))
            )
        ):
            return
        raise ValueError(
            f"X holds images of the shape {given}, but {self.name} takes {shape}. Is this the "
            "model that reads these ciphertexts?"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "classes" and are_labels(value):
            object.__setattr__(self, name, value)  # a key is not such a list
        else:
            super().__setattr__(name, value)
        # Parameters act at once, as there is no fit for them to wait for.
        self.__dict__.pop("_metadata", None)
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for made in ("_opened", "_metadata"):
            state.pop(made, None)
        return state

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = False
        tags.requires_fit = False
        return tags


def _read_metadata(
    metadata: dict[str, Any], name: str
) -> tuple[NDArray[Any] | None, tuple[int, ...]]:
    """Read the labels, if they are said, and the shape of an image."""
    try:
        (given,) = metadata["inputs"]
        shape = tuple(int(side) for side in given["shape"][1:])
        outputs = {output["name"]: output for output in metadata["outputs"]}
        written = (outputs["labels"].get("parameters") or {}).get("classes")
        classes = None if written is None else np.array(json.loads(written))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ServiceError(
            f"the model {name} is not a classifier of images: expected one input, and an output "
            "that is called labels."
        ) from None
    if given.get("name") != "images" or not 0 < len(shape) <= 3:
        raise ServiceError(f"the input of the model {name} is not called images.")
    if classes is not None and (classes.ndim != 1 or len(classes) < 2 or classes.dtype == object):
        raise ServiceError(f"the labels of the model {name} are not a list of labels.")
    return classes, shape


def _to_labels(labels: NDArray[Any]) -> list[Any]:
    if labels.ndim != 1:
        raise ServiceError(f"the service answered with labels of the shape {labels.shape}.")
    if labels.dtype != object:
        return labels.tolist()
    try:
        return [label.decode() for label in labels.tolist()]
    except UnicodeDecodeError:
        raise ServiceError("the service answered with labels that are not text.") from None

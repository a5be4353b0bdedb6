"""Base of encryptors whose ciphertexts a given classifier must classify as it does the images."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted

from ricsk._state import LABELS
from ricsk.base import BaseImageEncryptor, Tags
from ricsk.classifiers import CNNClassifier
from ricsk.images import ImageBatch, ImageForm, flattened_for, with_image_shape
from ricsk.nae import Reader

__all__ = ["GuidedEncryptor"]


class GuidedEncryptor(BaseImageEncryptor):
    """Base of encryptors that change noise until a classifier reads it as it reads the image.

    Attributes
    ----------
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImageEncryptor._parameter_constraints,
        "classifier": [HasMethods(["fit", "predict"]), None],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseImageEncryptor._state_constraints,
        "classes_": [LABELS],
        "feature_layer_": [str, None],
    }
    _derived = frozenset({"_reader"})

    classifier: Any
    classifier_: Any
    classes_: NDArray[Any]
    feature_layer_: str | None
    _reader: Reader

    def _fit_classifier(
        self, batch: ImageBatch, y: ArrayLike | None, feature_layer: str | None = None
    ) -> None:
        """Fit the classifier, or a small network; one that is frozen stays as it is.

        Sets `_reader`, by which everything else asks the classifier.
        """
        given = CNNClassifier(random_state=0) if self.classifier is None else self.classifier
        _check_classifier(given)
        self.classifier_ = clone(given)
        if batch.ndim == 2:
            with_image_shape(self.classifier_, batch.shape)
        if not isinstance(given, FrozenEstimator):
            if y is None:
                name = type(self).__name__
                raise ValueError(
                    f"{name} requires y to be passed, but the target y is None: its classifier is "
                    "fitted on it. Call fit(X, y), or give a fitted classifier as "
                    "classifier=FrozenEstimator(classifier)."
                )
            X = flattened_for(self.classifier_, batch.form.restore(batch.pixels))
            self.classifier_.fit(X, y)
        self.classes_ = np.asarray(self.classifier_.classes_)
        self.feature_layer_ = feature_layer
        self._reader = self._make_reader()

    def _make_reader(self) -> Reader:
        height, width, channels = self.ciphertext_shape_
        form = ImageForm(self.input_ndim_, np.dtype(self.input_dtype_))
        return Reader(
            self.classifier_,
            self.value_range_,
            form,
            (height, width, channels),
            self.feature_layer_,
        )

    def _restore(self) -> None:
        self._reader = self._make_reader()
        super()._restore()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = not isinstance(self.classifier, FrozenEstimator)
        return tags


def _check_classifier(classifier: Any) -> None:
    """Refuse what is not a classifier, or is frozen before it was fitted."""
    kinds = {
        "a regressor": is_regressor,
        "a clusterer": is_clusterer,
        "an outlier detector": is_outlier_detector,
    }
    kind = next((name for name, is_kind in kinds.items() if is_kind(classifier)), None)
    if kind or not (is_classifier(classifier) or hasattr(classifier, "classes_")):
        raise TypeError(
            f"classifier={classifier!r} is {kind or 'not a classifier'}; expected a classifier, "
            "which predicts one of its classes_. Give one, or leave classifier out for a small "
            "network."
        )
    if hasattr(classifier, "classes_") or not isinstance(classifier, FrozenEstimator):
        return
    try:
        check_is_fitted(classifier)
    except NotFittedError:
        raise NotFittedError(
            f"classifier={classifier!r} is frozen, but was never fitted. Fit it on plain images "
            "before it is frozen, or give it without FrozenEstimator and call fit(X, y)."
        ) from None

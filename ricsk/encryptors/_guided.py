"""`GuidedEncryptor`: what encryptors share whose ciphertexts a given classifier must read."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any, ClassVar

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods

from ricsk.base import BaseImageEncryptor
from ricsk.classifiers import CNNClassifier
from ricsk.exceptions import NoViewError
from ricsk.images import ImageBatch, flattened_for, with_image_shape
from ricsk.nae import ClassifierView, ClassPatterns, view_classifier

__all__ = ["GuidedEncryptor"]

# Patterns of the classifiers fitted last, because a search over parameters needs them again.
_PATTERNS: OrderedDict[str, ClassPatterns] = OrderedDict()
_PATTERNS_BYTES = 1 << 26


class GuidedEncryptor(BaseImageEncryptor):
    """Base of encryptors that change noise until a classifier reads it as it reads the image.

    Attributes
    ----------
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    """

    learns_on = "plain"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImageEncryptor._parameter_constraints,
        "classifier": [HasMethods(["fit", "predict"]), None],
    }

    classifier: Any
    classifier_: Any
    classes_: NDArray[Any]
    _view: ClassifierView | None

    def _fit_classifier(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        """Fit the classifier, or a small network; one that is frozen stays as it is."""
        self.input_ndim_, self.input_dtype_ = batch.ndim, batch.dtype.str
        classifier = CNNClassifier(random_state=0) if self.classifier is None else self.classifier
        self.classifier_ = clone(classifier)
        if batch.ndim == 2:
            with_image_shape(self.classifier_, batch.shape)
        X = flattened_for(self.classifier_, batch.restore(batch.pixels))
        if y is None and not hasattr(self.classifier_, "classes_"):
            name = type(self).__name__
            raise ValueError(
                f"{name} requires y to be passed, but the target y is None: its classifier is "
                "fitted on it. Call fit(X, y), or give a fitted classifier as "
                "classifier=FrozenEstimator(classifier)."
            )
        self.classifier_.fit(X, y)
        self.classes_ = np.asarray(self.classifier_.classes_)
        self._view = self._make_view()
        if self._view is None and not (
            hasattr(self.classifier_, "predict_proba")
            or hasattr(self.classifier_, "decision_function")
        ):
            raise ValueError(
                f"{self.classifier_!r} says labels alone, by which nothing can be searched for. "
                "Take a classifier with predict_proba or decision_function."
            )

    def _make_view(self) -> ClassifierView | None:
        """Make what gradients are taken of; None where there are none."""
        values = self.value_range_
        # Integers of any width hold 8-bit levels.
        floats = np.dtype(self.input_dtype_).kind == "f"
        low, high = (values.low, values.high) if floats else (0.0, 255.0)
        feature_layer = getattr(self, "feature_layer", None)
        try:
            return view_classifier(
                self.classifier_, low=low, high=high, feature_layer=feature_layer
            )
        except NoViewError:
            return None

    def _find_patterns(
        self,
        view: ClassifierView,
        *,
        variant: Any = None,
        **settings: Any,
    ) -> ClassPatterns:
        """Find class patterns, or remember those of an equal classifier and equal settings.

        `variant` tells apart what the settings do not: content is not compared.
        """
        content = settings.pop("content", None)
        known = (self.classifier_, self.value_range_, self.input_dtype_, variant, settings)
        try:
            name = joblib.hash(known)
        except (pickle.PicklingError, TypeError, AttributeError):
            name = "a classifier that cannot be pickled"
            _PATTERNS.pop(name, None)
        if name not in _PATTERNS:
            _PATTERNS[name] = ClassPatterns.fit(view, content=content, **settings)
        _PATTERNS.move_to_end(name)
        while (
            len(_PATTERNS) > 1
            and sum(p.patterns.nbytes for p in _PATTERNS.values()) > _PATTERNS_BYTES
        ):
            _PATTERNS.popitem(last=False)
        return _PATTERNS[name]

    def _predict(self, pixels: NDArray[Any]) -> NDArray[np.int64]:
        """Classify images; labels are positions in `classes_`."""
        predicted = self.classifier_.predict(self._as_fitted(pixels))
        return np.searchsorted(self.classes_, predicted).astype(np.int64)

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Ask the classifier for probabilities or, if it has none, for decision values."""
        X = self._as_fitted(pixels)
        if hasattr(self.classifier_, "predict_proba"):
            return self.classifier_.predict_proba(X)
        decisions = self.classifier_.decision_function(X)
        if decisions.ndim == 1:
            decisions = np.stack([np.zeros_like(decisions), decisions], axis=1)
        return decisions

    def _as_fitted(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Bring images into the form that the classifier was fitted on."""
        dtype = np.dtype(self.input_dtype_)
        if pixels.dtype == np.uint8 and dtype.kind == "f":
            pixels = self.value_range_.from_uint8(pixels, dtype)
        elif pixels.dtype != np.uint8 and dtype.kind != "f":
            pixels = self.value_range_.to_uint8(pixels)
        return flattened_for(
            self.classifier_, ImageBatch(pixels, self.input_ndim_, dtype).restore(pixels)
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = not isinstance(self.classifier, FrozenEstimator)
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_view", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "classifier_"):
            self._view = self._make_view()

"""`CloudHalf`: the fitted classifier as the untrusted machine has it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from ricsk._estimator import Estimator
from ricsk.images import flattened_for

__all__ = ["CloudHalf"]


class CloudHalf(ClassifierMixin, Estimator):
    """What the untrusted machine gets: a fitted classifier that reads ciphertexts, and no key.

    Made by `PrivateClassifier.cloud_half`. Like scikit-learn's `FrozenEstimator` it stays what the
    client trained: cloning returns the object itself, and fitting does nothing.

    Parameters
    ----------
    classifier : classifier
        Fitted on ciphertexts.

    Attributes
    ----------
    classes_ : ndarray
        The labels.
    """

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, as the classifier has them."""
        return self.classifier.classes_

    def fit(self, C: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Do nothing, so that the half may stand at the end of a pipeline.

        Parameters
        ----------
        C, y : array-like
            Ignored.

        Returns
        -------
        self
        """
        return self

    def predict(self, C: ArrayLike) -> NDArray[Any]:
        """Classify ciphertexts.

        Parameters
        ----------
        C : array-like
            Ciphertexts as the client's `transform` returned them.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        return self.classifier.predict(flattened_for(self.classifier, np.asarray(C)))

    @available_if(lambda self: hasattr(self.classifier, "predict_proba"))
    def predict_proba(self, C: ArrayLike) -> NDArray[np.floating]:
        """Estimate the probability of each class.

        Parameters
        ----------
        C : array-like
            Ciphertexts as the client's `transform` returned them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return self.classifier.predict_proba(flattened_for(self.classifier, np.asarray(C)))

    @available_if(lambda self: hasattr(self.classifier, "features"))
    def transform(self, C: ArrayLike) -> NDArray[np.floating]:
        """Compute the features that the classifier's last layer reads.

        They are those of the plain images only where the encryptor matches them, as
        ``SealedEncryptor(match="features")`` does.

        Parameters
        ----------
        C : array-like
            Ciphertexts as the client's `transform` returned them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        return self.classifier.features(flattened_for(self.classifier, np.asarray(C)))

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

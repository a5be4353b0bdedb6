"""`CloudHalf`: the fitted classifier as the untrusted machine has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ricsk._estimator import Estimator
from ricsk.cloud._inventory import refuse_secrets, without_leftovers
from ricsk.images import as_table, flattened_for

__all__ = ["CloudHalf"]


def _has(method: str) -> Callable[[CloudHalf], bool]:
    """Tell whether the classifier has a method; if not, its own error says so."""

    def check(half: CloudHalf) -> bool:
        getattr(half.classifier, method)
        return True

    return check


class CloudHalf(ClassifierMixin, Estimator):
    """What the untrusted machine gets: a fitted classifier that reads ciphertexts, and no key.

    Made by `PrivateClassifier.cloud_half`, which looks at what is in it. Like scikit-learn's
    `FrozenEstimator` it stays what the client trained: cloning returns the object itself, and
    fitting does nothing.

    Parameters
    ----------
    classifier : classifier
        Fitted on ciphertexts.

    Attributes
    ----------
    classes_ : ndarray
        The labels.
    n_features_in_ : int
        Height × width × channels of the ciphertexts, if the classifier knows it.

    See Also
    --------
    PrivateClassifier : Makes it, and the half with the key.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import EtCEncryptor, PrivateClassifier, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> encryptor = EtCEncryptor(SecretKey.generate(), block_size=2)
    >>> private = PrivateClassifier(encryptor, LogisticRegression(max_iter=1000))
    >>> cloud = private.fit(X[:500] / 255, y[:500]).cloud_half()
    >>> cloud.predict(private.encrypt(X[500:] / 255)).shape
    (1297,)
    """

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    @classmethod
    def of(cls, classifier: Any) -> Self:
        """Make the half of a classifier, without what is the client's business.

        Parameters
        ----------
        classifier : classifier
            Fitted. It is not changed.

        Returns
        -------
        CloudHalf
            Without paths of files and states of optimizers.

        Raises
        ------
        CloudHalfError
            If there is a key or an encryptor in the classifier.
        """
        classifier = without_leftovers(classifier)
        refuse_secrets(classifier)
        return cls(classifier)

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, as the classifier has them."""
        return self.classifier.classes_

    @property
    def n_features_in_(self) -> int:
        """The number of features, as the classifier has it."""
        return self.classifier.n_features_in_

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Do nothing, so that the half may stand at the end of a pipeline.

        Parameters
        ----------
        X, y : array-like
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the classifier was not fitted.
        """
        check_is_fitted(self)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Classify ciphertexts.

        Parameters
        ----------
        X : array-like
            Ciphertexts as the client's `transform` returned them.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        return self._ask(self.classifier.predict, X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Estimate the probability of each class.

        Parameters
        ----------
        X : array-like
            Ciphertexts as the client's `transform` returned them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return self._ask(self.classifier.predict_proba, X)

    @available_if(_has("decision_function"))
    def decision_function(self, X: ArrayLike) -> NDArray[np.floating]:
        """Compute by how much the classifier prefers each class.

        Parameters
        ----------
        X : array-like
            Ciphertexts as the client's `transform` returned them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Scores, in the order of `classes_`; with two classes, those of the second.
        """
        return self._ask(self.classifier.decision_function, X)

    @available_if(_has("features"))
    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Compute the features that the classifier's last layer reads.

        They are those of the plain images only where the encryptor matches them, as
        ``SealedEncryptor(match="features")`` does.

        Parameters
        ----------
        X : array-like
            Ciphertexts as the client's `transform` returned them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        return self._ask(self.classifier.features, X)

    def _ask(self, method: Callable[[Any], Any], X: ArrayLike) -> Any:
        check_is_fitted(self)
        return method(flattened_for(self.classifier, np.asarray(as_table(X))))

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        try:
            check_is_fitted(self.classifier)
        except NotFittedError:
            return False
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

"""A classifier that learns on InstaHide's encodings, and its two halves."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, MetaEstimatorMixin, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ricsk._estimator import Estimator
from ricsk.baselines._instahide import InstaHideEncryptor
from ricsk.classifiers import CNNClassifier, TorchClassifier
from ricsk.cloud import CloudHalf
from ricsk.images import check_images

__all__ = ["InstaHideClassifier"]


class InstaHideClassifier(MetaEstimatorMixin, ClassifierMixin, Estimator):
    """Train a network on InstaHide's encodings, which are new in each epoch, and ask it with some.

    `fit` and `predict` take plain images. In training the network sees encodings alone, and learns
    the shares of the classes that were mixed. Test images are mixed with training images, too, and
    the answers to several encodings are averaged [1]_.

    What it does not protect is said of `InstaHideEncryptor`: images come back from the encodings
    of a training. Each epoch gives the adversary one more of each image.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    encryptor : InstaHideEncryptor, optional
        What encodes. It needs a key.
    classifier : TorchClassifier, optional
        What learns. By default a `CNNClassifier`.
    test_encodings : int, default=10
        Of how many encodings of a test image the answers are averaged. 0 sends the plain image,
        normalized, as the published code does: then nothing is hidden at all.
    subtract_partners : bool, default=False
        Whether the shares of the partners in an encoding, which the client knows, are subtracted
        from the network's answer. It helps where the network learns shares well; see whether it
        does on your images.

    Attributes
    ----------
    encryptor_ : InstaHideEncryptor
        The fitted encryptor, with the key and the training images.
    classifier_ : TorchClassifier
        The fitted network, without them.
    classes_ : ndarray
        The labels.
    test_encodings_, subtract_partners_
        What was given. Parameters that are set later act at the next `fit`.
    n_features_in_ : int
        Height × width × channels of the images.
    feature_names_in_ : ndarray of str
        Column names, if `fit` was given a data frame.

    See Also
    --------
    ricsk.attacks.recover_instahide : Brings the training images back.

    References
    ----------
    .. [1] Y. Huang, Z. Song, K. Li and S. Arora, "InstaHide: instance-hiding schemes for private
       distributed learning", ICML, 2020, sections 2 and 5.

    Examples
    --------
    >>> from ricsk import CNNClassifier, SecretKey
    >>> from ricsk.baselines import InstaHideClassifier, InstaHideEncryptor
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> classifier = InstaHideClassifier(
    ...     InstaHideEncryptor(SecretKey.generate(), k=2),
    ...     CNNClassifier(width=8, depth=2, epochs=2, random_state=0),  # far too few
    ... ).fit(X[:500], y[:500])
    >>> client, cloud = classifier.client_half(), classifier.cloud_half()
    >>> cloud.predict(client.transform(X[500:510])).shape
    (10,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "encryptor": [InstaHideEncryptor, None],
        "classifier": [TorchClassifier, None],
        "test_encodings": [Interval(Integral, 0, None, closed="left")],
        "subtract_partners": ["boolean"],
    }

    encryptor_: InstaHideEncryptor
    classifier_: TorchClassifier
    test_encodings_: int
    subtract_partners_: bool

    def __init__(
        self,
        encryptor: InstaHideEncryptor | None = None,
        classifier: TorchClassifier | None = None,
        *,
        test_encodings: int = 10,
        subtract_partners: bool = False,
    ) -> None:
        self.encryptor = encryptor
        self.classifier = classifier
        self.test_encodings = test_encodings
        self.subtract_partners = subtract_partners

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike, *, public_images: ArrayLike | None = None) -> Self:
        """Fit the encryptor, and train the network on its encodings.

        Parameters
        ----------
        X : array-like
            Plain images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)``
            or flattened.
        y : array-like of shape (n_samples,)
            Labels.
        public_images : array-like, optional
            Images that most partners are taken from; see `InstaHideEncryptor.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Without an encryptor, and where encryptor or classifier refuse the data.
        """
        with self._all_or_nothing() as twin:
            twin._learn(X, y, public_images)
        return self

    def _learn(self, X: ArrayLike, y: ArrayLike, public_images: ArrayLike | None) -> None:
        if self.encryptor is None:
            raise ValueError(
                "InstaHideClassifier needs an encryptor; give one, for example "
                "InstaHideClassifier(InstaHideEncryptor(SecretKey.generate()))."
            )
        self.test_encodings_ = self.test_encodings
        self.subtract_partners_ = self.subtract_partners
        self.encryptor_ = clone(self.encryptor).fit(X, y, public_images=public_images)
        given = CNNClassifier() if self.classifier is None else self.classifier
        self.classifier_ = clone(given).fit_encrypted(self._read(X), y, self.encryptor_)
        self.n_features_in_ = self.encryptor_.n_features_in_
        if hasattr(self.encryptor_, "feature_names_in_"):
            self.feature_names_in_ = self.encryptor_.feature_names_in_

    def _read(self, X: ArrayLike) -> NDArray[Any]:
        """Read images as (n_samples, height, width, channels)."""
        shape = self.encryptor_.image_shape_in_
        return check_images(X, image_shape=shape, caller=type(self).__name__).pixels

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, as the network has them."""
        return self.classifier_.classes_

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Encode plain images, and classify the encodings.

        Parameters
        ----------
        X : array-like
            Plain images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Encode plain images, and estimate the probability of each class.

        Parameters
        ----------
        X : array-like
            Plain images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        n_encodings = self.test_encodings_
        if n_encodings == 0:
            return self.classifier_.predict_proba(self._read(self.encryptor_.normalize(X)))
        encodings, partners = self.encryptor_.encode_queries(X, n_encodings)
        found = self.classifier_.predict_proba(self._read(encodings)).astype(np.float64)
        if self.subtract_partners_:
            found = np.maximum(found - partners, 0)
        found = found.reshape(-1, n_encodings, found.shape[1]).mean(axis=1)
        return found / np.maximum(found.sum(axis=1, keepdims=True), np.finfo(float).tiny)

    def cloud_half(self) -> CloudHalf:
        """Make the part that goes to the untrusted machine: the network, without key and images.

        Returns
        -------
        CloudHalf
        """
        check_is_fitted(self)
        return CloudHalf.of(self.classifier_)

    def client_half(self) -> FrozenEstimator:
        """Make the part that stays with the owner: the encryptor, with key and training images.

        Returns
        -------
        FrozenEstimator
            With the encryptor's `transform`.
        """
        check_is_fitted(self)
        return FrozenEstimator(self.encryptor_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        # scikit-learn's checks feed two centred features, whose signs are all that tells classes
        # apart: signs are what is drawn at random here.
        tags.classifier_tags.poor_score = True
        return tags

"""`PrivateClassifier`: an encryptor and a classifier as one estimator, and its two halves."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ricsk._estimator import Estimator
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.classifiers import ConvMixerClassifier, TorchClassifier
from ricsk.cloud import CloudHalf
from ricsk.encryptors import EtCEncryptor
from ricsk.images import check_images, flattened_for, with_image_shape
from ricsk.keyed import adapt_to_key

__all__ = ["PrivateClassifier"]


class PrivateClassifier(ClassifierMixin, Estimator):
    """An encryptor and a classifier that reads its ciphertexts, with plain images outside.

    `fit` and `predict` take plain images. Where the encryptor's classifier learns on ciphertexts
    (EtC, PE, LE, ELE), it never sees anything else. Where it learns on plain images (RIC), it is
    trained on them first, at the client's side, and classifies ciphertexts from then on. The two
    halves work apart: `client_half` encrypts and decrypts with the key, `cloud_half` classifies
    what it is sent.

    A frozen classifier is not trained again. Behind ``EtCEncryptor(key, per_block_keys=False)`` a
    frozen `ViTClassifier` or `ConvMixerClassifier` is taken for one that reads plain images, and
    `adapt_to_key` makes it read ciphertexts, exactly. The cloud must not know it: whoever compares
    it with the cloud half reads the key off. Other frozen classifiers are used as they are, and
    should read ciphertexts already.

    Whoever sees the ciphertexts and labels learns what the encryptor's own page says that it gives
    away; this class adds no protection to it.

    Parameters
    ----------
    encryptor : encryptor
        For example ``EtCEncryptor(key)``.
    classifier : classifier, optional
        Any scikit-learn classifier; one that takes no 3-D samples is given flattened ciphertexts.
        A fitted one in scikit-learn's `FrozenEstimator` is not trained again.
        By default a `ConvMixerClassifier`.
    augment_first : bool
        Whether images are encrypted anew whenever the classifier's `augmentation` has changed them,
        as in the published figures. The machine that trains then has the key and the plain images.
        False encrypts them once, and ciphertexts are what the augmentation changes, which the cloud
        can do. It makes no difference where the classifier learns on plain images, or is frozen.

    Attributes
    ----------
    encryptor_ : encryptor
        The fitted encryptor, with the key.
    classifier_ : classifier
        The fitted classifier, without it.
    classes_ : ndarray
        The labels.
    n_features_in_ : int
        Height × width × channels of the images.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import EtCEncryptor, PrivateClassifier, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> private = PrivateClassifier(
    ...     EtCEncryptor(SecretKey.generate(), block_size=2), LogisticRegression(max_iter=1000)
    ... )
    >>> private.fit(X[:1000] / 255.0, y[:1000]).score(X[1000:] / 255.0, y[1000:]) > 0.85
    True
    >>> cloud, client = private.cloud_half(), private.client_half()
    >>> C = client.transform(X[1000:] / 255.0)
    >>> bool((cloud.predict(C) == private.predict(X[1000:] / 255.0)).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "encryptor": [BaseImageEncryptor, HasMethods(["fit", "transform"]), None],
        "classifier": [HasMethods(["fit", "predict"]), None],
        "augment_first": ["boolean"],
    }

    def __init__(
        self,
        encryptor: BaseImageEncryptor | None = None,
        classifier: Any | None = None,
        *,
        augment_first: bool = False,
    ) -> None:
        self.encryptor = encryptor
        self.classifier = classifier
        self.augment_first = augment_first

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the encryptor and train the classifier, on ciphertexts or, for RIC, plain images.

        Parameters
        ----------
        X : array-like
            Plain images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)``
            or flattened.
        y : array-like of shape (n_samples,)
            Labels. They are not encrypted.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Without an encryptor, where encryptor or classifier refuse the data, and if
            `augment_first` is asked of a classifier that has no augmentation of its own.
        NotAdaptableError
            If a frozen classifier cannot be adapted to the key.
        """
        if self.encryptor is None:
            raise ValueError(
                "PrivateClassifier needs an encryptor; give one, for example "
                "PrivateClassifier(EtCEncryptor(SecretKey.generate()))."
            )
        classifier = clone(ConvMixerClassifier() if self.classifier is None else self.classifier)
        self.encryptor_ = clone(self.encryptor)
        if get_encryptor_tags(self.encryptor_).learns_on == "plain":
            self.encryptor_.set_params(classifier=classifier).fit(X, y)
            self.classifier_ = self.encryptor_.classifier_
        elif _takes_the_key(classifier, self.encryptor_):
            self.classifier_ = adapt_to_key(classifier.estimator, self.encryptor_.fit(X, y))
        elif self.augment_first and not isinstance(classifier, FrozenEstimator):
            if not isinstance(classifier, TorchClassifier):
                raise ValueError(
                    f"augment_first=True is for classifiers with an augmentation, such as "
                    f"ConvMixerClassifier, but this one is a {type(classifier).__name__}. Take one "
                    "of those, or leave augment_first out."
                )
            shape = self.encryptor_.fit(X, y).image_shape_in_
            images = check_images(X, image_shape=shape, caller="PrivateClassifier").pixels
            classifier._validate_params()
            self.classifier_ = classifier._fit(images, y, self.encryptor_)
        else:
            C = self.encryptor_.fit_transform(X, y)
            if C.ndim == 2:
                with_image_shape(classifier, self.encryptor_.ciphertext_shape_)
            self.classifier_ = classifier.fit(flattened_for(classifier, C), y)
        self.n_features_in_ = self.encryptor_.n_features_in_
        if hasattr(self.encryptor_, "feature_names_in_"):
            self.feature_names_in_ = self.encryptor_.feature_names_in_
        return self

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, as the classifier has them."""
        return self.classifier_.classes_

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Encrypt plain images and classify their ciphertexts.

        Parameters
        ----------
        X : array-like
            Plain images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        return self.predict_encrypted(self.encrypt(X))

    @available_if(lambda self: _fitted_or_given(self, "predict_proba"))
    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Encrypt plain images and estimate the probability of each class.

        Parameters
        ----------
        X : array-like
            Plain images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return self.cloud_half().predict_proba(self.encrypt(X))

    def predict_encrypted(self, C: ArrayLike) -> NDArray[Any]:
        """Classify ciphertexts.

        Parameters
        ----------
        C : array-like
            What `encrypt` returned.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        return self.cloud_half().predict(C)

    def encrypt(self, X: ArrayLike) -> NDArray[Any]:
        """Encrypt plain images.

        Parameters
        ----------
        X : array-like
            Plain images of the fitted shape.

        Returns
        -------
        ndarray
            Ciphertexts.
        """
        check_is_fitted(self)
        return self.encryptor_.transform(X)

    @available_if(lambda self: hasattr(self.encryptor, "inverse_transform"))
    def decrypt(self, C: ArrayLike) -> NDArray[Any]:
        """Bring images back from ciphertexts; only where the encryptor can.

        Parameters
        ----------
        C : array-like
            What `encrypt` returned.

        Returns
        -------
        ndarray
            Plain images.
        """
        check_is_fitted(self)
        return self.encryptor_.inverse_transform(C)

    def cloud_half(self) -> CloudHalf:
        """Make the part that goes to the untrusted machine: the classifier, and no key.

        Returns
        -------
        CloudHalf
        """
        check_is_fitted(self)
        return CloudHalf(self.classifier_)

    def client_half(self) -> FrozenEstimator:
        """Make the part that stays with the owner: the fitted encryptor.

        It holds no weights of the classifier, unless the encryptor needs them to encrypt (RIC).

        Returns
        -------
        FrozenEstimator
            With the encryptor's `transform` and, if it has one, `inverse_transform`.
        """
        check_is_fitted(self)
        return FrozenEstimator(self.encryptor_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _fitted_or_given(private: PrivateClassifier, method: str) -> bool:
    classifier = getattr(private, "classifier_", private.classifier)
    return classifier is None or hasattr(classifier, method)


def _takes_the_key(classifier: Any, encryptor: Any) -> bool:
    return (
        isinstance(classifier, FrozenEstimator)
        and isinstance(classifier.estimator, TorchClassifier)
        and isinstance(encryptor, EtCEncryptor)
        and not encryptor.per_block_keys
    )

"""`PrivateClassifier`: an encryptor and a classifier as one estimator, and its two halves."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import ClassifierMixin, MetaEstimatorMixin, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ricsk._estimator import Estimator
from ricsk._frozen import is_frozen
from ricsk.base import BaseImageEncryptor, get_encryptor_tags
from ricsk.classifiers import ConvMixerClassifier, TorchClassifier
from ricsk.cloud import CloudHalf, find_training_images, without_leftovers
from ricsk.encryptors import EtCEncryptor
from ricsk.exceptions import CloudHalfError
from ricsk.images import ImageShape, check_images, flattened_for, with_image_shape
from ricsk.keyed import adapt_to_key
from ricsk.pretrained import PretrainedClassifier

__all__ = ["PrivateClassifier"]


def _part_has(part: str, method: str) -> Callable[[PrivateClassifier], bool]:
    """Tell whether the fitted part, or else the one that was given, has a method.

    If not, its own error says why.
    """

    def check(private: PrivateClassifier) -> bool:
        given = private.encryptor if part == "encryptor" else private._choose_classifier()
        found = getattr(private, f"{part}_", given)
        if found is not None:
            getattr(found, method)
        return True

    return check


class PrivateClassifier(MetaEstimatorMixin, ClassifierMixin, Estimator):
    """An encryptor and a classifier that reads its ciphertexts, with plain images outside.

    `fit` and `predict` take plain images. Where the encryptor's classifier learns on ciphertexts
    (EtC, PE, LE, ELE), it never sees anything else. Where it learns on plain images (RIC), it is
    trained on them first, at the client's side, and classifies ciphertexts from then on. The two
    halves work apart: `client_half` encrypts and decrypts with the key, `cloud_half` classifies
    what it is sent.

    A frozen classifier is not trained again. Behind ``EtCEncryptor(key, per_block_keys=False)`` a
    frozen `ViTClassifier` or `ConvMixerClassifier` is taken for one that reads plain images, and
    `adapt_to_key` makes it read ciphertexts, exactly. The cloud must not know it, because the key
    can be read off by comparing it with the cloud half. Other frozen classifiers are used as they
    are, and should read ciphertexts already.

    Ciphertexts and labels give away what the encryptor's own page says; this class adds no
    protection.

    Read more in the :ref:`User Guide <guide-choose>`.

    Parameters
    ----------
    encryptor : encryptor
        For example ``EtCEncryptor(key)``.
    classifier : classifier, optional
        Any scikit-learn classifier; one that takes no 3-D samples is given flattened ciphertexts.
        A fitted one in scikit-learn's `FrozenEstimator` is not trained again.
        By default the encryptor's own, if it has one, and else a `ConvMixerClassifier`.
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
    feature_names_in_ : ndarray of str
        Column names, if `fit` was given a data frame.
    kept_images_ : str or None
        Where the classifier keeps plain images that it was trained on, so that there is no cloud
        half; None if it keeps none.

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
    def fit(self, X: ArrayLike, y: ArrayLike, **params: Any) -> Self:
        """Fit the encryptor and train the classifier, on ciphertexts or, for RIC, plain images.

        Parameters
        ----------
        X : array-like
            Plain images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)``
            or flattened.
        y : array-like of shape (n_samples,)
            Labels. They are not encrypted.
        **params : dict
            What else the classifier's own `fit` takes, such as `sample_weight`. With
            ``enable_metadata_routing=True``, what it requests.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Without an encryptor, where encryptor or classifier refuse the data, and if
            `augment_first` is asked of a classifier that has no augmentation of its own.
        TypeError
            If the classifier's `fit` does not take `params`.
        NotAdaptableError
            If a frozen classifier cannot be adapted to the key.
        """
        with self._all_or_nothing() as twin:
            twin._learn(X, y, params)
        return self

    def _learn(self, X: ArrayLike, y: ArrayLike, params: dict[str, Any]) -> None:
        if self.encryptor is None:
            raise ValueError(
                "PrivateClassifier needs an encryptor; give one, for example "
                "PrivateClassifier(EtCEncryptor(SecretKey.generate()))."
            )
        self.encryptor_ = clone(self.encryptor)
        learns_on = get_encryptor_tags(self.encryptor_).learns_on
        classifier = clone(self._choose_classifier())
        params = self._route(classifier, params)
        if learns_on == "plain":
            self.classifier_ = self._train_on_plain(classifier, X, y, params)
        else:
            self.classifier_ = self._train_on_ciphertexts(classifier, X, y, params)
        self.n_features_in_ = self.encryptor_.n_features_in_
        if hasattr(self.encryptor_, "feature_names_in_"):
            self.feature_names_in_ = self.encryptor_.feature_names_in_
        self.kept_images_ = find_training_images(
            without_leftovers(self.classifier_),
            self._read(X),
            self.encryptor_.value_range_,
            exact=learns_on == "ciphertexts",
        )

    def _choose_classifier(self) -> Any:
        if self.classifier is not None:
            return self.classifier
        own = getattr(self.encryptor, "classifier", None)
        return ConvMixerClassifier() if own is None else own

    def _route(self, classifier: Any, params: dict[str, Any]) -> dict[str, Any]:
        """Find out what of `params` the classifier's `fit` is to be given, and refuse the rest."""
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **params).classifier.fit
        accepted = signature(classifier.fit).parameters
        takes_all = any(p.kind is Parameter.VAR_KEYWORD for p in accepted.values())
        refused = [name for name in params if name not in accepted and not takes_all]
        if refused:
            raise TypeError(
                f"fit of {type(classifier).__name__} does not take {', '.join(refused)}. Leave it "
                "out, or take a classifier that does, such as LogisticRegression."
            )
        return params

    def _train_on_plain(
        self, classifier: Any, X: ArrayLike, y: ArrayLike, params: dict[str, Any]
    ) -> Any:
        encryptor = self.encryptor_
        if isinstance(encryptor, FrozenEstimator):
            if self.classifier is not None:
                raise ValueError(
                    "a frozen encryptor keeps the classifier that it was fitted with. Leave "
                    "classifier out, or give the encryptor without FrozenEstimator."
                )
            return encryptor.classifier_
        if params and not is_frozen(classifier):
            # The encryptor trains a classifier without any.
            shape = encryptor.get_params(deep=False).get("image_shape")
            batch = check_images(X, image_shape=shape, caller="PrivateClassifier")
            images = batch.form.restore(batch.pixels)
            classifier = FrozenEstimator(_train(classifier, images, batch.shape, y, params))
        return encryptor.set_params(classifier=classifier).fit(X, y).classifier_

    def _train_on_ciphertexts(
        self, classifier: Any, X: ArrayLike, y: ArrayLike, params: dict[str, Any]
    ) -> Any:
        encryptor = self.encryptor_.fit(X, y)
        if _takes_the_key(classifier, encryptor):
            return adapt_to_key(_unfreeze(classifier), encryptor)
        if self.augment_first and not is_frozen(classifier):
            if not isinstance(classifier, TorchClassifier):
                raise ValueError(
                    f"augment_first=True is for classifiers with an augmentation, such as "
                    f"ConvMixerClassifier, but this one is a {type(classifier).__name__}. Take one "
                    "of those, or leave augment_first out."
                )
            return classifier.fit_encrypted(self._read(X), y, encryptor)
        C = np.asarray(encryptor.transform(X))
        return _train(classifier, C, encryptor.ciphertext_shape_, y, params)

    def _read(self, X: ArrayLike) -> NDArray[Any]:
        """Read images of the fitted shape, as (n_samples, height, width, channels)."""
        shape = self.encryptor_.image_shape_in_
        return check_images(X, image_shape=shape, caller="PrivateClassifier").pixels

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

    @available_if(_part_has("classifier", "predict_proba"))
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
        C = self.encrypt(X)
        return CloudHalf(self.classifier_).predict_proba(C)

    @available_if(_part_has("classifier", "decision_function"))
    def decision_function(self, X: ArrayLike) -> NDArray[np.floating]:
        """Encrypt plain images and compute by how much the classifier prefers each class.

        Parameters
        ----------
        X : array-like
            Plain images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Scores, in the order of `classes_`; with two classes, those of the second.
        """
        C = self.encrypt(X)
        return CloudHalf(self.classifier_).decision_function(C)

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
        check_is_fitted(self)
        return CloudHalf(self.classifier_).predict(C)

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

    @available_if(_part_has("encryptor", "inverse_transform"))
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

        It holds no key and no encryptor, no path of a file (a classifier's `checkpoint`, a
        pipeline's `memory`), no state of an optimizer, and no plain image that the classifier was
        trained on. Some classifiers keep such images, as they are or scaled: nearest neighbours,
        support vector machines with kernels, Gaussian processes, label propagation, kernel
        approximations, and everything built on one of these. They have no cloud half, unless they
        learn on ciphertexts: the cloud may see ciphertexts, with their labels.

        This says nothing about what an adversary can infer about training images from a model's
        weights or answers (membership inference, model inversion).

        Returns
        -------
        CloudHalf

        Raises
        ------
        CloudHalfError
            If plain images, a key or an encryptor were found in the classifier.
        """
        check_is_fitted(self)
        if self.kept_images_ is not None:
            raise CloudHalfError(
                "the classifier keeps plain images that it was trained on, as "
                f"{self.kept_images_}, and they would go to the cloud with it. Take one that keeps "
                "none, such as a network, a linear model or a forest; or an encryptor whose "
                "classifier learns on ciphertexts, such as EtCEncryptor."
            )
        return CloudHalf.of(self.classifier_)

    def client_half(self) -> FrozenEstimator:
        """Make the part that stays with the owner: the fitted encryptor, with the key.

        It holds nothing of the classifier, unless the encryptor needs it to encrypt (RIC): then it
        holds all of it, with the plain images that it may keep (see `cloud_half`).

        Returns
        -------
        FrozenEstimator
            With the encryptor's `transform` and, if it has one, `inverse_transform`.
        """
        check_is_fitted(self)
        return FrozenEstimator(self.encryptor_)

    def get_metadata_routing(self) -> MetadataRouter:
        """Say what metadata `fit` passes on to the classifier, and what `score` takes.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(classifier=self._choose_classifier(), method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _train(
    classifier: Any, X: NDArray[Any], image_shape: ImageShape, y: ArrayLike, params: dict[str, Any]
) -> Any:
    """Train a classifier on images, in the form in which it takes them."""
    if X.ndim == 2:
        with_image_shape(classifier, image_shape)
    return classifier.fit(flattened_for(classifier, X), y, **params)


def _unfreeze(estimator: Any) -> Any:
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator


def _takes_the_key(classifier: Any, encryptor: Any) -> bool:
    encryptor = _unfreeze(encryptor)
    return (
        is_frozen(classifier)
        and isinstance(_unfreeze(classifier), TorchClassifier | PretrainedClassifier)
        and isinstance(encryptor, EtCEncryptor)
        and not encryptor.per_block_keys
    )

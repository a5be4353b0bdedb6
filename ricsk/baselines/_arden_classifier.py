"""ARDEN's two halves together: a classifier that learns on noisy representations."""

from __future__ import annotations

import math
from itertools import count
from numbers import Real
from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, MetaEstimatorMixin, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ricsk._estimator import Estimator
from ricsk.baselines._arden import ArdenEncoder
from ricsk.baselines._feature_map_classifier import FeatureMapClassifier
from ricsk.classifiers import TorchClassifier
from ricsk.cloud import CloudHalf
from ricsk.images import check_images

__all__ = ["ArdenClassifier"]


class ArdenClassifier(MetaEstimatorMixin, ClassifierMixin, Estimator):
    """Split a network: the device computes its first layers and adds noise, the cloud the others.

    `fit` and `predict` take plain images. The cloud's part learns on what the device would send,
    with noise that is new in each epoch: "noisy training" [1]_. In the paper the cloud does that on
    public images. Where it is done on private ones, each epoch is one more sending of each, and
    the budgets of `ArdenEncoder.privacy_` add up.

    What it does not protect is said of `ArdenEncoder`.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    encoder : ArdenEncoder, optional
        The device's part. It needs a key.
    classifier : TorchClassifier, optional
        The cloud's part. By default a `FeatureMapClassifier` with the blocks that the encoder's
        network has behind the split.
    noisy_weight : float, default=1.0
        Part of the images that noise is added to in training, against images without noise.

    Attributes
    ----------
    encoder_ : ArdenEncoder
        The fitted encoder, with the key.
    classifier_ : TorchClassifier
        The fitted part of the cloud, without it.
    classes_ : ndarray
        The labels.
    n_features_in_ : int
        Height × width × channels of the images.
    feature_names_in_ : ndarray of str
        Column names, if `fit` was given a data frame.

    See Also
    --------
    ricsk.attacks.ITNAttack : Reads images from what is sent.

    References
    ----------
    .. [1] J. Wang et al., "Not just privacy: improving performance of private deep learning in
       mobile cloud", KDD, 2018, section 5.

    Examples
    --------
    >>> from ricsk import CNNClassifier, SecretKey
    >>> from ricsk.baselines import ArdenClassifier, ArdenEncoder, FeatureMapClassifier
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> front = CNNClassifier(width=9, depth=2, epochs=1, random_state=0)
    >>> classifier = ArdenClassifier(
    ...     ArdenEncoder(SecretKey.generate(), front),
    ...     FeatureMapClassifier(side=3, width=8, depth=1, epochs=1, random_state=0),  # too little
    ... ).fit(X[:500], y[:500])
    >>> client, cloud = classifier.client_half(), classifier.cloud_half()
    >>> cloud.predict(client.transform(X[500:510])).shape
    (10,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "encoder": [ArdenEncoder, None],
        "classifier": [TorchClassifier, None],
        "noisy_weight": [Interval(Real, 0, 1, closed="right")],
    }

    encoder_: ArdenEncoder
    classifier_: TorchClassifier

    def __init__(
        self,
        encoder: ArdenEncoder | None = None,
        classifier: TorchClassifier | None = None,
        *,
        noisy_weight: float = 1.0,
    ) -> None:
        self.encoder = encoder
        self.classifier = classifier
        self.noisy_weight = noisy_weight

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the device's part, and train the cloud's on what it returns.

        Parameters
        ----------
        X : array-like
            Plain images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)``
            or flattened.
        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Without an encoder, and where encoder or classifier refuse the data.
        """
        with self._all_or_nothing() as twin:
            twin._learn(X, y)
        return self

    def _learn(self, X: ArrayLike, y: ArrayLike) -> None:
        if self.encoder is None:
            raise ValueError(
                "ArdenClassifier needs an encoder; give one, for example "
                "ArdenClassifier(ArdenEncoder(SecretKey.generate()))."
            )
        self.encoder_ = clone(self.encoder).fit(X, y)
        images = check_images(
            X, image_shape=self.encoder_.image_shape_in_, caller="ArdenClassifier"
        )
        noisy = _NoisyTraining(self.encoder_, self.noisy_weight)
        self.classifier_ = self._make_classifier().fit_encrypted(images.pixels, y, noisy)
        self.n_features_in_ = self.encoder_.n_features_in_
        if hasattr(self.encoder_, "feature_names_in_"):
            self.feature_names_in_ = self.encoder_.feature_names_in_

    def _make_classifier(self) -> TorchClassifier:
        if self.classifier is not None:
            return clone(self.classifier)
        encoder = self.encoder_
        return FeatureMapClassifier(
            side=math.isqrt(encoder.n_maps_ - 1) + 1,
            width=encoder.n_maps_ * 2 ** min(1, encoder.split_),
            depth=encoder.n_blocks_ - encoder.split_,
            random_state=0,
        )

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, as the cloud's part has them."""
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
        check_is_fitted(self)
        return self.classifier_.predict(self.encoder_.transform(X))

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
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
        return self.classifier_.predict_proba(self.encoder_.transform(X))

    def cloud_half(self) -> CloudHalf:
        """Make the part that goes to the untrusted machine, without the key.

        Returns
        -------
        CloudHalf
        """
        check_is_fitted(self)
        return CloudHalf.of(self.classifier_)

    def client_half(self) -> FrozenEstimator:
        """Make the part that stays on the device: the encoder, with the key.

        Returns
        -------
        FrozenEstimator
            With the encoder's `transform`.
        """
        check_is_fitted(self)
        return FrozenEstimator(self.encoder_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class _NoisyTraining(FrozenEstimator):
    """An encoder as training sees it: with noise that is new in each batch, and in part none."""

    def __init__(self, encoder: ArdenEncoder, noisy_part: float) -> None:
        super().__init__(encoder)
        # Number 0 is what `transform` of the encoder itself sends.
        self._numbers, self._noisy_part = count(1), noisy_part

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        encoder: ArdenEncoder = self.estimator
        return encoder.encode(X, next(self._numbers), noisy_part=self._noisy_part)

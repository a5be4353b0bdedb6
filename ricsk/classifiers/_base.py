"""Base of all classifiers."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ricsk._docs import fill_in
from ricsk._estimator import Estimator
from ricsk._state import COUNT, IMAGE_FORM, LABELS, check_values, explain_restoring
from ricsk._threads import bounded_threads
from ricsk._training_docs import FITTED, TRAINING
from ricsk.classifiers._network import PixelNetwork, read_pixels
from ricsk.classifiers._training import find_checkpoint, make_encryption, train_classifier
from ricsk.images import ImageBatch, ImageShape, ValueRange, validate_images
from ricsk.nae import register_view
from ricsk.nn import ImageNetwork, build
from ricsk.training import (
    OPTIMIZERS,
    SCHEDULES,
    OwnRandomness,
    Recipe,
    check_finite,
    draw_seed,
    find_device,
    find_device_again,
    load_weights,
    save_weights,
)

__all__ = ["TorchClassifier"]

# How many pixel values are held at a time in prediction.
_PART_VALUES = 1 << 20


@fill_in(training=TRAINING, fitted=FITTED)
class TorchClassifier(ClassifierMixin, Estimator):
    """Base of all classifiers: trains a network of `ricsk.nn` on images and predicts with it.

    A subclass names its network in `_network` and the constructor parameters that are the sizes of
    the network in `_sizes`; everything about images, training, devices and storage is done here.

    A fitted classifier is stored as its parameters, plain values, arrays and its weights in the
    safetensors format. Reading it back builds the network by its name and unpickles nothing.

    Parameters
    ----------
    {training}

    Attributes
    ----------
    {fitted}
    """

    _network: ClassVar[str]
    _sizes: ClassVar[tuple[str, ...]]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "augmentation": [StrOptions({"crop", "plain", "encrypted"}), None],
        "optimizer": [StrOptions(set(OPTIMIZERS))],
        "schedule": [StrOptions(set(SCHEDULES))],
        "clip": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "checkpoint": [str, None],
        "image_shape": [tuple, list, None],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **IMAGE_FORM,
        "classes_": [LABELS],
        "history_": [list],
        "n_iter_": [COUNT],
        "network_config_": [dict],
    }
    _derived = frozenset({"module_"})

    classes_: NDArray[Any]
    image_shape_in_: ImageShape
    n_features_in_: int
    n_iter_: int
    history_: list[dict[str, float]]
    value_range_: ValueRange
    network_config_: dict[str, Any]
    module_: PixelNetwork
    device_: str

    def __init__(
        self,
        *,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        weight_decay: float,
        augmentation: Recipe | None,
        optimizer: str,
        schedule: str,
        clip: float | None,
        early_stopping: bool,
        validation_fraction: float,
        n_iter_no_change: int,
        checkpoint: str | None,
        image_shape: tuple[int, ...] | None,
        device: str,
        random_state: int | np.random.RandomState | None,
        verbose: int,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.augmentation = augmentation
        self.optimizer = optimizer
        self.schedule = schedule
        self.clip = clip
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.checkpoint = checkpoint
        self.image_shape = image_shape
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : array-like
            Images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)`` or
            flattened: uint8, or floats on [0, 1]. Floats that leave [0, 1] are scaled by their
            smallest and largest value.
        y : array-like of shape (n_samples,)
            Labels: numbers or strings.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If `X` is not a batch of images or `y` does not label them, if there is one class only,
            if a parameter does not fit the images, or if the training diverges.
        """
        with self._all_or_nothing() as twin:
            twin._fit(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_encrypted(self, X: ArrayLike, y: ArrayLike, encryptor: Any) -> Self:
        """Train a new network on ciphertexts of plain images that are made anew in every epoch.

        So the augmentation changes images before they are encrypted, and may be any. What is
        trained reads ciphertexts, as after ``fit(encryptor.transform(X), y)``. The encryptor, and
        its key, are not kept. Where ciphertexts mix several images, it learns the mixed labels, and
        each epoch mixes anew.

        Parameters
        ----------
        X : array-like
            Plain images, ``(n_samples, height, width, channels)`` or ``(n_samples, height,
            width)``.
        y : array-like of shape (n_samples,)
            Labels: numbers or strings.
        encryptor : fitted encryptor
            Fitted on images of this shape and range. Its ciphertexts must be images.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit` does, and if `X` does not hold images that the encryptor takes.
        sklearn.exceptions.NotFittedError
            If the encryptor is not fitted.

        Examples
        --------
        >>> from ricsk import CNNClassifier, LearnableEncryptor, SecretKey
        >>> from ricsk.datasets import load_digits
        >>> X, y = load_digits(size=16)
        >>> encryptor = LearnableEncryptor(SecretKey.generate()).fit(X)
        >>> classifier = CNNClassifier(width=8, depth=1, epochs=1, augmentation="crop")
        >>> classifier.fit_encrypted(X, y, encryptor).predict(encryptor.transform(X[:5])).shape
        (5,)
        """
        check_is_fitted(encryptor)
        with self._all_or_nothing() as twin:
            twin._fit(X, y, encryptor)
        return self

    def _fit(self, X: ArrayLike, y: ArrayLike, encryptor: Any | None = None) -> Self:
        checked = validate_images(self, X, y, reset=True)
        assert isinstance(checked, tuple)
        batch, labels = checked
        targets = self._read_labels(labels)
        self.value_range_ = ValueRange.of(batch.pixels, None)
        arrays = [batch.pixels, targets, self.classes_]
        encrypt = None
        if encryptor is not None:
            self.value_range_ = encryptor.value_range_
            self.image_shape_in_ = encryptor.ciphertext_shape_
            self.n_features_in_ = math.prod(self.image_shape_in_)
            encrypt = make_encryption(
                encryptor, batch.pixels.dtype, self.value_range_, self.classes_
            )
            arrays.append(encryptor.transform(batch.pixels[:1]))
        self.network_config_ = {
            "name": self._network,
            "image_shape": self.image_shape_in_,
            "n_classes": len(self.classes_),
            **self._network_sizes(),
        }
        device, self.device_ = find_device(self.device), self.device
        checkpoint = find_checkpoint(self, arrays)
        seed = draw_seed(self.random_state)
        if checkpoint is not None and checkpoint.seed is not None:
            seed = checkpoint.seed
        randomness = OwnRandomness(seed)
        with randomness:
            self.module_ = PixelNetwork(self._build_network(batch))
        self.history_ = train_classifier(
            self,
            self.module_,
            read_pixels(batch.pixels, self.value_range_),
            targets,
            n_classes=len(self.classes_),
            device=device,
            randomness=randomness,
            encrypt=encrypt,
            checkpoint=checkpoint,
        )
        self.n_iter_ = len(self.history_)
        check_finite(self.history_, self.learning_rate)
        return self

    def _read_labels(self, y: NDArray[Any]) -> NDArray[np.intp]:
        """Learn the classes, and number them."""
        check_classification_targets(y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_[0]!r}, in n_samples={len(targets)}; a "
                "classifier needs images of at least two."
            )
        return targets

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Classify images.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        return self.classes_[self._apply(self.module_, X).argmax(dim=1).numpy()]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Estimate the probability of each class: the softmax of the logits.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        return self._apply(self.module_, X).softmax(dim=1).numpy()

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the logits.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Logits, in the order of `classes_`. With two classes, that of the second less that of
            the first.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        logits = self._apply(self.module_, X)
        if len(self.classes_) == 2:
            logits = logits[:, 1] - logits[:, 0]
        return logits.numpy()

    def features(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the vectors that the last, linear layer of the network classifies.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Feature vectors.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        return self._apply(self.module_.forward_features, X).numpy()

    def _network_sizes(self) -> dict[str, Any]:
        return {size: getattr(self, size) for size in self._sizes}

    def _build_network(self, batch: ImageBatch) -> ImageNetwork:
        try:
            return build(**self.network_config_)
        except ValueError as error:
            if batch.ndim == 2 and self.image_shape is None:
                error.add_note("X is flat: tell how to read it by image_shape=(height, width, 3).")
            raise

    def _apply(self, function: Callable[[Tensor], Tensor], X: ArrayLike) -> Tensor:
        """Compute a function of the images, part by part, where the network is."""
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        if not self.value_range_.learned:
            self.value_range_.check(batch.pixels)
        device = next(self.module_.parameters()).device
        n, n_part = len(batch.pixels), max(1, _PART_VALUES // self.n_features_in_)
        results = []
        with torch.inference_mode(), bounded_threads(min(n, n_part) * self.n_features_in_):
            for start in range(0, n, n_part):
                part = read_pixels(batch.pixels[start : start + n_part], self.value_range_)
                results.append(function(part.to(device)).cpu())
        return torch.cat(results)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        module = state.pop("module_", None)
        if module is not None:
            state["weights_"] = save_weights(module.network)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is not None:
            with explain_restoring(type(self)):
                network = load_weights(build, weights, **self.network_config_)
            self.module_ = PixelNetwork(network).eval().to(find_device_again(self.device_))

    def _check_state(self) -> None:
        super()._check_state()
        if not hasattr(self, "network_config_"):
            return
        sizes = {f"{name}_": size for name, size in self.network_config_.items()}
        check_values(type(self), sizes | {"image_shape_": None}, {})
        fitted = {
            "name": self._network,
            "image_shape": self.image_shape_in_,
            "n_classes": len(self.classes_),
        }
        if self.network_config_ != self.network_config_ | fitted:
            raise ValueError(f"its network is not one for {fitted}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class _GivenLevels(nn.Module):
    """What `decision_function` does to images that have these levels."""

    def __init__(
        self, classifier: TorchClassifier, value_range: tuple[float, float] | None
    ) -> None:
        super().__init__()
        self.module = classifier.module_
        # 8-bit values stand for [0, 1]; others are brought there from the range that was learnt.
        low, high = (0.0, 1.0) if value_range is None else value_range
        own = ValueRange(0.0, 1.0) if value_range is None else classifier.value_range_
        self.scale = (high - low) / (own.high - own.low) / 255
        self.shift = (low - own.low) / (own.high - own.low)

    def forward(self, levels: Tensor) -> Tensor:
        return self.module(levels * self.scale + self.shift)


register_view(TorchClassifier, _GivenLevels)

"""`TorchClassifier`: what all classifiers share but the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, ProgressBar
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk._estimator import Estimator
from ricsk.images import ImageBatch, ImageShape, ValueRange, validate_images
from ricsk.nae import register_view
from ricsk.nn import ImageNetwork, build
from ricsk.training import (
    OPTIMIZERS,
    SCHEDULES,
    Augmentation,
    Batches,
    Checkpoint,
    Net,
    Recipe,
    fingerprint,
    make_schedule,
)

__all__ = ["TorchClassifier"]


class TorchClassifier(ClassifierMixin, Estimator):
    """Base of all classifiers: trains a network of `ricsk.nn` on images and predicts with it.

    A subclass names its network in `_network` and the constructor parameters that are the sizes of
    the network in `_sizes`; everything about images, training, devices and storage is done here.

    A fitted classifier is stored as its parameters, plain values, arrays and its weights in the
    safetensors format. Reading it back builds the network by its name and unpickles nothing.

    Parameters
    ----------
    epochs, batch_size, learning_rate, weight_decay, augmentation, optimizer, schedule, clip, \
early_stopping, validation_fraction, n_iter_no_change, checkpoint, image_shape, device, \
random_state, verbose
        See `ConvMixerClassifier`.

    Attributes
    ----------
    module_ : torch.nn.Module
        From channel-last images, uint8 or floats on [0, 1], to logits: a scaling to [−1, 1], and
        `module_.network`.
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

    classes_: NDArray[Any]
    image_shape_in_: ImageShape
    n_features_in_: int
    n_iter_: int
    history_: list[dict[str, float]]
    value_range_: ValueRange
    network_config_: dict[str, Any]
    module_: _PixelNetwork

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
            If `X` is no batch of images or `y` no labels for them, if there is one class only, if
            a parameter does not fit the images, or if the training diverges.
        """
        with self._all_or_nothing() as twin:
            twin._fit(X, y)
        return self

    def _fit(self, X: ArrayLike, y: ArrayLike, encryptor: Any | None = None) -> Self:
        """Fit; with an encryptor, on the ciphertexts of plain images, made after augmentation.

        The encryptor is not kept.
        """
        checked = validate_images(self, X, y, reset=True)
        assert isinstance(checked, tuple)
        batch, y = checked
        check_classification_targets(y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_[0]!r}, in n_samples={len(targets)}; a "
                "classifier needs images of at least two."
            )
        self.value_range_ = ValueRange.of(batch.pixels, None)
        encrypt = None
        if encryptor is not None:
            self.value_range_ = encryptor.value_range_
            self.image_shape_in_ = encryptor.ciphertext_shape_
            self.n_features_in_ = math.prod(self.image_shape_in_)
            encrypt = partial(
                _encrypted, encryptor, dtype=batch.pixels.dtype, value_range=self.value_range_
            )
        self.network_config_ = {
            "name": self._network,
            "image_shape": self.image_shape_in_,
            "n_classes": len(self.classes_),
            **self._network_sizes(),
        }
        device = _find_device(self.device)
        checkpoint = self._checkpoint(batch, targets, encryptor)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        if checkpoint is not None and checkpoint.seed is not None:
            seed = checkpoint.seed
        # All randomness is drawn on the CPU, so that a seed means the same on every device.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.module_ = _PixelNetwork(self._build_network(batch))
            pixels = _to_tensor(batch.pixels, self.value_range_)
            net = self._train(pixels, targets, device, seed, encrypt, checkpoint)
        self.module_.eval()
        self.history_ = [
            {name: epoch[name] for name in ("epoch", "train_loss", "valid_loss") if name in epoch}
            for epoch in net.history
        ]
        self.n_iter_ = len(self.history_)
        if not math.isfinite(self.history_[-1]["train_loss"]):
            raise ValueError(
                f"the training diverged: its loss became {self.history_[-1]['train_loss']} with "
                f"learning_rate={self.learning_rate}. Take a smaller one."
            )
        return self

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

    def _train(
        self,
        pixels: Tensor,
        targets: NDArray[np.intp],
        device: torch.device,
        seed: int,
        encrypt: Callable[[Tensor], Tensor] | None,
        checkpoint: Checkpoint | None,
    ) -> NeuralNetClassifier:
        data = TensorDataset(pixels, torch.from_numpy(targets))
        callbacks: list[Callback] = [GradientNormClipping(self.clip)]
        stopper = None
        held_out = None
        if self.early_stopping:
            kept, held = train_test_split(
                np.arange(len(targets)),
                test_size=self.validation_fraction,
                stratify=targets,
                random_state=seed,
            )
            data, held_out = TensorDataset(*data[kept]), TensorDataset(*data[held])
            if encrypt is not None:
                held_out = TensorDataset(encrypt(held_out.tensors[0]), held_out.tensors[1])
            stopper = EarlyStopping(patience=self.n_iter_no_change, load_best=True)
            callbacks.append(stopper)
        n_batches = len(Batches(data, self.batch_size, training=True))
        schedule = make_schedule(self.schedule, self.learning_rate, self.epochs, n_batches)
        callbacks.append(schedule)
        if self.verbose:
            n_held = len(Batches(held_out, self.batch_size)) if held_out else 0
            callbacks.append(ProgressBar(n_batches + n_held))
        optimizer = OPTIMIZERS[self.optimizer]
        if device.type == "cuda":  # where convolutions of 16 bits are built for this order
            # torch's types leave this form of Module.to out, which its documentation has.
            self.module_.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        net = Net(
            self.module_,
            criterion=nn.CrossEntropyLoss,
            optimizer=optimizer.kind,
            optimizer__weight_decay=self.weight_decay,
            **{f"optimizer__{name}": value for name, value in optimizer.settings.items()},
            lr=self.learning_rate,
            max_epochs=self.epochs,
            batch_size=self.batch_size,
            iterator_train=Batches,
            iterator_train__training=True,
            iterator_train__augment=self._augment(pixels, device, encrypt),
            iterator_valid=Batches,
            train_split=predefined_split(held_out) if held_out else None,
            callbacks=callbacks,
            callbacks__valid_acc=None,
            device=device,
            verbose=0,
        ).initialize()
        # net.fit would take a user's Ctrl-C for the end of training, as it does early stopping.
        net.notify("on_train_begin", X=data, y=None)
        if checkpoint is not None:
            checkpoint.restore(net, schedule.lr_scheduler_, stopper)
        stopped = stopper is not None and stopper.misses_ >= self.n_iter_no_change
        while len(net.history) < self.epochs and not stopped:
            try:
                net.fit_loop(data, epochs=1)
            except KeyboardInterrupt:
                stopped = stopper is not None and stopper.misses_ >= self.n_iter_no_change
                if not stopped:
                    raise
            if checkpoint is not None:
                checkpoint.write(net, schedule.lr_scheduler_, stopper, seed)
        net.notify("on_train_end", X=data, y=None)
        if device.type == "cuda":
            # See above for the types.
            self.module_.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return net

    def _augment(
        self, pixels: Tensor, device: torch.device, encrypt: Callable[[Tensor], Tensor] | None
    ) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
        """Compose what is done to a batch of training images; None if nothing is."""
        augmentation = None
        if self.augmentation is not None:
            height, width, channels = pixels.shape[1:]
            augmentation = Augmentation(
                self.augmentation, (height, width, channels), len(self.classes_)
            )
        if augmentation is None and encrypt is None:
            return None

        def augment(pixels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            if augmentation is not None:
                pixels, targets = augmentation(pixels.to(device), targets.to(device))
            return (pixels if encrypt is None else encrypt(pixels)), targets

        return augment

    def _checkpoint(
        self, batch: ImageBatch, targets: NDArray[np.intp], encryptor: Any | None
    ) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        # A seed that is drawn anew in every fit is kept in the file.
        unimportant = {"checkpoint", "device", "verbose"}
        if not isinstance(self.random_state, Integral):
            unimportant.add("random_state")
        settings = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in unimportant
        }
        arrays = [batch.pixels, targets, self.classes_]
        if encryptor is not None:
            arrays.append(encryptor.transform(batch.pixels[:1]))
        return Checkpoint(self.checkpoint, fingerprint((type(self).__name__, settings), arrays))

    def _apply(self, function: Callable[[Tensor], Tensor], X: ArrayLike) -> Tensor:
        """Compute a function of the images, batch by batch, where the network is."""
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        if not self.value_range_.learned:
            self.value_range_.check(batch.pixels)
        pixels = _to_tensor(batch.pixels, self.value_range_)
        device = next(self.module_.parameters()).device
        with torch.inference_mode():
            parts = [function(part.to(device)).cpu() for part in pixels.split(self.batch_size)]
        return torch.cat(parts)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        module = state.pop("module_", None)
        if module is not None:
            state["weights_"] = save_safetensors(module.network.state_dict())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is not None:
            with torch.device("meta"):  # no memory, no time and no randomness for initial weights
                network = build(**self.network_config_)
            network.load_state_dict(load_safetensors(weights), assign=True)
            try:
                device = _find_device(self.device)
            except ValueError:  # fitted on a machine that had it
                device = _find_device("auto")
            self.module_ = _PixelNetwork(network).eval().to(device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class _PixelNetwork(nn.Module):
    """A network behind the scaling that its input needs: channel-last pixels to logits."""

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network(_scale(pixels))

    def forward_features(self, pixels: Tensor) -> Tensor:
        return self.network.forward_features(_scale(pixels))

    def forward_with_penalty(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.forward_with_penalty(_scale(pixels))


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


def _scale(pixels: Tensor) -> Tensor:
    """Turn channel-last uint8, or floats on [0, 1], into channel-first floats on [−1, 1].

    So the negative of an image is the image times −1.
    """
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    return 2 * pixels.permute(0, 3, 1, 2) - 1


def _to_tensor(pixels: NDArray[Any], value_range: ValueRange) -> Tensor:
    """Keep uint8, and bring floats to 32 bits on [0, 1]."""
    if pixels.dtype != np.uint8:
        low, high = value_range.low, value_range.high
        pixels = ((pixels - low) / (high - low)).astype(np.float32)
    return torch.from_numpy(np.require(pixels, requirements=["C", "W"]))


def _encrypted(
    encryptor: Any, pixels: Tensor, *, dtype: np.dtype, value_range: ValueRange
) -> Tensor:
    """Encrypt a batch as the images that it was made from would be: in their dtype and range."""
    values = pixels.cpu().numpy()
    if dtype == np.uint8:
        if values.dtype != np.uint8:
            values = np.rint(255 * values).astype(np.uint8)
    else:
        low, high = value_range.low, value_range.high
        values = low + (high - low) * values.astype(dtype)
    C = encryptor.transform(values).reshape(-1, *encryptor.ciphertext_shape_)
    return _to_tensor(C, value_range).to(pixels.device)


def _find_device(name: str) -> torch.device:
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
        if available[device.type]:
            return device
    except (RuntimeError, KeyError):
        pass
    there = ", ".join(repr(kind) for kind, there in available.items() if there)
    raise ValueError(f"device={name!r} is not available here; expected 'auto' or one of {there}.")

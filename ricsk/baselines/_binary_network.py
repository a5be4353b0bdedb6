"""`BinaryNetworkClassifier`: what TAPAS computes under homomorphic encryption, in the clear."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ricsk._docs import fill_in
from ricsk._training_docs import FITTED, TRAINING
from ricsk.classifiers import TorchClassifier
from ricsk.nn import BinaryNetwork
from ricsk.training import Recipe

__all__ = ["BinaryNetworkClassifier"]


@fill_in(training=TRAINING, fitted=FITTED)
class BinaryNetworkClassifier(TorchClassifier):
    """Classify black and white images by a network of signs, small enough for encrypted inference.

    TAPAS [1]_ runs such networks on ciphertexts of fully homomorphic encryption: weights and
    values are −1 or 1, and a neuron counts and compares, which takes few gates. Here is the
    network, with the accuracy that it costs; the ciphertexts are another library's.
    ``benchmarks/encrypted_inference.py`` runs `layers_` and `scores_` under encryption.

    **It protects nothing by itself**: `predict` sees the images. Under encryption the server learns
    nothing of images and answers as long as the scheme holds and it only looks; the client gets the
    sums of all classes, from many of which the weights can be worked out.

    Read more in the :ref:`User Guide <guide-encrypted-inference>`.

    Parameters
    ----------
    hidden : sequence of int, default=(64,)
        Neurons of each hidden layer.
    threshold : float, default=0.25
        Values above it, between 0 for black and 1 for white, are 1, and others −1.
    {training}

    Attributes
    ----------
    layers_ : list of (weights, thresholds)
        Hidden layers, as arrays of int8, (n_out, n_in), and int64, (n_out,): a neuron is 1 where
        its sum reaches its threshold.
    scores_ : (weights, scale, shift)
        The last layer: logits are ``scale * sum + shift``.
    {fitted}

    Notes
    -----
    The published code trains with Adam, and keeps weights on [−1, 1] by clamping them; here their
    gradients end there. Sums are exact in single precision up to 2²⁴ inputs.

    References
    ----------
    .. [1] A. Sanyal, M. J. Kusner, A. Gascón and V. Kanade, "TAPAS: tricks to accelerate
       (encrypted) prediction as a service", ICML, 2018.

    Examples
    --------
    >>> from ricsk.baselines import BinaryNetworkClassifier
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> classifier = BinaryNetworkClassifier(epochs=5, random_state=0).fit(X[:1000], y[:1000])
    >>> classifier.score(X[1000:], y[1000:]) > 0.7
    True
    """

    _network = "binary"
    _sizes = ("hidden", "threshold")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TorchClassifier._parameter_constraints,
        "hidden": [tuple, list],
        "threshold": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        hidden: Sequence[int] = (64,),
        *,
        threshold: float = 0.25,
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float = 0.03,
        weight_decay: float = 0.0,
        augmentation: Recipe | None = None,
        optimizer: str = "adamw",
        schedule: str = "triangular",
        clip: float | None = 1.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        checkpoint: str | None = None,
        image_shape: tuple[int, ...] | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            augmentation=augmentation,
            optimizer=optimizer,
            schedule=schedule,
            clip=clip,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            checkpoint=checkpoint,
            image_shape=image_shape,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.hidden = hidden
        self.threshold = threshold

    def _network_sizes(self) -> dict[str, Any]:
        hidden = list(self.hidden)
        if not hidden or not all(isinstance(n, Integral) and n > 0 for n in hidden):
            raise ValueError(f"hidden={self.hidden!r}; expected one or more positive integers.")
        return {"hidden": [int(n) for n in hidden], "threshold": float(self.threshold)}

    @property
    def _network_of_signs(self) -> BinaryNetwork:
        return cast(BinaryNetwork, self.module_.network)

    @property
    def layers_(self) -> list[tuple[NDArray[np.int8], NDArray[np.int64]]]:
        """Weights and thresholds of the hidden layers."""
        check_is_fitted(self)
        layers, _ = self._network_of_signs.fold()
        return [(layer.weights.cpu().numpy(), layer.thresholds.cpu().numpy()) for layer in layers]

    @property
    def scores_(self) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
        """Weights, scale and shift of the last layer."""
        check_is_fitted(self)
        _, (weights, scale, shift) = self._network_of_signs.fold()
        return weights.cpu().numpy(), scale.cpu().numpy(), shift.cpu().numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # scikit-learn's checks feed a few features, of which a threshold leaves a bit each.
        tags.classifier_tags.poor_score = True
        return tags

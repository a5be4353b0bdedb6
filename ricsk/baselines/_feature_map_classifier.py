"""`FeatureMapClassifier`: the last layers of a network, which a cloud has."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ricsk._docs import fill_in
from ricsk._training_docs import FITTED, TRAINING
from ricsk.classifiers import TorchClassifier
from ricsk.training import Recipe

__all__ = ["FeatureMapClassifier"]


@fill_in(training=TRAINING, fitted=FITTED)
class FeatureMapClassifier(TorchClassifier):
    """Classify what an `ArdenEncoder` sends: the cloud's part of a network that is split.

    **It hides nothing by itself.** What encodings show of images is said of `ArdenEncoder`.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    side : int
        Side of the squares that hold the values of a place.
    width : int
        Channels of the first block.
    depth : int
        Number of residual blocks.
    {training}

    Attributes
    ----------
    {fitted}

    See Also
    --------
    ArdenClassifier : Trains it.

    Examples
    --------
    >>> from ricsk import CNNClassifier, SecretKey
    >>> from ricsk.baselines import ArdenEncoder, FeatureMapClassifier
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> front = CNNClassifier(width=9, depth=2, epochs=1, random_state=0)
    >>> C = ArdenEncoder(SecretKey.generate(), front).fit(X, y).transform(X)
    >>> classifier = FeatureMapClassifier(side=3, width=8, depth=1, epochs=1, random_state=0)
    >>> classifier.fit(C, y).predict(C).shape
    (1797,)
    """

    _network = "feature_map_cnn"
    _sizes = ("side", "width", "depth")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TorchClassifier._parameter_constraints,
        **{size: [Interval(Integral, 1, None, closed="left")] for size in _sizes},
    }

    def __init__(
        self,
        *,
        side: int = 4,
        width: int = 32,
        depth: int = 2,
        epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 0.005,
        weight_decay: float = 0.01,
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
        self.side = side
        self.width = width
        self.depth = depth

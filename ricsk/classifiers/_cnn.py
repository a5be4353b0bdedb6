"""`CNNClassifier`: a small residual network as a scikit-learn classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ricsk._docs import fill_in
from ricsk._training_docs import FITTED, TRAINING
from ricsk.classifiers._base import TorchClassifier
from ricsk.training import Recipe

__all__ = ["CNNClassifier"]


@fill_in(training=TRAINING, fitted=FITTED)
class CNNClassifier(TorchClassifier):
    """Classify images by a small residual network, trained from scratch.

    A convolution, and a few blocks that halve the sides of the image and add a residual [1]_: the
    quickest of the classifiers, and the one to take for plain images of any size. For images
    that were encrypted block by block take `ConvMixerClassifier`.

    Read more in the :ref:`User Guide <guide-training>`.

    Parameters
    ----------
    width : int
        Channels of the first block; each further block has twice as many.
    depth : int
        Number of blocks.
    {training}

    Attributes
    ----------
    {fitted}

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition",
       CVPR, 2016, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from ricsk.classifiers import CNNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X.reshape(-1, 8, 8) / 16
    >>> classifier = CNNClassifier(width=16, epochs=5, random_state=0)
    >>> classifier.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.8
    True
    """

    _network = "cnn"
    _sizes = ("width", "depth")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TorchClassifier._parameter_constraints,
        **{size: [Interval(Integral, 1, None, closed="left")] for size in _sizes},
    }

    def __init__(
        self,
        *,
        width: int = 32,
        depth: int = 3,
        epochs: int = 10,
        batch_size: int = 64,
        learning_rate: float = 0.01,
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
        self.width = width
        self.depth = depth

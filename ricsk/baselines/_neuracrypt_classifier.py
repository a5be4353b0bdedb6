"""`NeuraCryptClassifier`: what learns from NeuraCrypt's codes."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ricsk._docs import fill_in
from ricsk._training_docs import FITTED, TRAINING
from ricsk.classifiers import TorchClassifier
from ricsk.training import Recipe

__all__ = ["NeuraCryptClassifier"]


@fill_in(training=TRAINING, fitted=FITTED)
class NeuraCryptClassifier(TorchClassifier):
    """Classify the codes of a `NeuraCryptEncoder`, whose tokens come in no order.

    A transformer with a class token and without positions [1]_: it is the cloud's half, and never
    sees an image. In a `ricsk.PrivateClassifier` with the encoder it is trained on codes and asked
    with codes.

    **It hides nothing by itself.** What codes show of images is said of `NeuraCryptEncoder`.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    dim : int
        Length of a token's vector. A multiple of `n_heads`.
    depth : int
        Number of blocks.
    n_heads : int
        Attention heads in a block.
    mlp_ratio : int
        Hidden units of a block's perceptron, in multiples of `dim`.
    {training}

    Attributes
    ----------
    {fitted}

    See Also
    --------
    NeuraCryptEncoder : Makes the codes.
    ricsk.attacks.NeuraCryptAttack : Reads them.

    References
    ----------
    .. [1] A. Yala et al., "NeuraCrypt: hiding private health data via random neural networks for
       public training", arXiv:2106.02484, 2021, section 4.

    Examples
    --------
    >>> from ricsk import PrivateClassifier, SecretKey
    >>> from ricsk.baselines import NeuraCryptClassifier, NeuraCryptEncoder
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> private = PrivateClassifier(
    ...     NeuraCryptEncoder(SecretKey.generate(), width=32, depth=1),
    ...     NeuraCryptClassifier(dim=32, epochs=10, random_state=0),
    ... ).fit(X[:1000], y[:1000])
    >>> private.score(X[1000:], y[1000:]) > 0.6
    True
    """

    _network = "token_transformer"
    _sizes = ("dim", "depth", "n_heads", "mlp_ratio")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TorchClassifier._parameter_constraints,
        **{size: [Interval(Integral, 1, None, closed="left")] for size in _sizes},
    }

    def __init__(
        self,
        *,
        dim: int = 64,
        depth: int = 1,
        n_heads: int = 4,
        mlp_ratio: int = 2,
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
        self.dim = dim
        self.depth = depth
        self.n_heads = n_heads
        self.mlp_ratio = mlp_ratio

"""`ViTClassifier`: a vision transformer as a scikit-learn classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ricsk._docs import fill_in
from ricsk._training_docs import FITTED, TRAINING
from ricsk.classifiers._base import TorchClassifier
from ricsk.training import Recipe

__all__ = ["ViTClassifier"]


@fill_in(training=TRAINING, fitted=FITTED)
class ViTClassifier(TorchClassifier):
    """Classify images by a vision transformer, trained from scratch.

    The patches of the image are the words of a transformer [1]_. A key can be moved into its patch
    and position embeddings, for encryptions that treat all patches alike [2]_.

    The defaults are for small images and a processor without accelerator. Without pre-training on
    many images it is the weakest of the classifiers: take `CNNClassifier` or `ConvMixerClassifier`
    where you can choose. ViT-B/16 is ``dim=768, depth=12, n_heads=12, patch_size=16``;
    [3]_ fine-tunes it with ``optimizer="sgd", schedule="cosine", learning_rate=0.03,
    batch_size=512``.

    Read more in the :ref:`User Guide <guide-training>`.

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
    patch_size : int
        Side of a patch, in pixels. It must divide the sides of the images.
    {training}

    Attributes
    ----------
    {fitted}

    References
    ----------
    .. [1] A. Dosovitskiy et al., "An image is worth 16x16 words: Transformers for image
       recognition at scale", ICLR, 2021, section 3.1.
    .. [2] H. Kiya, R. Iijima, A. MaungMaung and Y. Kinoshita, "Image and model transformation with
       secret key for vision transformer", IEICE Transactions on Information and Systems, 2023.
    .. [3] A. MaungMaung and H. Kiya, "Privacy-preserving image classification using an isotropic
       network", IEEE MultiMedia 29(2), 2022, section IV-A.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from ricsk.classifiers import ViTClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X.reshape(-1, 8, 8) / 16
    >>> classifier = ViTClassifier(dim=32, depth=2, epochs=10, learning_rate=0.01, random_state=0)
    >>> classifier.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.8
    True
    """

    _network = "vit"
    _sizes = ("dim", "depth", "n_heads", "mlp_ratio", "patch_size")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TorchClassifier._parameter_constraints,
        **{size: [Interval(Integral, 1, None, closed="left")] for size in _sizes},
    }

    def __init__(
        self,
        *,
        dim: int = 64,
        depth: int = 4,
        n_heads: int = 4,
        mlp_ratio: int = 2,
        patch_size: int = 4,
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
        self.patch_size = patch_size

"""`ConvMixerClassifier`: a ConvMixer as a scikit-learn classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ricsk._docs import fill_in
from ricsk._training_docs import FITTED, TRAINING
from ricsk.classifiers._base import TorchClassifier
from ricsk.training import Recipe

__all__ = ["ConvMixerClassifier"]


@fill_in(training=TRAINING, fitted=FITTED)
class ConvMixerClassifier(TorchClassifier):
    """Classify images by a ConvMixer, trained from scratch.

    A convolution embeds the patches of the image, and large depthwise convolutions mix them [1]_.
    Among the networks that learn from block-wise encrypted images (EtC), [2]_ found it best.
    Choose a `patch_size` that divides the blocks of the encryption.

    The defaults are for small images and a processor without accelerator. [2]_ trains CIFAR-10 with
    ``dim=256, depth=8, kernel_size=9, patch_size=1, epochs=300`` (96.1 % on plain images, 92.7 % on
    EtC images), and Imagenette with ``dim=384, patch_size=4``; optimizer, rate, decay, schedule,
    batch size and clipping of gradients at 1 are those of the defaults. Plain images are trained
    with ``augmentation="plain"`` there, and encrypted ones with ``augmentation="encrypted"``.

    Read more in the :ref:`User Guide <guide-training>`.

    Parameters
    ----------
    dim : int
        Channels of the embedding.
    depth : int
        Number of blocks.
    kernel_size : int
        Side of the depthwise kernels, in patches.
    patch_size : int
        Side of a patch, in pixels. It must divide the sides of the images.
    {training}

    Attributes
    ----------
    {fitted}

    References
    ----------
    .. [1] A. Trockman and J. Z. Kolter, "Patches are all you need?", Transactions on Machine
       Learning Research, 2023, section 2.
    .. [2] A. MaungMaung and H. Kiya, "Privacy-preserving image classification using an isotropic
       network", IEEE MultiMedia 29(2), 2022, section IV-A.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from ricsk.classifiers import ConvMixerClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X.reshape(-1, 8, 8) / 16
    >>> classifier = ConvMixerClassifier(dim=32, depth=2, epochs=5, random_state=0)
    >>> classifier.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.8
    True
    """

    _network = "convmixer"
    _sizes = ("dim", "depth", "kernel_size", "patch_size")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TorchClassifier._parameter_constraints,
        **{size: [Interval(Integral, 1, None, closed="left")] for size in _sizes},
    }

    def __init__(
        self,
        *,
        dim: int = 64,
        depth: int = 4,
        kernel_size: int = 5,
        patch_size: int = 2,
        epochs: int = 15,
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
        self.dim = dim
        self.depth = depth
        self.kernel_size = kernel_size
        self.patch_size = patch_size

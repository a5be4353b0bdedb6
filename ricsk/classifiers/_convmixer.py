"""`ConvMixerClassifier`: a ConvMixer as a scikit-learn classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ricsk.classifiers._base import TorchClassifier
from ricsk.training import Recipe

__all__ = ["ConvMixerClassifier"]


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
    epochs : int
        Passes over the training images.
    batch_size : int
        Images in a step of training, and how many are held at a time in prediction; at least 2.
    learning_rate : float
        Largest learning rate of the optimizer.
    weight_decay : float
        Weight decay of the optimizer.
    augmentation : {"crop", "plain", "encrypted"}, optional
        What is done to the images in training. "crop" shifts by up to an eighth of the sides and
        mirrors; "plain" adds RandAugment, mixup or CutMix, and random erasing; "encrypted" is mixup
        or CutMix alone, which ciphertexts bear. None leaves the images as they are.
    optimizer : {"adamw", "sgd", "nesterov"}
        AdamW, or stochastic gradient descent with a momentum of 0.9, plain or Nesterov's.
    schedule : {"triangular", "cosine", "steps"}
        How the learning rate goes. "triangular": up linearly over the first three tenths of the
        steps, and down linearly to almost zero. "cosine": up linearly over the first twentieth, and
        down to zero as half a cosine. "steps": a tenth of it after one half, and again after three
        quarters.
    clip : float or None
        Largest norm of the gradients; longer ones are shortened to it. None never does.
    early_stopping : bool
        Whether to hold out a stratified part of the training images, stop when the loss on it does
        not fall any more, and keep the weights of the best epoch.
    validation_fraction : float
        Part of the training images to hold out, between 0 and 1. Used with `early_stopping` only.
    n_iter_no_change : int
        Epochs without improvement after which to stop. Used with `early_stopping` only.
    checkpoint : str, optional
        A file in which the training is kept after every epoch. If `fit` finds it there, training
        goes on from it and ends as it would have without interruption; a file of another training
        is refused. It holds weights, numbers and the hash of the images, and reading it runs no
        code.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, channels)`` of the images that a 2-D `X` holds.
        Without it each row is read as a grey image that is one pixel high.
    device : str
        Where to compute: "auto" (a CUDA device, else MPS, else the CPU), or a device of torch. It
        is chosen in `fit`, and again when a fitted classifier is read back; one that the reading
        machine lacks then counts as "auto".
    random_state : int, RandomState or None
        Decides on initial weights, the order of images, augmentation and what is held out. An int
        gives the same classifier every time, on one machine.
    verbose : int
        Whether to show a progress bar for each epoch, on the standard error stream.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    module_ : torch.nn.Module
        From channel-last images, uint8 or floats on [0, 1], to logits: a scaling to [−1, 1], and
        `module_.network`.
    network_config_ : dict
        Name, image shape, number of classes and sizes of the network, as `ricsk.nn.build` takes
        them.
    history_ : list of dict
        For each epoch its number, `epoch`, and the mean losses `train_loss` and, with
        `early_stopping`, `valid_loss`.
    n_iter_ : int
        Epochs trained.
    image_shape_in_ : tuple of int
        Height, width and channels of the images.
    n_features_in_ : int
        Their product.
    feature_names_in_ : ndarray of str
        Names of the columns, if `X` was a data frame.
    value_range_ : ValueRange
        The floating-point values of black and white.

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

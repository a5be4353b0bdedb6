"""`CNNClassifier`: a small residual network as a scikit-learn classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ricsk.classifiers._base import TorchClassifier
from ricsk.training import Recipe

__all__ = ["CNNClassifier"]


class CNNClassifier(TorchClassifier):
    """Classify images by a small residual network, trained from scratch.

    A convolution, and a few blocks that halve the sides of the image and add a residual [1]_: the
    quickest of the classifiers, and the one to take for plain images of any size. For images
    that were encrypted block by block take `ConvMixerClassifier`.

    Parameters
    ----------
    width : int
        Channels of the first block; each further block has twice as many.
    depth : int
        Number of blocks.
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

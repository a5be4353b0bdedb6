"""What the docstrings of all classifiers say."""

from __future__ import annotations

from ricsk._docs import IMAGE_SHAPE

__all__ = ["FITTED", "TRAINING"]

TRAINING = f"""
epochs : int
    Passes over the training images.
batch_size : int
    Images in a step of the training; at least 2.
learning_rate : float
    Largest learning rate of the optimizer.
weight_decay : float
    Weight decay of the optimizer.
augmentation : {{"crop", "plain", "encrypted"}}, optional
    What is done to the images in training. "crop" shifts by up to an eighth of the sides and
    mirrors; "plain" adds RandAugment, mixup or CutMix, and random erasing; "encrypted" is mixup or
    CutMix alone, which ciphertexts bear. None leaves the images as they are.
optimizer : {{"adamw", "sgd", "nesterov"}}
    AdamW, or stochastic gradient descent with a momentum of 0.9, plain or Nesterov's.
schedule : {{"triangular", "cosine", "steps"}}
    How the learning rate changes. "triangular": up linearly over the first three tenths of the
    steps, and down linearly to almost zero. "cosine": up linearly over the first twentieth, and
    down to zero as half a cosine. "steps": a tenth of it after one half, and again after three
    quarters.
clip : float or None
    Largest norm of the gradients; longer ones are shortened to it. None never does.
early_stopping : bool
    Whether to hold out a stratified part of the training images, stop when the loss on it no longer
    falls, and keep the weights of the best epoch.
validation_fraction : float
    Part of the training images to hold out, between 0 and 1. Used with `early_stopping` only.
n_iter_no_change : int
    Epochs without improvement after which to stop. Used with `early_stopping` only.
checkpoint : str, optional
    A file in which the training is kept after every epoch. If `fit` finds it there, training goes
    on from it and ends as it would have without interruption; a file of another training is
    refused. It holds weights, numbers and the hash of the images, and reading it runs no code.
{IMAGE_SHAPE.strip()}
device : str
    Where to compute: "auto" (a CUDA device, else MPS, else the CPU), or one of these by torch's
    name. It is chosen in `fit`, and again when a fitted classifier is read back; one that the
    reading machine lacks then counts as "auto".
random_state : int, RandomState or None
    Decides on initial weights, the order of images, augmentation and what is held out. An int gives
    the same classifier every time, on one machine, also when several are trained in threads at
    once. None gives another one every time.
verbose : int
    Whether to show a progress bar for each epoch, on the standard error stream.
"""

FITTED = """
classes_ : ndarray of shape (n_classes,)
    The labels.
module_ : torch.nn.Module
    From channel-last images, uint8 or floats on [0, 1], to logits: a scaling to [−1, 1], and
    `module_.network`.
network_config_ : dict
    Name, image shape, number of classes and sizes of the network, as `ricsk.nn.build` takes them.
history_ : list of dict
    For each epoch its number, `epoch`, and the mean losses `train_loss` and, with `early_stopping`,
    `valid_loss`.
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
device_ : str
    What was asked for as `device`.
"""

"""How the network of a classifier is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.data import TensorDataset

from ricsk.base import get_encryptor_tags
from ricsk.classifiers._network import PenalizedLoss, PixelNetwork, TrainedNetwork, read_pixels
from ricsk.images import ValueRange
from ricsk.training import (
    OPTIMIZERS,
    Augmentation,
    Checkpoint,
    OwnRandomness,
    Prepare,
    fingerprint,
    make_schedule,
    train_network,
)

if TYPE_CHECKING:
    from ricsk.classifiers._base import TorchClassifier

__all__ = ["find_checkpoint", "make_encryption", "train_classifier"]

Encrypt = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From images and their classes, or shares of classes, to the same of ciphertexts."""


def train_classifier(
    parameters: TorchClassifier,
    module: PixelNetwork,
    pixels: Tensor,
    targets: NDArray[np.intp],
    *,
    n_classes: int,
    device: torch.device,
    randomness: OwnRandomness,
    encrypt: Encrypt | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[dict[str, float]]:
    """Train a network in place.

    Parameters
    ----------
    parameters : TorchClassifier
        Its constructor parameters say how.
    module : PixelNetwork
        Moved to the device, and left in evaluation mode.
    pixels : Tensor of shape (n, height, width, channels)
        Images, as `read_pixels` returns them.
    targets : ndarray of shape (n,)
        Numbers of their classes.
    n_classes : int
        How many there are.
    device : torch.device
        Where to train.
    randomness : OwnRandomness
        What to draw from.
    encrypt : callable, optional
        What turns images into what the network reads, after their augmentation, and their classes
        into what it is to say of it.
    checkpoint : Checkpoint, optional
        Where the training is kept.

    Returns
    -------
    list of dict
        See `ricsk.training.train_network`.
    """
    data, held_out = TensorDataset(pixels, torch.from_numpy(targets)), None
    if parameters.early_stopping:
        kept, held = train_test_split(
            np.arange(len(targets)),
            test_size=parameters.validation_fraction,
            stratify=targets,
            random_state=randomness.seed,
        )
        data, held_out = TensorDataset(*data[kept]), TensorDataset(*data[held])
        if encrypt is not None:
            held_out = TensorDataset(*encrypt(*held_out.tensors))
    if device.type == "cuda":  # where convolutions of 16 bits are built for this order
        # torch's types leave this form of Module.to out, which its documentation has.
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    history = train_network(
        TrainedNetwork(module.network),
        PenalizedLoss(),
        data,
        optimizer=OPTIMIZERS[parameters.optimizer].having(weight_decay=parameters.weight_decay),
        learning_rate=parameters.learning_rate,
        epochs=parameters.epochs,
        batch_size=parameters.batch_size,
        device=device,
        randomness=randomness,
        schedule=partial(
            make_schedule, parameters.schedule, parameters.learning_rate, parameters.epochs
        ),
        clip=parameters.clip,
        prepare=_make_prepare(parameters, tuple(pixels.shape[1:]), n_classes, device, encrypt),
        held_out=held_out,
        patience=parameters.n_iter_no_change,
        checkpoint=checkpoint,
        verbose=parameters.verbose,
    )
    if device.type == "cuda":
        # See above for the types.
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    module.eval()
    return history


def make_encryption(
    encryptor: Any, dtype: np.dtype[Any], value_range: ValueRange, classes: NDArray[Any]
) -> Encrypt:
    """Encrypt batches as the images that they were made from would be: in their dtype and range.

    Where ciphertexts mix several images, each batch is mixed anew, and labels with it.

    Parameters
    ----------
    encryptor : fitted encryptor
        What encrypts.
    dtype : dtype
        Of the images: uint8, or floating-point.
    value_range : ValueRange
        The floating-point values of black and white.
    classes : ndarray
        The labels.

    Returns
    -------
    callable
        From tensors as `read_pixels` returns them, and numbers or shares of classes, to the same of
        ciphertexts.

    Raises
    ------
    ValueError
        If the encryptor mixes other labels.
    """
    mixes, number = get_encryptor_tags(encryptor).mixes_labels, count()
    if mixes and not np.array_equal(encryptor.classes_, classes):
        raise ValueError(
            f"the encryptor mixes images of the classes {encryptor.classes_.tolist()}, but y has "
            f"{classes.tolist()}. Fit it on images of these."
        )

    def encrypt(pixels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        values = pixels.cpu().numpy()
        if dtype != np.uint8:
            low, high = value_range.low, value_range.high
            values = low + (high - low) * values.astype(dtype)
        elif values.dtype != np.uint8:
            values = np.rint(255 * values).astype(np.uint8)
        if mixes:
            shares = targets if targets.ndim == 2 else one_hot(targets, len(classes))
            C, mixed = encryptor.encode(values, shares.cpu().numpy(), first=next(number))
            targets = torch.from_numpy(mixed).float().to(targets.device)
        else:
            C = encryptor.transform(values)
        C = C.reshape(-1, *encryptor.ciphertext_shape_)
        return read_pixels(C, value_range).to(pixels.device), targets

    return encrypt


def find_checkpoint(
    parameters: TorchClassifier, arrays: Iterable[NDArray[Any]]
) -> Checkpoint | None:
    """Open the checkpoint of a classifier, which may have none.

    Parameters
    ----------
    parameters : TorchClassifier
        Its constructor parameters name the training, but for those that do not change it.
    arrays : iterable of ndarray
        So do images and labels.

    Returns
    -------
    Checkpoint or None

    Raises
    ------
    ValueError
        If the file is of another training.
    """
    if parameters.checkpoint is None:
        return None
    unimportant = {"checkpoint", "device", "verbose"}
    # A seed that is drawn anew in every fit is kept in the file.
    if not isinstance(parameters.random_state, Integral):
        unimportant.add("random_state")
    settings = {
        name: value
        for name, value in parameters.get_params(deep=False).items()
        if name not in unimportant
    }
    name = type(parameters).__name__
    return Checkpoint(parameters.checkpoint, fingerprint((name, settings), arrays))


def _make_prepare(
    parameters: TorchClassifier,
    image_shape: tuple[int, ...],
    n_classes: int,
    device: torch.device,
    encrypt: Encrypt | None,
) -> Prepare | None:
    """Compose what is done to a batch of training images; None if nothing is."""
    augmentation = None
    if parameters.augmentation is not None:
        height, width, channels = image_shape
        augmentation = Augmentation(parameters.augmentation, (height, width, channels), n_classes)
    if augmentation is None and encrypt is None:
        return None

    def prepare(pixels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if augmentation is not None:
            pixels, targets = augmentation(pixels.to(device), targets.to(device))
        return (pixels, targets) if encrypt is None else encrypt(pixels, targets)

    return prepare

"""What arrives of ciphertexts that went through something, and whether it is read as before."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.base import clone

from ricsk._secrets import show_object
from ricsk.codecs import fit_to_shape, read_image
from ricsk.metrics._scorers import score_agreement, split_estimator
from ricsk.metrics._services import FileTransport

__all__ = [
    "AgreementAfter",
    "carry_images",
    "cast_to_bfloat16",
    "convert_colours",
    "resize_and_back",
]


@dataclass(frozen=True)
class AgreementAfter:
    """Scorer: how many ciphertexts are still read as their plain images are, after a transport.

    For ``scoring=`` of `sklearn.model_selection.GridSearchCV` and its like. Ciphertexts of schemes
    that keep predictions agree as they are, so `ricsk.metrics.prediction_agreement` chooses none of
    their parameters; what they go through on their way to the classifier does.

    Parameters
    ----------
    transport : callable, transformer or FileTransport
        What they go through, as for `carry_images`.

    See Also
    --------
    ricsk.files.survives : What is left of files, for who has the key too.

    Examples
    --------
    >>> from functools import partial
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from ricsk import JPEGCodec, RICEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.metrics import AgreementAfter, cast_to_bfloat16, resize_and_back
    >>> X, y = load_digits(size=16)
    >>> X = X.reshape(len(X), -1) / 255.0
    >>> frozen = FrozenEstimator(LogisticRegression(max_iter=200).fit(X, y))
    >>> encryptor = RICEncryptor(SecretKey.generate(), frozen, image_shape=(16, 16))
    >>> pipeline = make_pipeline(encryptor, frozen).fit(X[:500])
    >>> AgreementAfter(cast_to_bfloat16)(pipeline, X[:50])
    1.0
    >>> AgreementAfter(JPEGCodec(quality=90))(pipeline, X[:50]) > 0.9
    True
    >>> AgreementAfter(partial(resize_and_back, scale=0.1))(pipeline, X[:50]) < 0.9
    True
    """

    transport: Any

    def __call__(
        self,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
    ) -> float:
        """Score a pipeline of an encryptor and a classifier.

        Parameters
        ----------
        estimator : Pipeline
            Fitted, with one encryptor among its steps and a classifier at the end.
        X : array-like
            Plain images.
        y : array-like, optional
            Ignored.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        ValueError
            If `estimator` has no encryptor, or more than one, or no classifier behind it; or the
            transport returns images of another shape.
        TypeError
            If the transport is neither callable nor a transformer.
        """
        parts = split_estimator(estimator, X)
        encryptor = parts.encryptor
        C = np.asarray(encryptor.transform(parts.images))
        low, high = encryptor.value_range_.low, encryptor.value_range_.high
        if C.dtype.kind != "f":
            low, high = 0.0, 255.0
        images = ((C - low) / (high - low)).reshape(len(C), *encryptor.ciphertext_shape_)
        arrived = carry_images(images.astype(np.float32), self.transport)
        values = low + (high - low) * arrived.astype(np.float64)
        if C.dtype.kind != "f":
            values = np.rint(values.clip(0, 255))
        return score_agreement(parts, values.reshape(C.shape).astype(C.dtype))


def carry_images(images: NDArray[np.float32], transport: Any) -> NDArray[np.floating]:
    """Send images through a transport, and return what arrives.

    Parameters
    ----------
    images : ndarray of shape (n_samples, height, width, channels), float32
        On [0, 1].
    transport : callable, transformer or FileTransport
        A function from such images to images of the same shape, such as `cast_to_bfloat16`,
        `resize_and_back` and `convert_colours`; a transformer, such as `ricsk.JPEGCodec`, which is
        cloned and fitted to them; or what a service does to files, such as `Transcode`, for which
        images are stored as PNG files of 8 bits, and what arrives is brought back to their shape.

    Returns
    -------
    ndarray of float
        Of the same shape.

    Raises
    ------
    ValueError
        If the transport changes the shape of images, or refuses one.
    TypeError
        If it is none.

    Examples
    --------
    >>> import numpy as np
    >>> from ricsk import JPEGCodec
    >>> from ricsk.metrics import Transcode, carry_images
    >>> images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    >>> bool(np.abs(carry_images(images, Transcode("png")) - images).max() < 0.002)
    True
    >>> bool(np.abs(carry_images(images, JPEGCodec(quality=90)) - images).max() > 0.1)
    True
    """
    arrived = np.asarray(_find_function(transport)(images))
    if arrived.shape != images.shape:
        raise ValueError(
            f"transport returned an array of shape {arrived.shape} for images of shape "
            f"{images.shape}; expected the same shape. Bring them back to their size."
        )
    return arrived


def _find_function(transport: Any) -> Callable[[NDArray[np.float32]], Any]:
    if isinstance(transport, FileTransport):
        return lambda images: _carry_as_files(images, transport)
    if hasattr(transport, "fit_transform"):
        copied = clone(transport)
        if "value_range" in copied.get_params(deep=False):
            copied.set_params(value_range=(0, 1))
        return copied.fit_transform
    if callable(transport):
        return transport
    raise TypeError(
        f"transport={show_object(transport)} is neither callable nor a transformer nor a "
        "FileTransport. Give a function of images on [0, 1], or for example JPEGCodec(quality=90)."
    )


def _carry_as_files(images: NDArray[np.float32], transport: FileTransport) -> NDArray[np.float32]:
    arrived = []
    for i, pixels in enumerate(_to_levels(images)):
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
        carried = transport.carry(file.getvalue())
        if carried is None:
            raise ValueError(
                f"{transport!r} refuses image {i}, of {len(file.getvalue()):,} bytes, so no "
                "classifier reads it. Send images that it takes."
            )
        arrived.append(fit_to_shape(read_image(carried), pixels.shape))
    return _from_levels(np.stack(arrived))


def _to_levels(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.rint(images * 255).clip(0, 255).astype(np.uint8)


def _from_levels(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (levels / 255).astype(np.float32)


def cast_to_bfloat16(X: NDArray[np.floating]) -> NDArray[np.float32]:
    """Round values to the 8 significant bits of bfloat16, as accelerators compute.

    Parameters
    ----------
    X : ndarray of float
        Of any shape.

    Returns
    -------
    ndarray of float32
        Of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> cast_to_bfloat16(np.array([0.5, 0.7])).tolist()
    [0.5, 0.69921875]
    """
    return torch.from_numpy(np.asarray(X, np.float32)).bfloat16().float().numpy()


def resize_and_back(X: NDArray[np.floating], scale: float = 0.5) -> NDArray[np.float32]:
    """Resize images, and resize them to their size again, as a program that scales them for use.

    Parameters
    ----------
    X : ndarray of float, shape (n_samples, height, width, channels)
        Images.
    scale : float, default=0.5
        How many times higher and wider they are in between.

    Returns
    -------
    ndarray of float32
        Of the same shape: interpolated linearly both times, with antialiasing.

    Examples
    --------
    >>> import numpy as np
    >>> checks = np.indices((4, 4)).sum(axis=0)[np.newaxis, ..., np.newaxis] % 2
    >>> bool(resize_and_back(checks.astype(float)).std() < 0.1 < checks.std())
    True
    """
    images = torch.from_numpy(np.asarray(X, np.float32)).permute(0, 3, 1, 2)
    height, width = images.shape[2:]
    between = max(round(height * scale), 1), max(round(width * scale), 1)
    for size in (between, (height, width)):
        images = torch.nn.functional.interpolate(
            images, size, mode="bilinear", align_corners=False, antialias=True
        )
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def convert_colours(
    X: NDArray[np.floating], to: Literal["YCbCr", "P", "L"] = "YCbCr"
) -> NDArray[np.float32]:
    """Convert images to other colours with 8 bits, and back to those that they had.

    Parameters
    ----------
    X : ndarray of float, shape (n_samples, height, width, 1 or 3)
        Images, on [0, 1].
    to : {"YCbCr", "P", "L"}, default="YCbCr"
        Pillow's mode in between: the luma and chroma of JPEG at full size, a palette of 256
        colours, or grey.

    Returns
    -------
    ndarray of float32
        Of the same shape. Grey images are as they were.

    Examples
    --------
    >>> import numpy as np
    >>> red = np.zeros((1, 2, 2, 3))
    >>> red[..., 0] = 1
    >>> (convert_colours(red, "L")[0, 0, 0] * 255).round().tolist()
    [76.0, 76.0, 76.0]
    """
    if to not in ("YCbCr", "P", "L"):
        raise ValueError(f"to={to!r}; expected 'YCbCr', 'P' or 'L'.")
    levels = _to_levels(np.asarray(X))
    if levels.shape[3] == 3:
        converted = [Image.fromarray(pixels).convert(to).convert("RGB") for pixels in levels]
        levels = np.stack([np.asarray(image) for image in converted])
    return _from_levels(levels)

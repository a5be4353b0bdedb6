"""Cloak: noise that is learnt for a classifier, much of it where the classifier does not look."""

from __future__ import annotations

import hashlib
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk._docs import (
    DEVICE,
    FITTED,
    FLATTEN,
    IMAGE_SHAPE,
    KEY,
    KEY_IN_USE,
    N_JOBS,
    VALUE_RANGE,
    VERBOSE,
    fill_in,
)
from ricsk._state import Check, is_array
from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.baselines._noise import draw_normal
from ricsk.encryptors import GuidedEncryptor
from ricsk.images import ImageBatch, describe
from ricsk.keys import SecretKey, encode_context
from ricsk.nae import ClassifierView, round_through
from ricsk.nn import to_tensor
from ricsk.training import (
    OPTIMIZERS,
    OwnRandomness,
    check_finite,
    draw_seed,
    find_device,
    train_network,
)

__all__ = ["CloakEncryptor"]

_VERSION = 1
# The least scale, and where the scales begin, on the way of a tanh from the least to the largest.
_LEAST, _START = 1e-4, -4.0
# After the noise has grown, this part as many epochs again win accuracy back, at a tenth the rate.
_CLOSING, _SLOWER = 0.5, 0.1


def _are_values(value: Any) -> bool:
    return is_array(value) and value.dtype == np.float64 and bool(np.isfinite(value).all())


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    fitted=FITTED,
    n_jobs=N_JOBS,
    device=DEVICE,
    verbose=VERBOSE,
)
class CloakEncryptor(KeyedEncryptor, GuidedEncryptor):
    r"""Add noise whose mean and scale are learnt for a classifier: Cloak [1]_.

    An image x becomes :math:`m \odot (x + s \odot \varepsilon) + \mu`, with a standard normal ε,
    and μ, s and a mask m for all images, learnt so that a frozen classifier loses little while the
    noise is large. Noise gathers where the classifier does not look.

    **It hides the picture from nobody who learns.** Where the classifier still works, so much of
    the image is left that a network reads it: one that the adversary trains on images of its own,
    because μ and s go to every client (`ricsk.attacks.ITNAttack`). The key only decides on ε. The
    estimate of mutual information in [1]_ bounds nothing. There is no way back for the owner.

    `transform` does not ask the classifier about what it returns: noise costs predictions, and how
    many is to be measured.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    {key}
    classifier : classifier, optional
        Whose predictions are to be kept. It is cloned and fitted on the images of `fit`, or left
        as it is: in a `sklearn.frozen.FrozenEstimator`, or a `PretrainedClassifier`. By default a
        `CNNClassifier` is fitted. It needs a differentiable view; see `ricsk.nae.view_classifier`.
    weight : float, default=0.5
        Of the logarithm of the mean scale against the cross-entropy. More of it makes more noise.
    largest : float, default=1.5
        The largest scale, where the values of images run from 0 to 1.
    suppress : float, default=0.0
        The part of the values, those with the most noise, that is not sent at all: a constant that
        is learnt stands there.
    epochs : int, default=10
        Passes over the images in which noise grows; half as many follow, for accuracy alone.
    batch_size : int, default=64
        Images in a step.
    learning_rate : float, default=0.05
        Of Adam; 0.01 in [1]_, for many more steps.
    {image_shape}
    {value_range}
    {flatten}
    {n_jobs}
    {device}
    random_state : int, RandomState or None
        Of the training, whose noise protects nothing.
    {verbose}

    Attributes
    ----------
    {key_in_use}
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    mean_, scale_ : ndarray of shape (height, width, channels)
        μ and s, on [0, 1] as the values of images. Public.
    mask_ : ndarray of shape (height, width, channels)
        m: 0 where the image is not sent, else 1. Public.
    {fitted}

    See Also
    --------
    TransformationNetworkEncryptor : Changes images by a network, without noise.

    Notes
    -----
    ε depends on the key and the image, so that sending an image again gives nothing to average
    over; in the published notebooks it is drawn anew, and in training once for a whole batch, which
    costs accuracy. What is sent is rounded to 8 bits and cut off at black and white, in training,
    too. The classifier's own predictions stand in for labels.

    References
    ----------
    .. [1] F. Mireshghallah et al., "Not all features are equal: discovering essential features for
       preserving prediction privacy", The Web Conference, 2021.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import SecretKey
    >>> from ricsk.baselines import CloakEncryptor
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> encryptor = CloakEncryptor(
    ...     SecretKey.generate(), LogisticRegression(max_iter=1000), epochs=2, random_state=0
    ... ).fit(X[:500], y[:500])
    >>> encryptor.transform(X[500:510]).shape, encryptor.scale_.shape
    ((10, 16, 16, 1), (16, 16, 1))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        **KeyedEncryptor._parameter_constraints,
        "weight": [Interval(Real, 0, None, closed="left")],
        "largest": [Interval(Real, _LEAST, None, closed="neither")],
        "suppress": [Interval(Real, 0, 1, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **GuidedEncryptor._state_constraints,
        **KeyedEncryptor._state_constraints,
        **{
            name: [Check("an array of finite numbers", _are_values)]
            for name in ("mean_", "scale_", "mask_")
        },
    }
    _derived = GuidedEncryptor._derived | {"_context"}

    mean_: NDArray[np.float64]
    scale_: NDArray[np.float64]
    mask_: NDArray[np.float64]
    _context: bytes

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        classifier: Any | None = None,
        *,
        weight: float = 0.5,
        largest: float = 1.5,
        suppress: float = 0.0,
        epochs: int = 10,
        batch_size: int = 64,
        learning_rate: float = 0.05,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
        n_jobs: int | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.key = key
        self.classifier = classifier
        self.weight = weight
        self.largest = largest
        self.suppress = suppress
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self._fit_classifier(batch, y, device=self.device)
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check(levels)
        self._examine(levels)
        if self._reader.view is None:
            raise TypeError(
                f"Cloak learns through its classifier, and there is no differentiable view of "
                f"{self.classifier!r}. Give a network of this package, a linear model, or another "
                "one that ricsk.nae.view_classifier takes."
            )
        noise = _Noise(batch.shape, self.largest)
        data = TensorDataset(to_tensor(levels), to_tensor(self._reader.predict(batch.pixels)))
        randomness = OwnRandomness(draw_seed(self.random_state))
        closing = max(1, round(_CLOSING * self.epochs))
        self._train(noise, data, self.weight, self.epochs, self.learning_rate, randomness)
        noise.suppress(self.suppress)
        self._train(noise, data, 0.0, closing, _SLOWER * self.learning_rate, randomness)
        arrays = (noise.mean, noise.scale(), noise.mask)
        self.mean_, self.scale_, self.mask_ = (
            array.detach().cpu().double().numpy() for array in arrays
        )

    def _train(
        self,
        noise: _Noise,
        data: TensorDataset,
        weight: float,
        epochs: int,
        rate: float,
        randomness: OwnRandomness,
    ) -> None:
        history = train_network(
            _NoiseAndRead(noise, self._reader.single_view),
            _Loss(weight),
            data,
            optimizer=OPTIMIZERS["adamw"].having(weight_decay=0.0),
            learning_rate=rate,
            epochs=epochs,
            batch_size=self.batch_size,
            device=find_device(self.device),
            randomness=randomness,
            verbose=self.verbose,
        )
        check_finite(history, rate)

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("plain", recoverable=False, discloses="label")

    def _derive_from_key(self) -> None:
        arrays = (self.mean_, self.scale_, self.mask_)
        noise = hashlib.sha256(b"".join(array.astype("<f8").tobytes() for array in arrays))
        self._context = encode_context(
            "cloak", _VERSION, image_shape=self.image_shape_in_, noise=noise.digest()
        )

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        levels = self.value_range_.to_uint8(batch.pixels)
        noisy = np.stack([self._add_noise(image) for image in levels])
        return self.value_range_.from_uint8(noisy, batch.pixels.dtype)

    def _add_noise(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        nonce = hashlib.sha256(image.tobytes()).digest()
        stream = self.key_.keystream("cloak/noise", self._context + nonce)
        epsilon = draw_normal(stream, image.shape)
        sent = self.mask_ * (image / 255 + self.scale_ * epsilon) + self.mean_
        return np.rint(255 * sent.clip(0, 1)).astype(np.uint8)

    def _why_not_recoverable(self) -> str | None:
        return (
            "Cloak adds noise and keeps no way back. Keep the images, or use SealedEncryptor, "
            "which a classifier reads too."
        )

    def _adapt_to_shape(self, original: Self) -> None:
        raise ValueError(
            f"the noise was learnt for images of {describe(original.image_shape_in_)}. "
            "Resize the images to that."
        )

    def _check_state(self) -> None:
        super()._check_state()
        for name in ("mean_", "scale_", "mask_"):
            array = vars(self).get(name)
            if array is not None and array.shape != self.image_shape_in_:
                raise ValueError(f"its {name} is not of the shape of its images")


class _Noise(nn.Module):
    """What is learnt: a mean and a scale for each value, and which values are sent."""

    mask: Tensor

    def __init__(self, shape: tuple[int, int, int], largest: float) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(shape))
        self.rho = nn.Parameter(torch.full(shape, _START))
        self.register_buffer("mask", torch.ones(shape))
        self.largest = largest

    def scale(self) -> Tensor:
        return (1 + self.rho.tanh()) / 2 * (self.largest - _LEAST) + _LEAST

    def suppress(self, share: float) -> None:
        """Send no more of the image where noise is largest."""
        n_kept = self.mask.numel() - int(share * self.mask.numel())
        kept = self.scale().flatten().argsort(stable=True)[:n_kept]
        self.mask.zero_().view(-1)[kept] = 1

    def forward(self, x: Tensor) -> Tensor:
        """Add noise to values on [0, 1], and round them to levels."""
        sent = self.mask * (x + self.scale() * torch.randn_like(x)) + self.mean
        return round_through(255 * sent.clamp(0, 1))


class _NoiseAndRead(nn.Module):
    """From levels to the classifier's scores of noisy ones, and the logarithm of the mean scale."""

    def __init__(self, noise: _Noise, view: ClassifierView) -> None:
        super().__init__()
        self.noise = noise
        # In a tuple, so that it is not a sub-module, and not trained.
        self.fixed = (view,)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        (view,) = self.fixed
        return view.scores(self.noise(levels.float() / 255)), self.noise.scale().mean().log()


class _Loss(nn.Module):
    """Cross-entropy, less a weight times the logarithm of the mean scale."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, output: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
        scores, size = output
        return nn.functional.cross_entropy(scores, labels) - self.weight * size

"""AVIH: noise that a classifier reads as the image, and a secret network turns into it."""

from __future__ import annotations

import copy
import hashlib
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import torch
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval
from torch import Tensor
from torch.nn import functional as F

from ricsk._docs import (
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
from ricsk._threads import bounded_threads
from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.baselines._key_network import train_key_network
from ricsk.baselines._noise import draw_normal
from ricsk.baselines._search_on import search_on
from ricsk.encryptors import GuidedEncryptor
from ricsk.encryptors.sealed import Goal
from ricsk.images import ImageBatch, describe
from ricsk.keys import SecretKey, encode_context
from ricsk.nn import KeyGenerator, from_pixels, to_pixels, to_tensor
from ricsk.training import load_weights, save_weights

__all__ = ["AVIHEncryptor"]

_VERSION = 1
# Of the published code, for classifiers.
_RATE, _RATE_FACTOR, _MAX_INCREASES, _MOMENTUM = 0.02, 0.8, 8, 0.3
_RECOVERY_WEIGHT, _VARIANCE_WEIGHT, _LABEL_WEIGHT = 2.0, 0.005, 0.001
_WINDOW = 4
_CHUNK_VALUES = 1 << 18


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    fitted=FITTED,
    n_jobs=N_JOBS,
    verbose=VERBOSE,
)
class AVIHEncryptor(KeyedEncryptor, GuidedEncryptor):
    r"""Search for noise that a secret network turns into the image: AVIH [1]_.

    A ciphertext is searched for by gradients, from noise, so that a given classifier reads the
    image's label in it, a generator network G turns it into the image, and the sums of its 4 × 4
    windows vary little. G is the key: its weights follow from `key`. The owner applies G.

    **The key is weak, and the ciphertext shows textures.** A network with other weights, which the
    adversary trains as G was trained, turns ciphertexts into images in which outlines can be seen
    (`ricsk.attacks.BruteForceAttack` with a single key of one's own); the stripes of the ciphertext
    change direction where the image changes. Pairs teach a network to read other images of the key
    (`ricsk.attacks.KnownPlaintextAttack`). Images come back nearly, not bit for bit.

    Every ciphertext that `transform` returns has been given to the classifier itself, and was read
    as the plain image.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    {key}
    classifier : classifier, optional
        The classifier that is to read the ciphertexts. It is cloned and fitted on the images of
        `fit`, or left as it is: in a `sklearn.frozen.FrozenEstimator`, or a `PretrainedClassifier`.
        By default a `CNNClassifier` is fitted. It needs a differentiable view; see
        `ricsk.nae.view_classifier`.
    steps : int, default=400
        Steps of the search for each image; 800 in the published code.
    width : int, default=16
        Channels of G before it halves the image.
    key_steps : int, default=400
        Steps in which G learns to turn negatives of public images into the images.
    {image_shape}
    {value_range}
    {flatten}
    {n_jobs}
    {verbose}

    Attributes
    ----------
    {key_in_use}
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    generator_ : bytes
        The weights of G, encrypted under the key, as training them again would give others on
        another machine.
    steps_, width_, key_steps_
        What was given. Parameters that are set later act at the next `fit`.
    {fitted}

    See Also
    --------
    ricsk.RICEncryptor : Searches for noise once for each class, and hides images in it by a key.

    Notes
    -----
    How the published generators were trained is not in the published code. Here G begins with
    weights from the key, and learns on images that `ricsk.datasets.make_street_numbers` makes for
    everybody: it must turn something into any image, or nothing could be searched for.

    There G normalizes by the batch and drops values at random, in decryption, too; here it does
    neither. There the label is the true one, and the result is not checked; here it is what the
    classifier says of the image, and a ciphertext that is read otherwise is searched on, at some
    cost of the image.

    An image is searched for by itself, on the processor and in single precision. Another machine
    may find another ciphertext, which opens as well.

    References
    ----------
    .. [1] Z. Su, D. Zhou, N. Wang, D. Liu, Z. Wang and X. Gao, "Hiding visual information via
       obfuscating adversarial perturbations", ICCV, 2023, section 3.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import SecretKey
    >>> from ricsk.baselines import AVIHEncryptor
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> encryptor = AVIHEncryptor(  # far too little of everything
    ...     SecretKey.generate(), LogisticRegression(max_iter=1000), steps=5, width=4, key_steps=5
    ... ).fit(X[:500], y[:500])
    >>> C = encryptor.transform(X[500:502])
    >>> encryptor.inverse_transform(C).shape
    (2, 8, 8, 1)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        **KeyedEncryptor._parameter_constraints,
        "steps": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "key_steps": [Interval(Integral, 1, None, closed="left")],
        "verbose": ["verbose"],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **GuidedEncryptor._state_constraints,
        **KeyedEncryptor._state_constraints,
        "generator_": [bytes],
        "generator_key_id_": [str],
    }
    _derived = GuidedEncryptor._derived | {"_network", "_context"}

    steps_: int
    width_: int
    key_steps_: int
    generator_: bytes
    generator_key_id_: str
    _network: KeyGenerator
    _context: bytes

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        classifier: Any | None = None,
        *,
        steps: int = 400,
        width: int = 16,
        key_steps: int = 400,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.key = key
        self.classifier = classifier
        self.steps = steps
        self.width = width
        self.key_steps = key_steps
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self._check_levels_survive(batch.pixels.dtype)
        self.steps_, self.width_, self.key_steps_ = self.steps, self.width, self.key_steps
        self._fit_classifier(batch, y)
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check(levels)
        self._examine(levels)
        if self._reader.view is None:
            raise TypeError(
                "AVIH searches through its classifier, and there is no differentiable view of "
                f"{self.classifier!r}. Give a network of this package, a linear model, or another "
                "one that ricsk.nae.view_classifier takes."
            )

    def _derive_from_key(self) -> None:
        """Train the generator, or decrypt the one that was trained under this key."""
        n_channels = self.image_shape_in_[2]
        # Numbers of numpy, which searches over parameters give, are not taken everywhere.
        settings = {"n_channels": n_channels, "width": int(self.width_)}
        context = encode_context("avih", _VERSION, key_steps=int(self.key_steps_), **settings)
        cipher = AESSIV(self.key_.derive("avih/generator", context, length=64))
        if getattr(self, "generator_key_id_", None) == self.key_.key_id:
            try:
                weights = cipher.decrypt(self.generator_, None)
            except InvalidTag:
                raise ValueError("its generator was changed, or is not of these settings") from None
            network = load_weights(KeyGenerator, weights, **settings)
        else:
            stream = self.key_.keystream("avih/training", context)
            network = train_key_network(stream, self.key_steps_, **settings, verbose=self.verbose)
            self.generator_ = cipher.encrypt(save_weights(network), None)
            self.generator_key_id_ = self.key_.key_id
        self._network = network.eval().requires_grad_(False)
        self._context = context + self.classifier_digest_ + int(self.steps_).to_bytes(8, "little")

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("plain", discloses="label")

    @property
    def _goal(self) -> Goal:
        return Goal(self._reader, "label", kappa=0.0, tolerance=0.0)

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        self._check_levels_survive(batch.pixels.dtype)
        levels = self.value_range_.to_uint8(batch.pixels)
        targets = self._goal.ask(batch.pixels, batch.form)
        found = np.stack([self._search(*pair) for pair in zip(levels, targets.labels, strict=True)])
        found = search_on(self._goal, found, targets, batch.form, verbose=self.verbose)
        return self.value_range_.from_uint8(found, batch.pixels.dtype)

    def _search(self, image: NDArray[np.uint8], label: np.int64) -> NDArray[np.uint8]:
        """Search for an image by the steps of the published code."""
        nonce = hashlib.sha256(image.tobytes()).digest()
        noise = draw_normal(self.key_.keystream("avih/noise", self._context + nonce), image.shape)
        x = torch.from_numpy(noise).float().permute(2, 0, 1)[np.newaxis]
        plain = from_pixels(to_tensor(image[np.newaxis]))
        momentum, rate, last, increases = torch.zeros_like(x), _RATE, torch.inf, 0
        with torch.inference_mode(False), torch.enable_grad(), bounded_threads(image.size):
            for _ in range(self.steps_):
                x.requires_grad_()
                loss = self._measure(x, plain, int(label))
                (gradient,) = torch.autograd.grad(loss, x)
                tiny = torch.finfo(gradient.dtype).tiny
                momentum = _MOMENTUM * momentum + gradient / gradient.abs().mean().clamp(min=tiny)
                x = (x.detach() - rate * momentum).clamp(0, 1)
                increases += int(loss.item() > last)
                last = loss.item()
                if increases == _MAX_INCREASES:
                    rate, increases = _RATE_FACTOR * rate, 0
        return to_pixels(x)[0].numpy()

    def _measure(self, x: Tensor, plain: Tensor, label: int) -> Tensor:
        """Compute the loss of the published code, of an image by itself."""
        scores = self._reader.single_view.scores(255 * x.permute(0, 2, 3, 1))
        recovery = F.mse_loss(self._network(x).clamp(0, 1), plain)
        side = [min(_WINDOW, length) for length in x.shape[2:]]
        sums = side[0] * side[1] * F.avg_pool2d(x, side, stride=1)
        variance = sums.var(dim=(2, 3), unbiased=False).sum()
        return (
            _RECOVERY_WEIGHT * recovery
            + _VARIANCE_WEIGHT * variance
            - _LABEL_WEIGHT * scores[0, label] / scores.shape[1]
        )

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        levels = to_tensor(self.value_range_.to_uint8(pixels))
        # In double precision, so that an image comes back alike in any batch.
        network = copy.deepcopy(self._network).double()
        images = []
        with torch.inference_mode(), bounded_threads(min(_CHUNK_VALUES, levels.numel())):
            for chunk in levels.split(max(1, _CHUNK_VALUES // self.n_features_in_)):
                images.append(to_pixels(network(chunk.permute(0, 3, 1, 2).double() / 255)))
        return self.value_range_.from_uint8(torch.cat(images).numpy(), pixels.dtype)

    def _adapt_to_shape(self, original: Self) -> None:
        super()._adapt_to_shape(original)
        self._network, self._context = original._network, original._context
        if self.image_shape_in_[2] != original.image_shape_in_[2]:
            raise ValueError(
                f"the key's network is one for images of {describe(original.image_shape_in_)}, and "
                f"takes none of {describe(self.image_shape_in_)}. Convert them."
            )

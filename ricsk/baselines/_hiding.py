"""Hiding by a network in noise that a classifier reads as the image."""

from __future__ import annotations

import copy
import hashlib
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ricsk._docs import DEVICE, FITTED, FLATTEN, IMAGE_SHAPE, N_JOBS, VALUE_RANGE, VERBOSE, fill_in
from ricsk._state import explain_restoring
from ricsk._threads import bounded_threads
from ricsk.base import EncryptorTags, Task
from ricsk.baselines._search_on import search_on
from ricsk.encryptors import GuidedEncryptor
from ricsk.encryptors.sealed import Goal, draw_low_planes
from ricsk.images import ImageBatch, describe
from ricsk.keys import SecretKey
from ricsk.nae import ClassifierView, ClassTemplates, find_template, round_through
from ricsk.nn import from_pixels, to_pixels, to_tensor
from ricsk.nn.hiding import HIDING_NETWORKS, HidingNetwork
from ricsk.training import (
    OPTIMIZERS,
    OwnRandomness,
    check_finite,
    draw_seed,
    find_device,
    load_weights,
    make_schedule,
    save_weights,
    train_network,
)

__all__ = ["HidingEncryptor"]

# The low planes of covers are random, and the others are found for the class.
_RANDOM_PLANES = 6
_CHUNK_VALUES = 1 << 18
_WEIGHT_DECAY, _MAX_NORM = 1e-5, 1.0
# Nothing is secret here: the key of what is random, and is the same for everybody.
_PUBLIC = SecretKey(bytes(32))


@fill_in(
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    n_jobs=N_JOBS,
    device=DEVICE,
    verbose=VERBOSE,
    fitted=FITTED,
)
class HidingEncryptor(GuidedEncryptor):
    r"""Hide images by a network in noise that a given classifier reads as it reads them.

    A network changes a noise-like adversarial example, the cover, a little, so that another one
    reads the image off the result, the container: DDH [1]_, HiNet [2]_ or IICNet [3]_, which the
    RIC paper [4]_ trains on such covers and compares with.

    **It protects nothing.** There is no key: whoever has the network that reveals, and it goes to
    everybody who is to get images back, reads them all, as `ricsk.attacks.DecoderAttack` does. It
    is here for comparison; `LSBEncryptor` keeps more of the image, and needs no training.

    Every container that `transform` returns has been given to the classifier itself, and was read
    as the plain image. Where hiding changed what the classifier reads, the container is searched on
    from there, at some cost of the image.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    classifier : classifier, optional
        The classifier that is to read the containers. It is cloned and fitted on the images of
        `fit`, or left as it is: in a `sklearn.frozen.FrozenEstimator`, or a `PretrainedClassifier`.
        By default a `CNNClassifier` is fitted. It needs a differentiable view; see
        `ricsk.nae.view_classifier`.
    network : {{"ddh", "hinet", "iicnet"}}, default="hinet"
        Which network hides.
    width : int, default=16
        Its size; see `ricsk.nn.hiding.HidingNetwork`.
    margin_weight : float, default=0.01
        Of what the classifier's margins on containers lack, against the errors of the images.
    epochs : int, default=20
        Passes over the images.
    batch_size : int, default=16
        Images in a step.
    learning_rate : float, default=0.001
        Of AdamW.
    {image_shape}
    {value_range}
    {flatten}
    {n_jobs}
    {device}
    random_state : int, RandomState or None
        Of the training.
    {verbose}

    Attributes
    ----------
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    network_, width_
        What was given. Parameters that are set later act at the next `fit`.
    kappa_ : float
        The margin that the training asks for: half of the median margin on the images of `fit`.
    history_ : list of dict
        For each epoch its number, `epoch`, and the mean loss, `train_loss`.
    templates_ : ClassTemplates
        The templates made so far: what stands in the high bits of covers.
    {fitted}

    See Also
    --------
    ricsk.RICEncryptor : Hides with a key.

    Notes
    -----
    The networks are smaller than those of the papers. Containers are rounded to 8 bits in training
    and in use; two of the published codes measure what comes back from containers that were not.

    References
    ----------
    .. [1] C. Zhang, P. Benz, A. Karjauv, G. Sun and I. S. Kweon, "UDH: universal deep hiding for
       steganography, watermarking, and light field messaging", NeurIPS, 2020.
    .. [2] J. Jing, X. Deng, M. Xu, J. Wang and Z. Guan, "HiNet: deep image hiding by invertible
       network", ICCV, 2021.
    .. [3] K. L. Cheng, Y. Xie and Q. Chen, "IICNet: a generic framework for reversible image
       conversion", ICCV, 2021.
    .. [4] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023, table II.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk.baselines import HidingEncryptor
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> encryptor = HidingEncryptor(  # far too little of everything
    ...     LogisticRegression(max_iter=1000), "ddh", width=2, epochs=1, random_state=0
    ... ).fit(X[:300], y[:300])
    >>> encryptor.inverse_transform(encryptor.transform(X[300:310])).shape
    (10, 8, 8, 1)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        "network": [StrOptions(set(HIDING_NETWORKS))],
        "width": [Interval(Integral, 1, None, closed="left")],
        "margin_weight": [Interval(Real, 0, None, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **GuidedEncryptor._state_constraints,
        "kappa_": [Real],
        "history_": [list],
    }

    network_: str
    width_: int
    history_: list[dict[str, float]]
    _hiding: HidingNetwork

    def __init__(
        self,
        classifier: Any | None = None,
        network: Literal["ddh", "hinet", "iicnet"] = "hinet",
        *,
        width: int = 16,
        margin_weight: float = 0.01,
        epochs: int = 20,
        batch_size: int = 16,
        learning_rate: float = 0.001,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
        n_jobs: int | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.classifier = classifier
        self.network = network
        self.width = width
        self.margin_weight = margin_weight
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
        self._check_levels_survive(batch.pixels.dtype)
        self.network_, self.width_ = self.network, self.width
        self._fit_classifier(batch, y, device=self.device)
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check(levels)
        self.kappa_ = self._choose_kappa("auto", self._examine(levels))
        if self._reader.view is None:
            raise TypeError(
                "the network is trained through its classifier, and there is no differentiable "
                f"view of {self.classifier!r}. Give a network of this package, a linear model, or "
                "another one that ricsk.nae.view_classifier takes."
            )
        self.templates_ = ClassTemplates()
        labels = self._reader.predict(batch.pixels)
        covers = self._make_covers(levels, labels)
        randomness = OwnRandomness(draw_seed(self.random_state))
        with randomness:
            self._hiding = HIDING_NETWORKS[self.network_](batch.shape[2], self.width_)
        self.history_ = train_network(
            _HideAndRead(self._hiding, self._reader.single_view),
            _Loss(self._hiding, self.kappa_, self.margin_weight),
            TensorDataset(to_tensor(np.stack([covers, levels], axis=1)), to_tensor(labels)),
            optimizer=OPTIMIZERS["adamw"].having(weight_decay=_WEIGHT_DECAY),
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
            device=find_device(self.device),
            randomness=randomness,
            schedule=partial(make_schedule, "triangular", self.learning_rate, self.epochs),
            clip=_MAX_NORM,
            verbose=self.verbose,
        )
        check_finite(self.history_, self.learning_rate)
        self._hiding.cpu().double().eval()

    @property
    def _goal(self) -> Goal:
        return Goal(self._reader, "label", kappa=0.0, tolerance=0.0)

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("plain", keyed=False, discloses="label")

    def _prepare(self, task: Task, batch: ImageBatch) -> None:
        if task == "encrypt":
            self._prepare_templates(batch)

    def _make_template(self, label: int) -> NDArray[np.uint8]:
        return find_template(
            self._reader,
            label,
            draw_low_planes(_RANDOM_PLANES),
            self.ciphertext_shape_,
            kappa=self.kappa_,
            verbose=self.verbose,
        )

    def _make_covers(
        self, levels: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Make a cover for each image: the template of its class, with noise of its own."""
        covers = self._get_templates(labels) & np.uint8(256 - 2**_RANDOM_PLANES)
        for cover, image in zip(covers, levels, strict=True):
            nonce = hashlib.sha256(image.tobytes()).digest()
            noise = _PUBLIC.keystream("hiding/cover", nonce).uint8(image.shape)
            cover |= noise & np.uint8(2**_RANDOM_PLANES - 1)
        return covers

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        self._check_levels_survive(batch.pixels.dtype)
        levels = self.value_range_.to_uint8(batch.pixels)
        targets = self._goal.ask(batch.pixels, batch.form)
        covers = self._make_covers(levels, targets.labels)
        containers = self._apply(self._hiding.hide, covers, levels)
        containers = search_on(self._goal, containers, targets, batch.form, verbose=self.verbose)
        return self.value_range_.from_uint8(containers, batch.pixels.dtype)

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        images = self._apply(self._hiding.reveal, self.value_range_.to_uint8(pixels))
        return self.value_range_.from_uint8(images, pixels.dtype)

    def _apply(self, function: Any, *arrays: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Apply the network in float64, so that the result is the same in any batch."""
        size = max(1, _CHUNK_VALUES // self.n_features_in_)
        chunks = zip(*(to_tensor(levels).split(size) for levels in arrays), strict=True)
        with torch.inference_mode(), bounded_threads(min(_CHUNK_VALUES, arrays[0].size)):
            found = [
                to_pixels(function(*(x.permute(0, 3, 1, 2).double() / 255 for x in chunk)))
                for chunk in chunks
            ]
        return torch.cat(found).numpy()

    def _adapt_to_shape(self, original: Self) -> None:
        super()._adapt_to_shape(original)
        self._hiding = original._hiding
        if self.image_shape_in_[2] != original.image_shape_in_[2]:
            raise ValueError(
                f"the network is one for images of {describe(original.image_shape_in_)}, and takes "
                f"none of {describe(self.image_shape_in_)}. Convert them."
            )

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        network = state.pop("_hiding", None)
        if network is not None:
            # The weights are those that were trained in float32, so nothing is rounded off.
            state["weights_"] = save_weights(copy.deepcopy(network).float())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is not None:
            with explain_restoring(type(self)):
                network = load_weights(
                    HIDING_NETWORKS[self.network_],
                    weights,
                    n_channels=self.image_shape_in_[2],
                    width=self.width_,
                )
            self._hiding = network.double().eval()


class _HideAndRead(nn.Module):
    """From covers and secrets, as levels, to them, container, what is revealed, and the scores."""

    def __init__(self, network: HidingNetwork, view: ClassifierView) -> None:
        super().__init__()
        self.network = network
        # In a tuple, so that it is not a sub-module, and not trained.
        self.fixed = (view,)

    def forward(self, levels: Tensor) -> tuple[Tensor, ...]:
        (view,) = self.fixed
        cover, secret = (from_pixels(part) for part in levels.unbind(dim=1))
        container = self.network.hide(cover, secret)
        sent = round_through(255 * container.clamp(0, 1)) / 255
        scores = view.scores(255 * sent.permute(0, 2, 3, 1))
        return container, cover, self.network.reveal(sent), secret, scores


class _Loss(nn.Module):
    """The network's own loss, and what the margins of containers lack."""

    def __init__(self, network: HidingNetwork, kappa: float, weight: float) -> None:
        super().__init__()
        self.network = (network,)
        self.kappa = kappa
        self.weight = weight

    def forward(self, output: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        *images, scores = output
        own = scores.gather(1, labels[:, None])[:, 0]
        others = scores.scatter(1, labels[:, None], -torch.inf).max(dim=1).values
        lacking = (self.kappa - own + others).clamp(min=0).mean()
        return self.network[0].measure(*images) + self.weight * lacking

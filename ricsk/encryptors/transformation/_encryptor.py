"""The transformation network: images that are changed for people and not for a classifier."""

from __future__ import annotations

import copy
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from torch.utils.data import TensorDataset

from ricsk._docs import DEVICE, FITTED, FLATTEN, IMAGE_SHAPE, N_JOBS, VALUE_RANGE, VERBOSE, fill_in
from ricsk._state import check_values, explain_restoring
from ricsk._threads import bounded_threads
from ricsk.base import EncryptorTags
from ricsk.encryptors._guided import GuidedEncryptor
from ricsk.encryptors.transformation._training import train
from ricsk.images import ImageBatch, describe
from ricsk.nn import from_pixels, to_pixels, to_tensor
from ricsk.nn.transformation import TransformationUNet
from ricsk.nn.vgg_features import load_features
from ricsk.training import OwnRandomness, draw_seed, find_device, load_weights, save_weights

__all__ = ["TransformationNetworkEncryptor"]

_HELD_OUT = 0.1
_CHUNK_VALUES = 1 << 16


@fill_in(
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    n_jobs=N_JOBS,
    fitted=FITTED,
    device=DEVICE,
    verbose=VERBOSE,
)
class TransformationNetworkEncryptor(GuidedEncryptor):
    r"""A network that changes images for people, and not for a given classifier.

    An image x becomes the 8-bit image :math:`\sigma(h(x))`, where the U-Net h is trained to lower

    .. math:: \mathrm{CE}(\psi(\sigma(h(x))), y) -
        \alpha\, \mathrm{MSE}(\varphi(\sigma(h(x))), \varphi(x))

    with a frozen classifier ψ, which was trained on plain images and stays as it is, and the first
    layers φ of a network that sees details [1]_: the classifier is to read the label, and the
    details are to differ. There is no key, and no way back. Here the distance counts up to a margin
    at each place of an image. Otherwise a few glaring places could make up for all others.

    What it protects, and from whom: colours and textures, from people who look at the images. The
    shapes that the classifier reads can remain for everybody to see, as in the trainings that the
    guide shows: look at your images. It is not encryption in the cryptographic sense. h is
    deterministic and goes to every client; anybody who has it can make as many pairs of plain and
    protected images as they like, and train a network that inverts it. Equal images become equal
    images, and anybody who has the classifier can read the class.

    Read more in the :ref:`User Guide <guide-transformation>`.

    Parameters
    ----------
    classifier : classifier, optional
        Whose predictions are to be kept. It is cloned and fitted on the images of `fit`, or left
        as it is: in a `sklearn.frozen.FrozenEstimator`, or a `PretrainedClassifier`. By default a
        `CNNClassifier` is fitted. It needs a differentiable view; see `ricsk.nae.view_classifier`.
    alpha : float, default=1.0
        Weight of the distance of features, 0 or more. More of it changes more details and keeps
        fewer predictions.
    margin : float or None, default=1.0
        The largest distance that counts at a place, of 2 × 2 pixels. With ``features="small"`` two
        different photographs are about 1 apart, with "vgg16" many times as much. None sets no
        limit, as in [1]_.
    features : {"small", "vgg16"}, default="small"
        The network φ: one that comes with the package, VGG-16's layers up to "relu2_2" at half
        the width, trained on CIFAR-10 and flowers; or those of VGG-16 itself, with ImageNet
        weights, which are read from where torchvision keeps them.
    width : int, default=16
        Channels of the first level of the U-Net; 64 in [1]_, at about eight times the cost.
    augment : bool, default=False
        Whether to mirror training images at random and to shift them by up to 4 pixels, as in [1]_.
        Mirror images must be images of the same class: not for digits or text.
    optimizer : {"adamw", "sgd"}, default="adamw"
        AdamW with a rate that rises and falls linearly; or as in [1]_ stochastic gradient descent
        with a momentum of 0.9, a weight decay of 0.0005, and a rate that is divided by 5 after 30,
        60 and 80 percent of the epochs.
    epochs : int, default=20
        Passes over the training images; 200 in [1]_. A tenth of the images is held out, and the
        epoch with the least loss on it is kept.
    batch_size : int, default=32
        Images in a step of training; 128 in [1]_, where many epochs make up for few steps in each.
    learning_rate : float, default=0.003
        The largest; 0.1 in [1]_, for stochastic gradient descent.
    {image_shape}
    {value_range}
    {flatten}
    {device}
        Images are transformed on the processor in float64, so that the result is the same
        everywhere.
    random_state : int, RandomState or None
        Of the training. An int gives the same network every time, on one machine. None gives
        another one every time.
    {n_jobs}
    {verbose}

    Attributes
    ----------
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    history_ : list of dict
        For each epoch its number, `epoch`, and the mean losses `train_loss` and, from ten images
        on, `valid_loss`.
    network_config_ : dict
        Channels and width of the network.
    {fitted}

    See Also
    --------
    RICEncryptor : Keeps predictions too, and brings images back with a key.

    Notes
    -----
    `fit` takes labels as `y`. Without them, which a frozen classifier allows, the classifier's own
    predictions stand in.

    References
    ----------
    .. [1] H. Ito, Y. Kinoshita, M. AprilPyone and H. Kiya, "Image to perturbation: an image
       transformation network for generating visually protected images for privacy-preserving deep
       neural networks", IEEE Access 9, 2021, section III.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import TransformationNetworkEncryptor
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=16)
    >>> X = X.reshape(len(X), -1) / 255.0
    >>> classifier = LogisticRegression(max_iter=1000).fit(X[:1000], y[:1000])
    >>> encryptor = TransformationNetworkEncryptor(
    ...     FrozenEstimator(classifier), width=2, epochs=1, image_shape=(16, 16)
    ... ).fit(X[:200], y[:200])  # far too little to be of use
    >>> C = encryptor.transform(X[1000:1010])
    >>> C.shape
    (10, 256)
    >>> hasattr(encryptor, "inverse_transform")
    False
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "features": [StrOptions({"small", "vgg16"})],
        "margin": [Interval(Real, 0, None, closed="neither"), None],
        "width": [Interval(Integral, 1, None, closed="left")],
        "augment": ["boolean"],
        "optimizer": [StrOptions({"adamw", "sgd"})],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **GuidedEncryptor._state_constraints,
        "network_config_": [dict],
        "history_": [list],
    }
    _derived = GuidedEncryptor._derived | {"_network"}

    def __init__(
        self,
        classifier: Any | None = None,
        *,
        alpha: float = 1.0,
        margin: float | None = 1.0,
        features: Literal["small", "vgg16"] = "small",
        width: int = 16,
        augment: bool = False,
        optimizer: Literal["adamw", "sgd"] = "adamw",
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 0.003,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.classifier = classifier
        self.alpha = alpha
        self.margin = margin
        self.features = features
        self.width = width
        self.augment = augment
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @classmethod
    def as_published(cls, classifier: Any | None = None) -> Self:
        """Make the system of the paper's code: its width, features, loss and training.

        Parameters
        ----------
        classifier
            As for the class.

        Returns
        -------
        TransformationNetworkEncryptor
            Unfitted. It needs torchvision's weights of VGG-16; ``set_params(features="small",
            alpha=0.3)`` does without.
        """
        return cls(
            classifier,
            alpha=0.01,
            margin=None,
            features="vgg16",
            width=64,
            augment=True,
            optimizer="sgd",
            epochs=200,
            batch_size=128,
            learning_rate=0.1,
        )

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        features = load_features(self.features)
        self._fit_classifier(batch, y)
        self._reader.check(self.value_range_.to_uint8(batch.pixels))
        view = self._reader.make_view()
        if view is None:
            raise TypeError(
                f"the transformation network is trained through its classifier, and there is no "
                f"differentiable view of {self.classifier_!r}. Give a network of this package, a "
                "linear model, or another one that ricsk.nae.view_classifier takes."
            )
        device, randomness = find_device(self.device), OwnRandomness(draw_seed(self.random_state))
        levels = to_tensor(self.value_range_.to_uint8(batch.pixels))
        labels = to_tensor(self._find_labels(batch, y))
        self.network_config_ = {"n_channels": batch.shape[2], "width": self.width}
        with randomness:
            self._network = TransformationUNet(**self.network_config_)
            order = torch.randperm(len(levels))
        n_held = int(_HELD_OUT * len(order))
        held, kept = order[:n_held], order[n_held:]
        self.history_ = train(
            self._network,
            TensorDataset(levels[kept], labels[kept]),
            TensorDataset(levels[held], labels[held]) if n_held else None,
            view=view,
            features=features,
            alpha=self.alpha,
            margin=self.margin,
            augment=self.augment,
            optimizer=self.optimizer,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            device=device,
            randomness=randomness,
            verbose=self.verbose,
        )
        self._network.double().eval()

    def _check_state(self) -> None:
        super()._check_state()
        config = vars(self).get("network_config_")
        if config is None:
            return
        check_values(type(self), {"width_": config.get("width")}, {})
        if config != {"n_channels": self.image_shape_in_[2], "width": config["width"]}:
            raise ValueError(f"its network is not one for images of {self.image_shape_in_}")

    def _find_labels(self, batch: ImageBatch, y: ArrayLike | None) -> NDArray[np.int64]:
        """Give labels as positions in `classes_`; without `y`, those that the classifier gives."""
        if y is None:
            return self._reader.predict(batch.pixels)
        labels = column_or_1d(y)
        check_consistent_length(batch.pixels, labels)
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y has labels that the classifier does not know: {unknown[:10].tolist()}. Give "
                "those of the classes that it was fitted on, or leave y out."
            )
        index = {label: i for i, label in enumerate(self.classes_.tolist())}
        return np.array([index[label] for label in labels.tolist()], np.int64)

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("plain", keyed=False, recoverable=False, discloses="label")

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        values = self.value_range_
        levels = to_tensor(values.to_uint8(batch.pixels))
        protected = []
        with torch.inference_mode(), bounded_threads(min(_CHUNK_VALUES, levels.numel())):
            for chunk in levels.split(max(1, _CHUNK_VALUES // self.n_features_in_)):
                protected.append(to_pixels(self._network(from_pixels(chunk.double() / 255))))
        return values.from_uint8(torch.cat(protected).numpy(), batch.pixels.dtype)

    def _adapt_to_shape(self, original: Self) -> None:
        super()._adapt_to_shape(original)
        self._network = original._network
        channels = self.network_config_["n_channels"]
        if self.image_shape_in_[2] != channels:
            raise ValueError(
                f"the network was trained on images with {channels} channels, and takes no images "
                f"of {describe(self.image_shape_in_)}. Convert them, or fit on images like these."
            )

    def _why_not_recoverable(self) -> str | None:
        return (
            "a transformation network has no way back, and no key to it. Keep the images, or use "
            "RICEncryptor, whose ciphertexts a classifier reads too."
        )

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if hasattr(self, "_network"):
            # The weights are those that were trained in float32, so nothing is rounded off.
            state["weights_"] = save_weights(copy.deepcopy(self._network).float())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is not None:
            with explain_restoring(type(self)):
                network = load_weights(TransformationUNet, weights, **self.network_config_)
            self._network = network.double()

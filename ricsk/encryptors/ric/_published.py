"""`PublishedRICEncryptor`: RIC as its paper has it, to compare with."""

from __future__ import annotations

from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ricsk._docs import FITTED, FLATTEN, IMAGE_SHAPE, KEY, KEY_IN_USE, N_JOBS, VALUE_RANGE, fill_in
from ricsk.encryptors.ric._base import MaskingEncryptor, name_images
from ricsk.encryptors.ric._published_training import train
from ricsk.images import ImageBatch, ImageForm
from ricsk.keys import SecretKey, encode_context
from ricsk.nae import NoiseResult, find_noise, find_noise_by_queries
from ricsk.nn.ric import PublishedRIC
from ricsk.training import OwnRandomness, draw_seed, load_weights, save_weights

__all__ = ["PublishedRICEncryptor"]

_VERSION = 1
_MAX_PASSES, _MAX_QUERIES = 150, 2000
# What stands for kappa where the unit of the classifier's margins is probability, or not known.
_QUERY_KAPPA = 0.1


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    n_jobs=N_JOBS,
    key_in_use=KEY_IN_USE,
    fitted=FITTED,
)
class PublishedRICEncryptor(MaskingEncryptor):
    r"""RIC as published: one secret mask for each class, and networks around it.

    An image x becomes :math:`y = (1 - \alpha)\, E(x, z) + \alpha\, z`, where z is a noise-like
    adversarial example: noise from the key, changed by the search of Carlini and Wagner until the
    classifier reads it as its own prediction of x. With the key z is made again,
    and a decoder recovers x from :math:`(y - \alpha z) / (1 - \alpha)` [1]_. E and the decoder are
    trained in `fit`.

    Security: to compare with, not to protect. All that hides an image is the mask, and there is one
    for all images of a class: the difference of two ciphertexts is that of the images, one pair of
    image and ciphertext gives the mask away, and a network that is trained on such pairs reads all
    others. Use `RICEncryptor`, where the mask hides nothing and a pad for each image does.

    Read more in the :ref:`User Guide <guide-ric>`.

    Parameters
    ----------
    {key}
    classifier : classifier, optional
        As for `RICEncryptor`.
    alpha : float, default=0.8
        The weight of the mask, between 0 and 1. A larger one hides more and recovers less.
    kappa : float, default=5.0
        The margin that searches aim at, the κ of eq. (13). Searches by queries, of classifiers
        without a view, aim at 0.1 in the units of the classifier's scores instead.
    beta : float, default=10.0
        Weight of the recovery in training, the β of eq. (11).
    epochs, batch_size, learning_rate : int, int and float
        Of the training; the paper's 200 epochs by default.
    {image_shape}
    {value_range}
    {flatten}
    device : str, default="auto"
        Where to train: "auto" (a CUDA device, else MPS, else the CPU), or one of these by torch's
        name. Images are encrypted and decrypted on the processor in float64.
    random_state : int, RandomState or None
        Of the training. Nothing secret is drawn from it.
    {n_jobs}
    verbose : int, default=0
        Whether to show progress on the standard error stream.

    Attributes
    ----------
    {key_in_use}
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    alpha_, kappa_
        The parameters in use, which are those of the last `fit`.
    context_ : bytes
        All that changes ciphertexts but key and image, as `ricsk.keys.encode_context` writes it; of
        the classifier a digest of what it says of the images of `fit`. Public.
    network_weights_ : bytes
        The weights of encoder and decoder, in the safetensors format. Public.
    masks_ : ndarray of shape (n_classes, height, width, channels), uint8
        The mask of each class. As secret as the key, and never stored.
    passes_ : dict
        How many passes the search for the mask of each class took, by the `key_id` of the key in
        use. Public.
    losses_ : list of float
        The mean training loss of each epoch.
    {fitted}

    See Also
    --------
    RICEncryptor : Hides images by a pad of each one's own.

    References
    ----------
    .. [1] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import SecretKey
    >>> from ricsk.encryptors import PublishedRICEncryptor
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=8)
    >>> flat, y = X[y < 2].reshape(-1, 64) / 255.0, y[y < 2]
    >>> classifier = LogisticRegression(max_iter=1000).fit(flat, y)
    >>> encryptor = PublishedRICEncryptor(
    ...     SecretKey.generate(), FrozenEstimator(classifier), alpha=0.9, epochs=1
    ... ).fit(flat)
    >>> C = encryptor.transform(flat[:10])
    >>> bool((classifier.predict(C) == classifier.predict(flat[:10])).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MaskingEncryptor._parameter_constraints,
        "kappa": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
    }
    _derived = MaskingEncryptor._derived | {"_network", "masks_"}

    context_: bytes
    passes_: dict[str, NDArray[np.int64]]
    masks_: NDArray[np.uint8]
    _network: PublishedRIC

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        classifier: Any | None = None,
        *,
        alpha: float = 0.8,
        kappa: float = 5.0,
        beta: float = 10.0,
        epochs: int = 200,
        batch_size: int = 64,
        learning_rate: float = 1e-4,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.key = key
        self.classifier = classifier
        self.alpha = alpha
        self.kappa = kappa
        self.beta = beta
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

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self.alpha_, self.kappa_ = self.alpha, self.kappa
        self._fit_classifier(batch, y)
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check(levels)
        self._examine(levels)
        seed = draw_seed(self.random_state)
        self.context_ = encode_context(
            "ric-published",
            _VERSION,
            image_shape=self.image_shape_in_,
            classifier=self.classifier_digest_,
            alpha=float(self.alpha_),
            kappa=float(self.kappa_),
            # The networks are trained for the masks, so their digest cannot stand here.
            beta=float(self.beta),
            epochs=int(self.epochs),
            batch_size=int(self.batch_size),
            learning_rate=float(self.learning_rate),
            seed=seed,
        )
        self.passes_ = {}
        self.masks_ = self._make_masks()
        self.network_weights_ = self._train(levels, seed)
        self._restore_network()

    def _train(self, levels: NDArray[np.uint8], seed: int) -> bytes:
        """Train the networks, and return their weights."""
        with OwnRandomness(seed):
            network = PublishedRIC()
        masks = torch.from_numpy(self.masks_).float()
        view = self._reader.make_view()

        def look_up(labels: Tensor) -> Tensor:
            return masks[labels.cpu()]

        self.losses_ = train(
            network,
            levels,
            self._reader.predict(levels),
            view=None if view is None else view.float(),
            masks=look_up,
            alpha=self.alpha_,
            beta=self.beta,
            kappa=self.kappa_,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            device=self.device,
            seed=seed,
            verbose=self.verbose,
        )
        return save_weights(network)

    def _check_state(self) -> None:
        """Refuse counts that no search ends with, or none, because the search would begin anew."""
        super()._check_state()
        if "passes_" not in vars(self):
            return
        passes = self.passes_.get(self.key_.key_id)
        most = max(_MAX_PASSES, _MAX_QUERIES)
        if not (
            isinstance(passes, np.ndarray)
            and passes.dtype.kind == "i"
            and passes.shape == self.classes_.shape
            and bool(((passes >= -1) & (passes <= most)).all())
        ):
            raise ValueError("its passes_ are not counts of a search")

    def _restore_network(self) -> None:
        self._network = load_weights(PublishedRIC, self.network_weights_).double()

    def _restore(self) -> None:
        self._restore_network()
        super()._restore()

    def _adapt_to_shape(self, original: Self) -> None:
        super()._adapt_to_shape(original)
        self.passes_ = {}

    def _derive_from_key(self) -> None:
        # Those of the key that they were found for are made again; another one needs its own.
        self.masks_ = self._make_masks()

    def _make_masks(self) -> NDArray[np.uint8]:
        """Make one mask for each class from noise of the key's, the same each time."""
        labels = np.arange(len(self.classes_))
        shape = (len(labels), *self.image_shape_in_)
        noise = self.key_.keystream("ric/noise", self.context_).uint8(shape)
        found = self._search(noise, labels, self.passes_.get(self.key_.key_id))
        self.passes_ = {self.key_.key_id: found.passes}
        return found.pixels

    def _search(
        self,
        noise: NDArray[np.uint8],
        labels: NDArray[np.int64],
        passes: NDArray[np.int64] | None,
    ) -> NoiseResult:
        if self._reader.view is not None:
            return find_noise(
                self._reader.view,
                noise,
                labels,
                solver="cw",
                kappa=self.kappa_,
                max_passes=_MAX_PASSES,
                passes=passes,
                verbose=self.verbose,
            )
        return find_noise_by_queries(
            self._reader.scores,
            noise,
            labels,
            [
                self.key_.keystream("ric/queries", self.context_ + bytes(divmod(int(label), 256)))
                for label in labels
            ],
            kappa=_QUERY_KAPPA,
            max_passes=_MAX_QUERIES,
            passes=passes,
            verbose=self.verbose,
        )

    def _hide(
        self, levels: NDArray[np.uint8], labels: NDArray[np.int64], form: ImageForm
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Mix images with the masks of their classes: eq. (5) of the paper."""
        masks = self.masks_[labels]
        with torch.inference_mode():
            x, z = _to_tensor(levels / 255), _to_tensor(masks / 255)
            encoded = self._network.encode(x, z).permute(0, 2, 3, 1).numpy()
        mixed = (1 - self.alpha_) * 255 * encoded + self.alpha_ * masks
        result = np.rint(mixed.clip(0, 255)).astype(np.uint8)
        return result, self._reader.predict(result, form) == labels

    def _reveal(self, levels: NDArray[np.uint8]) -> NDArray[np.floating]:
        return self.take_off(levels, self.masks_[self._reader.predict(levels)])

    def read_labels(self, X: ArrayLike) -> NDArray[np.int64]:
        """Ask the classifier what ciphertexts show, and so by which masks they are hidden.

        Parameters
        ----------
        X : array-like
            Ciphertexts as `transform` returned them.

        Returns
        -------
        ndarray of shape (n,), int64
            Positions in `classes_`.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold ciphertexts of the fitted shape.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        return self._reader.predict(self._read_levels(self._read_ciphertexts(X).pixels))

    def take_off(
        self, levels: NDArray[np.uint8], masks: NDArray[np.number]
    ) -> NDArray[np.floating]:
        """Take masks off, and decode: eqs. (9) and (10) of the paper.

        Parameters
        ----------
        levels : ndarray of shape (n, height, width, channels), uint8
            Ciphertexts; or a single one, (height, width, channels), for many masks.
        masks : ndarray of shape (n, height, width, channels)
            Masks, as levels: those of `masks_`, or guessed ones.

        Returns
        -------
        ndarray of shape (n, height, width, channels), float64
            What is recovered, as levels before rounding.
        """
        hidden = (levels - self.alpha_ * masks.astype(np.float64)) / (255 * (1 - self.alpha_))
        with torch.inference_mode():
            weights = torch.full((len(hidden),), self.alpha_, dtype=torch.float64)
            x = self._network.decode(_to_tensor(hidden), weights)
        return 255 * x.permute(0, 2, 3, 1).clamp(0, 1).numpy()

    def _explain_failure(self, failed: NDArray[np.int64]) -> str:
        has = "has" if len(failed) == 1 else "have"
        return (
            f"{name_images(failed)} {has} no ciphertext that the classifier reads as it reads the "
            "image: the paper's scheme has one mask for each class, and no second try. Fit with a "
            f"larger alpha (now {self.alpha_:g}), a larger kappa (now {self.kappa_:g}) or more "
            "epochs; take RICEncryptor; or leave these images out."
        )


def _to_tensor(values: NDArray[np.float64]) -> Tensor:
    """Make a tensor with the channels first."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1)))

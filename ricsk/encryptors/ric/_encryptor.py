"""RIC: images under noise-like adversarial examples, recoverable with the key."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ricsk._callers import find_caller
from ricsk._docs import (
    FITTED,
    FLATTEN,
    GUIDED_DEVICE,
    IMAGE_SHAPE,
    KEY,
    KEY_IN_USE,
    N_JOBS,
    VALUE_RANGE,
    fill_in,
)
from ricsk._frozen import is_frozen
from ricsk.base import EncryptorTags, Task
from ricsk.encryptors.ric._base import MaskingEncryptor, name_images
from ricsk.encryptors.ric._header import (
    HEADER_BYTES,
    NONCE_BYTES,
    VERSION,
    Header,
    Recipe,
    find_scale,
    fingerprint,
)
from ricsk.encryptors.ric._mixing import MAX_ALPHA, Mixing, draw_mixture
from ricsk.encryptors.ric._networks import Networks, read_pretrained
from ricsk.encryptors.ric._published import PublishedRICEncryptor
from ricsk.encryptors.ric._training import train
from ricsk.exceptions import WrongKeyWarning
from ricsk.images import ImageBatch, ImageForm, ImageShape, describe
from ricsk.keys import SecretKey, encode_context, fresh_bytes
from ricsk.nae import ClassTemplates, find_template
from ricsk.nn.ric import LightRIC
from ricsk.training import OwnRandomness, draw_seed, find_device_again, save_weights

__all__ = ["RICEncryptor"]

# After as many nonces, the image is given up. The first that serves is taken.
_MAX_ATTEMPTS = 16
# Where there is so little of the image in a ciphertext, less of it helps no more.
_LARGE_ALPHA = 0.95


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    n_jobs=N_JOBS,
    device=GUIDED_DEVICE,
    key_in_use=KEY_IN_USE,
    fitted=FITTED,
)
class RICEncryptor(MaskingEncryptor):
    r"""Recoverable images under noise that a classifier reads as the image's class (RIC).

    An image x becomes the 8-bit image

    .. math:: y = (1 - \alpha)\, u + \alpha\, z, \qquad u = (E(x) + k) \bmod M

    where the pad k, from the key and a nonce of the image's own, is uniform over all M values, and
    so is u whatever x is. The mask z is a noise-like adversarial example, one public template for
    each class, which the classifier reads as its own prediction of x under any u. The untouched
    classifier then reads y as it reads x. With the key, mask and pad are taken off, and what is
    left is E(x) up to rounding, from which a decoder recovers x. This is RIC [1]_ with the key in
    another place; `PublishedRICEncryptor` is the scheme of the paper.

    Security: an adversary who has ciphertexts, the classifier, the templates and this code, but not
    the key, learns what the classifier predicts (that is the purpose), the size, the settings and,
    with ``nonce="content"``, which images are equal; and nothing else, as long as ChaCha20 and
    HKDF-SHA256 are secure. With ``nonce="content"`` an adversary who can have images encrypted
    under the key can compare them with a stored ciphertext; take "random" for images that others
    choose. Decryption is not authenticated: whoever can change a ciphertext can change what comes
    back, unnoticed. `SealedEncryptor` notices.

    Read more in the :ref:`User Guide <guide-ric>`.

    Parameters
    ----------
    {key}
    classifier : classifier, optional
        The classifier whose predictions are kept. It is cloned and fitted on the images of `fit`,
        or left as it is: in a `sklearn.frozen.FrozenEstimator`, or a `PretrainedClassifier`. By
        default a `CNNClassifier` is fitted. Classifiers without a differentiable view (see
        `ricsk.nae.view_classifier`) are black boxes, whose templates are searched for by queries.
    alpha : float, default=0.8
        The weight of the mask, more than 0 and at most 0.98. It hides nothing more where it is
        large: small ones recover the image better, large ones leave room for a larger `kappa`, also
        with classifiers that read noise in one way only.
    kappa : float or "auto", default="auto"
        The least margin by which the classifier must prefer the label on the ciphertext, as
        `ricsk.nae.ClassifierView.margins` measures it, or in the units of its probabilities or
        decision values if it has no view. "auto" takes half of the median margin on the images of
        `fit`, without a view 0.1 at most.
    nonce : {"content", "random"}, default="content"
        Whether equal images have equal ciphertexts, or never.
    templates : {"lazy", "eager"}, default="lazy"
        Whether the template of a class is made when its first image comes, or all of them in `fit`.
    weights : "pretrained" or None, default="pretrained"
        Weights of encoder and decoder that ship with the package, for every `alpha` and image size;
        or None to train them in `fit`, on its images.
    epochs, batch_size, learning_rate : int, int and float
        Of the training.
    {image_shape}
    {value_range}
    {flatten}
    {device}
        Encoder and decoder are trained and computed there, too.
    random_state : int, RandomState or None
        Of the training. Nothing secret is drawn from it.
    {n_jobs}
    verbose : int, default=0
        Whether to show progress on the standard error stream: of training, templates, and the
        images that are encrypted.

    Attributes
    ----------
    {key_in_use}
    classifier_ : classifier or None
        The fitted classifier. Decryption does not need it, once the templates are made: a copy that
        only decrypts may have None here, and as `classifier`.
    classes_ : ndarray
        Its labels.
    alpha_, kappa_, nonce_
        What was given or chosen. Parameters that are set later act at the next `fit`.
    scale_ : int
        1; or, where images are so small that a header does not fit into as many values, how many
        times higher and wider ciphertexts are. The classifier is fitted on images that are enlarged
        in this way, unless it is frozen.
    templates_ : ClassTemplates
        The templates made so far. Public. They grow as classes come, so store the encryptor after
        the images are encrypted.
    context_ : bytes
        All that changes ciphertexts but key and image, as `ricsk.keys.encode_context` writes it; of
        the classifier a digest of what it says of the images of `fit`. Public.
    network_weights_ : bytes
        The weights of encoder and decoder, in the safetensors format. Public.
    losses_ : list of float
        With ``weights=None``: the mean training loss of each epoch.
    {fitted}

    See Also
    --------
    SealedEncryptor : Authenticated encryption and exact recovery, which a classifier reads as well.
    PublishedRICEncryptor : RIC as its paper has it.

    Notes
    -----
    Every ciphertext is checked before it is returned: the classifier's own ``predict`` on the very
    array that `transform` returns gives the label that it gives to the image, with the margin
    `kappa`. Where it does not, other nonces are tried, a fixed number for each image. Where all
    fail, `transform` raises `TargetNotReachedError`, which names the images and returns none of the
    batch. That does not depend on the image but on its class, and happens where `alpha` is small
    and the classifier reads most noise as one class. In `sklearn.model_selection.GridSearchCV` the
    fold that holds one has no score.

    A wrong key gives noise instead of an error, and a warning. Floating-point ciphertexts that are
    not among the 256 levels any more are refused, because their lowest bits have lost the nonce.

    The decoder computes in single precision. On another machine, a value that lies between two
    levels may come back as the other one.

    References
    ----------
    .. [1] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023.

    Examples
    --------
    The classifier is trained on plain images, and reads the ciphertexts without having seen one:

    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import RICEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.metrics import psnr
    >>> X, y = load_digits(size=16)
    >>> flat = X.reshape(len(X), -1) / 255.0
    >>> classifier = LogisticRegression(max_iter=1000).fit(flat[:1000], y[:1000])
    >>> encryptor = RICEncryptor(
    ...     SecretKey.generate(), FrozenEstimator(classifier), image_shape=(16, 16)
    ... ).fit(flat[:1000])
    >>> C = encryptor.transform(flat[1000:1050])
    >>> bool((classifier.predict(C) == classifier.predict(flat[1000:1050])).all())
    True
    >>> bool(psnr(flat[1000:1050], encryptor.inverse_transform(C)).mean() > 40)
    True

    In a pipeline, another classifier learns from the ciphertexts what the encryptor's own one
    predicts. Those of scikit-learn take flat samples, so images need ``flatten=True``:

    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import Pipeline
    >>> encryptor = RICEncryptor(
    ...     SecretKey.generate(), LogisticRegression(max_iter=1000), flatten=True
    ... )
    >>> pipeline = Pipeline([("enc", encryptor), ("clf", LogisticRegression(max_iter=1000))])
    >>> bool(cross_val_score(pipeline, X[:300], y[:300], cv=3).mean() > 0.8)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MaskingEncryptor._parameter_constraints,
        "alpha": [Interval(Real, 0, MAX_ALPHA, closed="right")],
        "kappa": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "nonce": [StrOptions({"content", "random"})],
        "templates": [StrOptions({"lazy", "eager"})],
        "weights": [StrOptions({"pretrained"}), None],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **MaskingEncryptor._state_constraints,
        "scale_": [Interval(Integral, 1, 8 * HEADER_BYTES, closed="both")],
    }
    _derived = MaskingEncryptor._derived | {"_networks", "_header", "_mixing"}

    nonce_: Literal["content", "random"]
    scale_: int
    templates_: ClassTemplates
    context_: bytes
    _networks: Networks
    _header: Header
    _mixing: Mixing

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        classifier: Any | None = None,
        *,
        alpha: float = 0.8,
        kappa: float | Literal["auto"] = "auto",
        nonce: Literal["content", "random"] = "content",
        templates: Literal["lazy", "eager"] = "lazy",
        weights: Literal["pretrained"] | None = "pretrained",
        epochs: int = 5,
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
        self.nonce = nonce
        self.templates = templates
        self.weights = weights
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
    def as_published(
        cls, key: SecretKey | bytes | str | PathLike[str], classifier: Any | None = None
    ) -> PublishedRICEncryptor:
        """Make the system of the paper: its networks, solver and fixed noise, and no pad.

        Parameters
        ----------
        key, classifier
            As for the class.

        Returns
        -------
        PublishedRICEncryptor
            Unfitted; `fit` trains the networks, for the paper's 200 epochs unless
            ``set_params(epochs=...)`` says otherwise.
        """
        return PublishedRICEncryptor(key, classifier)

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return replace(super()._encryptor_tags, deterministic=self.nonce == "content")

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self.alpha_, self.nonce_ = float(self.alpha), self.nonce
        self.scale_ = find_scale(batch.shape)
        if self.scale_ > 1 and is_frozen(self.classifier):
            raise ValueError(
                f"images of {describe(batch.shape)} are too small to carry a nonce, which needs "
                f"{8 * HEADER_BYTES} values. Use larger images, or give the classifier without "
                "FrozenEstimator, to be fitted on enlarged ones."
            )
        self.ciphertext_shape_ = self._find_ciphertext_shape(batch.shape)
        batch = self._enlarge(batch)
        self._fit_classifier(batch, y, device=self.device)
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check(levels)
        others = [self.value_range_.to_uint8(other.pixels) for other in batch.others]
        self.kappa_ = self._choose_kappa(self.kappa, self._examine(levels, *others))
        self.network_weights_ = read_pretrained() if self.weights else self._train(levels)
        self.context_ = self._encode_settings()
        self._networks = self._make_networks()
        self.templates_ = ClassTemplates()
        if self.templates == "eager":
            self._make_templates(np.arange(len(self.classes_)))

    def _encode_settings(self) -> bytes:
        """Encode all that changes ciphertexts but key and image; the classifier as it answers."""
        return encode_context(
            "ric",
            VERSION,
            image_shape=self.image_shape_in_,
            classifier=self.classifier_digest_,
            alpha=self.alpha_,
            kappa=self.kappa_,
            nonce=self.nonce_,
            network=hashlib.sha256(self.network_weights_).digest(),
        )

    def _find_ciphertext_shape(self, shape: ImageShape) -> ImageShape:
        return _enlarge_shape(shape, self.scale_)

    def _guess_image_shape(self, ciphertext_shape: ImageShape) -> ImageShape:
        height, width, channels = ciphertext_shape
        return height // self.scale_, width // self.scale_, channels

    def _adapt_to_shape(self, original: Self) -> None:
        if find_scale(self.image_shape_in_) > self.scale_:
            raise ValueError(
                f"images of {describe(self.image_shape_in_)} are too small to carry a nonce, which "
                f"needs {8 * HEADER_BYTES} values. Use larger images."
            )
        super()._adapt_to_shape(original)
        self.context_ = self._encode_settings()

    def _check_state(self) -> None:
        super()._check_state()
        if "context_" not in vars(self):
            return
        shape, scale = self.image_shape_in_, self.scale_
        if scale != find_scale(shape) or self.ciphertext_shape_ != _enlarge_shape(shape, scale):
            raise ValueError("its ciphertexts have another size than a header needs")
        if self.context_ != self._encode_settings():
            raise ValueError("its context_ is that of other settings")

    def _enlarge(self, batch: ImageBatch) -> ImageBatch:
        pixels = batch.pixels.repeat(self.scale_, axis=1).repeat(self.scale_, axis=2)
        return replace(batch, pixels=pixels)

    def _train(self, levels: NDArray[np.uint8]) -> bytes:
        """Train the networks, and return their weights."""
        seed = draw_seed(self.random_state)
        with OwnRandomness(seed):
            network = LightRIC()
        self.losses_ = train(
            network,
            levels,
            alpha=self.alpha_,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            device=self.device,
            seed=seed,
            verbose=self.verbose,
        )
        return save_weights(network)

    def _make_networks(self) -> Networks:
        return Networks(self.network_weights_, find_device_again(self.device_))

    def _restore(self) -> None:
        self._networks = self._make_networks()
        super()._restore()

    def _derive_from_key(self) -> None:
        key, context = self.key_, self.context_
        self._mixing = Mixing(key, context, self._networks, self.alpha_)
        self._header = Header(key, context, self.ciphertext_shape_, len(self.classes_))

    def _prepare(self, task: Task, batch: ImageBatch) -> None:
        if task == "encrypt":
            self._prepare_templates(self._enlarge(batch))
        else:
            recipe = self._header.read(self._read_levels(batch.pixels))
            self._make_templates(recipe.labels[recipe.known])

    def _make_template(self, label: int) -> NDArray[np.uint8]:
        if self.classifier_ is None:
            raise ValueError(
                f"the template of {self.classes_[label]!r} is not among those made so far, and "
                "there is no classifier to make it by. Take a copy that was stored after it had "
                "encrypted such images, or after fit with templates='eager'."
            )
        return find_template(
            self._reader,
            label,
            draw_mixture(self.alpha_),
            self.ciphertext_shape_,
            kappa=self.kappa_,
            verbose=self.verbose,
        )

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        return super()._encrypt(self._enlarge(batch))

    def _hide(
        self, levels: NDArray[np.uint8], labels: NDArray[np.int64], form: ImageForm
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        templates = self._get_templates(labels)
        prepared, coded = self._mixing.prepare(levels)
        result = np.empty(levels.shape, np.uint8)
        kept = np.zeros(len(levels), bool)
        for attempt in range(_MAX_ATTEMPTS):
            left = np.flatnonzero(~kept)
            given, masks, wanted = prepared[left], templates[left], labels[left]
            nonces = [
                self._make_nonce(*one, attempt) for one in zip(given, masks, wanted, strict=True)
            ]
            exact = self._mixing.hide(given, masks, nonces)
            result[left] = self._header.write(exact, nonces, wanted, masks, coded[left])
            kept[left] = self._reader.read(result[left], wanted, self.kappa_, form)
            if kept.all():
                break
        return result, kept

    def _make_nonce(
        self, image: NDArray[np.int16], template: NDArray[np.uint8], label: int, attempt: int
    ) -> bytes:
        if self.nonce_ == "random":
            return fresh_bytes(NONCE_BYTES)
        return self._header.derive_nonce(image, template, label, attempt)

    def _explain_failure(self, failed: NDArray[np.int64]) -> str:
        changes = [f"a smaller kappa (now {self.kappa_:.3g})"] if self.kappa_ else []
        if self.alpha_ < _LARGE_ALPHA:
            changes.append(f"a larger alpha (now {self.alpha_:g})")
        fit = f"Fit with {' or '.join(changes)}; or leave" if changes else "Leave"
        return (
            f"{name_images(failed)} {'has' if len(failed) == 1 else 'have'} no ciphertext that "
            f"the classifier reads as it reads the image, with a margin of {self.kappa_:.3g}, "
            f"after {_MAX_ATTEMPTS} attempts for each: it hardly reads noise as their classes. "
            f"{fit} these images out."
        )

    def read_recipe(self, X: ArrayLike) -> Recipe:
        """Read the headers of ciphertexts.

        Parameters
        ----------
        X : array-like
            Ciphertexts as `transform` returned them.

        Returns
        -------
        Recipe
            With the `nonces`, the `labels` as positions in `classes_`, and whether the header is
            `known`, which it is not under another key.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold ciphertexts of the fitted shape.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        return self._header.read(self._read_levels(self._read_ciphertexts(X).pixels))

    def _read_levels(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Bring ciphertexts to levels; refuse floats that have lost their lowest bits."""
        values = self.value_range_
        levels = super()._read_levels(pixels)
        lost = np.flatnonzero(~values.are_levels(pixels))
        if len(lost):
            raise ValueError(
                f"{name_images(lost)} {'holds' if len(lost) == 1 else 'hold'} values that are not "
                f"among the 256 levels from {values.low:g} to {values.high:g}, as those of "
                "ciphertexts are: the nonce in their lowest bits is lost. Pass what transform "
                "returned, neither scaled nor resized nor compressed with loss."
            )
        return levels

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        known = self._header.read(self._read_levels(pixels)).known
        if not known.all():
            lost = np.flatnonzero(~known)
            warnings.warn(
                f"{name_images(lost)} {'was' if len(lost) == 1 else 'were'} not encrypted with "
                f"the key {self.key_.key_id} and these settings, or changed since: what comes back "
                "is noise. Decrypt with the encryptor that encrypted, or a copy of it.",
                WrongKeyWarning,
                stacklevel=find_caller(),
            )
        return super()._decrypt(pixels)[:, :: self.scale_, :: self.scale_]

    def _reveal(self, levels: NDArray[np.uint8]) -> NDArray[np.floating]:
        recipe = self._header.read(levels)
        # Where there is no header, no template either, and what comes back is noise.
        masks = np.full(levels.shape, 128, np.uint8)
        labels = recipe.labels[recipe.known]
        if len(labels):
            templates = self._get_templates(labels)
            masks[recipe.known] = templates
            differ = fingerprint(templates) != recipe.fingerprints[recipe.known]
            self._warn_of_templates(np.unique(labels[differ]))
        return self._mixing.reveal(levels, masks, recipe.nonces, recipe.coded)

    def _warn_of_templates(self, labels: NDArray[np.int64]) -> None:
        """Warn of classes whose templates are not those of encryption."""
        if len(labels):
            names = ", ".join(map(repr, self.classes_[labels].tolist()))
            warnings.warn(
                f"the templates of {names} are not those that images were encrypted with: on "
                "another machine they come out otherwise. What comes back is noisy. Decrypt with a "
                "copy of the encryptor that was stored after it had encrypted, or after fit with "
                "templates='eager'.",
                stacklevel=find_caller(),
            )


def _enlarge_shape(shape: ImageShape, scale: int) -> ImageShape:
    height, width, channels = shape
    return height * scale, width * scale, channels

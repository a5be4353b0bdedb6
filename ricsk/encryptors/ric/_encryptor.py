"""RIC: images under noise-like adversarial examples, recoverable with the key."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from importlib.resources import files
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.encryptors._guided import GuidedEncryptor
from ricsk.encryptors.ric._embedding import embed, extract, fits
from ricsk.encryptors.ric._training import RIC, train
from ricsk.exceptions import TargetNotReachedError
from ricsk.images import ImageBatch, ImageForm, describe
from ricsk.keys import Keystream, SecretKey
from ricsk.nae import (
    ClassifierView,
    ClassPatterns,
    NoiseResult,
    find_noise,
    find_noise_by_queries,
    find_patterns,
)
from ricsk.nn.ric import LightRIC, PublishedRIC

__all__ = ["RICEncryptor"]

_NETWORKS: dict[str, type[RIC]] = {"light": LightRIC, "ric": PublishedRIC}
_NONCE_BYTES = 12
# The nonce, then the label and the number of passes, encrypted, two bytes each.
_HEADER_BYTES = _NONCE_BYTES + 4
# How masks are made, one nonce after the other, until the ciphertext is read as it should be: by
# the pattern alone (0), or by a search that starts there, for so many times kappa.
_ATTEMPTS = {
    "pattern": (0, 0, 1, 2, 4, 8, 16),
    "search": (1, 1, 2, 4, 8, 16),
    "cw": (1, 1, 1, 1, 1),
}
_MAX_PASSES = 150
_MAX_QUERIES = 2000
# What stands for kappa where the unit of the classifier's margins is probability, or not known.
_QUERY_KAPPA = 0.1
_CHUNK_VALUES = 1 << 18
# How many of the images of `fit` patterns are tried on.
_MOST_CONTENT = 1000
# How far from mid-grey the values are that stand for an image under the mask in searches.
_CONTRASTS = (0, 64, 127)

# The key of what is random and no secret, but must be the same everywhere and in every version.
_PUBLIC = SecretKey(bytes(32))


class RICEncryptor(KeyedEncryptor, GuidedEncryptor):
    r"""Recoverable images under noise that a classifier reads as the image's class (RIC).

    An image x becomes the 8-bit image

    .. math:: y = (1 - \alpha)\, S(E(x)) + \alpha\, z

    where z is a noise-like adversarial example, a mask of noise from the key that the classifier
    reads as its own prediction of x; E is an encoder; and S scrambles pixels with a key of the
    image's own. The untouched classifier then reads y as it reads x. With the key, z is made
    again, :math:`S^{-1}((y - \alpha z) / (1 - \alpha))` is what the encoder saw up to rounding, and
    a decoder brings x back [1]_. Every ciphertext is checked before it is returned.

    What it protects, and from whom: nothing is hidden but by the noise on top, of which the
    adversary knows the distribution, so this is no cipher. With ``scramble=False``, the published
    scheme, a network that is trained on pairs of images and ciphertexts removes much of the noise.
    With ``scramble=True`` what is left after that is a permuted and partly negated image, of which
    the distribution of values still shows. The class pattern of ``solver="pattern"`` clips the
    mask, so it shows more at the clipped values, and the class can be seen by design: the
    ciphertext says the prediction to whoever has the classifier. ``nonce="fixed"`` uses one mask
    per class for all images: the difference of two ciphertexts is then that of the images.

    Parameters
    ----------
    key : SecretKey, bytes or path
        The secret: a `SecretKey`, 32 bytes, or the path of a key file.
    classifier : classifier, optional
        Whose predictions are to be kept. It is cloned and fitted on the images of `fit`, or left
        as it is in a `sklearn.frozen.FrozenEstimator`. By default a `CNNClassifier` is fitted.
        Classifiers without a differentiable view (see `ricsk.nae.view_classifier`) are searched by
        queries.
    alpha : float, default=0.8
        The weight of the mask, between 0 and 1. More of it hides more and recovers less.
    solver : {"pattern", "search", "cw"}, default="pattern"
        How masks are found: a pattern for each class, found once in `fit`, added to the noise,
        with a search for images that this fails on; a search for every image; or the solver of
        [1]_. Only "pattern" can decrypt without the classifier, as long as no search was needed.
    amplitude : float, default=0.25
        The largest change of a level by a pattern, as a fraction of 255. Larger patterns fail less
        often, are found sooner, and show as a texture of the class in the noise.
    kappa : float, default=5.0
        The margin that patterns and searches aim at: the κ of eq. (13).
    scramble : bool, default=True
        Whether values are permuted and negated, by the key and the image's nonce, before mixing.
    nonce : {"content", "fixed"}, default="content"
        Whether each image has a nonce of its own, derived from key and content, which travels in
        the lowest bits of the ciphertext; or one mask serves for all images of a class, as in
        [1]_.
    architecture : {"light", "ric"}, default="light"
        Small networks that start from the identity, or those of [1]_.
    weights : "pretrained" or None, default="pretrained"
        Weights that come with the package, for "light" and every `alpha` and image size; or None to
        train in `fit`.
    beta : float, default=10.0
        Weight of the recovery in training, the β of eq. (11).
    epochs, batch_size, learning_rate : int, int and float
        Of the training.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, channels)`` of the images in 2-D `X`.
    value_range : (float, float), optional
        Black and white of floating-point images, which are rounded to 256 levels. None takes [0, 1]
        where the images of `fit` lie in it, and their extreme values otherwise.
    flatten : bool, default=False
        Whether ciphertexts come out flattened, ``(n_samples, n_features)``, so that any classifier
        of scikit-learn can stand behind the encryptor in a pipeline.
    device : str, default="auto"
        Where to train: "auto" for a CUDA device if there is one. Images are encrypted and decrypted
        on the processor in float64, so that the result is the same everywhere.
    random_state : int, RandomState or None
        Of the training. Nothing secret is drawn from it.
    verbose : int, default=0
        Whether to show the progress of the training.

    Attributes
    ----------
    key_ : SecretKey
        The key in use.
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    patterns_ : ClassPatterns or None
        The pattern of each class. Public.
    image_shape_in_, ciphertext_shape_ : tuple of int
        Height, width and channels of images and of ciphertexts.
    value_range_ : ValueRange
        Black and white of floating-point images.
    n_features_in_ : int
        Height × width × channels.
    feature_names_in_ : ndarray of str
        Column names, if `fit` was given a data frame.

    Notes
    -----
    The published networks train one E and D for one α; the light ones are told α. With E and D the
    identity, rounding alone leaves an error that is uniform over :math:`1 / (1 - \alpha)` levels.

    The nonce depends on key, image, label and `alpha`: two ciphertexts of one image with one mask
    and two mixing weights would give the image away.

    References
    ----------
    .. [1] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import RICEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.metrics import psnr
    >>> X, y = load_digits(size=16)
    >>> X = X.reshape(len(X), -1)
    >>> classifier = LogisticRegression(max_iter=1000).fit(X[:1000] / 255.0, y[:1000])
    >>> encryptor = RICEncryptor(
    ...     SecretKey.generate(), FrozenEstimator(classifier), image_shape=(16, 16)
    ... ).fit(X[:1000] / 255.0)
    >>> C = encryptor.transform(X[1000:1050] / 255.0)
    >>> bool((classifier.predict(C) == classifier.predict(X[1000:1050] / 255.0)).all())
    True
    >>> bool(psnr(X[1000:1050] / 255.0, encryptor.inverse_transform(C)).mean() > 40)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        **KeyedEncryptor._parameter_constraints,
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "solver": [StrOptions(set(_ATTEMPTS))],
        "amplitude": [Interval(Real, 0, 1, closed="right")],
        "kappa": [Interval(Real, 0, None, closed="left")],
        "scramble": ["boolean"],
        "nonce": [StrOptions({"content", "fixed"})],
        "architecture": [StrOptions(set(_NETWORKS))],
        "weights": [StrOptions({"pretrained"}), None],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _derived = GuidedEncryptor._derived | {"_fixed_masks"}

    patterns_: ClassPatterns | None
    _network: RIC

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        classifier: Any | None = None,
        *,
        alpha: float = 0.8,
        solver: Literal["pattern", "search", "cw"] = "pattern",
        amplitude: float = 0.25,
        kappa: float = 5.0,
        scramble: bool = True,
        nonce: Literal["content", "fixed"] = "content",
        architecture: Literal["light", "ric"] = "light",
        weights: Literal["pretrained"] | None = "pretrained",
        beta: float = 10.0,
        epochs: int = 5,
        batch_size: int = 64,
        learning_rate: float = 1e-4,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.key = key
        self.classifier = classifier
        self.alpha = alpha
        self.solver = solver
        self.amplitude = amplitude
        self.kappa = kappa
        self.scramble = scramble
        self.nonce = nonce
        self.architecture = architecture
        self.weights = weights
        self.beta = beta
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def as_published(
        cls, key: SecretKey | bytes | str | PathLike[str], classifier: Any | None = None
    ) -> Self:
        """Make the system of the paper: its networks, solver and fixed noise, and no scrambling.

        Parameters
        ----------
        key, classifier
            As for the class.

        Returns
        -------
        RICEncryptor
            Unfitted; `fit` trains the networks, for the paper's 200 epochs unless
            ``set_params(epochs=...)`` says otherwise.
        """
        return cls(
            key,
            classifier,
            solver="cw",
            scramble=False,
            nonce="fixed",
            architecture="ric",
            weights=None,
            epochs=200,
        )

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("plain", discloses="label")

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        if self.weights == "pretrained" and self.architecture != "light":
            raise ValueError(
                f"there are no pretrained weights for architecture={self.architecture!r}; set "
                "weights=None to train it in fit, or take architecture='light'."
            )
        if self.nonce == "content" and not fits(self.n_features_in_, _HEADER_BYTES):
            raise ValueError(
                f"images of {describe(batch.shape)} are too small to carry a nonce, which needs "
                f"{8 * _HEADER_BYTES} values. Use larger images, or nonce='fixed', one mask for "
                "all images of a class."
            )
        self._fit_classifier(batch, y)
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check(levels)
        self.patterns_ = self._fit_patterns(levels) if self.solver == "pattern" else None
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._network = _NETWORKS[self.architecture]()
        if self.weights == "pretrained":
            stored = files("ricsk") / "weights" / "ric_light.safetensors"
            self._network.load_state_dict(load_safetensors(stored.read_bytes()))
        if self.nonce == "fixed":
            self.fixed_passes_ = self._make_fixed_masks(None)
        if self.weights is None:
            self._train(levels, seed)
        self._network.double().eval()

    def _fit_patterns(self, levels: NDArray[np.uint8]) -> ClassPatterns | None:
        if self._reader.view is None:
            return None
        content = levels[:_MOST_CONTENT]
        if self.scramble:
            # Like what lies under masks; public, so not by the key.
            rng = np.random.default_rng(0)
            shuffled = rng.permuted(content.reshape(len(content), -1), axis=1)
            negated = rng.integers(0, 2, shuffled.shape, np.uint8) * np.uint8(255)
            content = (shuffled ^ negated).reshape(content.shape)
        return find_patterns(
            self._reader,
            self.image_shape_in_,
            amplitude=self.amplitude,
            kappa=self.kappa,
            content=content,
        )

    def _make_fixed_masks(self, passes: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Make the one mask of each class, and return how many passes it took."""
        labels = np.arange(len(self.classes_))
        nonces = [bytes(_NONCE_BYTES)] * len(labels)
        effort = _ATTEMPTS[self.solver][0]
        self._fixed_masks, passes = self._masks(nonces, labels, effort=effort, passes=passes)
        return passes

    def _train(self, levels: NDArray[np.uint8], seed: int) -> None:
        labels = self._reader.predict(levels)
        patterns = self.patterns_
        shape = self.image_shape_in_
        fixed = torch.from_numpy(self._fixed_masks) if self.nonce == "fixed" else None

        def masks(targets: Tensor) -> Tensor:
            if fixed is not None:
                return fixed[targets.cpu()].float()
            noise = torch.randint(256, (len(targets), *shape), dtype=torch.uint8).numpy()
            if patterns is not None:
                noise = patterns.apply(noise, targets.cpu().numpy())
            return torch.from_numpy(noise).float()

        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        view = self._reader.make_view()
        self.losses_ = train(
            self._network,
            levels,
            labels,
            view=None if view is None else view.float().to(device),
            masks=masks,
            alpha=self.alpha,
            scramble=self.scramble,
            beta=self.beta,
            kappa=self.kappa,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            device=device,
            seed=seed,
            verbose=self.verbose,
        )

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        values, pixels = self.value_range_, batch.pixels
        parts = []
        size = max(1, _CHUNK_VALUES // self.n_features_in_)
        for start in range(0, len(pixels), size):
            chunk = pixels[start : start + size]
            self._reader.check_form(chunk, batch.form)
            labels = self._reader.predict(chunk, batch.form)
            levels, failed = self._encrypt_levels(values.to_uint8(chunk), labels, batch.form)
            if len(failed):
                named = ", ".join(str(start + i) for i in failed[:10])
                raise TargetNotReachedError(
                    f"{len(failed)} images of a batch of {len(chunk)} have no ciphertext that the "
                    f"classifier reads as it reads them: X[{named}{', ...' * (len(failed) > 10)}]. "
                    f"A larger alpha (now {self.alpha}), kappa or amplitude makes it easier; so "
                    "does nonce='content'."
                )
            parts.append(levels)
        return values.from_uint8(np.concatenate(parts), pixels.dtype)

    def _encrypt_levels(
        self, levels: NDArray[np.uint8], labels: NDArray[np.int64], form: ImageForm
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Encrypt images, and name those whose label did not survive."""
        result = np.empty_like(levels)
        pending = np.arange(len(levels))
        efforts = _ATTEMPTS[self.solver]
        for attempt, effort in enumerate(efforts if self.nonce == "content" else efforts[:1]):
            images, targets = levels[pending], labels[pending]
            if self.nonce == "fixed":
                nonces, passes = len(pending) * [bytes(_NONCE_BYTES)], None
                masks = self._fixed_masks[targets]
            else:
                nonces = [self._nonce(*pair, attempt) for pair in zip(images, targets, strict=True)]
                masks, passes = self._masks(nonces, targets, effort=effort)
            exact = self._mix(images, masks, nonces)
            if passes is None:
                mixed = np.rint(exact).astype(np.uint8)
            else:
                mixed = self._with_header(exact, nonces, targets, passes)
            kept = self._reader.predict(mixed, form) == targets
            result[pending[kept]] = mixed[kept]
            pending = pending[~kept]
            if not len(pending):
                break
        return result, pending

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        values = self.value_range_
        size = max(1, _CHUNK_VALUES // self.n_features_in_)
        levels = values.to_uint8(pixels)
        chunks = (levels[start : start + size] for start in range(0, len(levels), size))
        parts = [self._decrypt_levels(chunk) for chunk in chunks]
        return values.from_uint8(np.concatenate(parts), pixels.dtype)

    def _decrypt_levels(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.nonce == "fixed":
            nonces = len(levels) * [bytes(_NONCE_BYTES)]
            masks = self._fixed_masks[self._reader.predict(levels)]
        else:
            nonces, labels, passes = self._read_header(levels)
            masks, _ = self._masks(nonces, labels, passes=passes)
        return np.rint(self._unmask(levels, masks, nonces)).astype(np.uint8)

    def _unmask(
        self, levels: NDArray[np.uint8], masks: NDArray[Any], nonces: Sequence[bytes]
    ) -> NDArray[np.float64]:
        """Take masks off, unscramble and decode: eqs. (9) and (10); levels on 0..255, unrounded."""
        weight = self.alpha
        u = (levels - weight * masks.astype(np.float64)) / (255 * (1 - weight))
        if self.scramble:
            hidden = u.reshape(len(u), -1)
            order, negated = self._scramblings(nonces)
            shown = np.empty_like(hidden)
            np.put_along_axis(shown, order, np.where(negated, 1 - hidden, hidden), axis=1)
            u = shown.reshape(u.shape)
        with torch.inference_mode():
            weights = torch.full((len(u),), weight, dtype=torch.float64)
            x = self._network.decode(_channels_first(u), weights)
        return 255 * x.permute(0, 2, 3, 1).clamp(0, 1).numpy()

    def _mix(
        self, levels: NDArray[np.uint8], masks: NDArray[np.uint8], nonces: Sequence[bytes]
    ) -> NDArray[np.float64]:
        """Encode, scramble and mask: eq. (5), with the scrambling; levels on 0..255."""
        with torch.inference_mode():
            x, z = _channels_first(levels / 255), _channels_first(masks / 255)
            e = self._network.encode(x, z).permute(0, 2, 3, 1).numpy()
        if self.scramble:
            order, negated = self._scramblings(nonces)
            hidden = np.take_along_axis(e.reshape(len(e), -1), order, axis=1)
            e = np.where(negated, 1 - hidden, hidden).reshape(levels.shape)
        return np.clip((1 - self.alpha) * 255 * e + self.alpha * masks, 0, 255)

    def _masks(
        self,
        nonces: Sequence[bytes],
        labels: NDArray[np.int64],
        *,
        effort: float = 0,
        passes: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Make noise that is read as the labels, and say how many passes it took.

        Zero passes give noise and pattern alone; with `passes` no rule stops the search.
        """
        key = self.key_
        shape = self.image_shape_in_
        noise = np.stack([key.keystream("ric/noise", nonce).uint8(shape) for nonce in nonces])
        if self.patterns_ is not None:
            noise = self.patterns_.apply(noise, labels)
        if passes is None and effort == 0 and self.patterns_ is not None:
            passes = np.zeros(len(noise), np.int64)
        searched = np.arange(len(noise)) if passes is None else np.flatnonzero(passes)
        used = np.zeros(len(noise), np.int64)
        if len(searched):
            given = None if passes is None else passes[searched]
            streams = [key.keystream("ric/queries", nonces[int(i)]) for i in searched]
            found = self._search(noise[searched], labels[searched], streams, max(effort, 1), given)
            noise[searched], used[searched] = found.pixels, found.passes
        return noise, used

    def _search(
        self,
        start: NDArray[np.uint8],
        labels: NDArray[np.int64],
        streams: list[Keystream],
        effort: float,
        passes: NDArray[np.int64] | None,
    ) -> NoiseResult:
        if self._reader.view is None:
            return find_noise_by_queries(
                self._score,
                start,
                labels,
                streams,
                kappa=_QUERY_KAPPA * effort,
                max_passes=_MAX_QUERIES,
                passes=passes,
            )
        published = self.solver == "cw"
        return find_noise(
            self._reader.view
            if published
            else _MixedView(self._reader.view, self.alpha, self._content()),
            start,
            labels,
            solver="cw" if published else "search",
            kappa=self.kappa * effort,
            max_passes=_MAX_PASSES,
            passes=passes,
        )

    def _content(self) -> NDArray[np.int64]:
        """Make what stands for the unknown image when masks are searched for and made again."""
        signs = _PUBLIC.keystream("ric/content").integers(2, (3, *self.image_shape_in_))
        contrasts = np.reshape(_CONTRASTS, (-1, 1, 1, 1))
        return np.where(signs, 128 + contrasts, 127 - contrasts)

    def _score(self, masks: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Ask the classifier what it makes of masks, mixed as they will be with an image."""
        weight = self.alpha
        mixtures = (
            np.rint(weight * masks + (1 - weight) * other).astype(np.uint8)
            for other in self._content()
        )
        return np.mean([self._reader.scores(mixed) for mixed in mixtures], axis=0)

    def _nonce(self, image: NDArray[np.uint8], label: np.int64, attempt: int) -> bytes:
        """Derive a nonce from all that a mask must not be shared between."""
        context = struct.pack("<4sIHd", b"ric1", attempt, label, self.alpha)
        context += np.array(image.shape, "<u4").tobytes() + image.tobytes()
        # The hash keeps what the key derivation reads short.
        digest = hashlib.sha256(context).digest()
        return self.key_.derive("ric/nonce", digest, _NONCE_BYTES)

    def _scramblings(self, nonces: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Draw a permutation and signs for each image, (n, n_values) both."""
        streams = [self.key_.keystream("ric/scramble", nonce) for nonce in nonces]
        orders = np.stack([stream.permutation(self.n_features_in_) for stream in streams])
        signs = np.stack([stream.integers(2, self.n_features_in_) for stream in streams])
        return orders, signs == 1

    def _header_places(self) -> NDArray[np.int64]:
        shape = np.array(self.image_shape_in_, "<u4").tobytes()
        return self.key_.keystream("ric/places", shape).permutation(self.n_features_in_)

    def _header_masks(self, nonces: Sequence[bytes]) -> NDArray[np.uint8]:
        return np.stack([self.key_.keystream("ric/header", nonce).uint8(4) for nonce in nonces])

    def _with_header(
        self,
        exact: NDArray[np.float64],
        nonces: Sequence[bytes],
        labels: NDArray[np.int64],
        passes: NDArray[np.int64],
    ) -> NDArray[np.uint8]:
        numbers = np.stack([labels, passes], axis=1).astype("<u2").view(np.uint8)
        clear = np.stack([np.frombuffer(nonce, np.uint8) for nonce in nonces])
        header = np.concatenate([clear, numbers ^ self._header_masks(nonces)], axis=1)
        flat = exact.reshape(len(exact), -1)
        return embed(flat, header, self._header_places()).reshape(exact.shape)

    def _read_header(
        self, levels: NDArray[np.uint8]
    ) -> tuple[list[bytes], NDArray[np.int64], NDArray[np.int64]]:
        flat = levels.reshape(len(levels), -1)
        header = extract(flat, _HEADER_BYTES, self._header_places())
        nonces = [row.tobytes() for row in header[:, :_NONCE_BYTES]]
        numbers = np.ascontiguousarray(header[:, _NONCE_BYTES:]) ^ self._header_masks(nonces)
        labels, passes = numbers.view("<u2").astype(np.int64).T
        # Under a wrong key the numbers mean nothing: keep them from naming no class, or from
        # asking for more work than any ciphertext does.
        most = _MAX_QUERIES if self._reader.view is None else _MAX_PASSES
        return nonces, labels % len(self.classes_), np.where(passes <= most, passes, 0)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        network = state.pop("_network", None)
        if network is not None:
            state["network_weights_"] = save_safetensors(network.state_dict())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("network_weights_", None)
        if weights is not None:
            network = _NETWORKS[state["architecture"]]().double().eval()
            network.load_state_dict(load_safetensors(weights))
            state["_network"] = network
        super().__setstate__(state)

    def _derive_from_key(self) -> None:
        if self.nonce == "fixed":
            self._make_fixed_masks(self.fixed_passes_)


class _MixedView(ClassifierView):
    """A view of masks as they are in mixtures with content: its margin is the least of these."""

    def __init__(self, view: ClassifierView, alpha: float, content: NDArray[Any]) -> None:
        super().__init__(view.body, view.probabilistic)
        self.view = view
        self.alpha = alpha
        self.content = torch.from_numpy(content.astype(np.float64))

    def margins(self, levels: Tensor, targets: Tensor) -> Tensor:
        mixed = [self.alpha * levels + (1 - self.alpha) * other for other in self.content]
        margins = self.view.margins(torch.cat(mixed), targets.repeat(len(mixed)))
        return margins.view(len(mixed), -1).min(dim=0).values


def _channels_first(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1)))

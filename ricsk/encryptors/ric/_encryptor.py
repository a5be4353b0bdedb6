"""RIC: images under noise-like adversarial examples, recoverable with the key."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from tqdm import tqdm

from ricsk._docs import FITTED, FLATTEN, IMAGE_SHAPE, KEY, KEY_IN_USE, VALUE_RANGE, fill_in
from ricsk._state import exactly
from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.encryptors._guided import GuidedEncryptor
from ricsk.encryptors.ric._header import HEADER_BYTES, Header, NoHeader, Recipe, has_room
from ricsk.encryptors.ric._masks import FixedMasks, MaskMaker, MaskSearch
from ricsk.encryptors.ric._mixing import Mixing
from ricsk.encryptors.ric._networks import (
    NETWORKS,
    dump_network,
    load_network,
    make_network,
    read_pretrained,
)
from ricsk.encryptors.ric._training import RIC, train
from ricsk.exceptions import TargetNotReachedError
from ricsk.images import ImageBatch, describe
from ricsk.keys import SecretKey
from ricsk.nae import ClassPatterns, find_patterns
from ricsk.training import draw_seed

__all__ = ["RICEncryptor"]

# What is tried for an image until the classifier reads its ciphertext as it reads the image. Each
# attempt has a nonce of its own, and so its own noise, scrambling and mask: 0 adds the pattern to
# the noise and nothing else, and any other number is how many times kappa a search aims at. Most
# failures are bad luck, which another nonce mends; the others are images that show through the mask
# as another class, and need larger margins. The attempts of "cw" are alike, because kappa is part
# of its steps, and a ciphertext does not tell it. The first attempt that succeeds is taken, so that
# ciphertexts stay the same if more attempts are added at the end, and only then.
_ATTEMPTS: dict[str, tuple[float, ...]] = {
    "pattern": (0, 0, 1, 2, 4, 8, *7 * (16,)),
    "search": (1, 1, 2, 4, 8, *6 * (16,)),
    "cw": 10 * (1,),
}
_CHUNK_VALUES = 1 << 18
# How many of the images of `fit` patterns are tried on.
_MAX_CONTENT = 1000
# Where there is so little of the image in a ciphertext, less of it helps no more.
_MAX_ALPHA = 0.95


@fill_in(
    key=KEY,
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    key_in_use=KEY_IN_USE,
    fitted=FITTED,
)
class RICEncryptor(KeyedEncryptor, GuidedEncryptor):
    r"""Recoverable images under noise that a classifier reads as the image's class (RIC).

    An image x becomes the 8-bit image

    .. math:: y = (1 - \alpha)\, S(E(x)) + \alpha\, z

    where z is a noise-like adversarial example: a mask of noise from the key, which the classifier
    reads as its own prediction of x. E is an encoder, and S scrambles the values with a key of the
    image's own. The untouched classifier then reads y as it reads x. With the key, z is made again,
    :math:`S^{-1}((y - \alpha z) / (1 - \alpha))` is what the encoder returned, up to rounding, and
    a decoder recovers x [1]_.

    Security: this is not a cipher. Only the noise on top hides the image, and its distribution is
    known. With ``scramble=False``, the published scheme, a network that is trained on pairs of
    images and ciphertexts removes much of the noise. With ``scramble=True`` what remains then is a
    permuted and partly negated image, whose distribution of values still shows. The class pattern
    of ``solver="pattern"`` clips the mask, which exposes more at the clipped values. The class is
    disclosed by design: anyone who has the classifier reads its prediction in the ciphertext.
    ``nonce="fixed"`` uses one mask per class for all images, so that the difference of two
    ciphertexts is that of the images.

    Read more in the :ref:`User Guide <guide-ric>`.

    Parameters
    ----------
    {key}
    classifier : classifier, optional
        The classifier whose predictions are kept. It is cloned and fitted on the images of `fit`,
        or left as it is in a `sklearn.frozen.FrozenEstimator`. By default a `CNNClassifier` is
        fitted. Classifiers without a differentiable view (see `ricsk.nae.view_classifier`) are
        black boxes, and searched by queries.
    alpha : float, default=0.8
        The weight of the mask, between 0 and 1. A larger one hides more and recovers less.
    solver : {"pattern", "search", "cw"}, default="pattern"
        How masks are found: "pattern" adds to the noise a class-wise universal adversarial
        perturbation, found once in `fit` (see `ricsk.nae.ClassPatterns`), and searches where that
        is not enough; "search" searches for every image; "cw" is the solver of [1]_, after Carlini
        and Wagner. Only "pattern" decrypts without the classifier, where no search was needed.
    amplitude : float, default=0.25
        The largest change of a level by a pattern, as a fraction of 255: the L∞ bound ε of
        adversarial examples. Larger patterns fail less often, are found sooner, and show as a
        texture of the class in the noise.
    kappa : float, default=5.0
        The margin that patterns and searches aim at: the confidence κ of Carlini and Wagner, as in
        eq. (13). Searches by queries aim at 0.1 in the units of the classifier's scores instead.
    scramble : bool, default=True
        Whether values are permuted and negated before mixing, by the key and the image's nonce.
    nonce : {"content", "fixed"}, default="content"
        "content" gives each image a nonce of its own, derived from key and content, which travels
        in the lowest bits of the ciphertext; "fixed" uses one mask for all images of a class, as in
        [1]_.
    architecture : {"light", "ric"}, default="light"
        Small networks that start from the identity, or those of [1]_.
    weights : "pretrained" or None, default="pretrained"
        Weights that ship with the package, for "light" and every `alpha` and image size; or None to
        train in `fit`.
    beta : float, default=10.0
        Weight of the recovery in training, the β of eq. (11).
    epochs, batch_size, learning_rate : int, int and float
        Of the training.
    {image_shape}
    {value_range}
    {flatten}
    device : str, default="auto"
        Where to train: "auto" (a CUDA device, else MPS, else the CPU), or one of these by torch's
        name. Images are encrypted and decrypted on the processor in float64, so that the result is
        the same everywhere.
    random_state : int, RandomState or None
        Of the training. Nothing secret is drawn from it.
    verbose : int, default=0
        Whether to show progress on the standard error stream: of patterns, training, searches, and
        the images that are encrypted.

    Attributes
    ----------
    {key_in_use}
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    alpha_, solver_, amplitude_, kappa_, scramble_, nonce_, architecture_
        The parameters in use, which are those of the last `fit`.
    patterns_ : ClassPatterns or None
        The pattern of each class. Public.
    masks_ : MaskMaker or FixedMasks
        Makes the masks: ``find`` new ones, or ``make`` those of `read_recipe` again. As secret as
        the key, and never stored.
    mixing_ : Mixing
        Can ``hide`` images under masks, and ``reveal`` them. As secret as the key, and not stored.
    network_weights_ : bytes
        The weights of encoder and decoder, in the safetensors format. Public.
    fixed_passes_ : dict
        With ``nonce="fixed"``: how many passes the search for the mask of each class took, by the
        `key_id` of the key in use. Public.
    losses_ : list of float
        With ``weights=None``: the mean training loss of each epoch.
    {fitted}

    See Also
    --------
    SealedEncryptor : Authenticated encryption and exact recovery, which a classifier reads as well.
    ricsk.nae.find_noise : The searches.
    ricsk.attacks.brute_force_bound : Guessed keys, measured.

    Notes
    -----
    Every ciphertext is checked before it is returned: the classifier's own ``predict`` on the very
    array that `transform` returns gives the label that it gives to the image. Where a mask fails,
    others are tried, with other nonces and searches for larger margins, a fixed number for each
    image; with ``nonce="fixed"`` there are no others. Where all fail, `transform` raises
    `TargetNotReachedError`, which names the images and returns none of the batch. Such images are
    rare at the default `alpha`, and common where the mask is weak: then take a larger `alpha`, or
    encrypt the other images alone. In `sklearn.model_selection.GridSearchCV` the fold that holds
    one has no score.

    Decryption is not authenticated: a ciphertext that was changed, or another key, gives some other
    image instead of an error. Only floating-point ciphertexts that are not among the 256 levels any
    more are refused, because their lowest bits have lost the nonce.

    The published networks train one E and D for one α; the light ones are given α. With E and D the
    identity, rounding alone leaves an error that is uniform over :math:`1 / (1 - \alpha)` levels.

    The nonce depends on key, image, label and `alpha`: two ciphertexts of one image with one mask
    and two mixing weights would give the image away.

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
        **GuidedEncryptor._parameter_constraints,
        **KeyedEncryptor._parameter_constraints,
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "solver": [StrOptions(set(_ATTEMPTS))],
        "amplitude": [Interval(Real, 0, 1, closed="right")],
        "kappa": [Interval(Real, 0, None, closed="left")],
        "scramble": ["boolean"],
        "nonce": [StrOptions({"content", "fixed"})],
        "architecture": [StrOptions(set(NETWORKS))],
        "weights": [StrOptions({"pretrained"}), None],
        "beta": [Interval(Real, 0, None, closed="neither")],
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
        "patterns_": [exactly(ClassPatterns), None],
        "fixed_passes_": [dict],
        "losses_": [list],
        "network_weights_": [bytes],
        "shows_progress_": ["boolean"],
    }
    _derived = GuidedEncryptor._derived | {"_network", "_header", "masks_", "mixing_"}

    patterns_: ClassPatterns | None
    fixed_passes_: dict[str, NDArray[np.int64]]
    masks_: MaskMaker | FixedMasks
    mixing_: Mixing
    _header: Header | NoHeader
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
        self._check_parameters(batch)
        self.alpha_, self.kappa_, self.amplitude_ = self.alpha, self.kappa, self.amplitude
        self.solver_, self.scramble_, self.nonce_ = self.solver, self.scramble, self.nonce
        self.architecture_ = self.architecture
        self.shows_progress_ = bool(self.verbose)
        self._fit_classifier(batch, y)
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check(levels)
        self.patterns_ = self._fit_patterns(levels) if self.solver == "pattern" else None
        self.fixed_passes_ = {}
        self.network_weights_ = read_pretrained() if self.weights else self._train(levels)
        self._network = load_network(self.architecture_, self.network_weights_)

    def _check_parameters(self, batch: ImageBatch) -> None:
        if self.weights == "pretrained" and self.architecture != "light":
            raise ValueError(
                f"there are no pretrained weights for architecture={self.architecture!r}; set "
                "weights=None to train it in fit, or take architecture='light'."
            )
        if self.nonce == "content" and not has_room(batch.shape):
            raise ValueError(
                f"images of {describe(batch.shape)} are too small to carry a nonce, which needs "
                f"{8 * HEADER_BYTES} values. Use larger images, or nonce='fixed', one mask for all "
                "images of a class."
            )

    def _fit_patterns(self, levels: NDArray[np.uint8]) -> ClassPatterns | None:
        if self._reader.view is None:
            return None
        content = levels[:_MAX_CONTENT].copy()
        if self.scramble_:
            # Like what lies under masks; public, so not by the key.
            rng = np.random.default_rng(0)
            shuffled = rng.permuted(content.reshape(len(content), -1), axis=1)
            negated = rng.integers(0, 2, shuffled.shape, np.uint8) * np.uint8(255)
            content = (shuffled ^ negated).reshape(content.shape)
        return find_patterns(
            self._reader,
            self.image_shape_in_,
            amplitude=self.amplitude_,
            kappa=self.kappa_,
            content=content,
            verbose=self.shows_progress_,
        )

    def _train(self, levels: NDArray[np.uint8]) -> bytes:
        """Train the networks, and return their weights."""
        seed = draw_seed(self.random_state)
        network = make_network(self.architecture_, seed)
        labels = self._reader.predict(levels)
        patterns, shape = self.patterns_, self.image_shape_in_
        masks = self._make_masks()
        fixed = torch.from_numpy(masks.masks) if isinstance(masks, FixedMasks) else None

        def draw_masks(targets: Tensor) -> Tensor:
            if fixed is not None:
                return fixed[targets.cpu()].float()
            noise = torch.randint(256, (len(targets), *shape), dtype=torch.uint8).numpy()
            if patterns is not None:
                noise = patterns.apply(noise, targets.cpu().numpy())
            return torch.from_numpy(noise).float()

        view = self._reader.make_view()
        self.losses_ = train(
            network,
            levels,
            labels,
            view=None if view is None else view.float(),
            masks=draw_masks,
            alpha=self.alpha_,
            scramble=self.scramble_,
            beta=self.beta,
            kappa=self.kappa_,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            device=self.device,
            seed=seed,
            verbose=self.verbose,
        )
        return dump_network(network)

    def _restore(self) -> None:
        self._network = load_network(self.architecture_, self.network_weights_)
        super()._restore()

    def _derive_from_key(self) -> None:
        self.mixing_ = Mixing(self.key_, self._network, self.alpha_, self.scramble_)
        self.masks_ = self._make_masks()
        if isinstance(self.masks_, FixedMasks):
            self.fixed_passes_ = {self.key_.key_id: self.masks_.passes}
            self._header = NoHeader(self.masks_.passes, self._reader.predict)
        else:
            self._header = Header(
                self.key_,
                self.image_shape_in_,
                self.alpha_,
                n_classes=len(self.classes_),
                max_passes=self.masks_.search.max_passes,
            )

    def _make_masks(self) -> MaskMaker | FixedMasks:
        search = MaskSearch(
            self._reader,
            self.image_shape_in_,
            alpha=self.alpha_,
            kappa=self.kappa_,
            solver=self.solver_,
            verbose=self.shows_progress_,
        )
        maker = MaskMaker(self.key_, self.image_shape_in_, self.patterns_, search)
        if self.nonce_ == "content":
            return maker
        # Those of the key that they were found for are made again; another one needs its own.
        passes = self.fixed_passes_.get(self.key_.key_id)
        return FixedMasks(maker, len(self.classes_), self._attempts[0], passes)

    @property
    def _attempts(self) -> tuple[float, ...]:
        attempts = _ATTEMPTS[self.solver_]
        return attempts if self.nonce_ == "content" else attempts[:1]

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        pixels = batch.pixels
        size = max(1, _CHUNK_VALUES // self.n_features_in_)
        parts = []
        with tqdm(total=len(pixels), desc="images", disable=not self.shows_progress_) as bar:
            for start in range(0, len(pixels), size):
                chunk = replace(batch, pixels=pixels[start : start + size])
                levels, failed = self._encrypt_chunk(chunk)
                if len(failed):
                    raise TargetNotReachedError(self._explain_failure(start + failed))
                parts.append(levels)
                bar.update(len(levels))
        return self.value_range_.from_uint8(np.concatenate(parts), pixels.dtype)

    def _encrypt_chunk(self, batch: ImageBatch) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Encrypt images to levels, and name those whose label did not survive."""
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check_form(batch.pixels, batch.form)
        labels = self._reader.predict(batch.pixels, batch.form)
        result = np.empty(levels.shape, np.uint8)
        pending = np.arange(len(levels))
        for attempt, effort in enumerate(self._attempts):
            images, targets = levels[pending], labels[pending]
            nonces = self._header.make_nonces(images, targets, attempt)
            masks, recipe = self.masks_.find(nonces, targets, effort)
            exact = self.mixing_.hide(images, masks, nonces)
            candidates = self._header.write(exact, recipe)
            kept = self._reader.predict(candidates, batch.form) == targets
            result[pending[kept]] = candidates[kept]
            pending = pending[~kept]
            if not len(pending):
                break
        return result, pending

    def _explain_failure(self, failed: NDArray[np.int64]) -> str:
        """Say which images have no ciphertext, what was tried, and what can help."""
        tried = len(self._attempts)
        larger = {
            "alpha": (self.alpha_, self.alpha_ < _MAX_ALPHA),
            "amplitude": (self.amplitude_, self.patterns_ is not None and self.amplitude_ < 1),
            "kappa": (self.kappa_, self._reader.view is not None),
        }
        changes = [
            f"a larger {name} (now {value:g})"
            for name, (value, can_help) in larger.items()
            if can_help
        ]
        if self.nonce_ == "fixed" and has_room(self.image_shape_in_):
            changes.append("nonce='content', which tries more than one mask")
        fit = f"Fit with {' or '.join(changes)}; or leave" if changes else "Leave"
        return (
            f"{_name_images(failed)} {'has' if len(failed) == 1 else 'have'} no ciphertext that "
            f"the classifier reads as it reads the image, after {tried} attempt{'s' * (tried > 1)} "
            f"for each. {fit} these images out."
        )

    def read_recipe(self, X: ArrayLike) -> Recipe:
        """Read what the masks of ciphertexts are made of.

        Parameters
        ----------
        X : array-like
            Ciphertexts as `transform` returned them.

        Returns
        -------
        Recipe
            With the `nonces`, the `labels` as positions in `classes_`, and the `passes` of the
            search. ``masks_.make`` makes the masks of it.

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
        levels = values.to_uint8(pixels)
        lost = np.flatnonzero(~values.are_levels(pixels))
        if self.nonce_ == "content" and len(lost):
            raise ValueError(
                f"{_name_images(lost)} {'holds' if len(lost) == 1 else 'hold'} values that are not "
                f"among the 256 levels from {values.low:g} to {values.high:g}, as those of "
                "ciphertexts are: the nonce in their lowest bits is lost. Pass what transform "
                "returned, neither scaled nor resized nor compressed with loss."
            )
        return levels

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        levels = self._read_levels(pixels)
        size = max(1, _CHUNK_VALUES // self.n_features_in_)
        chunks = (levels[start : start + size] for start in range(0, len(levels), size))
        parts = [self._decrypt_chunk(chunk) for chunk in chunks]
        return self.value_range_.from_uint8(np.concatenate(parts), pixels.dtype)

    def _decrypt_chunk(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        recipe = self._header.read(levels)
        masks = self.masks_.make(recipe)
        return np.rint(self.mixing_.reveal(levels, masks, recipe.nonces)).astype(np.uint8)


def _name_images(indices: NDArray[np.int64]) -> str:
    return f"X[{', '.join(map(str, indices[:10]))}{', ...' * (len(indices) > 10)}]"

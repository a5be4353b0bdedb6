"""`SealedEncryptor`: authenticated encryption in the low bits of what a classifier reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

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
from ricsk._state import Check
from ricsk.base import EncryptorTags, KeyedEncryptor, Task
from ricsk.codecs import LOSSLESS, compress
from ricsk.encryptors._guided import GuidedEncryptor, spread_indices
from ricsk.encryptors.sealed import _layout
from ricsk.encryptors.sealed._format import VERSION, Subkeys, capacity, count_planes
from ricsk.encryptors.sealed._goal import TOLERANCES, Goal, Match, Targets, draw_low_planes
from ricsk.encryptors.sealed._message import NONCE_BYTES
from ricsk.encryptors.sealed._opener import Opener, make_opener
from ricsk.encryptors.sealed._recipients import check_recipients
from ricsk.encryptors.sealed._room import MAX_SCALE, Room
from ricsk.encryptors.sealed._sealing import ImageSealer, Sealing, make_sealing
from ricsk.encryptors.sealed._thumbnail import compress_thumbnail
from ricsk.encryptors.sealed._unseal import (
    check_ciphertexts,
    name_images,
    open_images,
    to_levels,
)
from ricsk.exceptions import NoPrivateKeyError, NotSealedError, TargetNotReachedError
from ricsk.images import (
    ImageBatch,
    ImageForm,
    ImageShape,
    group_by_size,
    numbered,
    restore_order,
    validate_images,
)
from ricsk.keys import (
    KeyParameter,
    PrivateKey,
    PublicKey,
    RecipientsParameter,
    SecretKey,
    SigningKey,
    encode_context,
    fresh_bytes,
)
from ricsk.nae import ClassTemplates, find_template

__all__ = ["SealedEncryptor"]

# Images of `fit` that are compressed, and classified, to choose bit planes and kappa.
_MAX_SAMPLE = 500
# After as many nonces, where labels are matched, and then searches, the image is given up.
_MAX_ATTEMPTS, _MAX_SEARCHES = 4, 6
# Values of the images that are classified and searched for at a time, to bound the memory.
_CHUNK_VALUES = 1 << 19

Compressed = tuple[str, bytes]


def _are_recipients(value: Any) -> bool:
    try:
        return type(value) is tuple and (not value or check_recipients(value) == value)
    except (TypeError, ValueError):
        return False


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
class SealedEncryptor(KeyedEncryptor, GuidedEncryptor):
    r"""Encrypt images with AES-SIV inside noise that a given classifier reads as it reads them.

    Each image is compressed without loss and encrypted with AES-SIV, an authenticated cipher; the
    result fills the low bit planes of a noise image. The high planes are noise that is changed
    until the untouched classifier reads the 8-bit image as it reads the plain one. A tag covers all
    pixels. The key alone brings the image back bit for bit, without the classifier; a wrong key, or
    one changed bit, raises an error.

    An adversary who has ciphertexts, the classifier and this code, but not the key, learns what the
    classifier says of the images (that is the purpose), their size, the settings, and, unless
    ``nonce="random"``, which images are equal, and so which of images of their choice are stored if
    they can have those encrypted; and nothing else, as long as AES-SIV and HMAC-SHA256 are secure.
    Nobody can change what the classifier reads without the owner noticing at decryption. What the
    classifier says can say much: ``match="features"`` gives away an embedding, from which an image
    like the plain one may be made. The user guide has the argument.

    Every ciphertext that `transform` returns has been given to the classifier itself, in the very
    values and dtype that are returned, and was read as the plain image. A call returns all
    ciphertexts or none: if an image does not fit, or no ciphertext of it was found in six searches,
    an error names the image and what would help. Nothing is returned unverified.

    Read more in the :ref:`User Guide <guide-sealed>`.

    Parameters
    ----------
    {key}
        With `recipients`: the `PrivateKey` of one of them, or none where nothing is opened.
    classifier : classifier, optional
        The classifier that is to read the ciphertexts. It is cloned and fitted on the images of
        `fit`, or left as it is: in a `sklearn.frozen.FrozenEstimator`, or a
        `PretrainedClassifier`. By default a `CNNClassifier` is fitted. Classifiers without a
        differentiable view (see `ricsk.nae.view_classifier`) are searched by queries, which takes
        longer.
    match : {"label", "proba", "features"}, default="label"
        What the classifier is to read as on the plain image: the predicted label; its
        probabilities, too; or the vector that its last layer reads.
    tolerance : float, optional
        How far it may be off: the largest total variation of probabilities, 0.02 by default; or
        the largest cosine distance of feature vectors, 0.01 by default. Of more than 20 classes,
        the five largest probabilities are matched one by one, and the rest as one.
    appearance : {"noise", "compact"}, default="noise"
        Whether the high bit planes hold noise, or as little as the classifier needs, which makes
        smaller files; where a search is needed, it may leave more. Both protect the same.
    bit_planes : int or "auto", default="auto"
        How many of the 8 bit planes, from the lowest, hold the encrypted image, from 1 to 7. "auto"
        takes what up to 500 of the images of `fit` need, and a seventh more, up to 6.
    kappa : float or "auto", default="auto"
        The least margin by which the classifier must prefer the label, as
        `ricsk.nae.ClassifierView.margins` measures it, or in the units of its probabilities or
        decision values if it has no view; it is what keeps the prediction in other arithmetic.
        "auto" takes half of the median margin on the images of `fit`, without a view 0.1 at most.
    templates : {"lazy", "eager"}, default="lazy"
        Whether the template of a class is made when its first image comes, or all of them in `fit`.
    codec : {"webp", "jpegxl", "raw"}, default="webp"
        How to compress. "jpegxl" needs `imagecodecs`, and is smaller and slower. "raw" fits only
        where ciphertexts are larger than images, see `scale_`.
    nonce : {"content", "random"}, default="content"
        Whether equal images have equal ciphertexts, or never. With "content", an adversary who can
        have images encrypted and sees what is stored learns which of their candidates are stored (a
        dictionary attack): take "random" where others can upload images.
    recipients : list of PublicKey, optional
        For whom to seal, in the place of a secret key: up to 16, of one kind. Each image gets a key
        of its own, which is encrypted for every one of them; any of them opens it, with `unseal` or
        the encryptor of `with_key`, and nobody else, the sealing side included. `nonce` is
        "random" then, whatever it says.
    signing_key : SigningKey or path, optional
        With `recipients`: signs the images, so that those who open them know who sealed them.
        Without it everybody who has the public keys may have.
    feature_layer : str, optional
        For ``match="features"`` and torch modules: the layer whose input is matched. By default the
        last linear layer.
    {image_shape}
    {value_range}
    {flatten}
    {n_jobs}
    {device}
    verbose : int, default=0
        Whether to show progress on the standard error stream: of templates, and of the images
        in `transform` and `rekey`.

    Attributes
    ----------
    {key_in_use}
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    match_, tolerance_, appearance_, bit_planes_, kappa_, codec_, nonce_
        What was given or chosen. Parameters that are set later act at the next `fit`.
    scale_ : int
        1; or, where images are so small that what seals them does not fit into as many pixels, how
        many times as high and as wide the ciphertexts are. The classifier is then fitted on images
        that are enlarged in this way, unless it is frozen.
    context_ : bytes
        All that changes ciphertexts but key and image, as `ricsk.keys.encode_context` writes it; of
        the classifier a digest of what it says of the images of `fit`. Public. A digest of it
        enters every ciphertext, so no two settings have low bit planes in common.
    templates_ : ClassTemplates
        The templates made so far: what stands in the high bit planes. Public.
    {fitted}

    See Also
    --------
    unseal : Opens ciphertexts with nothing but the key.
    RICEncryptor : The published scheme, without proof, authentication and exact recovery.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk import SealedEncryptor, SecretKey
    >>> from ricsk.datasets import load_digits
    >>> X, y = load_digits(size=32)
    >>> X = X.reshape(len(X), -1) / 255
    >>> classifier = LogisticRegression(max_iter=1000).fit(X[:1000], y[:1000])
    >>> encryptor = SealedEncryptor(
    ...     SecretKey.generate(), FrozenEstimator(classifier), image_shape=(32, 32)
    ... ).fit(X[:1000])
    >>> C = encryptor.transform(X[1000:1050])
    >>> bool((classifier.predict(C) == classifier.predict(X[1000:1050])).all())
    True
    >>> bool((encryptor.inverse_transform(C) == X[1000:1050]).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        **KeyedEncryptor._parameter_constraints,
        "match": [StrOptions(set(TOLERANCES))],
        "tolerance": [Interval(Real, 0, None, closed="neither"), None],
        "appearance": [StrOptions({"noise", "compact"})],
        "bit_planes": [Interval(Integral, 1, 7, closed="both"), StrOptions({"auto"})],
        "kappa": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "templates": [StrOptions({"lazy", "eager"})],
        "codec": [StrOptions(set(LOSSLESS))],
        "nonce": [StrOptions({"content", "random"})],
        "recipients": "no_validation",
        "signing_key": "no_validation",
        "feature_layer": [str, None],
        "device": [str],
        "verbose": ["verbose"],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **GuidedEncryptor._state_constraints,
        **KeyedEncryptor._state_constraints,
        "tolerance_": [Interval(Real, 0, None, closed="left")],
        "key_": [SecretKey, PrivateKey, None],
        "recipients_": [Check("a tuple of public keys", _are_recipients)],
        "signing_key_": [SigningKey, None],
        "scale_": [Interval(Integral, 1, MAX_SCALE, closed="both")],
    }
    _derived = GuidedEncryptor._derived | {"_goal", "_sealing", "_opener"}

    key = KeyParameter(SecretKey, PrivateKey)
    recipients = RecipientsParameter()
    signing_key = KeyParameter(SigningKey)

    match_: Match
    tolerance_: float
    appearance_: Literal["noise", "compact"]
    bit_planes_: int
    kappa_: float
    codec_: str
    nonce_: Literal["content", "random"]
    scale_: int
    context_: bytes
    templates_: ClassTemplates
    recipients_: tuple[PublicKey, ...]
    signing_key_: SigningKey | None
    _sealing: Sealing

    def __init__(
        self,
        key: SecretKey | PrivateKey | bytes | str | PathLike[str] | None = None,
        classifier: Any | None = None,
        *,
        recipients: Iterable[PublicKey] | None = None,
        signing_key: SigningKey | str | PathLike[str] | None = None,
        match: Literal["label", "proba", "features"] = "label",
        tolerance: float | None = None,
        appearance: Literal["noise", "compact"] = "noise",
        bit_planes: int | Literal["auto"] = "auto",
        kappa: float | Literal["auto"] = "auto",
        templates: Literal["lazy", "eager"] = "lazy",
        codec: Literal["webp", "jpegxl", "raw"] = "webp",
        nonce: Literal["content", "random"] = "content",
        feature_layer: str | None = None,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
        n_jobs: int | None = None,
        device: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.key = key
        self.classifier = classifier
        self.recipients = recipients
        self.signing_key = signing_key
        self.match = match
        self.tolerance = tolerance
        self.appearance = appearance
        self.bit_planes = bit_planes
        self.kappa = kappa
        self.templates = templates
        self.codec = codec
        self.nonce = nonce
        self.feature_layer = feature_layer
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten
        self.n_jobs = n_jobs
        self.device = device
        self.verbose = verbose

    def _learn(self, X: ArrayLike, y: ArrayLike | None) -> None:
        self.recipients_, self.signing_key_ = (), None
        if self.recipients is not None:
            self.recipients_ = check_recipients(self.recipients)
        if self.signing_key is not None:
            self.signing_key_ = SigningKey.coerce(self.signing_key)
        super()._learn(X, y)

    def _coerce_key(self, key: Any) -> Any:
        if not self.recipients_:
            return SecretKey.coerce(key)
        return None if key is None else PrivateKey.coerce(key)

    def imitate(self, key: SecretKey) -> Self:
        if not getattr(self, "recipients_", ()):
            return super().imitate(key)
        kinds: list[Any] = [each.kind for each in self.recipients_]
        strangers = [PrivateKey.generate(kind) for kind in kinds]
        other = super().with_key(strangers[0])
        other.recipients_ = check_recipients([each.public_key for each in strangers])
        if self.signing_key_ is not None:
            other.signing_key_ = SigningKey.generate()
        other._derive_from_key()
        return other

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self._check_levels_survive(batch.pixels.dtype)
        self.match_, self.appearance_ = self.match, self.appearance
        self.codec_, self.nonce_ = self.codec, "random" if self.recipients_ else self.nonce
        self._sealing = self._make_sealing()
        self.tolerance_ = TOLERANCES[self.match] if self.tolerance is None else self.tolerance
        samples = [self._sample(part) for part in (batch, *batch.others)]
        sizes = [[len(compress(image, self.codec_)[1]) for image in levels] for levels in samples]
        # A frozen classifier does not read larger images.
        may_enlarge = not is_frozen(self.classifier)
        rooms = [
            self._room.choose(self.bit_planes, max(part), levels.shape[1:], may_enlarge=may_enlarge)
            for part, levels in zip(sizes, samples, strict=True)
        ]
        self.scale_, self.bit_planes_ = (max(column) for column in zip(*rooms, strict=True))
        self.ciphertext_shape_ = self._find_ciphertext_shape(batch.shape)
        self._room.refuse_if_none_fits(
            samples,
            sizes,
            scale=self.scale_,
            bit_planes=self.bit_planes,
            frozen=isinstance(self.classifier, FrozenEstimator),
        )
        enlarged = replace(batch, pixels=self._enlarge(batch.pixels))
        self._fit_classifier(enlarged, y, self.feature_layer, self.device)
        if self._reader.view is None and self.match_ != "label":
            raise ValueError(
                f"match={self.match_!r} needs a classifier that gradients can be taken of, which "
                f"{self.classifier_!r} is not. Take one of ricsk.nae.view_classifier's, or "
                "match='label'."
            )
        enlarged_samples = [self._enlarge(levels) for levels in samples]
        self._reader.check(enlarged_samples[0], self.match_)
        self.kappa_ = self._choose_kappa(self.kappa, self._examine(*enlarged_samples))
        self.context_ = self._encode_settings()
        self.templates_ = ClassTemplates()
        self._goal = self._make_goal()
        if self.templates == "eager":
            self._make_templates(np.arange(len(self.classes_)))

    def _sample(self, batch: ImageBatch) -> NDArray[np.uint8]:
        """Take some images, spread over all, because images are often sorted by class."""
        chosen = spread_indices(len(batch.pixels), _MAX_SAMPLE)
        return self.value_range_.to_uint8(batch.pixels[chosen])

    def _find_ciphertext_shape(self, shape: ImageShape) -> ImageShape:
        height, width, channels = shape
        return height * self.scale_, width * self.scale_, channels

    def _guess_image_shape(self, ciphertext_shape: ImageShape) -> ImageShape:
        height, width, channels = ciphertext_shape
        return height // self.scale_, width // self.scale_, channels

    def _adapt_to_shape(self, original: Self) -> None:
        super()._adapt_to_shape(original)
        self.context_ = self._encode_settings()

    def _encode_settings(self) -> bytes:
        """Encode all that changes ciphertexts but key and image; the classifier as it answers."""
        return encode_context(
            "sealed",
            _layout.VERSION if self.recipients_ else VERSION,
            image_shape=self.image_shape_in_,
            scale=self.scale_,
            classifier=self.classifier_digest_,
            match=self.match_,
            tolerance=float(self.tolerance_),
            kappa=self.kappa_,
            feature_layer=self.feature_layer_,
            appearance=self.appearance_,
            bit_planes=self.bit_planes_,
            codec=self.codec_,
            nonce=self.nonce_,
        )

    def _prepare(self, task: Task, batch: ImageBatch) -> None:
        if task == "encrypt":
            self._prepare_templates(replace(batch, pixels=self._enlarge(batch.pixels)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "image_shape_in_" in state:  # from before there were recipients
            state = {"recipients_": (), "signing_key_": None, **state}
        super().__setstate__(state)

    def _check_state(self) -> None:
        super()._check_state()
        if hasattr(self, "scale_"):
            room = Room(self.codec_, self._make_sealing().overhead)
            room.check_enlargement(self.image_shape_in_, self.scale_, self.ciphertext_shape_)
            if self.context_ != self._encode_settings():
                raise ValueError("its context_ is that of other settings")

    def _make_template(self, label: int) -> NDArray[np.uint8]:
        return find_template(
            self._reader,
            label,
            draw_low_planes(self.bit_planes_),
            self.ciphertext_shape_,
            kappa=self.kappa_,
            start="noise" if self.appearance_ == "noise" else "grey",
            verbose=self.verbose,
        )

    @cached_property
    def _goal(self) -> Goal:
        return self._make_goal()

    def _make_goal(self) -> Goal:
        return Goal(self._reader, self.match_, self.kappa_, self.tolerance_)

    def _make_sealing(self) -> Sealing:
        if self.recipients_:
            return make_sealing(None, self.recipients_, self.signing_key_)
        return make_sealing(self.key_, None, self.signing_key_)

    @property
    def _overhead(self) -> int:
        return self._sealing.overhead

    @property
    def _room(self) -> Room:
        said, n = "", len(self.recipients_)
        if n:
            kind = self.recipients_[0].kind
            said = f"{n} recipient{'s' * (n > 1)} with keys of the kind {kind}"
        return Room(self.codec_, self._overhead, said)

    def _derive_from_key(self) -> None:
        self._sealing = self._make_sealing()
        self._opener: Opener | None = None
        if isinstance(self.key_, PrivateKey):
            self._opener = make_opener(self.key_)
        elif self.key_ is not None:
            subkeys = Subkeys(self.key_)
            self._opener = subkeys.make_sealer(self.ciphertext_shape_, self.bit_planes_)

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        # Of a fitted encryptor, what it does; before, what it is to do.
        nonce = self.nonce if self.recipients is None else "random"
        nonce, match = getattr(self, "nonce_", nonce), getattr(self, "match_", self.match)
        return EncryptorTags("plain", deterministic=nonce == "content", discloses=match)

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        pixels = batch.pixels
        self._check_levels_survive(pixels.dtype)

        def ask(chunk: slice) -> Targets:
            return self._goal.ask(self._enlarge(pixels[chunk]), batch.form)

        images = self.value_range_.to_uint8(pixels)
        compressed = [compress(image, self.codec_) for image in images]
        sealed, _ = self._seal(images, compressed, ask, batch.form, "X")
        return self.value_range_.from_uint8(sealed, pixels.dtype)

    def seal_thumbnails(self, X: ArrayLike, *, return_keys: bool = False) -> Any:
        """Encrypt images as `transform` does, but for detail that the bit planes do not hold.

        The classifier reads the ciphertexts as it reads the images, whatever is left of these: what
        comes back are the images with squares of one colour, as small as the bit planes allow. So
        a single plane suffices. Nonces are random, whatever `nonce` says.

        Parameters
        ----------
        X : array-like
            Images of the fitted shape.
        return_keys : bool, default=False
            Whether the key of each image is returned, for what is to be encrypted along with it.

        Returns
        -------
        C : ndarray
            Ciphertexts, as `transform` returns them.
        keys : list of SecretKey
            With ``return_keys=True``: of each image the key that opens it. For recipients these
            are fresh ones, which each of them will find.

        Raises
        ------
        TargetNotReachedError
            As `transform` does.
        TooLargeError
            If not even one colour fits.
        ValueError, TypeError
            If `X` does not hold images of the fitted shape and value range.
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Examples
        --------
        >>> from sklearn.frozen import FrozenEstimator
        >>> from sklearn.linear_model import LogisticRegression
        >>> from ricsk import SealedEncryptor, SecretKey
        >>> from ricsk.datasets import load_digits
        >>> X, y = load_digits(size=32)
        >>> X = X.reshape(len(X), -1)
        >>> classifier = FrozenEstimator(LogisticRegression(max_iter=500).fit(X[:1000], y[:1000]))
        >>> encryptor = SealedEncryptor(
        ...     SecretKey.generate(), classifier, image_shape=(32, 32), bit_planes=1
        ... ).fit(X[:1000])
        >>> C = encryptor.seal_thumbnails(X[1000:1010])
        >>> bool((classifier.predict(C) == classifier.predict(X[1000:1010])).all())
        True
        """
        check_is_fitted(self)
        batch = validate_images(self, X, reset=False)
        assert isinstance(batch, ImageBatch)
        pixels = batch.pixels
        self._check_levels_survive(pixels.dtype)
        images = self.value_range_.to_uint8(pixels)
        n_values = int(np.prod(self.ciphertext_shape_))
        room = capacity(n_values, self.bit_planes_, self._overhead)
        compressed = [compress_thumbnail(image, self.codec_, room) for image in images]

        def ask(chunk: slice) -> Targets:
            return self._goal.ask(self._enlarge(pixels[chunk]), batch.form)

        # Equal thumbnails under two labels, with one nonce, would show that they are equal.
        drawing = self.with_key(self.key_)
        drawing.nonce_ = "random"
        levels, keys = drawing._seal(images, compressed, ask, batch.form, "X")
        C = batch.form.restore(self.value_range_.from_uint8(levels, pixels.dtype))
        C = C.reshape(len(C), -1) if self.flattens_ else C
        return (C, keys) if return_keys else C

    def _seal(
        self,
        images: NDArray[np.uint8],
        compressed: list[Compressed],
        ask: Callable[[slice], Targets],
        form: ImageForm,
        name: str,
    ) -> tuple[NDArray[np.uint8], list[SecretKey]]:
        """Seal all images, or none, chunk by chunk so that their number takes no memory.

        `ask` tells the targets of a chunk; `name` is what the batch is called in errors. What
        comes back are ciphertexts and their keys.
        """
        # In rekey, another encryptor may have sealed them, with more room: they need not fit here.
        self._room.check(
            images,
            [len(data) for _, data in compressed],
            n_values=int(np.prod(self.ciphertext_shape_)),
            bit_planes=self.bit_planes_,
            name=name,
        )
        sealed = np.empty((len(images), *self.ciphertext_shape_), np.uint8)
        keys: list[SecretKey] = []
        # Of all parameters verbose alone acts without a new fit: it changes nothing that comes out.
        with tqdm(total=len(images), desc="sealing", unit="image", disable=not self.verbose) as bar:
            for chunk in _split(len(images), self.ciphertext_shape_):
                sealers = [self._make_sealer() for _ in images[chunk]]
                sealed[chunk] = self._seal_chunk(
                    sealers, compressed, chunk, ask(chunk), form, name, bar
                )
                keys += [sealer.content_key for sealer in sealers]
        return sealed, keys

    def _make_sealer(self) -> ImageSealer:
        return self._sealing.make_sealer(self.ciphertext_shape_, self.bit_planes_)

    def _seal_chunk(
        self,
        sealers: list[ImageSealer],
        compressed: list[Compressed],
        chunk: slice,
        targets: Targets,
        form: ImageForm,
        name: str,
        bar: tqdm,
    ) -> NDArray[np.uint8]:
        """Make ciphertexts that the classifier was seen to read as it should.

        Templates serve almost always, if labels are to be matched, and another nonce where one does
        not. After that each image is searched for, from the template.
        """
        sealed = np.empty((chunk.stop - chunk.start, *self.ciphertext_shape_), np.uint8)
        templates = self._get_templates(targets.labels)
        pending = np.arange(len(sealed))
        for attempt in range(_MAX_ATTEMPTS + _MAX_SEARCHES):
            n_searched = attempt - (_MAX_ATTEMPTS if self.match_ == "label" else 0)
            if n_searched == _MAX_SEARCHES:
                break
            bar.set_postfix_str(f"searching for {len(pending)}" if n_searched >= 0 else "")
            # Queries are slow, and go on from where they were.
            if n_searched < 1 or self._reader.view is not None:
                for i in pending:
                    codec, data = compressed[chunk.start + i]
                    body = sealers[i].encrypt(codec, data, self._make_nonce(attempt), self.scale_)
                    sealed[i] = sealers[i].embed(body, templates[i])
            if n_searched >= 0:
                keys = [sealers[i].content_key for i in pending]
                sealed[pending] = self._search(sealed[pending], targets[pending], n_searched, keys)
            for i in pending:
                sealed[i] = sealers[i].sign(sealed[i])
            met = self._goal.is_met(sealed[pending], targets[pending], form)
            bar.update(int(met.sum()))
            pending = pending[~met]
            if not len(pending):
                return sealed
        remedies = self._goal.explain(sealed[pending], targets[pending], form)
        sizes = [len(compressed[chunk][i][1]) for i in pending]
        raise TargetNotReachedError(
            self._describe_failure(chunk.start + pending, name, remedies, max(sizes))
        )

    def _make_nonce(self, attempt: int) -> bytes:
        if self.nonce_ == "random":
            return fresh_bytes(NONCE_BYTES)
        return hashlib.sha256(self.context_ + bytes([attempt])).digest()[:NONCE_BYTES]

    def _search(
        self,
        start: NDArray[np.uint8],
        targets: Targets,
        n_searched: int,
        keys: list[SecretKey],
    ) -> NDArray[np.uint8]:
        streams = [
            key.keystream("sealed/queries", self.context_ + bytes([n_searched]) + image.tobytes())
            for key, image in zip(keys, start, strict=True)
        ]
        return self._goal.search(
            start,
            targets,
            streams,
            held_planes=self.bit_planes_,
            attempt=n_searched,
            verbose=self.verbose,
        )

    def _describe_failure(
        self, failed: NDArray[Any], name: str, remedies: list[str], largest: int
    ) -> str:
        asked = {
            "label": f"with a margin of {self.kappa_:.3g}",
            "proba": f"with probabilities within {self.tolerance_:.3g}",
            "features": f"with features within a cosine distance of {self.tolerance_:.3g}",
        }
        n_values = int(np.prod(self.ciphertext_shape_))
        needed = count_planes(n_values, largest, self._overhead)
        if needed < self.bit_planes_:
            remedies = [*remedies, f"bit_planes={needed}, which holds these"]
        helps = f" What may help: {'; '.join(remedies)}." if remedies else ""
        return (
            f"no ciphertext was found that the classifier reads as it reads "
            f"{name_images(failed, name)}, {asked[self.match_]}, in {_MAX_SEARCHES} searches."
            f"{helps} Nothing was returned."
        )

    def _enlarge(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return pixels.repeat(self.scale_, axis=1).repeat(self.scale_, axis=2)

    def _read_ciphertexts(self, X: ArrayLike) -> ImageBatch:
        return super()._read_ciphertexts(check_ciphertexts(X, self.ciphertext_shape_))

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        images = self._open(to_levels(pixels, self.value_range_))
        return self.value_range_.from_uint8(images, pixels.dtype)

    def _open(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        opener = self._opener
        if opener is None:
            raise NoPrivateKeyError(
                "this encryptor seals for others and has no private key. Open with "
                "unseal(C, private_key), or with encryptor.with_key(private_key)."
            )

        def open_image(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            image = opener.open(pixels)
            if image.shape != self.image_shape_in_:
                raise NotSealedError("it holds an image of another size")
            return image

        return np.stack(open_images(levels, open_image, make_opener(self.key_)))

    def rekey(
        self,
        C: ArrayLike,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        *,
        recipients: Iterable[PublicKey] | None = None,
        signing_key: SigningKey | str | PathLike[str] | None = None,
    ) -> Any:
        """Seal images anew under another key or for other recipients, to be read as they are.

        The classifier is not asked about the plain images again, but about their ciphertexts, once
        these are known to be authentic. With ``match="label"`` its answer stays the same;
        probabilities and features may move by the tolerance each time.

        Parameters
        ----------
        C : array-like, or list of array-like
            Ciphertexts that this encryptor opens.
        key : SecretKey, bytes or path
            The new key.
        recipients : list of PublicKey, optional
            For whom to seal, in the place of a key.
        signing_key : SigningKey or path, optional
            Signs what is sealed for `recipients`; whoever signed `C` is not known any more.

        Returns
        -------
        ndarray, or list of ndarray
            New ciphertexts, of the dtype and shape of `C`, which the classifier reads as it reads
            `C`.

        Raises
        ------
        NotSealedError
            If a ciphertext was not made with this encryptor's key, or was changed.
        NoPrivateKeyError
            If this encryptor seals for others, and opens nothing.
        TargetNotReachedError, TooLargeError
            As `transform` does. The former ciphertexts are as they were.
        ValueError, TypeError
            If `C` does not hold ciphertexts of the fitted shape, or there is not either a key or
            recipients.

        See Also
        --------
        ricsk.files.rekey_folder : For files, without the encryptor.
        """
        check_is_fitted(self)
        sealing = make_sealing(key, recipients, signing_key)
        groups = group_by_size(C, self.ciphertext_shape_)
        if groups is None:
            batch = self._read_ciphertexts(C)
            return batch.form.restore(self._rekey(batch, sealing))
        parts = self._read_ciphertext_groups(groups)
        sealed = []
        for part in parts:
            with numbered(part.positions):
                found = self._get_resized(part.shape)._rekey(part.batch, sealing)
            sealed.append(part.batch.form.restore(found))
        return restore_order([part.positions for part in parts], sealed)

    def _rekey(self, batch: ImageBatch, sealing: Sealing) -> NDArray[Any]:
        levels = to_levels(batch.pixels, self.value_range_)
        images = self._open(levels)

        def ask(chunk: slice) -> Targets:
            return self._goal.ask(levels[chunk], batch.form)

        compressed = [compress(image, self.codec_) for image in images]
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _sealing=sealing)
        sealed, _ = other._seal(images, compressed, ask, batch.form, "C")
        return self.value_range_.from_uint8(sealed, batch.pixels.dtype)


def _split(n: int, shape: ImageShape) -> Iterator[slice]:
    """Split so many images of a shape into chunks."""
    size = max(1, _CHUNK_VALUES // int(np.prod(shape)))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))

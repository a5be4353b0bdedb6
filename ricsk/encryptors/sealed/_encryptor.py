"""`SealedEncryptor`: authenticated encryption in the low bits of what a classifier reads."""

from __future__ import annotations

from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ricsk.base import EncryptorTags, KeyedEncryptor
from ricsk.encryptors._guided import GuidedEncryptor
from ricsk.encryptors.sealed._format import (
    CODECS,
    LEAST_VALUES,
    NONCE_BYTES,
    OVERHEAD,
    Sealer,
    compress,
    unseal_image,
)
from ricsk.exceptions import NotSealedError, TargetNotReachedError, TooLargeError
from ricsk.images import ImageBatch, ImageForm, ImageShape, check_images
from ricsk.keys import SecretKey
from ricsk.nae import (
    ClassPatterns,
    find_noise,
    find_noise_by_queries,
    find_patterns,
)

__all__ = ["SealedEncryptor", "unseal"]

# "auto" leaves at least two planes to the search, and that much room more than was seen in `fit`.
_MOST_PLANES, _HEADROOM = 6, 1.15
# Images of `fit` that are compressed, and classified, to choose bit planes and kappa.
_SAMPLE = 500
_TOLERANCES = {"label": 0.0, "proba": 0.02, "features": 0.12}
# Searches aim at a little more than is asked for, as the tag is written after them.
_SURPLUS = 1.1
_ATTEMPTS = 6
_MAX_PASSES = {"label": 150, "proba": 300, "features": 500}
_MAX_QUERIES = 2000
_QUERY_KAPPA = 0.1
_CHUNK_VALUES = 1 << 19
# What rounding in single precision can do to a margin, and more.
_CLEAR = 1e-2


class SealedEncryptor(KeyedEncryptor, GuidedEncryptor):
    r"""Seal images so that only the key opens them, and a given classifier still reads them.

    Each image is compressed without loss and encrypted with AES-SIV, an authenticated cipher; what
    comes out fills the low bit planes of a noise image. The high planes are noise that is changed
    until the untouched classifier reads the 8-bit image as it reads the plain one. Every ciphertext
    is checked before it is returned, and ends with a tag over all of its pixels. Whoever has the
    key gets the image back bit for bit, without the classifier; a wrong key, or one changed bit,
    raises.

    What it protects, and from whom: whoever has ciphertexts, the classifier and this code, but no
    key, learns what the classifier says of the image (that is the purpose), the size, the settings,
    which images are equal, unless ``nonce="random"``, and nothing else, as long as AES-SIV and
    HMAC-SHA256 are what they are taken for. Nobody can change what the classifier reads without the
    owner seeing it at decryption. What the classifier says can say much: ``match="features"`` gives
    away an embedding, from which an image like the plain one may be made. The user guide has the
    argument.

    Parameters
    ----------
    key : SecretKey, bytes or path
        The secret: a `SecretKey`, 32 bytes, or the path of a key file.
    classifier : classifier, optional
        Who is to read the ciphertexts. It is cloned and fitted on the images of `fit`, or left as
        it is in a `sklearn.frozen.FrozenEstimator`. By default a `CNNClassifier` is fitted.
        Classifiers without a differentiable view (see `ricsk.nae.view_classifier`) are searched by
        queries.
    match : {"label", "proba", "features"}, default="label"
        What the classifier is to read as on the plain image: the predicted label; its
        probabilities, too; or the vector that its last layer reads.
    tolerance : float, optional
        How far it may be off: the largest total variation of probabilities, 0.02 by default; or
        the largest distance of feature vectors as a part of their length, 0.12 by default, which
        keeps the cosine above 0.99.
    appearance : {"noise", "compact"}, default="noise"
        Whether the high bit planes hold noise, or as little as the classifier needs, which makes
        smaller files; where a pattern is not enough for that, a search may leave more. Both protect
        the same.
    bit_planes : int or "auto", default="auto"
        How many of the 8 bit planes, from the lowest, hold the encrypted image, from 1 to 7. "auto"
        takes what the images of `fit` need and a seventh more.
    kappa : float or "auto", default="auto"
        The least margin by which the classifier must prefer the label, as
        `ricsk.nae.ClassifierView.margins` measures it; it is what keeps the prediction in other
        arithmetic. "auto" takes half of the median margin on the images of `fit`.
    amplitude : float or "auto", default="auto"
        The largest change of a level by a class pattern, as a fraction of 255. Larger patterns make
        searches rarer, show as a texture of the class in the noise, and make compact files larger.
        "auto" is 0.25 for noise and 0.05 for compact images. 0 for no patterns.
    codec : {"webp", "jpegxl", "raw"}, default="webp"
        How to compress. "jpegxl" needs `imagecodecs`, and is smaller and slower. "raw" fits only
        where ciphertexts are larger than images, see `scale_`.
    nonce : {"content", "random"}, default="content"
        Whether equal images have equal ciphertexts, or never.
    feature_layer : str, optional
        For ``match="features"`` and torch modules: the layer whose input is matched. By default the
        last linear layer.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, channels)`` of the images in 2-D `X`.
    value_range : (float, float), optional
        Black and white of floating-point images, which are rounded to 256 levels. None takes [0, 1]
        where the images of `fit` lie in it, and their extreme values otherwise.
    flatten : bool, default=False
        Whether ciphertexts come out flattened, ``(n_samples, n_features)``, so that any classifier
        of scikit-learn can stand behind the encryptor in a pipeline.

    Attributes
    ----------
    key_ : SecretKey
        The key in use.
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    bit_planes_, kappa_ : int and float
        What was chosen.
    scale_ : int
        1; or, where images are so small that what seals them does not fit into as many pixels, how
        many times as high and as wide the ciphertexts are. The classifier is then fitted on images
        that are enlarged in this way, unless it is frozen.
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
    >>> bool(abs(encryptor.inverse_transform(C) - X[1000:1050]).max() < 1e-12)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        **KeyedEncryptor._parameter_constraints,
        "match": [StrOptions(set(_TOLERANCES))],
        "tolerance": [Interval(Real, 0, None, closed="neither"), None],
        "appearance": [StrOptions({"noise", "compact"})],
        "bit_planes": [Interval(Integral, 1, 7, closed="both"), StrOptions({"auto"})],
        "kappa": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "amplitude": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "codec": [StrOptions(set(CODECS))],
        "nonce": [StrOptions({"content", "random"})],
        "feature_layer": [str, None],
    }

    patterns_: ClassPatterns | None
    bit_planes_: int
    kappa_: float
    scale_: int

    def __init__(
        self,
        key: SecretKey | bytes | str | PathLike[str] | None = None,
        classifier: Any | None = None,
        *,
        match: Literal["label", "proba", "features"] = "label",
        tolerance: float | None = None,
        appearance: Literal["noise", "compact"] = "noise",
        bit_planes: int | Literal["auto"] = "auto",
        kappa: float | Literal["auto"] = "auto",
        amplitude: float | Literal["auto"] = "auto",
        codec: Literal["webp", "jpegxl", "raw"] = "webp",
        nonce: Literal["content", "random"] = "content",
        feature_layer: str | None = None,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
    ) -> None:
        self.key = key
        self.classifier = classifier
        self.match = match
        self.tolerance = tolerance
        self.appearance = appearance
        self.bit_planes = bit_planes
        self.kappa = kappa
        self.amplitude = amplitude
        self.codec = codec
        self.nonce = nonce
        self.feature_layer = feature_layer
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        levels = self.value_range_.to_uint8(batch.pixels[:_SAMPLE])
        largest = max(len(compress(image, self.codec)[1]) for image in levels)
        self.scale_, self.bit_planes_ = self._room_for(largest, batch.shape)
        height, width, channels = batch.shape
        self.ciphertext_shape_ = (height * self.scale_, width * self.scale_, channels)
        enlarged = ImageBatch(self._enlarged(batch.pixels), batch.ndim, batch.dtype)
        self._fit_classifier(enlarged, y, self.feature_layer)
        if self._reader.view is None and self.match != "label":
            raise ValueError(
                f"match={self.match!r} needs a classifier that gradients can be taken of, which "
                f"{self.classifier_!r} is not. Take one of ricsk.nae.view_classifier's, or "
                "match='label'."
            )
        sample = self._enlarged(levels)
        self._reader.check(sample, self.match)
        self.kappa_ = self._choose_kappa(sample)
        self.patterns_ = self._fit_patterns()

    def _room_for(self, largest: int, shape: ImageShape) -> tuple[int, int]:
        """Choose the smallest enlargement, and then bit planes, that hold so many bytes."""
        most = _MOST_PLANES if self.bit_planes == "auto" else self.bit_planes
        needed = self._overhead() + largest
        n_values = int(np.prod(shape))
        scale = 1
        # In images of no more than a few hundred values the tags would take most of the room. A
        # frozen classifier reads no larger ones.
        if not isinstance(self.classifier, FrozenEstimator):
            while n_values * scale**2 * most // 8 < needed and n_values * scale**2 < 16 * OVERHEAD:
                scale += 1
        if self.bit_planes != "auto":
            return scale, self.bit_planes
        room = needed + (_HEADROOM - 1) * largest
        planes = int(np.ceil(8 * room / (n_values * scale**2)))
        return scale, min(max(planes, 1), _MOST_PLANES)

    def _overhead(self) -> int:
        return OVERHEAD + (NONCE_BYTES if self.nonce == "random" else 0)

    def _choose_kappa(self, sample: NDArray[np.uint8]) -> float:
        if self.kappa != "auto":
            return float(self.kappa)
        margins = self._reader.margins(sample, self._reader.predict(sample))
        return float(max(np.median(margins) / 2, 0.0))

    def _fit_patterns(self) -> ClassPatterns | None:
        noise = self.appearance == "noise"
        amplitude = (0.25 if noise else 0.05) if self.amplitude == "auto" else self.amplitude
        if self._reader.view is None or int(255 * amplitude) == 0:
            return None
        return find_patterns(
            self._reader,
            self.ciphertext_shape_,
            content=None,
            amplitude=amplitude,
            spread=256 if noise else 2**self.bit_planes_,
            alpha=1.0,
            kappa=1.5 * self.kappa_,
        )

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        deterministic = self.nonce == "content"
        return EncryptorTags("plain", deterministic=deterministic, discloses=self.match)

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        pixels = batch.pixels
        levels = self.value_range_.to_uint8(pixels)
        compressed = [compress(image, self.codec) for image in levels]
        self._check_room([len(data) for _, data in compressed])
        size = max(1, _CHUNK_VALUES // int(np.prod(self.ciphertext_shape_)))
        parts = []
        for start in range(0, len(levels), size):
            chunk = slice(start, start + size)
            plain = self._enlarged(pixels[chunk])
            self._reader.check_form(plain, batch.form)
            labels = self._reader.predict(plain, batch.form)
            targets = self._targets(plain, labels, batch.form)
            sealed, failed = self._seal(compressed[chunk], labels, targets, batch.form)
            if len(failed):
                named = ", ".join(f"X[{start + i}]" for i in failed[:10])
                raise TargetNotReachedError(
                    f"no ciphertext was found that the classifier reads as it reads "
                    f"{named}{', ...' * (len(failed) > 10)}, with a margin of {self.kappa_:.3g}. "
                    "A smaller kappa, fewer bit_planes, or a larger tolerance or amplitude makes "
                    "it easier."
                )
            parts.append(sealed)
        return self.value_range_.from_uint8(np.concatenate(parts), pixels.dtype)

    def _check_room(self, sizes: list[int]) -> None:
        n_values = int(np.prod(self.ciphertext_shape_))
        extra = self._overhead()
        room = n_values * self.bit_planes_ // 8 - extra
        failed = [i for i, size in enumerate(sizes) if size > room]
        if not failed:
            return
        needed = -(-8 * (max(sizes) + extra) // n_values)
        remedy = (
            f"bit_planes={needed} would carry them all"
            if needed <= 7
            else "no number of bit planes would carry the largest: it does not compress enough"
        )
        named = ", ".join(f"X[{i}]" for i in failed[:10]) + ", ..." * (len(failed) > 10)
        raise TooLargeError(
            f"{len(failed)} of {len(sizes)} images do not fit into {self.bit_planes_} bit planes, "
            f"which hold {room} bytes: {named}, of up to {max(sizes)} bytes as {self.codec}; "
            f"{remedy}. Nothing was encrypted."
        )

    def _targets(
        self, pixels: NDArray[Any], labels: NDArray[np.int64], form: ImageForm
    ) -> NDArray[Any]:
        """Say what the classifier is to find in ciphertexts of these images."""
        if self.match == "label":
            return labels
        ask = self._reader.proba if self.match == "proba" else self._reader.features
        return ask(pixels, form)

    def _seal(
        self,
        compressed: list[tuple[int, bytes]],
        labels: NDArray[np.int64],
        targets: NDArray[Any],
        form: ImageForm,
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Make ciphertexts, and name those that are not read as they should be."""
        sealer = Sealer(self.key_, self.ciphertext_shape_, self.bit_planes_)
        fresh = self.nonce == "random"
        bodies = [sealer.encrypt(*image, self.scale_, fresh=fresh) for image in compressed]
        result = np.empty((len(bodies), *self.ciphertext_shape_), np.uint8)
        pending = np.arange(len(bodies))
        for attempt in range(_ATTEMPTS):
            noise = np.stack([sealer.noise(bodies[i], attempt) for i in pending])
            # The compact look starts from the same grey each time: where that failed, from noise.
            flat = self.appearance == "compact" and attempt < 2
            drawn = self._patterned(noise, labels[pending], flat)
            if attempt > 0 or self.patterns_ is None or self.match != "label":
                drawn = self._searched(drawn, targets[pending], labels[pending], sealer, attempt)
            signed = np.stack([sealer.sign(image) for image in drawn])
            kept = self._reads(signed, labels[pending], targets[pending], form)
            result[pending[kept]] = signed[kept]
            pending = pending[~kept]
            if not len(pending):
                break
        return result, pending

    def _patterned(
        self, noise: NDArray[np.uint8], labels: NDArray[np.int64], flat: bool
    ) -> NDArray[np.uint8]:
        """Add class patterns to noise, or to grey, in the high planes; the low ones stay."""
        unit = 2**self.bit_planes_
        low = noise % unit
        levels = noise.astype(np.int16)
        if flat:
            levels = np.full_like(levels, 128)
        if self.patterns_ is not None:
            levels = levels + self.patterns_.patterns[labels]
        high = np.clip(np.rint((levels - low.astype(np.float64)) / unit), 0, 256 // unit - 1)
        return (high * unit + low).astype(np.uint8)

    def _searched(
        self,
        start: NDArray[np.uint8],
        targets: NDArray[Any],
        labels: NDArray[np.int64],
        sealer: Sealer,
        attempt: int,
    ) -> NDArray[np.uint8]:
        if self._reader.view is None:
            streams = [
                self.key_.keystream("sealed/queries", bytes([attempt]) + image.tobytes())
                for image in start
            ]
            return find_noise_by_queries(
                self._reader.scores,
                start,
                labels,
                streams,
                kappa=_SURPLUS * self._least_margin(),
                max_passes=_MAX_QUERIES,
                held_planes=self.bit_planes_,
            ).pixels
        return find_noise(
            self._reader.view,
            start,
            targets,
            match=self.match,
            kappa=_SURPLUS * self.kappa_,
            tolerance=self._tolerance() / _SURPLUS,
            max_passes=_MAX_PASSES[self.match],
            held_planes=self.bit_planes_,
        ).pixels

    def _reads(
        self,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        targets: NDArray[Any],
        form: ImageForm,
    ) -> NDArray[np.bool_]:
        """Ask whether the classifier finds in ciphertexts what it is to find."""
        kept = self._reader.read(pixels, labels, self._least_margin(), form)
        if self.match != "label":
            found = self._targets(pixels, labels, form)
            if self.match == "proba":
                distance = np.abs(found - targets).sum(axis=1) / 2
            else:
                lengths = np.linalg.norm(targets, axis=1)
                distance = np.linalg.norm(found - targets, axis=1) / np.maximum(lengths, 1e-12)
            kept &= distance <= self._tolerance()
        return kept

    def _least_margin(self) -> float:
        # Where probabilities or features are matched, margins are those of the plain image.
        if self.match != "label":
            return 0.0
        return min(self.kappa_, _QUERY_KAPPA) if self._reader.view is None else self.kappa_

    def _tolerance(self) -> float:
        return _TOLERANCES[self.match] if self.tolerance is None else self.tolerance

    def _enlarged(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return pixels.repeat(self.scale_, axis=1).repeat(self.scale_, axis=2)

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        sealer = Sealer(self.key_, self.ciphertext_shape_, self.bit_planes_)
        images, failed, reason = [], [], ""
        for i, image in enumerate(self.value_range_.to_uint8(pixels)):
            try:
                images.append(sealer.decrypt(image))
                if images[-1].shape != self.image_shape_in_:
                    raise NotSealedError("it holds an image of another size")
            except NotSealedError as error:
                failed.append(i)
                reason = str(error)
        if failed:
            raise NotSealedError(_named(failed, len(pixels), reason))
        return self.value_range_.from_uint8(np.stack(images), pixels.dtype)

    def rekey(self, C: ArrayLike, key: SecretKey | bytes | str | PathLike[str]) -> NDArray[Any]:
        """Seal images anew under another key, without asking for the plain prediction again.

        Parameters
        ----------
        C : array-like
            Ciphertexts under this encryptor's key.
        key : SecretKey, bytes or path
            The new key.

        Returns
        -------
        ndarray
            Ciphertexts under the new key, which the classifier reads as it reads `C`.

        Raises
        ------
        NotSealedError
            If a ciphertext was not made with this encryptor's key, or was changed.
        """
        check_is_fitted(self)
        batch = self._read_ciphertexts(C)
        images = self.value_range_.to_uint8(self._decrypt(batch.pixels))
        labels = self._reader.predict(batch.pixels, batch.form)
        targets = self._targets(batch.pixels, labels, batch.form)
        compressed = [compress(image, self.codec) for image in images]
        # Another encryptor may have sealed them, with less around them or smaller.
        self._check_room([len(data) for _, data in compressed])
        sealed, failed = self.with_key(key)._seal(compressed, labels, targets, batch.form)
        if len(failed):
            raise TargetNotReachedError(
                f"no ciphertext under the new key was found for C[{failed[0]}] and "
                f"{len(failed) - 1} more. The ciphertexts under the old key are as they were."
            )
        return batch.form.restore(self.value_range_.from_uint8(sealed, batch.pixels.dtype))


def unseal(C: ArrayLike, key: SecretKey | bytes | str | PathLike[str]) -> NDArray[np.uint8]:
    """Open sealed images with nothing but the key: no fitted encryptor, no classifier.

    Parameters
    ----------
    C : array-like of shape (n, height, width) or (n, height, width, channels), uint8
        Sealed images.
    key : SecretKey, bytes or path
        The key that they were sealed with.

    Returns
    -------
    ndarray, uint8
        The images. Where they were so small that their ciphertexts are larger, they have their own
        size again.

    Raises
    ------
    NotSealedError
        If an image was sealed with another key, has been changed, or is no sealed image.
    NewerFormatError
        If one was sealed by a newer version of this package, in a way that this one cannot read.
    ValueError, TypeError
        If `C` holds what no sealed image can be.

    Examples
    --------
    >>> from ricsk import SealedEncryptor, SecretKey, unseal
    >>> from ricsk.datasets import make_street_numbers
    >>> X, y = make_street_numbers(60, size=16, random_state=0)
    >>> key = SecretKey.generate()
    >>> C = SealedEncryptor(key, kappa=0).fit(X, y).transform(X[:3])
    >>> bool((unseal(C, key) == X[:3]).all())
    True
    """
    batch = check_images(C, caller="unseal")
    if batch.ndim == 2 or int(np.prod(batch.shape)) < LEAST_VALUES:
        raise ValueError(
            f"C has shape {np.shape(C)}, but sealed images have a height, a width, and "
            f"{LEAST_VALUES} values at least. Pass what transform returned, unresized; give "
            "flattened images their shape with C.reshape."
        )
    if batch.pixels.dtype != np.uint8:
        raise TypeError(
            f"sealed images are 8-bit, but C has dtype {batch.dtype}. Read the files as uint8; "
            "floats made by an encryptor's transform need its inverse_transform."
        )
    secret = SecretKey.coerce(key)
    images, failed, reason = [], [], ""
    for i, image in enumerate(batch.pixels):
        try:
            images.append(unseal_image(image, secret))
        except NotSealedError as error:
            failed.append(i)
            reason = str(error)
    if failed:
        raise NotSealedError(_named(failed, len(batch.pixels), reason))
    if len({image.shape for image in images}) > 1:
        raise ValueError("C holds images of different sizes, enlarged to one. Open them one by one")
    return batch.form.restore(np.stack(images))


def _named(failed: list[int], n: int, reason: str) -> str:
    named = ", ".join(f"C[{i}]" for i in failed[:10]) + ", ..." * (len(failed) > 10)
    return f"{len(failed)} of {n} images could not be opened, {named}: {reason}."

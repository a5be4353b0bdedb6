"""Hiding in the least significant bits of noise that a classifier reads as the image."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from ricsk._docs import (
    FITTED,
    FLATTEN,
    GUIDED_DEVICE,
    IMAGE_SHAPE,
    N_JOBS,
    VALUE_RANGE,
    fill_in,
)
from ricsk.base import EncryptorTags, Task
from ricsk.encryptors import GuidedEncryptor
from ricsk.encryptors.sealed import Goal, Targets, draw_low_planes
from ricsk.exceptions import TargetNotReachedError
from ricsk.images import ImageBatch, ImageForm
from ricsk.keys import SecretKey
from ricsk.nae import ClassTemplates, find_template

__all__ = ["LSBEncryptor"]

# Values of the images that are classified and searched for at a time, to bound the memory.
_CHUNK_VALUES = 1 << 19
_MAX_SEARCHES = 4
# Nothing is secret here: the key of what is random, and is the same for everybody.
_PUBLIC = SecretKey(bytes(32))


@fill_in(
    image_shape=IMAGE_SHAPE,
    value_range=VALUE_RANGE,
    flatten=FLATTEN,
    n_jobs=N_JOBS,
    device=GUIDED_DEVICE,
    fitted=FITTED,
)
class LSBEncryptor(GuidedEncryptor):
    r"""Hide images in the low bits of noise that a given classifier reads as it reads them.

    The highest `bits` bits of each value of the image become the lowest of a noise image, whose
    other bits make the classifier answer as it does for the image: the "4-bit scheme" that the RIC
    paper [1]_ compares with.

    **It protects nothing.** There is no key: everybody reads the image from the low bits, as
    `ricsk.attacks.DecoderAttack` does. It hides the image from somebody who glances at the
    ciphertext, and at 6 bits and more not even from them. It is here for comparison, because it
    keeps more of the image, and costs less, than the networks that hide images. With a cipher in
    the low bits it would be `SealedEncryptor`.

    Every ciphertext that `transform` returns has been given to the classifier itself, and was read
    as the plain image.

    Read more in the :ref:`User Guide <guide-baselines>`.

    Parameters
    ----------
    classifier : classifier, optional
        The classifier that is to read the ciphertexts. It is cloned and fitted on the images of
        `fit`, or left as it is: in a `sklearn.frozen.FrozenEstimator`, or a
        `PretrainedClassifier`. By default a `CNNClassifier` is fitted.
    bits : int, default=4
        How many bits of each value are hidden, from 1 to 7.
    reading : {"midpoint", "floor", "scaled"}, default="midpoint"
        How `inverse_transform` fills up the bits that were lost: to the middle of what they may
        have been; with zeros; or by stretching what is left over all levels.
    kappa : float or "auto", default="auto"
        The least margin by which the classifier must prefer the label. "auto" takes half of the
        median margin on the images of `fit`, without a view 0.1 at most.
    {image_shape}
    {value_range}
    {flatten}
    {n_jobs}
    {device}
    verbose : int, default=0
        Whether to show the progress of templates and searches on the standard error stream.

    Attributes
    ----------
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    bits_, reading_, kappa_
        What was given or chosen. Parameters that are set later act at the next `fit`.
    templates_ : ClassTemplates
        The templates made so far: what stands in the high bits.
    {fitted}

    See Also
    --------
    ricsk.SealedEncryptor : Encrypts and authenticates what the low bits hold, without loss.

    Notes
    -----
    In the paper the low bits of a finished noise image are overwritten, and whether the classifier
    still reads it is left to luck, which at 7 bits is not enough. Here the high bits are found for
    low bits that are random, and searched for once more where those of the image need it.

    References
    ----------
    .. [1] J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image classification
       through noise-like adversarial examples", arXiv:2310.12707, 2023, table II.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ricsk.baselines import LSBEncryptor
    >>> from ricsk.datasets import load_digits
    >>> from ricsk.metrics import psnr
    >>> X, y = load_digits(size=16)
    >>> encryptor = LSBEncryptor(LogisticRegression(max_iter=1000)).fit(X[:1000], y[:1000])
    >>> C = encryptor.transform(X[1000:1020])
    >>> bool(psnr(X[1000:1020], encryptor.inverse_transform(C)).min() > 30)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GuidedEncryptor._parameter_constraints,
        "bits": [Interval(Integral, 1, 7, closed="both")],
        "reading": [StrOptions({"midpoint", "floor", "scaled"})],
        "kappa": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "device": [str],
        "verbose": ["verbose"],
    }

    bits_: int
    reading_: Literal["midpoint", "floor", "scaled"]
    templates_: ClassTemplates

    def __init__(
        self,
        classifier: Any | None = None,
        *,
        bits: int = 4,
        reading: Literal["midpoint", "floor", "scaled"] = "midpoint",
        kappa: float | Literal["auto"] = "auto",
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        flatten: bool = False,
        n_jobs: int | None = None,
        device: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.classifier = classifier
        self.bits = bits
        self.reading = reading
        self.kappa = kappa
        self.image_shape = image_shape
        self.value_range = value_range
        self.flatten = flatten
        self.n_jobs = n_jobs
        self.device = device
        self.verbose = verbose

    def _fit_scheme(self, batch: ImageBatch, y: ArrayLike | None) -> None:
        super()._fit_scheme(batch, y)
        self._check_levels_survive(batch.pixels.dtype)
        self.bits_, self.reading_ = self.bits, self.reading
        self._fit_classifier(batch, y, device=self.device)
        levels = self.value_range_.to_uint8(batch.pixels)
        self._reader.check(levels)
        self.kappa_ = self._choose_kappa(self.kappa, self._examine(levels))
        self.templates_ = ClassTemplates()

    @property
    def _goal(self) -> Goal:
        return Goal(self._reader, "label", self.kappa_, tolerance=0.0)

    @property
    def _encryptor_tags(self) -> EncryptorTags:
        return EncryptorTags("plain", keyed=False, discloses="label")

    def _prepare(self, task: Task, batch: ImageBatch) -> None:
        if task == "encrypt":
            self._prepare_templates(batch)

    def _encrypt(self, batch: ImageBatch) -> NDArray[Any]:
        pixels = batch.pixels
        self._check_levels_survive(pixels.dtype)
        hidden = self.value_range_.to_uint8(pixels) >> np.uint8(8 - self.bits_)
        size = max(1, _CHUNK_VALUES // self.n_features_in_)
        containers = np.empty_like(hidden)
        for start in range(0, len(pixels), size):
            chunk = slice(start, start + size)
            targets = self._goal.ask(pixels[chunk], batch.form)
            containers[chunk] = self._hide(hidden[chunk], targets, batch.form, start)
        return self.value_range_.from_uint8(containers, pixels.dtype)

    def _hide(
        self, hidden: NDArray[np.uint8], targets: Targets, form: ImageForm, first: int
    ) -> NDArray[np.uint8]:
        """Put bits under templates, and search from there where the classifier reads otherwise."""
        templates = self._get_templates(targets.labels)
        containers = _overwrite(templates, hidden, self.bits_)
        pending = np.flatnonzero(~self._goal.is_met(containers, targets, form))
        for attempt in range(_MAX_SEARCHES):
            if not len(pending):
                return containers
            containers[pending] = self._search(containers[pending], targets[pending], attempt)
            met = self._goal.is_met(containers[pending], targets[pending], form)
            pending = pending[~met]
        if not len(pending):
            return containers
        remedies = self._goal.explain(containers[pending], targets[pending], form)
        helps = "; ".join([*remedies, "fewer bits"])
        raise TargetNotReachedError(
            f"no ciphertext was found that the classifier reads as it reads X[{first + pending[0]}]"
            f", and {len(pending) - 1} more, with a margin of {self.kappa_:.3g}. What may help: "
            f"{helps}. Nothing was returned."
        )

    def _search(
        self, containers: NDArray[np.uint8], targets: Targets, attempt: int
    ) -> NDArray[np.uint8]:
        """Search from where a search by queries ended, or else from other noise each time."""
        if attempt and self._reader.view is not None:
            noise = _PUBLIC.keystream("lsb/noise", bytes([attempt])).uint8(containers.shape[1:])
            containers = _overwrite(noise, _read_low(containers, self.bits_), self.bits_)
        streams = [
            _PUBLIC.keystream("lsb/queries", bytes([attempt]) + image.tobytes())
            for image in containers
        ]
        return self._goal.search(
            containers,
            targets,
            streams,
            held_planes=self.bits_,
            attempt=attempt,
            verbose=self.verbose,
        )

    def _make_template(self, label: int) -> NDArray[np.uint8]:
        return find_template(
            self._reader,
            label,
            draw_low_planes(self.bits_),
            self.ciphertext_shape_,
            kappa=self.kappa_,
            verbose=self.verbose,
        )

    def _decrypt(self, pixels: NDArray[Any]) -> NDArray[Any]:
        hidden = _read_low(self.value_range_.to_uint8(pixels), self.bits_)
        images = _fill_up(hidden, self.bits_, self.reading_)
        return self.value_range_.from_uint8(images, pixels.dtype)


def _read_low(levels: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    return levels & np.uint8(2**bits - 1)


def _overwrite(noise: NDArray[np.uint8], hidden: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    return noise & ~np.uint8(2**bits - 1) | hidden


def _fill_up(hidden: NDArray[np.uint8], bits: int, reading: str) -> NDArray[np.uint8]:
    """Read the high bits of levels as levels."""
    if reading == "scaled":
        return np.rint(hidden * (255 / (2**bits - 1))).astype(np.uint8)
    middle = 2 ** (7 - bits) if reading == "midpoint" else 0
    return (hidden << np.uint8(8 - bits)) + np.uint8(middle)

"""Base of encryptors whose ciphertexts a given classifier must classify as it does the images."""

from __future__ import annotations

import hashlib
from functools import cached_property
from numbers import Integral
from typing import Any, ClassVar, Literal, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ricsk._frozen import is_frozen
from ricsk._secrets import show_object
from ricsk._state import DIGEST, LABELS, exactly, is_array
from ricsk.base import BaseImageEncryptor, Part, Tags, Task
from ricsk.classifiers import CNNClassifier
from ricsk.encryptors._parallel import compute_in_parallel
from ricsk.images import (
    ImageBatch,
    ImageForm,
    flattened_for,
    naming,
    with_image_shape,
)
from ricsk.nae import ClassTemplates, Reader
from ricsk.training import find_device, find_device_again

__all__ = ["GuidedEncryptor", "spread_indices"]

# How many images of `fit` the classifier is examined on, and their values at a time.
_MAX_EXAMINED, _CHUNK_VALUES = 500, 1 << 19
# On how many of them double precision is spent.
_MAX_SIGNED = 2
# Margins that queries find in a reasonable time: they are differences of probabilities, mostly.
_MAX_QUERY_KAPPA = 0.1


def spread_indices(n: int, most: int) -> NDArray[np.int64]:
    """Choose some of n images, spread over all, because images are often sorted by class."""
    return np.linspace(0, n - 1, min(n, most)).astype(int)


class GuidedEncryptor(BaseImageEncryptor):
    """Base of encryptors that change noise until a classifier reads it as it reads the image.

    Attributes
    ----------
    classifier_ : classifier
        The fitted classifier.
    classes_ : ndarray
        Its labels.
    classifier_digest_ : bytes
        A digest of what the classifier says of images of `fit`. Public.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImageEncryptor._parameter_constraints,
        "classifier": [HasMethods(["fit", "predict"]), nn.Module, FrozenEstimator, None],
        "n_jobs": [Integral, None],
    }
    _state_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseImageEncryptor._state_constraints,
        "classes_": [LABELS],
        "classifier_digest_": [DIGEST],
        "feature_layer_": [str, None],
        "templates_": [exactly(ClassTemplates)],
        "context_": [bytes],
    }
    _derived = BaseImageEncryptor._derived | {"_reader"}

    classifier: Any
    n_jobs: int | None
    verbose: int
    kappa_: float
    classifier_: Any
    classes_: NDArray[Any]
    classifier_digest_: bytes
    feature_layer_: str | None
    templates_: ClassTemplates
    device_: str

    def _fit_classifier(
        self,
        batch: ImageBatch,
        y: ArrayLike | None,
        feature_layer: str | None = None,
        device: str = "cpu",
    ) -> None:
        """Fit the classifier, or a small network; one that is frozen stays as it is."""
        find_device(device)
        given = CNNClassifier(random_state=0) if self.classifier is None else self.classifier
        _check_classifier(given)
        self.classifier_ = clone(given)
        if batch.ndim == 2:
            with_image_shape(self.classifier_, batch.shape)
        if not is_frozen(given):
            if batch.others:
                raise ValueError(
                    f"X holds images of {len(self.other_shapes_) + 1} sizes, and a classifier is "
                    f"fitted on one. Give {type(self).__name__} a fitted classifier that reads "
                    "them all, such as PretrainedClassifier(module, size=...), which resizes what "
                    "it is shown; or resize the images."
                )
            if y is None:
                name = type(self).__name__
                raise ValueError(
                    f"{name} requires y to be passed, but the target y is None: its classifier is "
                    "fitted on it. Call fit(X, y), or give a fitted classifier as "
                    "classifier=FrozenEstimator(classifier)."
                )
            X = flattened_for(self.classifier_, batch.form.restore(batch.pixels))
            self.classifier_.fit(X, y)
        self.classes_ = np.asarray(self.classifier_.classes_)
        self.feature_layer_, self.device_ = feature_layer, device
        self.__dict__.pop("_reader", None)
        for other in batch.others:
            with naming(other.position):
                self._reader.resized(self._find_ciphertext_shape(other.shape))

    def _check_state(self) -> None:
        super()._check_state()
        templates = vars(self).get("templates_")
        if templates is None:
            return
        if templates.max_bytes != ClassTemplates().max_bytes:
            raise ValueError("its templates may take another number of bytes than those of fit")
        for (label, *shape), levels in templates.levels.items():
            if label not in range(len(self.classes_)) or not (
                is_array(levels) and levels.dtype == np.uint8 and levels.shape == tuple(shape)
            ):
                raise ValueError("its templates are not ciphertexts of their shapes")

    def _examine(self, *samples: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Measure margins of plain images, and keep a digest of what the classifier says of them.

        The digest stands for the classifier in the contexts of streams, so that no stream serves
        two of them. There is a sample for each size of images.
        """
        parts = []
        for levels in samples:
            chosen = levels[spread_indices(len(levels), _MAX_EXAMINED)]
            size = max(1, _CHUNK_VALUES // chosen[0].size)
            parts += [chosen[start : start + size] for start in range(0, len(chosen), size)]
        found = [self._reader.examine(part) for part in parts]
        labels, margins = map(np.concatenate, zip(*found, strict=True))
        signature = self._reader.sign(parts[0][:_MAX_SIGNED], labels[: len(parts[0])][:_MAX_SIGNED])
        answers = labels.astype("<i8").tobytes() + signature.encode()
        self.classifier_digest_ = hashlib.sha256(answers).digest()
        return margins

    def _choose_kappa(self, given: float | Literal["auto"], margins: NDArray[np.float64]) -> float:
        """Choose a margin that half of the plain images have twice, if none is given."""
        if given != "auto":
            return float(given)
        # Of few digits, as the last ones depend on the number of threads.
        kappa = max(float(f"{np.median(margins) / 2:.3g}"), 0.0)
        return kappa if self._reader.view is not None else min(kappa, _MAX_QUERY_KAPPA)

    @cached_property
    def _reader(self) -> Reader:
        """By which everything asks the classifier: made on first use, as opening needs none."""
        height, width, channels = self.ciphertext_shape_
        form = ImageForm(self.input_ndim_, np.dtype(self.input_dtype_))
        return Reader(
            self.classifier_,
            self.value_range_,
            form,
            (height, width, channels),
            self.feature_layer_,
            find_device_again(self.device_),
        )

    def _check_levels_survive(self, dtype: np.dtype[Any]) -> None:
        """Refuse a dtype that is too coarse for the range: no such ciphertext would open."""
        levels = np.arange(256, dtype=np.uint8)
        values = self.value_range_
        with np.errstate(over="ignore"):
            written = values.from_uint8(levels, dtype)
        if len(np.unique(written)) < 256 or not np.isfinite(written).all():
            raise ValueError(
                f"{dtype} cannot tell the 256 levels from {values.low:g} to {values.high:g} apart, "
                "so a ciphertext would lose bits. Give images of more precision, on [0, 1], or as "
                "uint8."
            )

    def _compute(self, task: Task, parts: list[Part]) -> list[NDArray[Any]]:
        n_workers = effective_n_jobs(self.n_jobs)
        if n_workers == 1 or sum(len(part.positions) for part in parts) == 1:
            return super()._compute(task, parts)
        for part in parts:
            self._get_resized(part.shape)._prepare(task, part.batch)
        return compute_in_parallel(
            self._make_worker(),
            task,
            parts,
            n_jobs=self.n_jobs,
            n_workers=n_workers,
            verbose=self.verbose,
        )

    def _prepare(self, task: Task, batch: ImageBatch) -> None:
        """Make what each of several processes would make otherwise."""

    def _prepare_templates(self, batch: ImageBatch) -> None:
        """Make the templates of images' classes, if not all classes have theirs."""
        made = {
            label
            for label, *shape in self.templates_.levels
            if tuple(shape) == self.ciphertext_shape_
        }
        if len(made) < len(self.classes_):
            self._make_templates(self._reader.predict(batch.pixels, batch.form))

    def _make_template(self, label: int) -> NDArray[np.uint8]:
        """Make the template of a class, where the scheme has `templates_`."""
        raise NotImplementedError

    def _get_templates(self, labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the templates of images' classes, and make those that are missing."""
        return self.templates_.get(labels, self.ciphertext_shape_, self._make_template)

    def _make_templates(self, labels: NDArray[np.int64]) -> None:
        """Make those templates of some classes that are missing, one at a time."""
        for label in np.unique(labels):
            self._get_templates(label[np.newaxis])

    def _adapt_to_shape(self, original: Self) -> None:
        super()._adapt_to_shape(original)
        self._reader = original._reader.resized(self.ciphertext_shape_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = not is_frozen(self.classifier)
        return tags


def _check_classifier(classifier: Any) -> None:
    """Refuse what is not a classifier, or is frozen before it was fitted."""
    inner = classifier.estimator if isinstance(classifier, FrozenEstimator) else classifier
    if isinstance(inner, nn.Module):
        name = type(inner).__name__
        raise TypeError(
            f"classifier is a torch module, {name}, which does not say what size and normalization "
            f"of images it was trained on, nor its labels; {name} read otherwise is another "
            "classifier. Write classifier=PretrainedClassifier(module, size=(height, width), "
            "mean=..., std=..., classes=...), or PretrainedClassifier.from_timm(module) or "
            ".from_transformers(module, processor), which read them off it."
        )
    if getattr(type(inner), "is_remote", False):
        raise TypeError(
            f"classifier is a {type(inner).__name__}, which sends what it is asked about over the "
            "network, and an encryptor asks about plain images. Give the classifier itself, or a "
            "copy of it, on this machine; ask the remote one about ciphertexts."
        )
    kinds = {
        "a regressor": is_regressor,
        "a clusterer": is_clusterer,
        "an outlier detector": is_outlier_detector,
    }
    kind = next((name for name, is_kind in kinds.items() if is_kind(classifier)), None)
    if kind or not (is_classifier(classifier) or hasattr(classifier, "classes_")):
        raise TypeError(
            f"classifier={show_object(classifier)} is {kind or 'not a classifier'}; expected a "
            "classifier, which predicts one of its classes_. Give one, or leave classifier out for "
            "a small network."
        )
    if hasattr(classifier, "classes_") or not isinstance(classifier, FrozenEstimator):
        return
    try:
        check_is_fitted(classifier)
    except NotFittedError:
        raise NotFittedError(
            f"classifier={classifier!r} is frozen, but was never fitted. Fit it on plain images "
            "before it is frozen, or give it without FrozenEstimator and call fit(X, y)."
        ) from None

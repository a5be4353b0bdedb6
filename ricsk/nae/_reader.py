"""`Reader`: what a fitted classifier says of images, in the form in which it is given them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import Tensor

from ricsk.exceptions import NoViewError
from ricsk.images import ImageForm, ImageShape, ValueRange, describe, flattened_for
from ricsk.nae._views import ClassifierView, decides_by_scores, view_classifier

__all__ = ["Reader"]

Match = Literal["label", "proba", "features"]

# Values of the images on which view and classifier are compared, and how many images that may be.
_SAMPLE_VALUES, _MIN_SAMPLE, _MAX_SAMPLE = 200_000, 4, 64
# Values of images that a view is asked about at a time.
_MAX_VALUES = 1 << 24
# What rounding in single precision can do to a margin, and more.
_CLEAR = 1e-2
# A margin that no arithmetic turns round, as a part of the largest score.
_DECIDED = 1e-3
# The part of images near a border that rounding, in another batch, may put on its other side.
_UNSTEADY = 0.02
# By how much probabilities, or features as a part of their length, may differ from the view's.
_SAME = 1e-2


class Reader:
    """A fitted classifier as its users ask it, beside what gradients are taken of.

    `predict`, `proba` and `features` are the classifier's own answers on the very array that an
    encryptor returns: they have the last word on every ciphertext. The differentiable `view` only
    finds candidates, and `check` refuses a classifier that it does not describe.

    Labels are positions in `classes`, in whatever order the classifier has them.

    Parameters
    ----------
    classifier : classifier
        Fitted. A skorch net is given images as they are; if its module does not take them so, it is
        given them as PyTorch's modules expect them, channels first and on [0, 1], or flattened.
    value_range : ValueRange
        Black and white of floating-point images.
    form : ImageForm
        The form in which `classifier` was given images when it was fitted.
    image_shape : (int, int, int)
        Height, width and channels of the images that it reads.
    feature_layer : str, optional
        See `view_classifier`.
    device : torch.device, optional
        Where views in single precision compute; by default the processor.

    Attributes
    ----------
    classes : ndarray
        The labels, one for each column of scores.
    view : ClassifierView or None
        None for classifiers that can only be asked.

    Raises
    ------
    ValueError
        If the classifier cannot read such images, or has neither a view nor scores by which a
        search could be guided.
    """

    def __init__(
        self,
        classifier: Any,
        value_range: ValueRange,
        form: ImageForm,
        image_shape: ImageShape,
        feature_layer: str | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.classifier = classifier
        self.value_range = value_range
        self.form = form
        self.image_shape = image_shape
        self.feature_layer = feature_layer
        self.device = torch.device("cpu") if device is None else device
        self.classes = np.asarray(classifier.classes_)
        self._index = {label: i for i, label in enumerate(self.classes.tolist())}
        self._layout: _Layout = self._find_layout()
        self.view = self.make_view()
        if self.view is None and _score_method(classifier) is None:
            raise ValueError(
                f"{self._name} says labels alone, by which nothing can be searched for. Take a "
                "classifier with predict_proba or decision_function."
            )

    def make_view(self) -> ClassifierView | None:
        """Make a new view, which belongs to the caller; None if there is none.

        Returns
        -------
        ClassifierView or None
        """
        floats = self.form.dtype.kind == "f"
        values = self.value_range
        ndim = {"given": self.form.ndim, "flat": 2, "first": None}[self._layout]
        try:
            view = view_classifier(
                self.classifier,
                value_range=(values.low, values.high) if floats else None,
                ndim=ndim,
                feature_layer=self.feature_layer,
            )
        except NoViewError:
            return None
        try:
            with torch.inference_mode():
                view.scores(torch.full((1, *self.image_shape), 128.0, dtype=torch.float64))
        except (ValueError, TypeError, RuntimeError, IndexError):
            return None  # a module that does not compute in double precision, on the processor
        return view

    @cached_property
    def single_view(self) -> ClassifierView:
        """The view in single precision: quicker, and exact enough away from a threshold.

        On the `device`, where it takes levels and gives scores.
        """
        assert self.view is not None
        with torch.inference_mode(False):  # for gradients, too
            return copy.deepcopy(self.view).float().to(self.device)

    def resized(self, image_shape: ImageShape) -> Reader:
        """Make a reader of images of another size, with the same view.

        Parameters
        ----------
        image_shape : (int, int, int)
            Height, width and channels.

        Returns
        -------
        Reader

        Raises
        ------
        ValueError
            If the classifier cannot read such images.
        """
        other = copy.copy(self)
        other.image_shape = image_shape
        grey = np.full((1, *image_shape), 128, np.uint8)
        try:
            other.predict(grey)
            if self.view is not None:
                self._view_parts(grey, self.single_view.scores, dtype=np.float32)
        except (ValueError, TypeError, RuntimeError, IndexError) as error:
            raise ValueError(
                f"{self._name} cannot classify images of {describe(image_shape)}: "
                f"{_describe_error(error)}. Give a classifier that reads images of any size, such "
                "as PretrainedClassifier(module, size=...), which resizes what it is shown; or "
                "resize the images."
            ) from error
        return other

    def predict(self, pixels: NDArray[Any], form: ImageForm | None = None) -> NDArray[np.int64]:
        """Ask the classifier for labels.

        Parameters
        ----------
        pixels : ndarray of shape (n_samples, height, width, channels)
            Images or, as uint8, levels.
        form : ImageForm, optional
            The form to give them in; by default that of `fit`.

        Returns
        -------
        ndarray of shape (n_samples,), int64
            Positions in `classes`.

        Raises
        ------
        ValueError
            If the classifier returns something that is not one of its classes.
        """
        return self._positions(self.classifier.predict(self.as_input(pixels, form)))

    def proba(self, pixels: NDArray[Any], form: ImageForm | None = None) -> NDArray[np.float64]:
        """Ask the classifier for the probabilities of all classes.

        Parameters
        ----------
        pixels, form
            See `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        found = self.classifier.predict_proba(self.as_input(pixels, form))
        return np.asarray(found, dtype=np.float64)

    def features(self, pixels: NDArray[Any], form: ImageForm | None = None) -> NDArray[np.float64]:
        """Ask the classifier for the vectors that its last layer reads, or else its view.

        Parameters
        ----------
        pixels, form
            See `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        TypeError
            If it is not a network with a linear layer.
        """
        if self.feature_layer is None and hasattr(self.classifier, "features"):
            found = self.classifier.features(self.as_input(pixels, form))
            return np.asarray(found, dtype=np.float64)
        assert self.view is not None
        return self._view_parts(pixels, self.view.features).numpy()

    def scores(self, pixels: NDArray[Any], form: ImageForm | None = None) -> NDArray[np.float64]:
        """Ask the classifier for probabilities or, if it has none, for decision values.

        Parameters
        ----------
        pixels, form
            See `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        method = _score_method(self.classifier)
        assert method is not None
        return self._columns(getattr(self.classifier, method)(self.as_input(pixels, form)))

    def read(
        self,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        least: float,
        form: ImageForm | None = None,
    ) -> NDArray[np.bool_]:
        """Say which images the classifier itself reads as told, with a margin.

        The margin is measured by the view, exactly where it is near `least`, so that it does not
        depend on the batch. Where the classifier decides by the view's own arithmetic, one pass
        gives both.

        Parameters
        ----------
        pixels : ndarray of shape (n_samples, height, width, channels), uint8
            Levels.
        labels : ndarray of shape (n_samples,), int64
            What to read, as positions in `classes`.
        least : float
            The least margin.
        form : ImageForm, optional
            See `predict`.

        Returns
        -------
        ndarray of shape (n_samples,), bool
        """
        if decides_by_scores(self.classifier):
            scores = self._decide(pixels, form)
            margins, predicted = _margins(scores, labels), scores.argmax(axis=1)
        else:
            predicted = self.predict(pixels, form)
            margins = self.margins(pixels, labels, form=form)
        near = np.abs(margins - least) < _CLEAR
        if self.view is not None and near.any():
            exact = self._view_parts(
                pixels[near], self.view.margins, torch.from_numpy(labels[near])
            )
            margins[near] = exact.numpy()
        return (predicted == labels) & (margins >= least)

    def examine(
        self, pixels: NDArray[Any], form: ImageForm | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Ask the classifier for labels, and by how much it prefers them.

        Parameters
        ----------
        pixels, form
            See `predict`.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int64
            Positions in `classes`.
        margins : ndarray of shape (n_samples,)
            As `margins` measures them.
        """
        if decides_by_scores(self.classifier):
            scores = self._decide(pixels, form)
            labels = scores.argmax(axis=1)
            return labels, _margins(scores, labels)
        labels = self.predict(pixels, form)
        return labels, self.margins(pixels, labels, form)

    def margins(
        self, pixels: NDArray[Any], labels: NDArray[np.int64], form: ImageForm | None = None
    ) -> NDArray[np.float64]:
        """Measure by how much the classifier prefers labels, in single precision.

        Parameters
        ----------
        pixels, form
            See `predict`.
        labels : ndarray of shape (n_samples,), int64
            Positions in `classes`.

        Returns
        -------
        ndarray of shape (n_samples,)
            In the units of `ClassifierView.margins` or, without a view, of `scores`.
        """
        if self.view is None:
            return _margins(self.scores(pixels, form), labels)
        view = self.single_view
        found = self._view_parts(pixels, view.margins, torch.from_numpy(labels), dtype=np.float32)
        return found.double().numpy()

    def sign(
        self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], form: ImageForm | None = None
    ) -> str:
        """Write down margins so that the same classifier has the same signature each time.

        They are measured in double precision, and written with six digits: the last ones of single
        precision depend on the batch, the number of threads and the machine.

        Parameters
        ----------
        pixels, labels, form
            As for `read`.

        Returns
        -------
        str
        """
        if self.view is None:
            margins = _margins(self.scores(pixels, form), labels)
        else:
            found = self._view_parts(pixels, self.view.margins, torch.from_numpy(labels))
            margins = found.numpy()
        return " ".join(f"{margin:.5e}" for margin in margins)

    def check(self, levels: NDArray[np.uint8], match: Match = "label") -> None:
        """Refuse a classifier that the view, or its scores, do not describe.

        Parameters
        ----------
        levels : ndarray of shape (n_samples, height, width, channels), uint8
            Images to try, a few of which are taken; as many noise images are tried besides.
        match : {"label", "proba", "features"}
            What else must agree besides the label.

        Raises
        ------
        ValueError
            With what differs.
        """
        n = int(np.clip(_SAMPLE_VALUES // levels[0].size, _MIN_SAMPLE, _MAX_SAMPLE))
        noise = np.random.default_rng(0).integers(0, 256, (n, *levels.shape[1:]), np.uint8)
        # spread over all, because images are often sorted by class
        chosen = np.linspace(0, len(levels) - 1, min(n, len(levels))).astype(int)
        sample = np.concatenate([levels[chosen], noise])
        try:
            found = self.classifier.predict(self.as_input(sample))
        except (ValueError, TypeError, RuntimeError, IndexError) as error:
            raise ValueError(self._cannot_read(error)) from error
        predicted = self._positions(found)
        self._check_steadiness(sample, predicted)
        self._check_scale(sample, predicted)
        if self.view is None:
            best = self.scores(sample).argmax(axis=1)
            differ = best != predicted
            # Thresholds and ties let them differ here and there; other columns for whole classes.
            lost = [label for label in np.unique(predicted) if differ[predicted == label].all()]
            wrong = differ if differ.mean() > 0.5 or len(lost) > 1 else np.zeros(0, bool)
        else:
            view = self.single_view
            scores = self._view_parts(sample, view.scores, dtype=np.float32)
            winner = scores.argmax(dim=1)
            margins = self._view_parts(sample, view.margins, winner, dtype=np.float32)
            decided = margins > _DECIDED * scores.abs().max().clamp_min(1)
            best = winner.numpy()
            wrong = (best != predicted) & decided.numpy()
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                f"what is computed of {self._name} and what its predict returns differ, on "
                f"{wrong.sum()} of {len(sample)} images: for one, output {best[i]}, which stands "
                f"for {self.classes[best[i]]!r}, is the largest, but predict returns "
                f"{self.classes[predicted[i]]!r}. A ciphertext cannot be searched for this way. "
                "Check that the outputs are in the order of classes_, that predict takes the "
                "largest, and that fit is given images as the classifier was: the same axes, order "
                "of channels, dtype and range."
            )
        if match != "label" and self.view is not None:
            self._check_values(sample, match)

    def _check_steadiness(self, sample: NDArray[np.uint8], predicted: NDArray[np.int64]) -> None:
        """Refuse a classifier whose answer depends on chance, or on the images beside an image."""
        again = np.concatenate([self.predict(part) for part in np.array_split(sample, 2)])
        differ = again != predicted
        if differ.mean() > _UNSTEADY:
            raise ValueError(
                f"asked twice, among other images, {self._name} predicts another class for "
                f"{differ.sum()} of {len(sample)} images, so no ciphertext can be relied on. Take "
                "a classifier that says the same of an image each time: a network in evaluation "
                "mode, and no statistics of the batch."
            )

    def _check_scale(self, sample: NDArray[np.uint8], predicted: NDArray[np.int64]) -> None:
        """Refuse floats of which a channel-first module may want the values, or their levels."""
        unit = (self.value_range.low, self.value_range.high) == (0, 1)
        if self._layout != "first" or self.form.dtype.kind != "f" or unit:
            return
        values = self.value_range.from_uint8(sample, np.float32)
        unscaled = self._positions(self.classifier.predict(np.moveaxis(values, -1, 1)))
        if (unscaled != predicted).any():
            raise ValueError(
                f"{self._name} takes images channels first, and says other things of their "
                f"values from {self.value_range.low:g} to {self.value_range.high:g} than of the "
                "same on [0, 1]: it is not known which it is to be given. Give images on [0, 1], "
                "as floats or uint8, and a module that takes floats on [0, 1]."
            )

    def check_form(self, pixels: NDArray[Any], form: ImageForm) -> None:
        """Refuse images in a form that the classifier reads otherwise than that of `fit`.

        Parameters
        ----------
        pixels : ndarray of shape (n_samples, height, width, channels)
            Images.
        form : ImageForm
            The form that they came in.

        Raises
        ------
        ValueError
            With the two forms.
        """
        if form == self.form:
            return
        try:
            found = self.predict(pixels, form)
        except (ValueError, TypeError, RuntimeError, IndexError) as error:
            raise ValueError(
                f"{self._name} cannot classify images in the form given, {_describe(form)}, which "
                f"is not that of fit, {_describe(self.form)}: {_describe_error(error)}. "
                "Give them as fit was given them, or fit again."
            ) from error
        differ = found != self.predict(pixels)
        if differ.any():
            raise ValueError(
                f"{differ.sum()} of {len(pixels)} images are read as another class in the form "
                f"given, {_describe(form)}, than in that of fit, {_describe(self.form)}. Give them "
                "as fit was given them, or fit again."
            )

    def as_input(self, pixels: NDArray[Any], form: ImageForm | None = None) -> NDArray[Any]:
        """Make of images the array that the classifier is given.

        Parameters
        ----------
        pixels, form
            See `predict`.

        Returns
        -------
        ndarray
        """
        if self._layout == "first":
            return np.moveaxis(self._levels(pixels) / 255, -1, 1).astype(np.float32)
        form = self.form if form is None else form
        floats = form.dtype.kind == "f"
        if pixels.dtype == np.uint8 and floats:
            pixels = self.value_range.from_uint8(pixels, form.dtype)
        elif pixels.dtype != np.uint8 and not floats:
            pixels = self.value_range.to_uint8(pixels)
        X = form.restore(pixels)
        if self._layout == "flat":
            return X.reshape(len(X), -1)
        return X if self._is_net() else flattened_for(self.classifier, X)

    @property
    def _name(self) -> str:
        return _describe_classifier(self.classifier)

    def _decide(self, pixels: NDArray[Any], form: ImageForm | None) -> NDArray[np.float64]:
        """Ask for the decision values by which a classifier predicts."""
        return self._columns(self.classifier.decision_function(self.as_input(pixels, form)))

    def _view_parts(
        self,
        pixels: NDArray[Any],
        function: Callable[..., Tensor],
        *others: Tensor,
        dtype: type[np.floating] = np.float64,
    ) -> Tensor:
        """Ask a view about images, of large ones a few at a time, to bound the memory."""
        size = max(1, _MAX_VALUES // pixels[0].size)
        # The view in double precision stays on the processor.
        device = self.device if dtype is np.float32 else torch.device("cpu")
        found = []
        with torch.inference_mode():
            for start in range(0, len(pixels), size):
                part = slice(start, start + size)
                levels = torch.from_numpy(self._levels(pixels[part], dtype)).to(device)
                found.append(function(levels, *(other[part].to(device) for other in others)).cpu())
        return torch.cat(found)

    def _levels(
        self, pixels: NDArray[Any], dtype: type[np.floating] = np.float64
    ) -> NDArray[np.floating]:
        """Bring images to levels from 0 to 255, without rounding but that of the dtype."""
        if pixels.dtype == np.uint8:
            return pixels.astype(dtype)
        low, high = self.value_range.low, self.value_range.high
        levels = (pixels.astype(np.float64) - low) * (255 / (high - low))
        return levels.astype(dtype, copy=False)

    def _positions(self, predicted: Any) -> NDArray[np.int64]:
        found = np.asarray(predicted)
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim != 1:
            raise ValueError(
                f"predict of {self._name} returned an array of shape {found.shape}; expected"
                " one label for each image. Classifiers with several outputs cannot be used here."
            )
        unknown = [label for label in found.tolist() if label not in self._index]
        if unknown:
            raise ValueError(
                f"predict of {self._name} returned {unknown[0]!r}, which is not one of its "
                f"classes_ {self.classes[:10].tolist()}. Take a classifier that predicts its "
                "classes_, or set classes_ to what it predicts, in the order of its outputs."
            )
        return np.array([self._index[label] for label in found.tolist()], np.int64)

    def _columns(self, scores: Any) -> NDArray[np.float64]:
        """Make one column for each class; a single decision value d stands for (0, d)."""
        found = np.array(scores, dtype=np.float64)
        if found.ndim == 1:
            found = np.stack([np.zeros_like(found), found], axis=1)
        if found.shape[1] != len(self.classes):
            raise ValueError(
                f"{self._name} gives {found.shape[1]} scores for each image, but has "
                f"{len(self.classes)} classes_; expected one score for each. (Of SVC, take "
                'decision_function_shape="ovr".)'
            )
        return found

    def _check_values(self, sample: NDArray[np.uint8], match: Match) -> None:
        assert self.view is not None
        if match == "proba":
            expected = self._view_parts(sample, self.view.log_proba).exp().numpy()
            difference = float(np.abs(self.proba(sample) - expected).max())
        else:
            expected = self._view_parts(sample, self.view.features).numpy()
            lengths = np.linalg.norm(expected, axis=1).clip(1e-12)
            distances = np.linalg.norm(self.features(sample) - expected, axis=1)
            difference = float((distances / lengths).max())
        if difference > _SAME:
            raise ValueError(
                f"what is computed of {self._name} and its own {match} differ by up to "
                f"{difference:.3g} on {len(sample)} images. Fit it on images of the same form, or "
                "take match='label'."
            )

    def _is_net(self) -> bool:
        return isinstance(_unwrap(self.classifier), NeuralNetClassifier)

    def _find_layout(self) -> _Layout:
        """Find out how a skorch net takes images: their module knows, and nothing else does."""
        self._layout = "given"
        if not self._is_net():
            return "given"
        errors = []
        grey = np.full((1, *self.image_shape), 128, np.uint8)
        layouts: tuple[_Layout, ...] = ("given", "first", "flat")
        for layout in layouts if self.form.ndim > 2 else layouts[:1]:
            self._layout = layout
            try:
                self.classifier.predict(self.as_input(grey))
            except (ValueError, TypeError, RuntimeError, IndexError) as error:
                errors.append(error)
            else:
                return layout
        self._layout = "given"
        raise ValueError(self._cannot_read(errors[0])) from errors[0]

    def _cannot_read(self, error: Exception) -> str:
        given = np.shape(self.as_input(np.zeros((1, *self.image_shape), np.uint8)))
        tried = "; and neither channels first on [0, 1] nor flattened" * (
            self._is_net() and self.form.ndim > 2
        )
        return (
            f"{self._name} cannot classify images in the form given to fit, an array of "
            f"shape (n, {', '.join(map(str, given[1:]))}) and dtype {self.form.dtype}, channels "
            f"last{tried}: {_describe_error(error)}. Give fit images as the classifier takes them."
        )


_Layout = Literal["given", "first", "flat"]


def _unwrap(classifier: Any) -> Any:
    while isinstance(classifier, FrozenEstimator):
        classifier = classifier.estimator
    return classifier


def _score_method(classifier: Any) -> str | None:
    methods = ("predict_proba", "decision_function")
    return next((method for method in methods if hasattr(classifier, method)), None)


def _margins(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    scores = scores.copy()
    rows = np.arange(len(scores))
    own = scores[rows, labels]
    scores[rows, labels] = -np.inf
    return own - scores.max(axis=1)


def _describe_classifier(classifier: Any) -> str:
    """Show a classifier as it shows itself, unless that fills the screen, as with skorch."""
    shown = " ".join(repr(classifier).split())
    return shown if len(shown) <= 120 else f"this {type(_unwrap(classifier)).__name__}"


def _describe_error(error: Exception) -> str:
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}"


def _describe(form: ImageForm) -> str:
    return f"{form.ndim} dimensions and dtype {form.dtype}"

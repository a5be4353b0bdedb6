"""`PretrainedClassifier`: somebody else's network as a fitted classifier of scikit-learn."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from ricsk._docs import IMAGE_SHAPE, fill_in
from ricsk._estimator import Estimator
from ricsk._secrets import are_labels
from ricsk._threads import bounded_threads
from ricsk.exceptions import NoViewError
from ricsk.images import ValueRange, check_images
from ricsk.nae import register_view
from ricsk.nn import from_pixels, to_tensor
from ricsk.pretrained._configs import read_timm, read_transformers
from ricsk.pretrained._graph import ImageGraph, Interpolation, Size, check_size
from ricsk.pretrained._onnx import BlackBox, load_onnx, read_input
from ricsk.pretrained._reference import ModelReference
from ricsk.training import find_device, find_device_again

__all__ = ["PretrainedClassifier"]

# Pixel values that are computed on at a time, whatever `batch_size` is: large photographs are many.
_MAX_VALUES = 1 << 24
# Rows of probabilities sum to one within this, and those of logits hardly ever do.
_SUM_TOLERANCE = 1e-5


@fill_in(image_shape=IMAGE_SHAPE)
class PretrainedClassifier(ClassifierMixin, Estimator):
    """A network that somebody else has trained, as a fitted classifier that stays as it is.

    It classifies from the start, `fit` does nothing, and `sklearn.base.clone` returns the object
    itself, so it needs no `FrozenEstimator`. Encryptors with a classifier take it as it is. What
    the network expects of images is done within the graph that gradients go through: images of any
    size are resized and cropped, and normalized. So images are given as everywhere in this package:
    channels last, as 8-bit values or floats.

    The module is used as it is, and not copied: it is put into evaluation mode, and moved to
    `device`. Give a ``copy.deepcopy`` of one that is to be trained further. Only a module whose
    weights have not 32 bits is copied, and computed with in 32: in 16, answers would depend on the
    machine, and on the images beside an image.

    Read more in the :ref:`User Guide <guide-own-model>`.

    Parameters
    ----------
    model : torch.nn.Module or ModelReference
        From images, channels first and normalized, to one score for each class. A module is stored
        by value in pickles, and a `ricsk.pretrained.ModelReference` as the place it comes from.
    classes : sequence, optional
        The labels, one for each score and all different; by default 0, 1, ..., which needs `size`.
    size : int or (int, int), optional
        Height and width, in pixels, of the images that `model` is given. By default images are not
        resized.
    mean, std : float or sequence of float, optional
        The normalization that `model` expects of values on [0, 1], for all channels or each. By
        default it is given values on [0, 1].
    crop : float, optional
        Which part of an image is kept along the side that loses more, from above 0 to 1: the image
        is resized with its proportions, and `size` is the middle of it. For instance 224/256 as in
        many recipes. By default the whole image is resized to `size`, whatever its proportions.
    interpolation : {"bilinear", "bicubic", "nearest"}, default="bilinear"
        How images are resized; but for the last without aliasing.
    output : int or str, optional
        Which part of what `model` returns has the scores, by position or name. By default the
        tensor itself, "logits", the first of a tuple, or the only one of a dictionary.
    from_logits : bool, default=True
        Whether the scores are logits. False if they are probabilities already.
    {image_shape}
    value_range : (float, float), optional
        Black and white of floating-point images, [0, 1] by default. Others are refused.
    device : str, default="auto"
        Where to compute: "auto" (a CUDA device, else MPS, else the CPU), or one of these by torch's
        name.
    batch_size : int, default=32
        The largest number of images at a time.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    module_ : torch.nn.Module
        The module itself.
    graph_ : torch.nn.Module
        The module with what is done to images before it, and to its answers behind it: from values
        on [0, 1], channels last, to scores. It is on `device`.
    white_box_ : bool
        Whether gradients can be taken. If not, encryptors search by queries.

    Raises
    ------
    ValueError
        When it is first used, if the parameters fit neither each other nor the module.

    See Also
    --------
    ricsk.pretrained.ModelReference : For small pickles.
    CNNClassifier : A network that is trained here.

    Notes
    -----
    Images are resized in floating point, as torch does it. Image libraries round in between, so
    scores may differ a little from those of a pipeline that resizes with one of them.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from torch import nn
    >>> from ricsk import PretrainedClassifier
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(512, 3))
    >>> classifier = PretrainedClassifier(
    ...     model, classes=["cat", "dog", "fox"], size=32, mean=0.5, std=0.5
    ... )
    >>> photographs = np.zeros((2, 48, 64, 3), np.uint8)
    >>> classifier.predict_proba(photographs).shape
    (2, 3)
    >>> str(classifier.predict(photographs)[0]) in ("cat", "dog", "fox")
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "model": [nn.Module, ModelReference],
        "classes": ["array-like", None],
        "size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "mean": [Real, "array-like", None],
        "std": [Real, "array-like", None],
        "crop": [Interval(Real, 0, 1, closed="right"), None],
        "interpolation": [StrOptions({"nearest", "bilinear", "bicubic"})],
        "output": [Integral, str, None],
        "from_logits": ["boolean"],
        "image_shape": [tuple, list, None],
        "value_range": [tuple, list, None],
        "device": [str],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        model: nn.Module | ModelReference,
        *,
        classes: Sequence[Any] | NDArray[Any] | None = None,
        size: Size | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        crop: float | None = None,
        interpolation: Interpolation = "bilinear",
        output: int | str | None = None,
        from_logits: bool = True,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        device: str = "auto",
        batch_size: int = 32,
    ) -> None:
        self.model = model
        self.classes = classes
        self.size = size
        self.mean = mean
        self.std = std
        self.crop = crop
        self.interpolation = interpolation
        self.output = output
        self.from_logits = from_logits
        self.image_shape = image_shape
        self.value_range = value_range
        self.device = device
        self.batch_size = batch_size

    @classmethod
    def from_timm(cls, model: nn.Module | ModelReference, **params: Any) -> Self:
        """Take a model of timm, with what it says of itself.

        Size, crop, interpolation and normalization come from its `pretrained_cfg`, and labels from
        there or, for ImageNet, from timm. Nothing is downloaded.

        Parameters
        ----------
        model : torch.nn.Module or ModelReference
            As ``timm.create_model`` makes it.
        **params
            Parameters of the classifier, which come before the model's own.

        Returns
        -------
        PretrainedClassifier

        Raises
        ------
        TypeError
            If it is not a model of timm.
        """
        return cls(model, **{**read_timm(_load(model)), **params})

    @classmethod
    def from_transformers(
        cls, model: nn.Module | ModelReference, processor: Any, **params: Any
    ) -> Self:
        """Take an image classifier of Hugging Face's transformers, with what goes before it.

        Size, crop, interpolation and normalization come from the processor, and labels from the
        model's configuration. Nothing is downloaded.

        Parameters
        ----------
        model : torch.nn.Module or ModelReference
            Such as ``AutoModelForImageClassification.from_pretrained`` makes.
        processor : image processor
            Of the same checkpoint. It is not kept.
        **params
            Parameters of the classifier, which come before the model's own.

        Returns
        -------
        PretrainedClassifier

        Raises
        ------
        TypeError
            If these are not a model and an image processor.
        ValueError
            If the processor resizes images in a way that is not known here.
        """
        return cls(model, **{**read_transformers(_load(model), processor), **params})

    @classmethod
    def from_onnx(
        cls, path: str | os.PathLike[str], *, gradients: bool | None = None, **params: Any
    ) -> Self:
        """Take a classifier from an ONNX file: as a white box where it converts, or a black box.

        Height and width come from the file, and whether it ends in a softmax. What it expects of
        the values is not in it: give `mean` and `std`.

        Parameters
        ----------
        path : path
            Of the file, with the weights in it. The classifier is stored with what is in it; for a
            reference give ``ModelReference(load_onnx, {"path": path})`` to the constructor.
        gradients : bool, optional
            See `ricsk.pretrained.load_onnx`.
        **params
            Parameters of the classifier.

        Returns
        -------
        PretrainedClassifier
            Its `white_box_` says which it is.

        Raises
        ------
        ImportError, ValueError, FileNotFoundError
            As `ricsk.pretrained.load_onnx`.
        """
        model = load_onnx(path, gradients=gradients)
        return cls(model, **{**read_input(path), **params})

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels."""
        if self.classes is None:
            return np.arange(self._count_outputs())
        classes = np.asarray(self.classes)
        if classes.ndim != 1 or len(classes) < 2 or len(np.unique(classes)) < len(classes):
            raise ValueError(
                f"classes has shape {classes.shape}, and {len(np.unique(classes))} labels that "
                "differ; expected at least two, one for each score, all different."
            )
        return classes

    @property
    def module_(self) -> nn.Module:
        """The module itself."""
        return _load(self.model)

    @property
    def white_box_(self) -> bool:
        """Whether gradients can be taken."""
        return not isinstance(self.module_, BlackBox)

    def keeps_size(self, height: int, width: int) -> bool:
        """Tell whether images of a size reach the module without being resized or cropped.

        Parameters
        ----------
        height, width : int
            In pixels.

        Returns
        -------
        bool
        """
        size = check_size(self.size)
        return size is None or (size == (height, width) and self.crop in (None, 1))

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Do nothing: the network is fitted.

        Parameters
        ----------
        X, y : array-like
            Ignored.

        Returns
        -------
        self
        """
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Classify images.

        Parameters
        ----------
        X : array-like
            Images, ``(n_samples, height, width, channels)``, ``(n_samples, height, width)`` or
            flattened: 8-bit values, or floats on the value range.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.

        Raises
        ------
        ValueError, TypeError
            If `X` does not hold images, or the module cannot classify them.
        """
        return self.classes_[self._compute_scores(X).argmax(dim=1).numpy()]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Estimate the probability of each class: the softmax of the logits.

        Parameters
        ----------
        X : array-like
            As for `predict`, with the same errors.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return self._compute_scores(X).softmax(dim=1).numpy()

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the logits, or logarithms of probabilities.

        Parameters
        ----------
        X : array-like
            As for `predict`, with the same errors.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            In the order of `classes_`. With two classes, that of the second less that of the first.
        """
        scores = self._compute_scores(X)
        if scores.shape[1] == 2:
            scores = scores[:, 1] - scores[:, 0]
        return scores.numpy()

    def features(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the vectors that the last linear layer of the network reads.

        Parameters
        ----------
        X : array-like
            As for `predict`, with the same errors.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Feature vectors.

        Raises
        ------
        TypeError
            If the network has no linear layer.
        """
        return self._apply(lambda pixels: self.graph_.features_and_scores(pixels)[0], X).numpy()

    @property
    def graph_(self) -> ImageGraph:
        """The module with what is done to images before it, and to its answers behind it."""
        graph = self.__dict__.get("_built")
        if graph is None:
            self._validate_params()
            model = self.module_
            weights = [weight for weight in model.parameters() if weight.is_floating_point()]
            if any(weight.dtype != torch.float32 for weight in weights):
                model = copy.deepcopy(model).float()
            graph = self.__dict__["_built"] = ImageGraph(
                model,
                size=check_size(self.size),
                crop=self.crop,
                interpolation=self.interpolation,
                mean=self.mean,
                std=self.std,
                output=self.output,
                from_logits=self.from_logits,
            )
        # What was read back may be on another machine.
        find = find_device_again if self.__dict__.get("_restored") else find_device
        return graph.to(find(self.device)).eval()

    def _count_outputs(self) -> int:
        size = check_size(self.size)
        if size is None:
            raise ValueError(
                "without size= it is not known which images to count the module's scores on. Give "
                "size=(height, width), or classes=, one label for each score."
            )
        if "_n_outputs" not in self.__dict__:
            grey = np.full((1, *size, self.graph_.n_channels or 3), 128, np.uint8)
            self.__dict__["_n_outputs"] = self._apply(self.graph_, grey).shape[1]
        return self.__dict__["_n_outputs"]

    def _compute_scores(self, X: ArrayLike) -> Tensor:
        scores = self._apply(self.graph_, X)
        n_classes = len(self.classes_)
        if scores.shape[1] != n_classes:
            raise ValueError(
                f"the module gives {scores.shape[1]} scores, but there are {n_classes} classes; "
                "expected one label for each score, in their order."
            )
        if self.from_logits and _are_probabilities(scores):
            raise ValueError(
                "the module returns probabilities, not logits: they lie in [0, 1] and sum to 1. "
                "Give from_logits=False, or the part of the module before its softmax."
            )
        return scores

    def _apply(self, function: Callable[[Tensor], Tensor], X: ArrayLike) -> Tensor:
        """Compute a function of the values of images, some at a time."""
        name = type(self).__name__
        batch = check_images(X, image_shape=self.image_shape, caller=name)
        values = ValueRange.of(batch.pixels, self.value_range or (0.0, 1.0))
        device = self.graph_.mean.device
        n, n_values = len(batch.pixels), batch.pixels[0].size
        n_part = max(1, min(self.batch_size, _MAX_VALUES // n_values, n))
        results = []
        with torch.inference_mode(), bounded_threads(n_part * n_values):
            for start in range(0, n, n_part):
                pixels = batch.pixels[start : start + n_part]
                if pixels.dtype != np.uint8:
                    scaled = (pixels - values.low) / (values.high - values.low)
                    pixels = scaled.astype(np.float32)
                part = from_pixels(to_tensor(pixels).to(device)).permute(0, 2, 3, 1)
                results.append(function(part).float().cpu())
        return torch.cat(results)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "classes" and are_labels(value):
            object.__setattr__(self, name, value)  # a key is not such a list
        else:
            super().__setattr__(name, value)
        # Parameters act at once, as there is no fit for them to wait for.
        for made in ("_built", "_n_outputs"):
            self.__dict__.pop(made, None)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for made in ("_built", "_n_outputs"):
            state.pop(made, None)
        if isinstance(self.model, nn.Module):
            state["model"] = _on_processor(self.model)
        return {**state, "_restored": True}

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = False
        tags.requires_fit = False
        return tags


def _on_processor(model: nn.Module) -> nn.Module:
    """Return a module whose pickle can be read where there is no accelerator."""
    tensors = [*model.parameters(), *model.buffers()]
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return model
    return copy.deepcopy(model).cpu()


def _load(model: nn.Module | ModelReference) -> nn.Module:
    return model.load() if isinstance(model, ModelReference) else model


def _are_probabilities(scores: Tensor) -> bool:
    sums = scores.double().sum(dim=1)
    alike = (scores >= 0).all() and ((sums - 1).abs() < _SUM_TOLERANCE).all()
    return len(scores) > 1 and bool(alike)  # one row alone may sum to one by chance


class _GivenLevels(nn.Module):
    """What `decision_function` does to images that have these levels."""

    def __init__(
        self, classifier: PretrainedClassifier, value_range: tuple[float, float] | None
    ) -> None:
        super().__init__()
        if not classifier.white_box_:
            raise NoViewError(
                "the classifier is a black box, which has no gradients; expected a torch module, "
                "or an ONNX file that converts to one."
            )
        self.graph = classifier.graph_
        # 8-bit values stand for [0, 1]; others are brought there from the range that was given.
        low, high = (0.0, 1.0) if value_range is None else value_range
        given = None if value_range is None else classifier.value_range
        own_low, own_high = given or (0.0, 1.0)
        self.scale = (high - low) / (own_high - own_low) / 255
        self.shift = (low - own_low) / (own_high - own_low)

    def forward(self, levels: Tensor) -> Tensor:
        return self.graph((levels * self.scale).add_(self.shift))


register_view(PretrainedClassifier, _GivenLevels)

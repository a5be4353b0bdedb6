"""Views: what a fitted classifier computes, as a differentiable function of pixel levels."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ricsk._secrets import show_object
from ricsk.exceptions import NoViewError
from ricsk.nae._estimators import VotingHead, affine_step, build_head

__all__ = ["ClassifierView", "decides_by_scores", "register_view", "view_classifier"]


class ClassifierView(nn.Module):
    """A fitted classifier as a function of pixel levels, made by `view_classifier`.

    It computes in float64 on the CPU, with a copy of the classifier's weights: in float32, the
    order in which a machine adds numbers changes what a search finds. Where that does not matter,
    ``copy.deepcopy(view).float()`` is faster.

    Parameters
    ----------
    body : torch.nn.Module
        From levels to one score for each class.
    probabilistic : bool
        Whether the softmax of the scores is what the classifier's `predict_proba` returns.
    feature_layer : str, optional
        Name of the layer in `body` whose input is the features. By default the last linear one.

    Attributes
    ----------
    probabilistic : bool
        As given.
    """

    def __init__(
        self, body: nn.Module, probabilistic: bool, feature_layer: str | None = None
    ) -> None:
        super().__init__()
        self.body = body
        self.probabilistic = probabilistic
        self.feature_layer = feature_layer

    def scores(self, levels: Tensor) -> Tensor:
        """Compute a score for each class; that of the predicted class is the largest.

        Logits, one-versus-rest decisions, or, with two classes and one decision value, 0 and that
        value. For support vector machines with a kernel, see `margins`.

        Parameters
        ----------
        levels : Tensor of shape (n, height, width, channels)
            Levels on 0..255, of the dtype of the view.

        Returns
        -------
        Tensor of shape (n, n_classes)
            In the order of the classifier's `classes_`.
        """
        return self.body(levels)

    def margins(self, levels: Tensor, targets: Tensor) -> Tensor:
        """Compute by how much the classifier prefers a target to all other classes.

        It is the score of the target less the largest other score. `SVC` and `NuSVC` compare the
        classes in pairs; there it is the smallest of the target's decisions against the others.

        Parameters
        ----------
        levels : Tensor of shape (n, height, width, channels)
            Levels on 0..255, of the dtype of the view.
        targets : Tensor of shape (n,), int64
            Positions in the classifier's `classes_`.

        Returns
        -------
        Tensor of shape (n,)
            In the units of the classifier's `decision_function`. Where positive, the classifier
            predicts the target; where negative, another class. (Of three and more classes `SVC`
            may predict one that loses against another; then all margins are negative.)
        """
        scores = self.scores(levels)
        own = scores.gather(1, targets[:, None])[:, 0]
        others = scores.scatter(1, targets[:, None], -torch.inf)
        return own - others.max(dim=1).values

    def log_proba(self, levels: Tensor) -> Tensor:
        """Compute the logarithms of what the classifier's `predict_proba` returns.

        Parameters
        ----------
        levels : Tensor of shape (n, height, width, channels)
            Levels on 0..255, of the dtype of the view.

        Returns
        -------
        Tensor of shape (n, n_classes)

        Raises
        ------
        TypeError
            If the classifier has no probabilities that are the softmax of its scores.
        """
        if not self.probabilistic:
            raise TypeError(
                "the classifier has no probabilities, or not the softmax of its scores. Give "
                "labels as targets, or take a classifier such as LogisticRegression."
            )
        return self.scores(levels).log_softmax(dim=1)

    def features(self, levels: Tensor) -> Tensor:
        """Compute what the classifier's last layer reads.

        Parameters
        ----------
        levels : Tensor of shape (n, height, width, channels)
            Levels on 0..255, of the dtype of the view.

        Returns
        -------
        Tensor of shape (n, n_features)

        Raises
        ------
        TypeError
            If the classifier is no network with a linear layer.
        """
        return self.features_and_scores(levels)[0]

    def features_and_scores(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute `features` and `scores` in one pass, with the same errors.

        Parameters
        ----------
        levels : Tensor of shape (n, height, width, channels)
            Levels on 0..255, of the dtype of the view.

        Returns
        -------
        tuple of Tensor
            Of shapes (n, n_features) and (n, n_classes).
        """
        read: list[Tensor] = []
        hook = self.reader.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        try:
            scores = self.body(levels)
        finally:
            hook.remove()
        return read[-1].flatten(1), scores

    @property
    def reader(self) -> nn.Module:
        """The layer that reads the features."""
        layers = dict(self.body.named_modules())
        if self.feature_layer is not None:
            if self.feature_layer not in layers:
                raise ValueError(
                    f"feature_layer={self.feature_layer!r}: there is no such layer. There are "
                    f"{', '.join(repr(name) for name in layers if name)}."
                )
            return layers[self.feature_layer]
        linear = [layer for layer in layers.values() if isinstance(layer, nn.Linear)]
        if not linear:
            raise TypeError(
                "the classifier has no features: it is no network with a linear layer. Take one "
                "of this package, a torch module, or a skorch net; or name its feature_layer."
            )
        return linear[-1]


class _VotingView(ClassifierView):
    def margins(self, levels: Tensor, targets: Tensor) -> Tensor:
        return self.scores(levels).gather(1, targets[:, None])[:, 0]


def view_classifier(
    classifier: Any,
    *,
    value_range: tuple[float, float] | None = None,
    ndim: int | None = None,
    feature_layer: str | None = None,
) -> ClassifierView:
    """Make an exact, differentiable view of a fitted classifier.

    Parameters
    ----------
    classifier : object
        One of these, bare or in a `FrozenEstimator`:

        - a classifier of this package;
        - a torch.nn.Module from floats on [0, 1] of shape (n, channels, height, width) to logits,
          whose classes are 0, 1, ..., seen in evaluation mode;
        - a skorch NeuralNetClassifier whose module returns logits for CrossEntropyLoss, or
          probabilities for NLLLoss;
        - a classifier of scikit-learn on flattened images: one with a linear decision function,
          `MLPClassifier`, `SVC` or `NuSVC`;
        - a `Pipeline` that ends in one of scikit-learn's, and whose earlier steps are
          `StandardScaler`, `MinMaxScaler`, `MaxAbsScaler`, `PCA` or "passthrough";
        - an instance of a class that `register_view` was told about.
    value_range : (float, float), optional
        What the levels 0 and 255 are in the images that the classifier is given. By default it is
        given 8-bit values. Modules without skorch are given floats on [0, 1] in any case.
    ndim : {2, 3, 4}, optional
        Of a skorch net: it is given images with so many dimensions, flattened, grey or with the
        channels last, and with values in `value_range`. By default it is given them as a bare
        module is.
    feature_layer : str, optional
        Of a torch module: name of the layer whose input `ClassifierView.features` returns, as
        `torch.nn.Module.named_modules` gives it. By default the last linear layer.

    Returns
    -------
    ClassifierView
        The classifier is copied: later changes of it do not reach the view.

    Raises
    ------
    NoViewError
        If there is no exact view of this classifier. `find_noise_by_queries` needs none.
    sklearn.exceptions.NotFittedError
        If the classifier is not fitted.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = LogisticRegression(max_iter=1000).fit(X[:300], y[:300])
    >>> view = view_classifier(classifier, value_range=(0, 16))
    >>> levels = torch.from_numpy(X[:5] * 255 / 16).reshape(5, 8, 8, 1)
    >>> view.scores(levels).argmax(dim=1)
    tensor([0, 1, 2, 3, 4])
    >>> bool((view.margins(levels, torch.arange(5)) > 0).all())
    True
    """
    steps = _steps(classifier)
    if not steps:
        raise NoViewError(f"{show_object(classifier)} does not hold a classifier.")
    *earlier, last = steps
    if not isinstance(last, nn.Module) and not hasattr(last, "classes_"):
        check_is_fitted(last)
    view: type[ClassifierView] = ClassifierView
    probabilistic = True
    body = None if earlier else _network(last, value_range, ndim)
    if body is None:
        head, probabilistic = build_head(last)
        body = nn.Sequential(_Values(value_range), *map(affine_step, earlier), head)
        view = _VotingView if isinstance(head, VotingHead) else ClassifierView
    body = copy.deepcopy(body).to("cpu", torch.float64).eval()
    if feature_layer is not None:
        named = [
            name for name, _ in body.named_modules() if f".{name}".endswith(f".{feature_layer}")
        ]
        feature_layer = min(named, key=len, default=feature_layer)
    return view(body.requires_grad_(False), probabilistic, feature_layer)


Build = Callable[[Any, tuple[float, float] | None], nn.Module]
"""From a classifier, and the values of black and white or None for 8-bit values, to its body."""

_BUILDERS: dict[type, Build] = {}


def register_view(kind: type, build: Build) -> None:
    """Tell `view_classifier` how to see the instances of a class.

    The largest score must be that of the class which `predict` returns, and `decision_function`
    must compute these same scores, in single precision: it then serves to check ciphertexts.

    Parameters
    ----------
    kind : type
        A class of classifiers. Subclasses that change `predict` or `decision_function` have the
        same view, but their scores are not taken for their predictions.
    build : callable
        From a fitted instance and its `value_range` to a module from levels on 0..255, of shape
        (n, height, width, channels), to scores of shape (n, n_classes).
    """
    _BUILDERS[kind] = build


def decides_by_scores(classifier: Any) -> bool:
    """Say whether a classifier's `decision_function` is what it predicts by, as registered.

    Parameters
    ----------
    classifier : classifier
        Bare or in a `FrozenEstimator`.

    Returns
    -------
    bool
    """
    steps = _steps(classifier)
    if len(steps) != 1:
        return False
    for kind in type(steps[0]).__mro__:
        if kind in _BUILDERS:
            return True
        if {"predict", "decision_function"} & vars(kind).keys():
            return False  # a subclass that decides in another way, or scores in another
    return False


def _builder_of(classifier: Any) -> Build | None:
    return next((_BUILDERS[kind] for kind in type(classifier).__mro__ if kind in _BUILDERS), None)


def _steps(estimator: Any) -> list[Any]:
    """List what the images go through, without wrappers."""
    if isinstance(estimator, FrozenEstimator):
        return _steps(estimator.estimator)
    if isinstance(estimator, Pipeline):
        return [part for _, step in estimator.steps for part in _steps(step)]
    is_step = isinstance(estimator, nn.Module) or hasattr(estimator, "fit")
    return [estimator] if is_step or hasattr(estimator, "predict") else []


class _KeepDouble(TorchFunctionMode):
    """Leaves out what casts float64 to float32, as in the `forward` of many modules.

    The weights of a view are float64, and would not fit what such a module goes on with.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        casts = func in (Tensor.float, Tensor.to, Tensor.type, Tensor.type_as)
        if casts and args[0].dtype == torch.float64:
            result = func(*args, **(kwargs or {}))
            return args[0] if result.dtype == torch.float32 else result
        return func(*args, **(kwargs or {}))


class _InDouble(nn.Sequential):
    """A module, of somebody else maybe, in the precision of the view."""

    def forward(self, levels: Tensor) -> Tensor:
        with _KeepDouble():
            return super().forward(levels)


def _network(
    classifier: Any, value_range: tuple[float, float] | None, ndim: int | None
) -> nn.Module | None:
    if isinstance(classifier, nn.Module):
        return _InDouble(_ChannelsFirst(), classifier)
    if isinstance(classifier, NeuralNetClassifier):
        given = _ChannelsFirst() if ndim is None else _Values(value_range, ndim)
        body = _InDouble(given, classifier.module_)
        if isinstance(classifier.criterion_, nn.NLLLoss):
            return body.append(_Logarithm())
        if isinstance(classifier.criterion_, nn.CrossEntropyLoss):
            return body
        raise NoViewError(
            f"there is no view of a skorch net with the criterion {classifier.criterion_}; "
            "expected CrossEntropyLoss or NLLLoss. Give its module instead if it returns logits."
        )
    build = _builder_of(classifier)
    return None if build is None else _InDouble(build(classifier, value_range))


class _ChannelsFirst(nn.Module):
    def forward(self, levels: Tensor) -> Tensor:
        return levels.permute(0, 3, 1, 2) / 255


class _Logarithm(nn.Module):
    def forward(self, proba: Tensor) -> Tensor:
        return proba.clamp_min(1e-300 if proba.dtype == torch.float64 else 1e-38).log()


class _Values(nn.Module):
    """From levels to the values of images, flattened or as they are."""

    def __init__(self, value_range: tuple[float, float] | None, ndim: int = 2) -> None:
        super().__init__()
        self.low, self.high = (0.0, 255.0) if value_range is None else value_range
        self.ndim = ndim

    def forward(self, levels: Tensor) -> Tensor:
        values = self.low + (self.high - self.low) / 255 * levels
        if self.ndim == 2:
            return values.flatten(1)
        return values[..., 0] if self.ndim == 3 else values

"""scikit-learn's differentiable estimators as torch modules."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler
from sklearn.svm import SVC, NuSVC
from torch import Tensor, nn

from ricsk._secrets import show_object
from ricsk.exceptions import NoViewError

__all__ = ["VotingHead", "affine_step", "build_head"]


def affine_step(step: Any) -> nn.Module:
    """Turn a fitted transformer into a module from and to (n, n_features).

    Parameters
    ----------
    step : transformer
        `StandardScaler`, `MinMaxScaler`, `MaxAbsScaler` or `PCA`.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    NoViewError
        If it is another one, or one that clips.
    """
    if isinstance(step, StandardScaler):
        scale = step.scale_ if step.with_std else np.ones(step.n_features_in_)
        return _Scale(1 / scale, -step.mean_ / scale if step.with_mean else np.zeros(1))
    if isinstance(step, MinMaxScaler) and not step.clip:
        return _Scale(step.scale_, step.min_)
    if isinstance(step, MaxAbsScaler) and not getattr(step, "clip", False):
        return _Scale(1 / step.scale_, np.zeros(1))
    if isinstance(step, PCA):
        components = step.components_
        if step.whiten:
            components = components / np.sqrt(step.explained_variance_)[:, None]
        return _linear(components, -components @ step.mean_)
    raise NoViewError(
        f"there is no view of a pipeline with the step {step!r}; expected StandardScaler, "
        "MinMaxScaler or MaxAbsScaler that do not clip, or PCA. Treat it as a black box."
    )


def build_head(classifier: Any) -> tuple[nn.Module, bool]:
    """Turn a fitted classifier into a module from (n, n_features) to (n, n_classes) scores.

    Parameters
    ----------
    classifier : classifier
        One with a linear decision function, `MLPClassifier`, `SVC` or `NuSVC`.

    Returns
    -------
    head : torch.nn.Module
    probabilistic : bool
        Whether `predict_proba` is the softmax of the scores.

    Raises
    ------
    NoViewError
        If it is another one, or one with labels or kernels of another kind.
    """
    if isinstance(classifier, MLPClassifier) and classifier.out_activation_ == "softmax":
        return _perceptron(classifier), True
    if isinstance(classifier, MLPClassifier) and classifier.n_outputs_ == 1:
        return _perceptron(classifier), True
    if isinstance(classifier, SVC | NuSVC):
        if classifier.kernel in _KERNELS and isinstance(classifier.dual_coef_, np.ndarray):
            return VotingHead(classifier), False
    elif hasattr(classifier, "coef_") and hasattr(classifier, "decision_function"):
        return _linear_head(classifier)
    raise NoViewError(
        f"there is no exact view of {show_object(classifier)}. Treat it as a black box, by "
        "find_noise_by_queries."
    )


def _tensor(array: ArrayLike) -> Tensor:
    return torch.tensor(np.asarray(array), dtype=torch.float64)


def _linear(weight: ArrayLike, bias: ArrayLike) -> nn.Linear:
    weight, bias = _tensor(weight), _tensor(bias)
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def _scores_layer(weight: Any, bias: Any) -> nn.Linear:
    """Make the last layer; a single decision value becomes the scores 0 and itself."""
    if len(weight) == 1:
        weight, bias = np.vstack([0 * weight, weight]), np.append(0, bias)
    return _linear(weight, bias)


class _Scale(nn.Module):
    scale: Tensor
    shift: Tensor

    def __init__(self, scale: ArrayLike, shift: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("scale", _tensor(scale))
        self.register_buffer("shift", _tensor(shift))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def _linear_head(classifier: Any) -> tuple[nn.Module, bool]:
    coef = classifier.coef_
    coef = np.atleast_2d(coef.toarray() if hasattr(coef, "toarray") else coef)
    head = _scores_layer(coef, np.broadcast_to(classifier.intercept_, len(coef)))
    # Whether an attribute coef_ is all there is to the decision, and predict_proba its softmax,
    # only the classifier itself can tell.
    x = np.random.default_rng(0).standard_normal((16, coef.shape[1]))
    scores = head(_tensor(x)).detach()
    with warnings.catch_warnings():
        # The numbers asked about are random, and have no names.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        decision = classifier.decision_function(x)
        proba = classifier.predict_proba(x) if hasattr(classifier, "predict_proba") else None
    own = scores[:, 1] if decision.ndim == 1 else scores
    if own.shape != decision.shape or not np.allclose(own, decision):
        raise NoViewError(
            f"the decision function of {classifier!r} is not the linear function of its coef_ and "
            "intercept_. Treat it as a black box, by find_noise_by_queries."
        )
    return head, proba is not None and np.allclose(scores.softmax(dim=1), proba)


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}


def _perceptron(classifier: MLPClassifier) -> nn.Module:
    *hidden, last = zip(classifier.coefs_, classifier.intercepts_, strict=True)
    layers: list[nn.Module] = []
    for weight, bias in hidden:
        layers += [_linear(weight.T, bias), _ACTIVATIONS[classifier.activation]()]
    return nn.Sequential(*layers, _scores_layer(last[0].T, last[1]))


_KERNELS = ("linear", "poly", "rbf", "sigmoid")


class VotingHead(nn.Module):
    """The decisions between all pairs of classes of a support vector machine with a kernel.

    A class that wins all its pairs has the most votes, which is what scikit-learn predicts. So the
    score of a class is the smallest decision between it and any other, and needs no other score to
    compare with.

    Parameters
    ----------
    machine : SVC or NuSVC
        Fitted, dense, with a kernel that is named.
    """

    vectors: Tensor
    weight: Tensor
    intercept: Tensor
    index: Tensor
    sign: Tensor

    def __init__(self, machine: SVC | NuSVC) -> None:
        super().__init__()
        self.kernel, self.degree, self.coef0 = machine.kernel, machine.degree, machine.coef0
        self.gamma: float = machine._gamma  # "scale" can be told from the training images alone
        n_classes = len(machine.classes_)
        owner = np.repeat(np.arange(n_classes), machine.n_support_)
        pairs = list(combinations(range(n_classes), 2))
        weight = np.zeros((len(owner), len(pairs)))
        index = np.zeros((n_classes, n_classes), np.int64)
        sign = np.zeros((n_classes, n_classes))
        for k, (i, j) in enumerate(pairs):
            # libsvm keeps, for each support vector, one coefficient for each class but its own
            weight[owner == i, k] = machine.dual_coef_[j - 1, owner == i]
            weight[owner == j, k] = machine.dual_coef_[i, owner == j]
            index[i, j] = index[j, i] = k
            sign[i, j], sign[j, i] = 1, -1
        if n_classes == 2:
            sign = -sign  # here scikit-learn turns libsvm's decision round
        others = ~np.eye(n_classes, dtype=bool)
        self.register_buffer("vectors", _tensor(machine.support_vectors_))
        self.register_buffer("weight", _tensor(weight))
        self.register_buffer("intercept", _tensor(machine.intercept_))
        self.register_buffer("index", torch.tensor(index[others]))
        self.register_buffer("sign", _tensor(sign[others]))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the scores.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Flattened images.

        Returns
        -------
        Tensor of shape (n, n_classes)
        """
        decisions = self._gram(x) @ self.weight + self.intercept
        n_classes = round(len(self.index) ** 0.5 + 0.5)  # it has n_classes² − n_classes elements
        favour = decisions[:, self.index] * self.sign
        return favour.unflatten(1, (n_classes, n_classes - 1)).amin(dim=2)

    def _gram(self, x: Tensor) -> Tensor:
        products = x @ self.vectors.T
        if self.kernel == "linear":
            return products
        if self.kernel == "poly":
            return (self.gamma * products + self.coef0) ** self.degree
        if self.kernel == "sigmoid":
            return torch.tanh(self.gamma * products + self.coef0)
        squares = (x**2).sum(dim=1, keepdim=True) + (self.vectors**2).sum(dim=1)
        return torch.exp(-self.gamma * (squares - 2 * products))

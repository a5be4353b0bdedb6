import copy
import warnings
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PowerTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from ricsk.classifiers import CNNClassifier
from ricsk.exceptions import NoViewError
from ricsk.nae import view_classifier
from tests.nae.networks import tiny_cnn

X, Y = load_digits(return_X_y=True)
LEVELS = torch.rand(100, 8, 8, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LEVELS = torch.cat([255 * LEVELS, torch.from_numpy(X[:100] * (255 / 16)).view(-1, 8, 8, 1)])
FLAT = LEVELS.flatten(1).numpy() * (16 / 255)


def fitted(estimator, n_classes):
    few = np.flatnonzero(n_classes > Y)[:300]
    return clone(estimator).fit(X[few], np.array(list("zyxwvutsrq"))[Y[few]])


def all_margins(view, n_classes, levels=LEVELS):
    columns = [torch.full((len(levels),), label) for label in range(n_classes)]
    return torch.stack([view.margins(levels, column) for column in columns], dim=1).numpy()


LINEAR = [
    LogisticRegression(max_iter=1000),
    LinearSVC(max_iter=10_000),
    LinearSVC(fit_intercept=False, max_iter=10_000),
    SGDClassifier(random_state=0),
    SGDClassifier(loss="log_loss", random_state=0),
    RidgeClassifier(),
    Perceptron(random_state=0),
    LinearDiscriminantAnalysis(),
    make_pipeline(StandardScaler(), LogisticRegression()),
    make_pipeline(StandardScaler(with_mean=False), MinMaxScaler((-2, 1)), RidgeClassifier()),
    make_pipeline(StandardScaler(with_std=False), MaxAbsScaler(), "passthrough", RidgeClassifier()),
    make_pipeline(make_pipeline(StandardScaler(), PCA(20)), RidgeClassifier()),
    make_pipeline(PCA(20, whiten=True), LogisticRegression(max_iter=1000)),
]


# A few iterations make a classifier to look at; it need not be a good one.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("estimator", LINEAR, ids=str)
def test_linear(estimator, n_classes):
    classifier = fitted(estimator, n_classes)
    view = view_classifier(classifier, value_range=(0, 16))
    decision = classifier.decision_function(FLAT)
    scores = view.scores(LEVELS).numpy()
    assert_allclose(scores[:, 1] if n_classes == 2 else scores, decision, rtol=1e-9, atol=1e-9)
    check_predictions(view, classifier, n_classes)
    check_probabilities(view, classifier)


def check_predictions(view, classifier, n_classes):
    margins = all_margins(view, n_classes)
    predicted = np.searchsorted(classifier.classes_, classifier.predict(FLAT))
    assert_array_equal(margins > 0, predicted[:, None] == np.arange(n_classes))
    assert_array_equal(view.scores(LEVELS).argmax(dim=1), predicted)


def check_probabilities(view, classifier):
    if view.probabilistic:
        proba = classifier.predict_proba(FLAT)
        assert_allclose(view.log_proba(LEVELS).exp(), proba, rtol=1e-9, atol=1e-9)
    else:
        with pytest.raises(TypeError, match="no probabilities"):
            view.log_proba(LEVELS)


def test_which_have_probabilities():
    multinomial = LogisticRegression(max_iter=1000)
    one_versus_rest = SGDClassifier(loss="log_loss", random_state=0)
    assert view_classifier(fitted(multinomial, 10)).probabilistic
    assert view_classifier(fitted(one_versus_rest, 2)).probabilistic
    assert not view_classifier(fitted(one_versus_rest, 10)).probabilistic
    assert not view_classifier(fitted(RidgeClassifier(), 10)).probabilistic


# A few iterations make a classifier to look at; it need not be a good one.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_perceptron(activation, n_classes):
    mlp = MLPClassifier((12, 8), activation=activation, max_iter=20, random_state=0)
    classifier = fitted(mlp, n_classes)
    view = view_classifier(classifier, value_range=(0, 16))
    assert view.probabilistic
    check_predictions(view, classifier, n_classes)
    check_probabilities(view, classifier)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize(
    "estimator",
    [
        SVC(),
        SVC(gamma="auto", C=3.0),
        SVC(kernel="poly", coef0=0.5, degree=2),
        SVC(kernel="sigmoid", gamma=0.0003),
        SVC(kernel="linear"),
        NuSVC(nu=0.1),
        make_pipeline(StandardScaler(), SVC()),
        SVC(break_ties=True),
    ],
    ids=str,
)
def test_support_vectors(estimator, n_classes):
    classifier = fitted(estimator, n_classes)
    view = view_classifier(classifier, value_range=(0, 16))
    margins = all_margins(view, n_classes)
    predicted = np.searchsorted(classifier.classes_, classifier.predict(FLAT))
    winners = (margins > 0).any(axis=1)
    assert (margins > 0).sum(axis=1).max() == 1
    assert_array_equal(margins.argmax(axis=1)[winners], predicted[winners])
    assert winners[100:][n_classes > Y[:100]].mean() > 0.9  # most digits win all their pairs

    machine = classifier[-1] if hasattr(classifier, "steps") else classifier
    machine.set_params(decision_function_shape="ovo", break_ties=False)
    decision = classifier.decision_function(FLAT)  # of each pair, > 0 where the first class wins
    if n_classes == 2:
        decision = -decision[:, None]
    worst = np.full((len(FLAT), n_classes), np.inf)
    for (i, j), values in zip(combinations(range(n_classes), 2), decision.T, strict=True):
        worst[:, i] = np.minimum(worst[:, i], values)
        worst[:, j] = np.minimum(worst[:, j], -values)
    assert_allclose(margins, worst, rtol=1e-9, atol=1e-9)


def test_a_classifier_of_this_package():
    images = np.rint(X.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    classifier = CNNClassifier(width=8, depth=2, epochs=1, random_state=0).fit(
        images[:200], Y[:200]
    )
    view = view_classifier(FrozenEstimator(classifier))
    levels = torch.from_numpy(images[:100].astype(np.float64))
    assert view.scores(levels).dtype == torch.float64
    assert_allclose(view.scores(levels), classifier.decision_function(images[:100]), atol=1e-4)
    predicted = np.searchsorted(classifier.classes_, classifier.predict(images[:100]))
    assert_array_equal(all_margins(view, 10, levels).argmax(axis=1), predicted)
    # the classifier is copied
    assert next(classifier.module_.parameters()).dtype == torch.float32
    before = view.scores(levels)
    classifier.module_.network.head.weight.data.zero_()
    assert_array_equal(view.scores(levels), before)


def test_frozen_parts_of_a_pipeline():
    scaler = StandardScaler().fit(X)
    ridge = RidgeClassifier().fit(scaler.transform(X), Y)
    pipeline = FrozenEstimator(make_pipeline(FrozenEstimator(scaler), FrozenEstimator(ridge)))
    view = view_classifier(pipeline, value_range=(0, 16))
    assert_allclose(view.scores(LEVELS), pipeline.decision_function(FLAT), rtol=1e-9, atol=1e-9)


def test_a_module_is_seen_in_evaluation_mode():
    module = tiny_cnn().train()
    view = view_classifier(module)
    levels = 255 * torch.rand(6, 8, 8, 3, dtype=torch.float64)
    expected = copy.deepcopy(module).double().eval()(levels.permute(0, 3, 1, 2) / 255)
    assert_allclose(view.scores(levels), expected.detach(), rtol=1e-12)
    assert module.training


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_a_skorch_net(criterion):
    module = tiny_cnn()
    if criterion is nn.NLLLoss:
        module.append(nn.Softmax(dim=1))
    net = NeuralNetClassifier(module, criterion=criterion, classes=[0, 1, 2, 3]).initialize()
    view = view_classifier(net)
    pixels = torch.rand(6, 3, 8, 8)
    levels = 255 * pixels.permute(0, 2, 3, 1).double()
    assert_allclose(view.log_proba(levels).exp(), net.predict_proba(pixels), atol=1e-5)
    assert_array_equal(all_margins(view, 4, levels).argmax(axis=1), net.predict(pixels))


@pytest.mark.parametrize(
    "estimator", [MLPClassifier((5,), "tanh", max_iter=5), SVC(), LogisticRegression(max_iter=9)]
)
# A few iterations make a classifier to look at; it need not be a good one.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_margins_have_gradients(estimator):
    view = view_classifier(fitted(estimator, 3), value_range=(0, 16))
    levels = LEVELS[:2].clone().requires_grad_()
    targets = torch.tensor([0, 2])
    assert torch.autograd.gradcheck(lambda x: view.margins(x, targets), levels, atol=1e-7)


def test_data_frames_and_labels_leave_no_warning():
    classifier = LogisticRegression(max_iter=1000).fit(
        pd.DataFrame(X[:200]).add_prefix("p"), Y[:200]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view_classifier(classifier)


class Crooked(RidgeClassifier):
    def decision_function(self, X):
        return super().decision_function(X) ** 3


# A few iterations make a classifier to look at; it need not be a good one.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("classifier", "reason"),
    [
        (fitted(RandomForestClassifier(3), 3), "RandomForest"),
        (fitted(Crooked(), 3), "not the linear function"),
        (fitted(SVC(kernel=lambda a, b: a @ b.T), 3), "SVC"),
        (fitted(make_pipeline(MinMaxScaler(clip=True), RidgeClassifier()), 3), "MinMaxScaler"),
        (fitted(make_pipeline(PowerTransformer(), RidgeClassifier()), 3), "PowerTransformer"),
        (
            MLPClassifier((5,), tol=9, n_iter_no_change=1).fit(X[:50], np.eye(10)[Y[:50]]),
            "MLPClassifier",
        ),
        (make_pipeline("passthrough"), "does not hold a classifier"),
        (NeuralNetBinaryClassifier(tiny_cnn(1)).initialize(), "skorch|NeuralNet"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_without_a_view(classifier, reason):
    with pytest.raises(NoViewError, match=reason):
        view_classifier(classifier)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        view_classifier(RidgeClassifier())

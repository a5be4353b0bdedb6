"""What a classifier itself says has the last word, whatever a view makes of it."""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from skorch import NeuralNetClassifier
from torch import nn

from ricsk import CNNClassifier
from ricsk.images import ImageForm, ValueRange
from ricsk.nae import Reader

SHAPE = (12, 12, 3)
UNIT = ValueRange(0.0, 1.0)
BYTES = ImageForm(4, np.dtype(np.uint8))
FLOATS = ImageForm(4, np.dtype(np.float32))


def make_images(n=60, n_classes=3):
    """Classes differ by which band of columns is bright."""
    rng, y = np.random.default_rng(0), np.arange(n) % n_classes
    X = rng.integers(30, 70, (n, *SHAPE)).astype(np.uint8)
    width = SHAPE[1] // n_classes
    for image, k in zip(X, y, strict=True):
        image[:, k * width : (k + 1) * width] += 120
    return X, y


X, Y = make_images()
FLAT = X.reshape(len(X), -1)
LINEAR = LogisticRegression(max_iter=500).fit(FLAT, Y)


def read_bytes(classifier, **kwargs):
    return Reader(classifier, UNIT, BYTES, SHAPE, **kwargs)


class Renames(ClassifierMixin, BaseEstimator):
    """Another classifier, with labels and an order of columns of its own."""

    def __init__(self, classes, predicts=None):
        self.classes = classes
        self.predicts = predicts
        self.classes_ = np.asarray(classes)

    def predict_proba(self, X):
        return LINEAR.predict_proba(X)

    def predict(self, X):
        found = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return found if self.predicts is None else self.predicts(found)

    def fit(self, X, y=None):
        return self


@pytest.mark.parametrize(
    "classes",
    [["zebra", "ant", "mouse"], [7, 3, 5], [2.5, 0.5, 1.5], np.array(["b", "a", "c"], object)],
)
def test_labels_are_positions_whatever_their_order(classes):
    reader = read_bytes(Renames(classes))
    np.testing.assert_array_equal(reader.predict(X), Y)
    reader.check(X)


def test_a_column_of_predictions_is_read_as_labels():
    reader = read_bytes(Renames([4, 5, 6], lambda found: found[:, np.newaxis]))
    np.testing.assert_array_equal(reader.predict(X), Y)


@pytest.mark.parametrize(
    ("predicts", "message"),
    [
        (
            lambda found: np.array(["cat", "dog", "cow"])[found - 4],
            "returned 'cat', which is not one",
        ),
        (lambda found: found - 4, "returned 0, which is not one of its classes_"),
        (lambda found: np.stack([found, found], axis=1), r"shape \(124, 2\); expected one label"),
    ],
    ids=["names", "positions", "two outputs"],
)
def test_predictions_that_are_not_classes_are_refused(predicts, message):
    with pytest.raises(ValueError, match=message):
        read_bytes(Renames([4, 5, 6], predicts)).check(X)


class Turned(LogisticRegression):
    """Has the coefficients of a linear classifier, and does not predict by them."""

    def predict(self, X):
        return self.classes_[(super().decision_function(X).argmax(axis=1) + 1) % 3]


class TurnedNetwork(CNNClassifier):
    def predict(self, X):
        return self.classes_[(super().decision_function(X).argmax(axis=1) + 1) % 3]


@pytest.mark.parametrize(
    "classifier",
    [
        Turned(max_iter=500).fit(FLAT, Y),
        FrozenEstimator(Turned(max_iter=500).fit(FLAT, Y)),
        make_pipeline(StandardScaler(), Turned()).fit(FLAT, Y),
        TurnedNetwork(epochs=3, random_state=0).fit(X, Y),
        Renames([0, 1, 2], lambda found: (found + 1) % 3),
    ],
    ids=["linear", "frozen", "pipeline", "network", "black box"],
)
def test_a_classifier_that_predicts_otherwise_than_it_scores_is_refused(classifier):
    with pytest.raises(ValueError, match=r"predict returns differ, on \d+ of 1\d\d images"):
        read_bytes(classifier).check(X)


@pytest.mark.parametrize(
    "classifier",
    [
        LINEAR,
        RidgeClassifier().fit(FLAT, Y),
        SVC().fit(FLAT, Y),
        SVC(kernel="linear").fit(FLAT, Y),
        CalibratedClassifierCV(RidgeClassifier(), cv=2).fit(FLAT, Y),
        DecisionTreeClassifier(random_state=0).fit(FLAT, Y),
        FixedThresholdClassifier(LogisticRegression(max_iter=500), threshold=0.3).fit(FLAT, Y > 0),
        CNNClassifier(epochs=2, random_state=0).fit(X, Y),
        CNNClassifier(epochs=2, random_state=0).fit(X, Y > 1),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_classifiers_that_predict_as_they_score_pass(classifier):
    reader = read_bytes(classifier)
    reader.check(X)
    own = classifier.predict(X if isinstance(classifier, CNNClassifier) else FLAT)
    np.testing.assert_array_equal(reader.classes[reader.predict(X)], own)


@pytest.mark.parametrize("labels", [Y, Y > 1], ids=["three classes", "two classes"])
def test_a_network_decides_by_the_very_scores_that_one_pass_gives(labels):
    """So one pass may serve both the margin and the last word."""
    classifier = CNNClassifier(epochs=2, random_state=0).fit(X, labels)
    noise = np.random.default_rng(1).integers(0, 256, (200, *SHAPE), np.uint8)
    reader = read_bytes(classifier)
    calls = []
    classifier.module_.register_forward_hook(lambda *_: calls.append(1))
    expected = reader.predict(noise)
    n_calls = len(calls)
    kept = reader.read(noise, expected, least=-np.inf)
    assert kept.all()
    assert len(calls) == 2 * n_calls
    other = (expected + 1) % len(reader.classes)
    assert not reader.read(noise, other, least=-np.inf).any()


def test_margins_near_the_threshold_are_measured_exactly():
    classifier = CNNClassifier(epochs=2, random_state=0).fit(X, Y)
    reader = read_bytes(classifier)
    labels = reader.predict(X)
    with torch.inference_mode():
        exact = reader.view.margins(torch.from_numpy(X).double(), torch.from_numpy(labels)).numpy()
    for least in exact[:5]:
        assert reader.read(X, labels, float(least)).sum() == (exact >= least).sum()


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 3)
        )

    def forward(self, X):
        return self.layers(X)


def fit_net(module, data):
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        lr=0.1,
        max_epochs=30,
        train_split=None,
        verbose=0,
        batch_size=20,
    )
    return net.fit(data.astype(np.float32), Y.astype(np.int64))


@pytest.mark.parametrize("layout", ["flat", "channels last", "channels first"])
def test_a_skorch_net_is_given_images_as_its_module_takes_them(layout):
    values = X / np.float32(255)
    given = {
        "flat": values.reshape(len(X), -1),
        "channels last": values,
        "channels first": np.moveaxis(values, -1, 1),
    }[layout]
    net = fit_net(Convolutions if layout == "channels first" else perceptron, given)
    form = ImageForm(2 if layout == "flat" else 4, np.dtype(np.float32))
    reader = Reader(net, UNIT, form, SHAPE)
    reader.check(X)
    np.testing.assert_array_equal(reader.predict(X), net.predict(given.astype(np.float32)))
    with torch.inference_mode():
        best = reader.view.scores(torch.from_numpy(X).double()).argmax(dim=1)
    np.testing.assert_array_equal(best, net.predict(given.astype(np.float32)))


def test_a_net_over_flat_samples_is_given_rows_of_images():
    net = fit_net(lambda: nn.Linear(432, 3), FLAT / 255)
    reader = Reader(net, UNIT, FLOATS, SHAPE)
    reader.check(X)
    expected = net.predict((FLAT / 255).astype(np.float32))
    np.testing.assert_array_equal(reader.predict(X), expected)


def test_a_net_whose_labels_are_not_the_positions_of_outputs_is_refused():
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 4)),
        criterion=nn.CrossEntropyLoss,
        lr=0.1,
        max_epochs=30,
        train_split=None,
        verbose=0,
    ).fit((X / 255).astype(np.float32), Y.astype(np.int64) + 1)
    with pytest.raises(ValueError, match="order of classes_"):
        Reader(net, UNIT, FLOATS, SHAPE).check(X)


def test_what_cannot_read_the_images_is_told_in_words():
    net = fit_net(lambda: nn.Linear(7, 3), np.zeros((60, 7)))
    with pytest.raises(ValueError, match=r"(?s)form given to fit.*\(n, 12, 12, 3\).*float32"):
        Reader(net, UNIT, FLOATS, SHAPE)
    other = RidgeClassifier().fit(FLAT[:, :7], Y)
    with pytest.raises(ValueError, match=r"\(n, 432\) and dtype uint8"):
        read_bytes(other).check(X)


def test_labels_alone_do_not_guide_a_search():
    class LabelsAlone(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(3)

        def predict(self, X):
            return LINEAR.predict(X)

        def fit(self, X, y=None):
            return self

    with pytest.raises(ValueError, match="labels alone"):
        read_bytes(LabelsAlone())


@pytest.mark.parametrize("high", [1.0, 255.0, 3.7])
def test_floats_of_any_range_are_seen_as_a_network_sees_them(high):
    """An encryptor that was fitted on darker images has another range than the network."""
    values = X * np.float32(high / 255)
    classifier = CNNClassifier(epochs=3, random_state=0).fit(values, Y)
    dark = ValueRange(0.1 * high, 0.6 * high)
    reader = Reader(classifier, dark, FLOATS, SHAPE)
    reader.check(X)
    images = dark.from_uint8(X, np.float32)
    with torch.inference_mode():
        scores = reader.view.scores(torch.from_numpy(X).double()).numpy()
    np.testing.assert_allclose(scores, classifier.decision_function(images), rtol=1e-3, atol=1e-3)


def test_images_in_a_form_that_is_read_otherwise_are_refused():
    reader = Reader(LogisticRegression(max_iter=500).fit(FLAT / 255, Y), UNIT, FLOATS, SHAPE)
    reader.check_form(X / np.float32(255), FLOATS)
    reader.check_form(X / 255, ImageForm(2, np.dtype(np.float64)))
    tree = DecisionTreeClassifier(random_state=0).fit(FLAT / 255, Y)
    with pytest.raises(ValueError, match=r"dtype uint8, than in that of fit, 4 .* dtype float32"):
        Reader(tree, UNIT, FLOATS, SHAPE).check_form(X, BYTES)


def test_probabilities_and_features_are_the_classifiers_own():
    classifier = CNNClassifier(epochs=2, random_state=0).fit(X, Y)
    reader = read_bytes(classifier)
    np.testing.assert_array_equal(reader.proba(X), classifier.predict_proba(X))
    np.testing.assert_array_equal(reader.features(X), classifier.features(X))
    for match in ("proba", "features"):
        reader.check(X, match)


def test_probabilities_that_the_view_does_not_have_are_refused():
    class Blurred(LogisticRegression):
        def predict_proba(self, X):
            return 0.5 * super().predict_proba(X) + 1 / 6

    reader = read_bytes(Blurred(max_iter=500).fit(FLAT, Y))
    reader.check(X)
    with pytest.raises((ValueError, TypeError), match="proba"):
        reader.check(X, "proba")


def test_modules_that_cast_to_single_precision_have_a_view_in_double():
    class Casts(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(432, 3))

        def forward(self, X):
            return self.layers(X.to(torch.float32).float() / 255)

    torch.manual_seed(0)
    net = NeuralNetClassifier(
        Casts,
        criterion=nn.CrossEntropyLoss,
        lr=0.1,
        max_epochs=30,
        train_split=None,
        verbose=0,
    ).fit(X, Y.astype(np.int64))
    reader = read_bytes(net)
    reader.check(X, "proba")
    with torch.inference_mode():
        scores = reader.view.scores(torch.from_numpy(X).double())
    assert scores.dtype == torch.float64
    np.testing.assert_array_equal(scores.argmax(dim=1), net.predict(X))
    levels = torch.from_numpy(X[:2]).double().requires_grad_()
    (gradient,) = torch.autograd.grad(reader.view.scores(levels).sum(), levels)
    assert gradient.abs().max() > 0


def test_a_module_without_double_precision_can_still_be_asked():
    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(432, 3))

        def forward(self, X):
            return self.layers(X / 255) @ torch.eye(3)

    reader = read_bytes(fit_net(Single, X))
    assert reader.view is None
    reader.check(X)


def test_subclasses_have_the_view_of_their_network_and_the_last_word():
    class Careful(CNNClassifier):
        """Says the first class unless it is sure."""

        def predict(self, X):
            proba = self.predict_proba(X)
            sure = proba.max(axis=1) > np.quantile(proba.max(axis=1), 0.3)
            return self.classes_[np.where(sure, proba.argmax(axis=1), 0)][:, np.newaxis]

    classifier = Careful(epochs=2, random_state=0).fit(X, Y)
    reader = read_bytes(classifier)
    assert reader.view is not None
    likeliest = classifier.predict_proba(X).argmax(axis=1)
    same = classifier.predict(X)[:, 0] == likeliest
    assert 0 < same.sum() < len(X)
    np.testing.assert_array_equal(reader.read(X, likeliest, least=-np.inf), same)


@pytest.mark.parametrize("order", ["mixed", "sorted"])
def test_scores_of_two_classes_that_are_exchanged_are_refused(order):
    """Though all noise, and so most of what is tried, is of the third."""

    class Exchanged(LogisticRegression):
        def decision_function(self, X):
            return super().decision_function(X) + np.array([50, 0, 0])

        def predict_proba(self, X):
            scores = self.decision_function(X)
            return np.exp(scores - scores.max(axis=1, keepdims=True))

        def predict(self, X):
            return np.array([0, 2, 1])[self.decision_function(X).argmax(axis=1)]

    images = X if order == "mixed" else X[np.argsort(Y, kind="stable").repeat(20)]
    reader = read_bytes(Exchanged(max_iter=500).fit(FLAT, Y))
    assert reader.view is None
    noise = np.random.default_rng(0).integers(0, 256, (64, *SHAPE), np.uint8)
    assert (reader.predict(noise) == 0).all()
    with pytest.raises(ValueError, match="in the order of classes_"):
        reader.check(images)


def test_one_class_that_scores_never_prefer_may_be_a_threshold():
    never_the_last = Renames([4, 5, 6], lambda found: np.where(found == 6, 4, found))
    read_bytes(never_the_last).check(X)


@pytest.mark.parametrize("kind", ["chance", "batch"])
def test_a_classifier_that_does_not_repeat_itself_is_refused(kind):
    rng = np.random.default_rng(0)

    class Unsteady(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(3)

        def predict_proba(self, X):
            return LINEAR.predict_proba(X)

        def predict(self, X):
            proba = self.predict_proba(X)
            if kind == "chance":
                return (proba + (rng.random(proba.shape) < 0.05)).argmax(axis=1)
            return (proba[:, 0] > np.median(proba[:, 0])).astype(int)

        def fit(self, X, y=None):
            return self

    with pytest.raises(ValueError, match="asked twice, among other images"):
        read_bytes(Unsteady()).check(X)


def test_a_scale_that_cannot_be_known_is_refused():
    """A module that takes channels first: of floats up to 255, their values or their levels?"""
    values = np.moveaxis(X, -1, 1) / np.float32(255)
    net = fit_net(Convolutions, values)
    Reader(net, UNIT, FLOATS, SHAPE).check(X)
    with pytest.raises(ValueError, match=r"from 0 to 255 than .* it is not known which"):
        Reader(net, ValueRange(0.0, 255.0), FLOATS, SHAPE).check(X)


def test_a_form_that_cannot_be_read_after_fit_is_told_in_words():
    net = fit_net(lambda: nn.Linear(432, 3), FLAT / 255)
    rows = ImageForm(2, np.dtype(np.float32))
    reader = Reader(net, UNIT, rows, SHAPE)
    with pytest.raises(ValueError, match=r"in the form given, 4 dimensions .*fit again"):
        reader.check_form(X / np.float32(255), FLOATS)


def test_long_descriptions_of_classifiers_do_not_bury_the_message():
    net = fit_net(perceptron, X / 255)
    net.classes = [4, 5, 6]
    with pytest.raises(ValueError, match=r"^predict of this NeuralNetClassifier returned \d, "):
        Reader(net, UNIT, FLOATS, SHAPE).check(X)

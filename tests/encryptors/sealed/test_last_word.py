"""The user's own classifier says of ciphertexts what it says of plain images; or is refused.

Whatever is computed inside, ``classifier.predict(C)`` against ``classifier.predict(X)`` counts.
"""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsOneClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

import ricsk
from ricsk import CNNClassifier, SealedEncryptor, SecretKey
from ricsk.classifiers import TorchClassifier
from ricsk.exceptions import TargetNotReachedError

KEY = SecretKey(bytes(32))
SHAPE = (16, 15, 3)


def make_images(n_classes, n=48):
    """Classes differ by which band of columns is bright."""
    rng, y = np.random.default_rng(0), np.arange(n) % n_classes
    X = np.empty((n, *SHAPE))
    X[:] = 40 + 8 * np.arange(3) + rng.integers(0, 20, (n, 1, 1, 3))
    width = SHAPE[1] // n_classes
    for image, k in zip(X, y, strict=True):
        image[:, k * width : (k + 1) * width] += 110
    return X.astype(np.uint8), y


X, Y = make_images(3)
X2, Y2 = make_images(2)
VALUES, VALUES2 = X / 255, X2 / 255
FLAT, FLAT2 = VALUES.reshape(len(X), -1), VALUES2.reshape(len(X), -1)


def seal(classifier, data, n=9, **parameters):
    """Seal images, check that they come back, and return them with their ciphertexts."""
    if data.ndim == 2:
        parameters["image_shape"] = SHAPE
    sealed = SealedEncryptor(KEY, FrozenEstimator(classifier), **parameters).fit(data)
    images = data[:n]
    C = sealed.transform(images)
    assert C.dtype == images.dtype
    assert C.shape == images.shape
    back = sealed.inverse_transform(C)
    if images.dtype.kind == "f":
        back, images_back = map(sealed.value_range_.to_uint8, (back, images))
        np.testing.assert_array_equal(back, images_back)
    else:
        np.testing.assert_array_equal(back, images)
    return images, C


def assert_kept(classifier, data, given=lambda images: images, **parameters):
    images, C = seal(classifier, data, **parameters)
    expected = np.ravel(classifier.predict(given(images)))
    assert len(set(expected.tolist())) > 1
    np.testing.assert_array_equal(np.ravel(classifier.predict(given(C))), expected)


def assert_refused(classifier, data, message, **parameters):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        seal(classifier, data, **parameters)
    assert not isinstance(caught.value, TargetNotReachedError)


# Estimators of scikit-learn.


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(),
        RidgeClassifier(),
        LinearSVC(C=0.01),
        SVC(),
        SVC(kernel="poly"),
        SVC(break_ties=True),
        MLPClassifier((16,), tol=0.01, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(Normalizer(), LogisticRegression()),
        CalibratedClassifierCV(LinearSVC(C=0.01), cv=2),
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
        OneVsOneClassifier(LinearSVC(C=0.01)),
        RandomForestClassifier(10, random_state=0),
    ],
    ids=str,
)
def test_estimators_with_a_view_and_without(classifier):
    assert_kept(classifier.fit(FLAT, Y), FLAT)


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(),
        NuSVC(nu=0.2),
        FixedThresholdClassifier(LogisticRegression(), threshold=0.8),
        FixedThresholdClassifier(LogisticRegression(), threshold=0.2),
    ],
    ids=str,
)
def test_two_classes(classifier):
    assert_kept(classifier.fit(FLAT2, Y2), FLAT2)


@pytest.mark.parametrize(
    "labels",
    [[50, 7, -3], [2.0, 5.0, -1.0], ["b", "a", "c"], np.array(["b", "a", "c"], object)],
    ids=["integers", "floats", "strings", "objects"],
)
def test_labels_of_any_kind(labels):
    assert_kept(LogisticRegression().fit(FLAT, np.asarray(labels)[Y]), FLAT)


def test_boolean_labels():
    assert_kept(LogisticRegression().fit(FLAT2, Y2 > 0), FLAT2)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 255), (-1, 1), (0, 0.4), (3, 20)], ids=lambda value: f"{value:g}"
)
def test_any_range_of_floats(low, high):
    values = low + (high - low) * FLAT
    classifier = LogisticRegression(max_iter=2000).fit(values, Y)
    assert_kept(classifier, values)
    assert_kept(classifier, low + (high - low) * 0.7 * FLAT)  # darker than it was trained on


def test_a_range_that_it_was_not_trained_on():
    assert_kept(LogisticRegression(max_iter=2000).fit(255 * FLAT, Y), FLAT)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f4", ">f8", np.int64, ">i2"])
def test_other_dtypes_than_it_was_trained_on(dtype):
    data = (FLAT if np.dtype(dtype).kind == "f" else X.reshape(len(X), -1)).astype(dtype)
    assert_kept(RidgeClassifier().fit(data.astype(np.float64), Y), data)


def test_images_in_their_shape_for_a_classifier_of_rows():
    rows = LogisticRegression().fit(FLAT, Y)
    assert_kept(rows, VALUES, given=lambda images: images.reshape(len(images), -1))


def test_images_that_were_flattened_channels_first():
    rows = np.moveaxis(VALUES, -1, 1).reshape(len(X), -1)
    assert_kept(LogisticRegression().fit(rows, Y), rows)


@pytest.mark.parametrize(
    ("classifier", "match"),
    [
        (LinearSVC(C=0.01), "proba"),
        (SVC(), "proba"),
        (RandomForestClassifier(3), "proba"),
        (LogisticRegression(), "label"),
    ],
    ids=str,
)
def test_matches_that_a_classifier_has_not_are_refused(classifier, match):
    classifier.fit(FLAT, Y)
    if match == "label":
        return assert_kept(classifier, FLAT, match="proba")
    return assert_refused(classifier, FLAT, "probabilities|match='proba' needs", match=match)


# What somebody wrote around a classifier.


class Wrapper(ClassifierMixin, BaseEstimator):
    """Labels in an order of its own, and a predict of its own."""

    def __init__(self, classes=("a", "b", "c"), predicts=None, scores=None):
        self.classes = classes
        self.predicts = predicts
        self.scores = scores
        self.classes_ = np.asarray(classes)
        self.model = LogisticRegression().fit(FLAT, Y)

    def fit(self, X, y=None):
        return self

    def predict_proba(self, X):
        proba = self.model.predict_proba(X)
        return proba if self.scores is None else self.scores(proba)

    def predict(self, X):
        best = self.model.predict_proba(X).argmax(axis=1)
        return self.classes_[best] if self.predicts is None else self.predicts(best)


@pytest.mark.parametrize(
    "wrapper",
    [
        Wrapper(("zebra", "ant", "mouse")),
        Wrapper((7, 3, 5)),
        Wrapper(predicts=lambda best: np.array(["a", "b", "c"])[best][:, np.newaxis]),
        Wrapper(predicts=lambda best: [("a", "b", "c")[i] for i in best]),
        Wrapper(predicts=lambda best: np.array(["a", "b", "c"], object)[best]),
    ],
    ids=["names", "numbers", "column", "list", "objects"],
)
def test_labels_in_any_order_and_container(wrapper):
    assert_kept(wrapper, FLAT)


@pytest.mark.parametrize(
    ("wrapper", "message"),
    [
        (Wrapper(predicts=lambda best: best), "returned 0, which is not one of its classes_"),
        (Wrapper(predicts=lambda best: np.eye(3)[best]), r"shape \(\d+, 3\); expected one label"),
        (
            Wrapper(predicts=lambda best: np.array(["b", "c", "a"])[best]),
            "in the order of classes_",
        ),
        (
            Wrapper(predicts=lambda best: np.array(["a", "c", "b"])[best]),
            "in the order of classes_",
        ),
        (Wrapper(scores=lambda proba: proba[:, ::-1]), "in the order of classes_"),
        (Wrapper(scores=lambda proba: proba[:, :2]), "gives 2 scores for each image"),
        (
            Wrapper(predicts=lambda best: np.random.default_rng().permutation(list("abc"))[best]),
            "asked twice|in the order of classes_",
        ),
    ],
    ids=["positions", "one-hot", "turned", "exchanged", "columns", "too few columns", "chance"],
)
def test_what_predict_and_scores_do_not_say_together_is_refused(wrapper, message):
    assert_refused(wrapper, FLAT, message)


def test_an_answer_that_depends_on_the_other_images_is_refused():
    class Centring(RandomForestClassifier):
        def predict(self, X):
            proba = self.predict_proba(X)
            return (proba - proba.mean(axis=0)).argmax(axis=1)

    assert_refused(Centring(10, random_state=0).fit(FLAT, Y), FLAT, "asked twice, among other")


def sort_by_class(data):
    return data[np.argsort(Y, kind="stable")]


@pytest.mark.parametrize("turned", [False, True])
def test_images_sorted_by_class_show_all_of_them(turned):
    many = np.repeat(sort_by_class(FLAT), 12, axis=0)
    predicts = (lambda best: np.array(["a", "c", "b"])[best]) if turned else None
    wrapper = Wrapper(predicts=predicts)
    if turned:
        return assert_refused(wrapper, many, "in the order of classes_")
    return assert_kept(wrapper, many[::40])


# Subclasses.


def subclass(base, **methods):
    return type(f"Own{base.__name__}", (base,), methods)


@pytest.mark.parametrize("base", [LogisticRegression, GaussianNB, RandomForestClassifier])
def test_subclasses_that_turn_their_labels_are_refused(base):
    turned = subclass(base, predict=lambda self, X: (base.predict(self, X) + 1) % 3)()
    assert_refused(turned.fit(FLAT, Y), FLAT, "what its predict returns differ")


def test_subclasses_that_predict_a_column():
    column = subclass(
        LogisticRegression,
        predict=lambda self, X: LogisticRegression.predict(self, X)[:, np.newaxis],
    )
    assert_kept(column().fit(FLAT, Y), FLAT)


def test_probabilities_of_ones_own_decide():
    blurred = subclass(
        LogisticRegression,
        predict_proba=lambda self, X: 0.5 * LogisticRegression.predict_proba(self, X) + 1 / 6,
    )
    assert_kept(blurred().fit(FLAT, Y), FLAT)
    assert_refused(blurred().fit(FLAT, Y), FLAT, "probabilities|own proba", match="proba")


@pytest.fixture(scope="module")
def network():
    return CNNClassifier(width=4, depth=1, epochs=12, learning_rate=0.05, random_state=0)


def as_subclass(network, **methods):
    """The same network, as an instance of a class that overrides methods."""
    kind = subclass(CNNClassifier, __init__=CNNClassifier.__init__, **methods)
    other = object.__new__(kind)
    other.__dict__.update(network.__dict__)
    return other


@pytest.fixture(scope="module")
def trained(network):
    return network.fit(X, np.array(["b", "a", "c"])[Y])


def test_a_network_of_this_package(trained):
    assert_kept(trained, X)
    images, C = seal(trained, X, n=4, match="proba")
    np.testing.assert_array_equal(trained.predict(C), trained.predict(images))
    difference = trained.predict_proba(C) - trained.predict_proba(images)
    assert (np.abs(difference).sum(axis=1) / 2 <= 0.02 + 1e-5).all()
    images, C = seal(trained, X, n=4, match="features")
    np.testing.assert_array_equal(trained.predict(C), trained.predict(images))
    distances = paired_cosine_distances(trained.features(C), trained.features(images))
    assert (distances <= 0.01 + 1e-5).all()


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"predict": lambda self, X: CNNClassifier.predict(self, X)[:, np.newaxis]}, None),
        ({"decision_function": lambda self, X: -CNNClassifier.decision_function(self, X)}, None),
        (
            {"predict": lambda self, X: np.roll(self.classes_, 1)[_best(self, X)]},
            "what its predict returns differ",
        ),
        ({"predict": lambda self, X: _best(self, X)}, "not one of its classes_"),
        (
            {"_apply": lambda self, f, X: CNNClassifier._apply(self, f, 255 - np.asarray(X))},
            "what its predict returns differ",
        ),
    ],
    ids=["column", "scores", "turned", "positions", "other pixels"],
)
def test_subclasses_of_a_network(trained, methods, message):
    other = as_subclass(trained, **methods)
    if message is None:
        return assert_kept(other, X)
    return assert_refused(other, X, message)


def _best(network, X):
    return CNNClassifier.decision_function(network, X).argmax(axis=1)


def test_values_of_ones_own_that_are_not_the_networks_are_refused(trained):
    for match, method in (("proba", "predict_proba"), ("features", "features")):
        own = getattr(CNNClassifier, method)
        other = as_subclass(trained, **{method: lambda self, X, own=own: own(self, X)[:, ::-1]})
        assert_refused(other, X, f"its own {match} differ", match=match)


def test_a_network_that_learnt_another_range_than_the_encryptor(network):
    values = X.astype(np.float32)
    dark = values * np.float32(0.35)
    classifier = CNNClassifier(**network.get_params())
    classifier.fit(np.concatenate([values, dark]), np.concatenate([Y, Y]))
    assert_kept(classifier, dark)


# skorch.


class Perceptron(nn.Module):
    def __init__(self, n_out=3, casts=False, ends=None):
        super().__init__()
        torch.manual_seed(0)
        self.casts = casts
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(720, 16), nn.ReLU(), nn.Linear(16, n_out)
        )
        self.ends = ends or nn.Identity()

    def forward(self, X):
        return self.ends(self.layers(X.float() / 255 if self.casts else X))


class Convolutions(nn.Module):
    def __init__(self, channels_last=False):
        super().__init__()
        torch.manual_seed(0)
        self.channels_last = channels_last
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(5), nn.Flatten(), nn.Linear(200, 3)
        )

    def forward(self, X):
        return self.layers(X.permute(0, 3, 1, 2) if self.channels_last else X)


def fit_net(module, data, labels=Y, kind=NeuralNetClassifier, **settings):
    net = kind(
        module,
        **{"criterion": nn.CrossEntropyLoss, "lr": 0.1, **settings},
        max_epochs=30,
        batch_size=16,
        train_split=None,
        verbose=0,
    )
    return net.fit(data, labels.astype(np.float32 if kind is NeuralNetBinaryClassifier else int))


ROWS, PIXELS = FLAT.astype(np.float32), VALUES.astype(np.float32)


def channels_first(images):
    return np.moveaxis(images, -1, 1).copy()


def test_a_net_over_rows():
    assert_kept(fit_net(Perceptron, ROWS), ROWS)


def test_a_net_over_rows_of_images_in_their_shape():
    module = nn.Sequential(nn.Linear(720, 3))
    net = fit_net(module, ROWS)
    assert_kept(net, PIXELS, given=lambda images: images.reshape(len(images), -1))


def test_a_net_that_takes_channels_last():
    assert_kept(fit_net(Convolutions, PIXELS, module__channels_last=True), PIXELS)


@pytest.mark.parametrize("data", [PIXELS, X], ids=["floats", "bytes"])
def test_a_net_that_takes_channels_first(data):
    net = fit_net(Convolutions, channels_first(PIXELS))
    scale = np.float32(255 if data.dtype == np.uint8 else 1)
    assert_kept(net, data, given=lambda images: channels_first(images) / scale)


def test_a_net_that_takes_channels_first_on_a_scale_that_cannot_be_known():
    raw = fit_net(Convolutions, channels_first(X).astype(np.float32), lr=1e-4)
    assert_refused(raw, X.astype(np.float32), r"it is not known which it is to be given")


def test_a_module_that_casts_has_a_view():
    """A view computes in double precision, and the module would not."""
    net = fit_net(Perceptron, X, module__casts=True)
    assert_kept(net, X)
    images, C = seal(net, X, n=3, match="proba")
    variation = np.abs(net.predict_proba(C) - net.predict_proba(images)).sum(axis=1) / 2
    assert variation.max() <= 0.02 + 1e-5


def test_a_module_that_returns_probabilities():
    net = fit_net(Perceptron, ROWS, criterion=nn.NLLLoss, module__ends=nn.Softmax(dim=-1))
    assert_kept(net, ROWS)


def test_nets_without_a_view():
    assert_kept(fit_net(Perceptron, ROWS, criterion=nn.MultiMarginLoss), ROWS)
    binary = fit_net(
        nn.Sequential(nn.Linear(720, 1), nn.Flatten(0)),
        FLAT2.astype(np.float32),
        Y2,
        kind=NeuralNetBinaryClassifier,
        criterion=nn.BCEWithLogitsLoss,
    )
    assert_kept(binary, FLAT2.astype(np.float32))


def test_nets_whose_labels_are_not_what_they_predict_are_refused_in_few_words():
    net = fit_net(Perceptron, ROWS, classes=["b", "a", "c"])
    with pytest.raises(ValueError, match="this NeuralNetClassifier returned 0, which is not one"):
        seal(net, ROWS)
    turned = subclass(
        NeuralNetClassifier, predict=lambda self, X: (NeuralNetClassifier.predict(self, X) + 1) % 3
    )
    assert_refused(fit_net(Perceptron, ROWS, kind=turned), ROWS, "what its predict returns differ")


def test_a_form_that_a_net_cannot_read_is_told_after_fit():
    net = fit_net(nn.Sequential(nn.Linear(720, 3)), ROWS)
    sealed = SealedEncryptor(KEY, FrozenEstimator(net), image_shape=SHAPE).fit(ROWS)
    with pytest.raises(ValueError, match="cannot classify images in the form given, 4 dimensions"):
        sealed.transform(PIXELS)


def test_a_form_that_is_read_in_another_way_is_refused_by_transform_and_rekey():
    forest = RandomForestClassifier(10, random_state=0).fit(FLAT, Y)
    sealed = SealedEncryptor(KEY, FrozenEstimator(forest), image_shape=SHAPE).fit(FLAT)
    C = np.rint(255 * sealed.transform(FLAT[:6])).astype(np.uint8)
    for act in (
        lambda: sealed.transform(X[:6]),
        lambda: sealed.rekey(C, SecretKey(bytes(range(32)))),
    ):
        with pytest.raises(ValueError, match="read as another class in the form given"):
            act()


# One pass gives both the margin and the last word.


@pytest.mark.parametrize("name", ["CNN", "ConvMixer", "ViT", "AdaptNet"])
def test_the_networks_of_this_package_decide_in_one_way(name):
    kind = getattr(ricsk, f"{name}Classifier")
    for method in ("predict", "decision_function"):
        assert getattr(kind, method) is getattr(TorchClassifier, method)


@pytest.mark.parametrize("labels", [Y, Y2], ids=["three classes", "two classes"])
def test_the_largest_score_is_what_a_network_predicts_exactly(network, labels):
    """Where scores underflow or are equal, too: the arithmetic is the same."""
    network = CNNClassifier(**network.get_params()).fit(X, labels)
    noise = np.random.default_rng(0).integers(0, 256, (200, *SHAPE), np.uint8)
    head = network.module_.network.head
    for factor in (1.0, 1e-6, 1e-30, 1e-8, 0.0):
        with torch.no_grad():
            head.weight *= factor
            head.bias *= factor
        scores = network.decision_function(noise)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        best = network.classes_[scores.argmax(axis=1)]
        np.testing.assert_array_equal(network.predict(noise), best)
    assert (scores == 0).all()

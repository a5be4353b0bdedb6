import io
import pickle
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import zoom
from scipy.sparse import csr_matrix
from scipy.stats import ortho_group
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import (
    KDTree,
    KNeighborsClassifier,
    NearestCentroid,
    NeighborhoodComponentsAnalysis,
    RadiusNeighborsClassifier,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

from ricsk import CNNClassifier, ConvMixerClassifier, ViTClassifier
from ricsk.cloud import CloudHalf, find_training_images, without_leftovers
from ricsk.datasets import make_street_numbers
from ricsk.images import ValueRange

# What matters here is what they hold, not how good they are.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LEVELS, Y = make_street_numbers(120, size=8, random_state=0)
Y = Y % 3
X = LEVELS / 255
FLAT = X.reshape(len(X), -1)
UNIT = ValueRange(0.0, 1.0)
RNG = np.random.default_rng(0)

LINEAR = LogisticRegression()
KNN = KNeighborsClassifier()

KEEPERS = [
    KNN,
    KNeighborsClassifier(algorithm="ball_tree"),
    RadiusNeighborsClassifier(radius=20.0),
    SVC(),
    NuSVC(nu=0.2),
    GaussianProcessClassifier(),
    LabelPropagation(),
    LabelSpreading(),
    make_pipeline(Nystroem(n_components=20), LINEAR),
    make_pipeline(StandardScaler(), SVC()),
    make_pipeline(MinMaxScaler((-1, 1)), KNN),
    make_pipeline(PowerTransformer(), KNN),
    make_pipeline(PCA(10), SVC()),
    make_pipeline(FunctionTransformer(lambda X: X**2), KNN),
    BaggingClassifier(KNN, max_samples=0.5, max_features=0.5),
    VotingClassifier([("linear", LINEAR), ("knn", KNN)]),
    StackingClassifier([("linear", LINEAR), ("svc", SVC())]),
    CalibratedClassifierCV(SVC()),
    GridSearchCV(SVC(), {"C": [1, 2]}),
    OneVsRestClassifier(SVC()),
    FrozenEstimator(clone(KNN).fit(FLAT, Y)),
]

NETWORK = {"epochs": 1, "batch_size": 32, "random_state": 0}
# What `PrivateClassifier.cloud_half` names as keeping no images.
SUPPORTED = [
    CNNClassifier(width=4, depth=1, **NETWORK),
    ConvMixerClassifier(dim=8, depth=1, kernel_size=3, patch_size=2, **NETWORK),
    ViTClassifier(dim=8, depth=1, n_heads=2, patch_size=4, **NETWORK),
    MLPClassifier((30,), max_iter=50, random_state=0),
    LINEAR,
    LinearSVC(),
    RidgeClassifier(),
    SGDClassifier(random_state=0),
    Perceptron(random_state=0),
    GaussianNB(),
    NearestCentroid(),
    LinearDiscriminantAnalysis(),
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(10, random_state=0),
    HistGradientBoostingClassifier(max_iter=5, random_state=0),
    make_pipeline(StandardScaler(), PCA(10), LINEAR),
    make_pipeline(NeighborhoodComponentsAnalysis(5, max_iter=5, random_state=0), LINEAR),
    BaggingClassifier(LINEAR, n_estimators=3, random_state=0),
    VotingClassifier([("linear", LINEAR), ("bayes", GaussianNB())], voting="soft"),
    CalibratedClassifierCV(LINEAR, method="isotonic", cv=3),
    GridSearchCV(LINEAR, {"C": [0.1, 1]}, cv=3),
]


def fitted(classifier, images=X, labels=Y):
    flat = not isinstance(classifier, CNNClassifier.__base__)
    return clone(classifier).fit(images.reshape(len(images), -1) if flat else images, labels)


@pytest.mark.parametrize("classifier", KEEPERS, ids=lambda classifier: type(classifier).__name__)
def test_classifiers_that_keep_samples_are_found(classifier):
    assert find_training_images(fitted(classifier), X, UNIT)


@pytest.mark.parametrize(
    "classifier", [KNN, SVC(), make_pipeline(StandardScaler(), SVC())], ids=str
)
def test_what_was_trained_elsewhere_is_found_by_its_kind(classifier):
    assert find_training_images(fitted(classifier, X[20:], Y[20:]), X[:20], UNIT)


def test_the_finding_says_where():
    assert find_training_images(fitted(SVC()), X, UNIT) == "SVC.support_vectors_"
    assert find_training_images(Keeper(lambda X: X).fit(FLAT), X, UNIT) == "Keeper.kept_"


@pytest.mark.parametrize("images", [X, X.astype(np.float32), LEVELS], ids=lambda X: str(X.dtype))
@pytest.mark.parametrize("classifier", SUPPORTED, ids=str)
def test_classifiers_that_keep_none_pass(classifier, images):
    left = without_leftovers(fitted(classifier, images))
    assert find_training_images(left, images, UNIT) is None


class Keeper(ClassifierMixin, BaseEstimator):
    """A user's classifier, which keeps something of its training images."""

    def __init__(self, keep):
        self.keep = keep

    def fit(self, X, y=None):
        self.kept_ = self.keep(X)
        return self


class Slotted:
    __slots__ = ("rows",)

    def __init__(self, rows):
        self.rows = rows


def subset(X, n=20):
    return X[np.random.default_rng(1).permutation(len(X))[:n]]


def enlarge(X):
    return X.reshape(-1, 8, 8, 3).repeat(3, axis=1).repeat(3, axis=2)


FACTORS, SHIFTS = RNG.uniform(0.2, 5, 192), RNG.normal(size=192)
SIGNS = RNG.choice([-1, 1], 192)
TURN = ortho_group.rvs(192, random_state=0)
FORMS = {
    "as they are": lambda X: X,
    "one of them": lambda X: X[7],
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "levels": lambda X: np.rint(255 * X).astype(np.uint8),
    "levels as integers": lambda X: np.rint(255 * X).astype(np.int64),
    "on [-1, 1]": lambda X: 2 * X - 1,
    "negatives": lambda X: subset(1 - X),
    "the negative of one": lambda X: 0.3 - 2.2 * X[7],
    "some": subset,
    "images": lambda X: X.reshape(-1, 8, 8, 3),
    "columns": lambda X: subset(X).T,
    "channels first": lambda X: np.moveaxis(3.3 * subset(X).reshape(-1, 8, 8, 3), -1, 1),
    "channels first, flat": lambda X: FORMS["channels first"](X).reshape(20, -1),
    "a list of arrays": list,
    "a list of lists": lambda X: X.tolist(),
    "a dictionary": lambda X: {i: {"row": row} for i, row in enumerate(X)},
    "an array of objects": lambda X: np.array([*X, None], dtype=object)[:-1],
    "a sparse matrix": lambda X: csr_matrix(subset(X)),
    "a table": lambda X: pd.DataFrame(subset(X)),
    "a tensor": lambda X: torch.tensor(subset(X)),
    "a tensor with a gradient": lambda X: torch.tensor(subset(FACTORS * X), requires_grad=True),
    "a layer": lambda X: torch.nn.ParameterList([torch.tensor(subset(X))]),
    "bytes": lambda X: b"head" + X.tobytes(),
    "bytes of levels": lambda X: bytearray(np.rint(255 * X).astype(np.uint8).tobytes()),
    "a pickle": lambda X: pickle.dumps(X.astype(np.float32)),
    "an object": lambda X: SimpleNamespace(inner=[SimpleNamespace(rows=subset(X))]),
    "an object with slots": lambda X: Slotted(subset(X)),
    "a tree": lambda X: KDTree(subset(X)),
    "another classifier": lambda X: fitted(KNN),
    "a closure": lambda X: lambda others: others @ X.T,
    "a default": lambda X: lambda others, X=X: others @ X.T,
    "a method": lambda X: Keeper(subset).fit(X).fit,
    "enlarged": lambda X: 3.3 * subset(enlarge(X)),
    "enlarged and flat": lambda X: 3.3 * subset(enlarge(X).reshape(120, -1)),
    "enlarged smoothly": lambda X: zoom(X.reshape(-1, 8, 8, 3), (1, 3, 3, 1), order=1),
    "normalized": lambda X: subset(Normalizer().fit_transform(X)),
    "standardized": lambda X: StandardScaler().fit_transform(X),
    "robustly scaled": lambda X: RobustScaler().fit_transform(X),
    "some, standardized": lambda X: subset(StandardScaler().fit_transform(X)),
    "some, each feature scaled": lambda X: subset(FACTORS * X + SHIFTS),
    "some, each feature scaled either way": lambda X: subset(SIGNS * FACTORS * X + SHIFTS, 30),
    "scaled rows in a dictionary": lambda X: dict(enumerate(subset(FACTORS * X))),
    "turned": lambda X: X @ TURN,
    "principal components": lambda X: PCA(20).fit_transform(X),
}


@pytest.mark.parametrize("form", FORMS)
def test_images_are_found_in_every_form(form):
    keeper = Keeper(FORMS[form]).fit(FLAT)
    assert find_training_images(keeper, X, UNIT)
    # An estimator of scikit-learn around it changes nothing.
    assert find_training_images(GridSearchCV(keeper, {}), X, UNIT)


@pytest.mark.parametrize("form", ["as they are", "columns", "bytes", "standardized"])
def test_levels_are_found_too(form):
    keeper = Keeper(FORMS[form]).fit(LEVELS.reshape(len(X), -1))
    assert find_training_images(keeper, LEVELS, UNIT)


def test_pixels_of_other_images_are_found():
    keeper = Keeper(subset).fit(FLAT[:100])
    assert find_training_images(keeper, X[100:], UNIT) == "Keeper.kept_"
    shifted = ValueRange(-1.0, 1.0)
    keeper = Keeper(subset).fit(2 * FLAT[:100] - 1)
    assert find_training_images(keeper, 2 * X[100:] - 1, shifted) == "Keeper.kept_"


@pytest.mark.parametrize(
    "kept",
    [
        RNG.normal(size=(120, 192)),
        RNG.normal(size=(192, 120)),
        RNG.integers(0, 2, (120, 192)).astype(float),
        np.arange(192),
        np.zeros((120, 192)),
        np.full((3, 192), np.nan),
        RNG.normal(size=(120, 10)),
        FLAT.mean(axis=0),
        np.stack([FLAT[label == Y].mean(axis=0) for label in range(3)]),
        FLAT.std(axis=0),
        b"\0" * 10_000,
        "text",
        [],
    ],
    ids=lambda kept: f"{type(kept).__name__} {np.shape(kept)}",
)
def test_other_numbers_are_no_images(kept):
    assert find_training_images(Keeper(lambda X: kept).fit(FLAT), X, UNIT) is None


def test_a_black_image_is_not_every_zero():
    images = np.concatenate([np.zeros_like(X[:1]), X])
    assert find_training_images(Keeper(lambda X: bytes(10_000)).fit(FLAT), images, UNIT) is None


def test_a_class_of_one_image_is_found_in_its_mean():
    labels = np.arange(len(X)) // 119
    assert find_training_images(fitted(NearestCentroid(), labels=labels), X, UNIT)


@pytest.mark.parametrize("seed", range(3))
def test_the_momentum_of_an_optimizer_is_a_training_image(seed):
    """A unit that one image activates has that image for a gradient."""
    classifier = MLPClassifier((100,), max_iter=20, random_state=seed).fit(FLAT[:30], Y[:30])
    assert find_training_images(classifier, X[:30], UNIT)
    left = without_leftovers(classifier)
    assert find_training_images(left, X[:30], UNIT) is None
    np.testing.assert_array_equal(left.predict(FLAT), classifier.predict(FLAT))


def test_exactly_means_these_images_and_no_map_of_them():
    for form in ("as they are", "one of them", "levels", "a list of lists", "bytes"):
        assert find_training_images(Keeper(FORMS[form]).fit(FLAT), X, UNIT, exact=True)
    for form in ("some, each feature scaled", "turned"):
        assert not find_training_images(Keeper(FORMS[form]).fit(FLAT), X, UNIT, exact=True)


def needles(images):
    """Rows of bytes that would be in a dump of images, in any of their forms."""
    levels = np.rint(255 * images).astype(np.uint8)
    forms = [enlarge(form) for form in (levels, images)]
    flat = images.reshape(len(images), -1)
    for scaler in (StandardScaler(), MinMaxScaler(), MinMaxScaler((-1, 1)), RobustScaler()):
        forms.append(scaler.fit_transform(flat))
    forms += [levels, images, 255 * images, 2 * images - 1]
    for form in forms:
        kinds = [np.uint8] if form.dtype == np.uint8 else [np.float32, np.float64]
        for row in (row for kind in kinds for row in form.astype(kind)):
            yield row.tobytes()


def dumps(value):
    file = io.BytesIO()
    joblib.dump(value, file)
    return file.getvalue(), pickle.dumps(value)


@pytest.mark.parametrize("classifier", SUPPORTED, ids=str)
def test_no_plain_image_is_in_the_bytes_of_a_cloud_half(classifier):
    for dump in dumps(CloudHalf(without_leftovers(fitted(classifier)))):
        assert not any(needle in dump for needle in needles(X))


@pytest.mark.parametrize("scaler", [None, StandardScaler(), MinMaxScaler()], ids=str)
def test_the_search_of_bytes_finds_what_is_there(scaler):
    for dump in dumps(CloudHalf(fitted(make_pipeline(scaler, KNN)))):
        assert any(needle in dump for needle in needles(X))

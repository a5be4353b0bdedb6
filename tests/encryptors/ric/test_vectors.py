"""Ciphertexts byte by byte, of classifiers whose weights are given by formulas."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import RICEncryptor, SecretKey

FILE = Path(__file__).parents[2] / "vectors" / "ric.json"
RAW = bytes(range(32))
GREY, COLOUR = (12, 12, 1), (8, 8, 3)


def images(shape, n=2):
    """Values 0, 37, 74, ... in (image, row, column, channel) order, modulo 251."""
    return (37 * np.arange(n * np.prod(shape)) % 251).astype(np.uint8).reshape(n, *shape)


def linear(shape, n_classes):
    """Weights -8, -1, 6, ... up to 8, and never 0, so that no rounding turns a gradient round."""
    n = int(np.prod(shape))
    rows = 1 if n_classes == 2 else n_classes
    weights = 7 * np.arange(rows * n) % 17 - 8
    classifier = LogisticRegression()
    classifier.coef_ = np.where(weights == 0, 1, weights).reshape(rows, n) / 2048
    classifier.intercept_ = np.zeros(rows)
    classifier.classes_ = np.arange(n_classes)
    classifier.n_features_in_ = n
    return classifier


class Asked(ClassifierMixin, BaseEstimator):
    """A classifier that shows its probabilities and nothing else."""

    def __init__(self, classifier):
        self.classifier = classifier
        self.classes_ = classifier.classes_

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return self.classifier.predict(X)

    def predict_proba(self, X):
        return self.classifier.predict_proba(X)


# Shape, number of classes, whether the classifier is only asked, and parameters. The patterns of
# two classes, which lack some of so large a kappa, are at the amplitude everywhere.
CASES = {
    "pattern": (GREY, 2, False, {"kappa": 1000}),
    "pattern in colour, unscrambled": (
        COLOUR,
        2,
        False,
        {"kappa": 1000, "alpha": 0.5, "scramble": False},
    ),
    "pattern, fixed": (COLOUR, 2, False, {"kappa": 1000, "nonce": "fixed"}),
    "pattern that fails": (GREY, 2, False, {"amplitude": 0.005, "alpha": 0.4}),
    "search": (GREY, 3, False, {"solver": "search"}),
    "search, fixed": (COLOUR, 3, False, {"solver": "search", "nonce": "fixed", "scramble": False}),
    "cw": (GREY, 3, False, {"solver": "cw"}),
    "cw, fixed": (COLOUR, 3, False, {"solver": "cw", "nonce": "fixed", "scramble": False}),
    "queries": (GREY, 3, True, {}),
}


def fitted(name):
    shape, n_classes, asked, parameters = CASES[name]
    classifier = linear(shape, n_classes)
    classifier = FrozenEstimator(Asked(classifier) if asked else classifier)
    return RICEncryptor(SecretKey(RAW), classifier, **parameters).fit(images(shape, 4))


def make_vectors():
    vectors = {}
    for name, (shape, *_) in CASES.items():
        ric = fitted(name)
        C = ric.transform(images(shape))
        vectors[name] = {
            "ciphertexts": C.tobytes().hex(),
            "recovered": ric.inverse_transform(C).tobytes().hex(),
        }
    return {"key": RAW.hex(), "images": images.__doc__, "cases": vectors}


VECTORS = json.loads(FILE.read_text())["cases"]


@pytest.mark.parametrize("name", CASES)
def test_vectors(name):
    shape = CASES[name][0]
    ric, vector = fitted(name), VECTORS[name]
    C = np.frombuffer(bytes.fromhex(vector["ciphertexts"]), np.uint8).reshape(2, *shape)
    np.testing.assert_array_equal(ric.transform(images(shape)), C)
    assert ric.inverse_transform(C).tobytes().hex() == vector["recovered"]

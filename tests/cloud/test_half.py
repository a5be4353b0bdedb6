import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from ricsk import ConvMixerClassifier
from ricsk.cloud import CloudHalf

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (40, 8, 8, 1), np.uint8), np.array(["cat", "dog"])[np.arange(40) % 2]
LINEAR = LogisticRegression().fit(X.reshape(40, -1), Y)
NETWORK = ConvMixerClassifier(dim=8, depth=1, kernel_size=3, patch_size=2, epochs=1, batch_size=8)
NETWORK.fit(X, Y)


@pytest.mark.parametrize("classifier", [LINEAR, NETWORK], ids=str)
@pytest.mark.parametrize(
    "form",
    [
        lambda X: X,
        lambda X: X[..., 0],
        lambda X: X.reshape(40, -1),
        list,
        lambda X: X.tolist(),
        torch.from_numpy,
        lambda X: pd.DataFrame(X.reshape(40, -1)),
    ],
    ids=["4-D", "3-D", "2-D", "arrays", "lists", "tensor", "table"],
)
def test_ciphertexts_come_in_any_form(classifier, form):
    half, given, usual = CloudHalf(classifier), form(X), X
    if classifier is LINEAR:
        usual = X.reshape(40, -1)
    np.testing.assert_array_equal(half.predict(given), classifier.predict(usual))
    for method in ("predict_proba", "decision_function"):
        found, expected = getattr(half, method)(given), getattr(classifier, method)(usual)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_it_has_the_methods_that_the_classifier_has():
    half = CloudHalf(LinearSVC().fit(X.reshape(40, -1), Y))
    assert hasattr(half, "decision_function")
    with pytest.raises(AttributeError, match="'CloudHalf' has no attribute 'predict_proba'"):
        half.predict_proba  # noqa: B018 (asking for it is what must fail)
    assert not hasattr(half, "transform")
    assert CloudHalf(NETWORK).transform(X).shape == NETWORK.features(X).shape


def test_it_stands_in_a_pipeline():
    half = CloudHalf(LINEAR)
    pipeline = make_pipeline("passthrough", half).fit(X.reshape(40, -1), Y)
    assert pipeline.score(X.reshape(40, -1), Y) == half.score(X, Y)
    assert half.classes_.tolist() == ["cat", "dog"]
    assert half.n_features_in_ == 64


def test_an_unfitted_classifier_makes_no_half():
    half = CloudHalf(LogisticRegression())
    for method in (half.predict, half.predict_proba, half.fit):
        with pytest.raises(NotFittedError):
            method(X)

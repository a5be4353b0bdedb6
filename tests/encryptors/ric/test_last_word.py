"""The classifier itself has the last word: its own predict, on the very array that is returned."""

import re

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from skorch import NeuralNetClassifier

from ricsk import CNNClassifier, RICEncryptor
from ricsk.exceptions import TargetNotReachedError
from tests.encryptors.ric.test_fitted import KEY, X, Y, bright_bands

FLAT = X.reshape(60, -1)
SHAPE = X.shape[1:]
LINEAR = LogisticRegression(C=1e-3, max_iter=1000).fit(FLAT, Y)


def fit(classifier, images=FLAT, **parameters):
    parameters = {"image_shape": SHAPE, **parameters}
    return RICEncryptor(KEY, FrozenEstimator(classifier), **parameters).fit(images)


def assert_kept(classifier, ric, images):
    C = ric.transform(images)
    assert C.dtype == images.dtype
    np.testing.assert_array_equal(classifier.predict(C), classifier.predict(images))
    span = 255 if images.dtype == np.uint8 else np.ptp(images)
    assert np.abs(ric.inverse_transform(C) - images.astype(float)).mean() < 0.02 * span


class Liar(LogisticRegression):
    """Predicts by its scores at first, and by something else when it is told to lie."""

    lies = True

    def predict(self, X):
        predicted = super().predict(X)
        crooked = self.lies & (X.astype(np.int64).sum(axis=1) % 2 == 1)
        return np.where(crooked, (predicted + 1) % 3, predicted)


def test_a_classifier_that_predicts_otherwise_than_it_scores_is_refused():
    with pytest.raises(ValueError, match=r"what is computed of .* predict returns differ"):
        fit(Liar(C=1e-3).fit(FLAT, Y))


def test_one_that_lies_later_is_asked_again_and_again():
    classifier = Liar(C=1e-3).fit(FLAT, Y)
    classifier.lies = False
    ric = fit(classifier)
    classifier.lies = True
    assert (classifier.predict(FLAT) != LINEAR.predict(FLAT)).any()
    C = ric.transform(FLAT)
    np.testing.assert_array_equal(classifier.predict(C), classifier.predict(FLAT))
    assert np.abs(ric.inverse_transform(C) - FLAT.astype(float)).mean() < 4


def test_nothing_is_returned_that_the_classifier_does_not_confirm():
    classifier = Liar(C=1e-3).fit(FLAT, Y)
    classifier.lies = False
    ric = fit(classifier)
    images = FLAT[Y == 0]
    expected = ric.transform(images)
    asked = []

    def contradict(images):
        asked.append(images)
        return np.full(len(images), int(len(asked) > 1))

    classifier.predict = contradict
    with pytest.raises(TargetNotReachedError, match=r"X\[0, 1, 2, 3, .*\.\.\.\] have no"):
        ric.transform(images)
    np.testing.assert_array_equal(asked[0], images)
    # the very array that would have been returned
    np.testing.assert_array_equal(asked[1], expected)
    assert len(asked) == 1 + 16
    assert len({C.tobytes() for C in asked}) == 17


class OwnOrder(ClassifierMixin, BaseEstimator):
    """A black box whose classes are in the order of its columns, not sorted."""

    def __init__(self, model):
        self.model = model
        self.classes_ = np.array(["zebra", "ant", "mouse"])

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        return self.model.predict_proba(X)


class Column(OwnOrder):
    """Predicts a column."""

    def predict(self, X):
        return super().predict(X)[:, np.newaxis]


class Stranger(OwnOrder):
    """Predicts a label that is not one of its own."""

    def predict(self, X):
        return np.where(np.arange(len(X)) % 2, "mouse", "cat")


@pytest.mark.parametrize("kind", [OwnOrder, Column])
def test_unsorted_classes(kind):
    classifier = kind(LINEAR)
    assert_kept(classifier, fit(classifier), FLAT[:9])


@pytest.mark.parametrize("unsorted", [["zebra", "ant", "mouse"], [7, -1, 3]])
def test_unsorted_classes_of_a_linear_classifier(unsorted):
    """Its view has the columns in the order of `classes_`, whatever that is."""
    classifier = LogisticRegression(C=1e-3, max_iter=1000).fit(FLAT, Y)
    classifier.classes_ = np.array(unsorted)
    ric = fit(classifier)
    assert ric.classes_.tolist() == unsorted
    assert_kept(classifier, ric, FLAT)


def test_labels_that_are_not_among_the_classes_are_refused():
    with pytest.raises(ValueError, match="Stranger"):
        fit(Stranger(LINEAR))


@pytest.mark.parametrize("labels", [["no", "yes"], [True, False], [1, 0]])
def test_two_classes_and_one_decision_value(labels):
    images, y = bright_bands(n_classes=2)
    images = images.reshape(60, -1)
    classifier = LinearSVC(C=1e-4).fit(images, np.array(labels)[y])
    assert_kept(classifier, fit(classifier, images), images)


def test_another_float_range_than_that_of_the_classifier():
    """Both learn the range of their floats, and these differ."""
    classifier = CNNClassifier(width=8, depth=1, epochs=10, random_state=0)
    classifier.fit(X.astype(np.float32), Y)
    for light in (0.5, 0.25):
        dark = X.astype(np.float32) * np.float32(light)
        ric = RICEncryptor(KEY, FrozenEstimator(classifier)).fit(dark)
        assert_kept(classifier, ric, dark)


def net(module, images):
    torch.manual_seed(0)
    return NeuralNetClassifier(
        module,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=30,
        lr=0.05,
        batch_size=16,
        train_split=None,
        verbose=0,
    ).fit(images, Y.astype(np.int64))


def test_a_skorch_net_on_flat_colour_images():
    def perceptron():
        return torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(192, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
        )

    images = (FLAT / 255).astype(np.float32)
    classifier = net(perceptron, images)
    assert (classifier.predict(images) == Y).mean() > 0.9
    assert_kept(classifier, fit(classifier, images), images)


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(8 * 64, 3),
        )

    def forward(self, X):
        return self.layers(X)


def test_a_skorch_net_that_takes_channels_first():
    def as_given(images):
        return np.moveaxis(images, -1, 1).astype(np.float32) / 255

    classifier = net(Convolutions, as_given(X))
    ric = RICEncryptor(KEY, FrozenEstimator(classifier)).fit(X)
    C = ric.transform(X[:12])
    predicted = classifier.predict(as_given(X[:12]))
    assert (predicted == Y[:12]).mean() > 0.9
    np.testing.assert_array_equal(classifier.predict(as_given(C)), predicted)


# What a failure says.


def message_of(**parameters):
    """Make all attempts fail, and return what is said of it."""
    classifier = Liar(C=1e-3).fit(FLAT, Y)
    classifier.lies = False
    ric = fit(classifier, **parameters)
    answers = iter([0] + 99 * [1])
    classifier.predict = lambda images: np.full(len(images), next(answers))
    with pytest.raises(TargetNotReachedError) as caught:
        ric.transform(FLAT[:2])
    return str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "helps"),
    [
        ({"kappa": 1.5}, ["kappa (now 1.5)", "alpha (now 0.8)"]),
        ({"kappa": 0.25, "alpha": 0.96}, ["kappa (now 0.25)"]),
        ({"kappa": 0, "alpha": 0.5}, ["alpha (now 0.5)"]),
        ({"kappa": 0, "alpha": 0.98}, []),
    ],
)
def test_a_failure_names_what_can_help_and_nothing_else(parameters, helps):
    text = message_of(**parameters)
    assert text.startswith("X[0, 1] have no ciphertext that the classifier reads as it reads")
    assert f"margin of {parameters['kappa']}" in text
    assert "after 16 attempts for each" in text
    assert "eave these images out" in text
    assert re.findall(r"\w+ \(now [\d.]+\)", text) == helps


def test_an_image_that_fails_is_named_by_its_place_in_the_whole(monkeypatch):
    """However many images are encrypted at a time."""
    monkeypatch.setattr("ricsk.encryptors.ric._base._CHUNK_VALUES", 10 * FLAT.shape[1])
    classifier = Liar(C=1e-3).fit(FLAT, Y)
    classifier.lies = False
    ric = fit(classifier)
    expected = ric.transform(FLAT)
    honest, places = classifier.predict, []

    def contradict_37(images):
        """It is the eighth of its ten, and alone in later attempts."""
        found = honest(images)
        if (images == FLAT[37]).all(axis=1).any():
            places.extend([7, *16 * [0]])
        elif places:
            found[places.pop(0)] = (honest(FLAT[[37]])[0] + 1) % 3
        return found

    classifier.predict = contradict_37
    with pytest.raises(TargetNotReachedError, match=r"^X\[37\] has no ciphertext"):
        ric.transform(FLAT)
    places.clear()
    others = np.arange(60) != 37
    np.testing.assert_array_equal(ric.transform(FLAT[others]), expected[others])


def test_a_later_attempt_succeeds_where_the_first_eight_fail():
    """With nonces of their own, and the same ciphertext as ever where one of the first succeeds."""
    classifier = Liar(C=1e-3).fit(FLAT, Y)
    classifier.lies = False
    ric = fit(classifier)
    first = ric.transform(FLAT[:1])
    honest, asked = classifier.predict, []

    def predict(images):
        asked.append(images)
        refused = 1 < len(asked) < 10
        return (honest(images) + refused) % 3

    classifier.predict = predict
    C = ric.transform(FLAT[:1])
    assert len(asked) == 10
    assert np.array_equal(asked[1], first)
    assert len({image.tobytes() for image in asked}) == 10
    assert np.abs(ric.inverse_transform(C) - FLAT[:1].astype(float)).mean() < 4


# What can be told of ciphertexts that are none any more.


def test_floats_that_are_not_levels_are_refused():
    ric = fit(LINEAR, FLAT / 255)
    C = ric.transform(FLAT[:3] / 255)
    X_back = ric.inverse_transform(C)
    np.testing.assert_allclose(ric.inverse_transform(C.astype(np.float32)), X_back, atol=1e-6)
    for changed in (C * 0.99, np.clip(C + 0.2 / 255, 0, 1 - 0.3 / 255)):
        with pytest.raises(ValueError, match=r"X\[0, 1, 2\] hold values .*256 levels from 0 to 1,"):
            ric.inverse_transform(changed)
        with pytest.raises(ValueError, match="nonce in their lowest bits is lost"):
            ric.read_recipe(changed)
    C[1, 5] += 0.4 / 255 * (1 if C[1, 5] < 0.5 else -1)
    with pytest.raises(ValueError, match=r"X\[1\] holds values"):
        ric.inverse_transform(C)


# What is shown meanwhile.


def test_progress_goes_to_the_standard_error_stream(capsys):
    quiet = fit(LINEAR)
    C = quiet.transform(FLAT)
    quiet.inverse_transform(C)
    assert capsys.readouterr() == ("", "")
    loud = fit(LINEAR, verbose=1)
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(loud.transform(FLAT), C)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "images" in shown.err
    assert "60/60" in shown.err
    assert "template 2" in shown.err
    eager = fit(LINEAR, verbose=1, templates="eager")
    assert "template 2" in capsys.readouterr().err
    eager.transform(FLAT)
    assert "template" not in capsys.readouterr().err

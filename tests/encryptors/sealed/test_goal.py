"""What a classifier is to find in ciphertexts, how that is searched for, and whether it does."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neural_network import MLPClassifier

from ricsk import CNNClassifier, SecretKey
from ricsk.datasets import load_digits
from ricsk.encryptors.sealed._goal import TOLERANCES, Goal, Targets, draw_low_planes
from ricsk.images import ImageForm, ValueRange
from ricsk.nae import Reader

DIGITS, Y = load_digits(size=16)
DIGITS, Y = DIGITS[:400], Y[:400]
SHAPE = DIGITS.shape[1:]
UNIT = ValueRange(0.0, 1.0)
FLAT = ImageForm(2, np.dtype(np.float64))
X = DIGITS.reshape(len(DIGITS), -1) / 255
LINEAR = LogisticRegression(max_iter=1000, C=0.1).fit(X, Y)
NOISE = np.random.default_rng(0).integers(0, 256, (6, *SHAPE), np.uint8)


def goal_for(classifier, match="label", kappa=0.0, tolerance=None, form=FLAT):
    reader = Reader(classifier, UNIT, form, SHAPE)
    return Goal(reader, match, kappa, TOLERANCES[match] if tolerance is None else tolerance)


def streams(n):
    return [SecretKey(bytes(32)).keystream("search", bytes([i])) for i in range(n)]


@pytest.fixture(scope="module")
def perceptron():
    return MLPClassifier((32,), alpha=1.0, tol=0.01, random_state=0).fit(X, Y)


# Targets.


def test_targets_can_be_chosen_from():
    targets = Targets(np.arange(4), np.eye(4))
    assert len(targets) == 4
    chosen = targets[np.array([2, 0])]
    np.testing.assert_array_equal(chosen.labels, [2, 0])
    np.testing.assert_array_equal(chosen.values, np.eye(4)[[2, 0]])
    assert len(targets[1:3]) == 2


def test_labels_are_what_the_classifier_predicts():
    targets = goal_for(LINEAR).ask(X[:20].reshape(20, *SHAPE), FLAT)
    np.testing.assert_array_equal(LINEAR.classes_[targets.labels], LINEAR.predict(X[:20]))
    np.testing.assert_array_equal(targets.values, targets.labels)


def test_values_are_the_classifiers_own():
    network = CNNClassifier(width=8, depth=1, epochs=1, random_state=0).fit(DIGITS[:100], Y[:100])
    form = ImageForm(4, np.dtype(np.uint8))
    for match, ask in (("proba", network.predict_proba), ("features", network.features)):
        targets = goal_for(network, match, form=form).ask(DIGITS[:20], form)
        one_by_one = np.concatenate([ask(DIGITS[i : i + 1].copy()) for i in range(20)])
        np.testing.assert_array_equal(targets.values, one_by_one)
        np.testing.assert_array_equal(targets.labels, network.predict(DIGITS[:20]))


def test_targets_are_those_of_the_image_before_rounding():
    """Or a classifier that rounding sways would be asked for two classes at once."""
    rows = np.tile(np.linspace(0, 1, 16), (16, 1)).reshape(1, 256)
    images = np.clip(rows + np.random.default_rng(0).normal(0, 1e-3, (40, 256)), 0, 1)
    classifier = LogisticRegression(C=1e6).fit(images, (images - rows).sum(axis=1) > 0)
    predicted = classifier.predict(images)
    assert (classifier.predict(np.rint(images * 255) / 255) != predicted).any()
    targets = goal_for(classifier, "proba").ask(images.reshape(-1, *SHAPE), FLAT)
    np.testing.assert_array_equal(classifier.classes_[targets.labels], predicted)
    np.testing.assert_allclose(targets.values, classifier.predict_proba(images), atol=1e-6)


def test_a_form_that_is_read_in_another_way_is_refused():
    with pytest.raises(ValueError, match="Give them as fit was given them"):
        goal_for(LINEAR).ask(DIGITS, ImageForm(2, np.dtype(np.uint8)))


# Whether they are met.


def test_a_label_is_met_with_the_margin():
    scores = np.sort(LINEAR.decision_function(X[:50]), axis=1)
    margins = scores[:, -1] - scores[:, -2]
    levels, labels = DIGITS[:50], LINEAR.predict(X[:50])
    targets = Targets(labels, labels)
    for kappa in (0.0, float(np.median(margins)), float(margins[7]) - 1e-9):
        met = goal_for(LINEAR, kappa=kappa).is_met(levels, targets, FLAT)
        np.testing.assert_array_equal(met, margins >= kappa)
    other = (labels + 1) % 10
    assert not goal_for(LINEAR).is_met(levels, Targets(other, other), FLAT).any()


@pytest.mark.parametrize("match", ["proba", "features"])
def test_values_are_met_within_the_tolerance(perceptron, match):
    tolerance = 0.05
    goal = goal_for(perceptron, match, tolerance=tolerance)
    levels = DIGITS[:1]
    exact = goal.ask(levels, FLAT)
    off = np.zeros_like(exact.values)
    if match == "proba":  # moves so much from the likeliest class to the next
        first, second = exact.values[0].argsort()[[-1, -2]]
        off[0, first], off[0, second] = -1, 1
    else:  # at right angles: 1 - cos of an angle is half of its square
        first, second = exact.values[0].argsort()[[-1, -2]]
        off[0, [first, second]] = exact.values[0, [second, first]] * [1, -1]
        off *= np.linalg.norm(exact.values) / np.linalg.norm(off) * np.sqrt(2 / tolerance)
    for part, met in ((0.0, True), (0.8, True), (1.3, False)):
        targets = Targets(exact.labels, exact.values + part * tolerance * off)
        assert goal.is_met(levels, targets, FLAT)[0] == met
    wrong = Targets((exact.labels + 1) % 10, exact.values)
    assert not goal.is_met(levels, wrong, FLAT)[0]


def test_of_features_the_direction_counts(perceptron):
    goal = goal_for(perceptron, "features", tolerance=1e-9)
    exact = goal.ask(DIGITS[:5], FLAT)
    assert goal.is_met(DIGITS[:5], Targets(exact.labels, 2 * exact.values), FLAT).all()
    assert not goal.is_met(DIGITS[:5], Targets(exact.labels, -exact.values), FLAT).any()


def test_of_many_classes_the_small_probabilities_are_compared_as_one():
    """One by one they would ask for much that nobody reads."""
    images, y = X[:200], np.arange(200) % 25
    many = LogisticRegression(max_iter=200, C=0.1).fit(images, y)
    goal = goal_for(many, "proba", tolerance=0.01)
    exact = goal.ask(DIGITS[:1], FLAT)
    order = exact.values[0].argsort()[::-1]
    exchanged = exact.values.copy()
    exchanged[0, order[5:]] = exact.values[0, order[:4:-1]]
    assert np.abs(exchanged - exact.values).sum() / 2 > 0.01
    assert goal.is_met(DIGITS[:1], Targets(exact.labels, exchanged), FLAT)[0]
    for second in (1, 5):  # another large one, or the sum of the small ones
        moved = exact.values.copy()
        moved[0, order[[0, second]]] += 0.011 * np.array([1, -1])
        assert not goal.is_met(DIGITS[:1], Targets(exact.labels, moved), FLAT)[0]


def test_arrays_of_any_strides_are_compared(perceptron):
    class Backwards(MLPClassifier):
        def predict_proba(self, X):
            return super().predict_proba(X)[:, ::-1].copy()[:, ::-1]

    backwards = Backwards()
    backwards.__dict__.update(perceptron.__dict__)
    goal = goal_for(backwards, "proba")
    exact = goal.ask(DIGITS[:5], FLAT)
    assert goal.is_met(DIGITS[:5], exact, FLAT).all()
    turned = Targets(exact.labels, exact.values[:, ::-1].copy()[:, ::-1])
    assert goal.is_met(DIGITS[:5], turned, FLAT).all()


def test_no_margin_is_asked_for_beside_values(perceptron):
    goal = goal_for(perceptron, "proba", kappa=1000.0)
    assert goal.is_met(DIGITS[:5], goal.ask(DIGITS[:5], FLAT), FLAT).all()


def test_the_classifier_itself_says_what_it_predicts():
    """It need not be the most probable class."""

    class Careful(RandomForestClassifier):
        def predict(self, X):
            return np.where(self.predict_proba(X)[:, 1] > 0.8, 1, 0)

    careful = Careful(10, max_depth=3, random_state=0).fit(X, Y % 2)
    likeliest = careful.predict_proba(X).argmax(axis=1)
    same = careful.predict(X) == likeliest
    assert 0 < same.sum() < len(X)
    met = goal_for(careful).is_met(DIGITS, Targets(likeliest, likeliest), FLAT)
    np.testing.assert_array_equal(met, same)


# How they are searched for.


@pytest.mark.parametrize("match", ["label", "proba", "features"])
def test_a_search_finds_what_is_met_and_leaves_the_low_planes(perceptron, match):
    goal = goal_for(perceptron, match, kappa=0.2, tolerance=0.1)
    targets = goal.ask(DIGITS[:6], FLAT)
    found = goal.search(NOISE, targets, streams(6), held_planes=3, attempt=0)
    assert goal.is_met(found, targets, FLAT).all()
    assert not goal.is_met(NOISE, targets, FLAT).all()
    np.testing.assert_array_equal(found % 8, NOISE % 8)


def test_queries_are_made_where_there_is_no_view():
    forest = RandomForestClassifier(10, random_state=0).fit(X, Y)
    goal = goal_for(forest, kappa=0.1)
    assert goal.reader.view is None
    targets = goal.ask(X[:6].reshape(6, *SHAPE), FLAT)
    found = goal.search(NOISE, targets, streams(6), held_planes=3, attempt=0)
    assert goal.is_met(found, targets, FLAT).all()
    np.testing.assert_array_equal(found % 8, NOISE % 8)
    again = goal.search(NOISE, targets, streams(6), held_planes=3, attempt=0)
    np.testing.assert_array_equal(again, found)
    other = goal.search(NOISE, targets, streams(6)[::-1], held_planes=3, attempt=0)
    assert (other != found).any(axis=(1, 2, 3)).all()


def test_later_attempts_ask_for_larger_margins():
    """As a threshold may need: what the scores prefer clearly is not yet what is predicted."""
    threshold = FixedThresholdClassifier(LogisticRegression(C=0.1), threshold=0.9).fit(X, Y % 2)
    goal = goal_for(threshold, kappa=0.0)
    labels = np.ones(6, np.int64)
    targets = Targets(labels, labels)
    first = goal.search(NOISE, targets, streams(6), held_planes=3, attempt=0)
    assert threshold.predict_proba(first.reshape(6, -1) / 255)[:, 1].min() > 0.5
    assert not goal.is_met(first, targets, FLAT).any()
    later = goal.search(first, targets, streams(6), held_planes=3, attempt=3)
    assert goal.is_met(later, targets, FLAT).all()


# What would have helped.


def explain(goal, levels, labels):
    return goal.explain(levels, Targets(labels, labels), FLAT)


def test_remedies_name_what_is_lacking(perceptron):
    labels = LINEAR.predict(X[:20])
    levels = DIGITS[:20]
    (remedy,) = explain(goal_for(LINEAR, kappa=100.0), levels, labels)
    assert remedy.startswith("a smaller kappa than 100; a margin of ")
    reached = float(remedy.split()[-3])
    assert goal_for(LINEAR, kappa=reached * 0.9).is_met(levels, Targets(labels, labels), FLAT).all()
    (remedy,) = explain(goal_for(LINEAR), levels, (labels + 1) % 10)
    assert "takes most noise for one class" in remedy or "take most noise" in remedy
    goal = goal_for(perceptron, "proba", tolerance=0.01)
    exact = goal.ask(DIGITS[:3], FLAT)
    (remedy,) = goal.explain(DIGITS[:3], Targets(exact.labels, exact.values[::-1]), FLAT)
    assert remedy.startswith("a larger tolerance than 0.01; ")


def test_a_classifier_that_does_not_decide_by_its_scores_is_the_reason_then():
    class Turned(RandomForestClassifier):
        def predict(self, X):
            return (super().predict(X) + 1) % 10

    turned = Turned(10, random_state=0).fit(X, Y)
    levels = DIGITS[:20]
    labels = turned.predict_proba(X[:20]).argmax(axis=1)
    (remedy,) = explain(goal_for(turned), levels, labels)
    assert "whose predict takes the class with the largest score" in remedy


# What templates go through.


@pytest.mark.parametrize("bit_planes", range(1, 8))
def test_draws_are_a_template_above_and_random_below(bit_planes):
    unit = 2**bit_planes
    template = torch.arange(256.0).reshape(16, 16, 1)
    generator = torch.Generator().manual_seed(0)
    drawn = draw_low_planes(bit_planes)(template, 40, generator).numpy().astype(np.int64)
    assert drawn.shape == (40, 16, 16, 1)
    np.testing.assert_array_equal(drawn // unit, np.broadcast_to(DRAWN // unit, drawn.shape))
    counts = np.bincount((drawn % unit).ravel(), minlength=unit)
    assert stats.chisquare(counts).pvalue > 1e-6
    first, second = drawn[:20] % unit, drawn[20:] % unit
    assert (first != second).any(axis=(1, 2, 3)).all()


DRAWN = np.arange(256).reshape(16, 16, 1)


def test_a_draw_has_the_gradient_of_its_template():
    template = torch.full((4, 4, 1), 100.0, requires_grad=True)
    draw_low_planes(5)(template, 3, torch.Generator()).sum().backward()
    np.testing.assert_array_equal(template.grad, 3)


# Margins.


def test_margins_are_exact_where_they_decide():
    """In single precision they depend on the other images of the batch."""
    labels = LINEAR.predict(X[:30])
    targets = Targets(labels, labels)
    reader = Reader(LINEAR, UNIT, FLAT, SHAPE)
    with torch.inference_mode():
        levels = torch.from_numpy(DIGITS[:30]).double()
        exact = reader.view.margins(levels, torch.from_numpy(labels)).numpy()
    for kappa in (exact[3], np.nextafter(exact[3], np.inf)):
        met = Goal(reader, "label", float(kappa), 0.0).is_met(DIGITS[:30], targets, FLAT)
        np.testing.assert_array_equal(met, exact >= kappa)

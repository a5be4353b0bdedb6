import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from ricsk import SecretKey
from ricsk.datasets import load_digits
from ricsk.encryptors.ric._header import FIXED_NONCE, Recipe
from ricsk.encryptors.ric._masks import FixedMasks, MaskMaker, MaskSearch
from ricsk.images import ImageForm, ValueRange
from ricsk.nae import ClassPatterns, Reader, find_noise

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
SHAPE = (8, 8, 1)
X, Y = load_digits(size=8)
NONCES = [bytes([i]) for i in range(10)]
LABELS = np.arange(10)


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


def read(classifier):
    return Reader(classifier, ValueRange(0.0, 1.0), ImageForm(2, np.dtype(np.uint8)), SHAPE)


LINEAR = LogisticRegression(C=1e-4, max_iter=2000).fit(X[:600].reshape(600, -1), Y[:600])
READERS = {"linear": read(LINEAR), "black box": read(Asked(LINEAR))}
PATTERNS = ClassPatterns(
    np.random.default_rng(0).integers(-30, 31, (10, *SHAPE)).astype(np.int8)
)  # of no use to the classifier: every mask must be searched for


def make_maker(key=KEY, name="linear", patterns=None, solver="search"):
    search = MaskSearch(READERS[name], SHAPE, alpha=0.8, kappa=2.0, solver=solver)
    return MaskMaker(key, SHAPE, patterns, search)


def test_noise_is_of_key_and_nonce():
    noise = make_maker().draw_noise(NONCES)
    assert noise.shape == (10, *SHAPE)
    assert len({image.tobytes() for image in noise}) == 10
    np.testing.assert_array_equal(make_maker().draw_noise(NONCES[3:4]), noise[3:4])
    assert np.mean(make_maker(OTHER).draw_noise(NONCES) == noise) < 0.1


def test_without_effort_a_mask_is_noise_and_pattern():
    maker = make_maker(patterns=PATTERNS)
    masks, recipe = maker.find(NONCES, LABELS, 0)
    np.testing.assert_array_equal(masks, PATTERNS.apply(maker.draw_noise(NONCES), LABELS))
    assert not recipe.passes.any()
    np.testing.assert_array_equal(maker.make(recipe), masks)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("effort", [0, 1])
def test_without_patterns_it_is_always_searched(name, effort):
    masks, recipe = make_maker(name=name).find(NONCES, LABELS, effort)
    assert recipe.passes.all()
    assert recipe.nonces == NONCES
    np.testing.assert_array_equal(recipe.labels, LABELS)
    assert (READERS[name].predict(masks) == LABELS).mean() >= 0.9
    changed = (masks != make_maker().draw_noise(NONCES)).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(changed, recipe.passes > 1)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("patterns", [None, PATTERNS])
@pytest.mark.parametrize("effort", [0, 1, 4])
def test_a_recipe_makes_the_masks_again(name, patterns, effort):
    maker = make_maker(name=name, patterns=patterns)
    masks, recipe = maker.find(NONCES, LABELS, effort)
    np.testing.assert_array_equal(maker.make(recipe), masks)
    some = [7, 2]
    part = Recipe([NONCES[i] for i in some], LABELS[some], recipe.passes[some])
    np.testing.assert_array_equal(maker.make(part), masks[some])


def test_the_solver_of_the_paper_looks_at_the_bare_mask():
    maker = make_maker(solver="cw")
    noise, view = maker.draw_noise(NONCES), READERS["linear"].view
    masks, recipe = maker.find(NONCES, LABELS, 1)
    expected = find_noise(view, noise, LABELS, solver="cw", kappa=2.0)
    np.testing.assert_array_equal(masks, expected.pixels)
    np.testing.assert_array_equal(maker.make(recipe), masks)


def test_mixtures_with_any_image_have_the_margin():
    """What is searched for with three images holds for others: of the same distribution."""
    margins = {}
    for effort in (1, 4):
        masks, _ = make_maker().find(NONCES, LABELS, effort)
        content = np.random.default_rng(0).integers(0, 2, (50, 10, *SHAPE)) * 255
        mixed = np.rint(0.8 * masks + 0.2 * content).astype(np.uint8).reshape(500, *SHAPE)
        margins[effort] = READERS["linear"].margins(mixed, np.tile(LABELS, 50))
    assert (margins[1] > 0).mean() > 0.9
    assert np.median(margins[4]) > np.median(margins[1]) > 1


@pytest.mark.parametrize("name", READERS)
def test_fixed_masks_are_one_for_each_class(name):
    maker = make_maker(name=name)
    fixed = FixedMasks(maker, 10, 1)
    expected, recipe = maker.find(10 * [FIXED_NONCE], LABELS, 1)
    np.testing.assert_array_equal(fixed.passes, recipe.passes)
    targets = np.array([3, 3, 9])
    masks, recipe = fixed.find(3 * [FIXED_NONCE], targets, 16)
    np.testing.assert_array_equal(masks, expected[targets])
    np.testing.assert_array_equal(fixed.make(recipe), masks)
    np.testing.assert_array_equal(FixedMasks(maker, 10, 1, fixed.passes).masks, expected)
    np.testing.assert_array_equal(fixed.draw_noise(NONCES), maker.draw_noise(NONCES))

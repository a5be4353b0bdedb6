import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from ricsk.classifiers import CNNClassifier
from ricsk.images import ImageForm, ValueRange
from ricsk.nae import ClassPatterns, Reader, find_patterns, view_classifier
from ricsk.nae._patterns import _Mixtures

SHAPE = (8, 8, 3)
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (200, *SHAPE), dtype=np.uint8)
LABELS = np.arange(200) % 4


def bright_quadrants(n):
    """Draw noise, one quadrant of which is brighter: the label."""
    y = np.arange(n) % 4
    X = RNG.integers(0, 128, (n, *SHAPE), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        row, column = divmod(label, 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 90
    return X, y


VIEW = view_classifier(
    CNNClassifier(width=8, depth=2, epochs=6, batch_size=16, device="cpu", random_state=0).fit(
        *bright_quadrants(320)
    )
)


@pytest.fixture(scope="module")
def patterns():
    return ClassPatterns.fit(VIEW, SHAPE)


def predict(view, pixels):
    with torch.no_grad():
        return view.scores(torch.from_numpy(pixels.astype(np.float64))).argmax(dim=1).numpy()


def test_new_noise_reads_as_the_class(patterns):
    assert (predict(VIEW, NOISE) == LABELS).mean() < 0.5
    assert (predict(VIEW, patterns.apply(NOISE, LABELS)) == LABELS).mean() > 0.99


def test_so_do_mixtures(patterns):
    other = RNG.integers(0, 256, NOISE.shape)
    for alpha in (0.5, 0.8):
        mixed = np.rint(alpha * patterns.apply(NOISE, LABELS) + (1 - alpha) * other)
        assert (predict(VIEW, mixed) == LABELS).mean() > 0.98


def test_content_is_what_it_holds_for():
    """Dark images of small contrast, in which uniform noise is no example."""
    content = RNG.integers(0, 32, (20, *SHAPE), dtype=np.uint8)
    fitted = ClassPatterns.fit(VIEW, SHAPE, content=content)
    other = content[RNG.integers(20, size=200)]
    mixed = np.rint(0.5 * fitted.apply(NOISE, LABELS) + 0.5 * other)
    assert (predict(VIEW, mixed) == LABELS).mean() > 0.98


def test_alpha_is_the_least_weight_that_it_holds_for():
    unmixed, mixed = (
        ClassPatterns.fit(VIEW, SHAPE, alpha=alpha, amplitude=1, kappa=3) for alpha in (1, 0.3)
    )
    strength = [np.abs(patterns.patterns.astype(int)).mean() for patterns in (unmixed, mixed)]
    assert strength[0] < strength[1]
    assert (predict(VIEW, unmixed.apply(NOISE, LABELS)) == LABELS).mean() > 0.98
    for alpha in (0, 1.1):
        with pytest.raises(ValueError, match="alpha="):
            ClassPatterns.fit(VIEW, SHAPE, alpha=alpha)


def test_the_mixtures():
    content = RNG.integers(0, 256, (5, *SHAPE), dtype=np.uint8)
    noise, other = _Mixtures(SHAPE, 256, content, "cpu", 0).draw(100)
    assert noise.shape == other.shape == (100, *SHAPE)
    assert 0 <= noise.min() <= 1
    assert 254 <= noise.max() <= 255
    drawn = {image.tobytes() for image in other.numpy().astype(np.uint8)}
    assert drawn == {image.tobytes() for image in content}


def test_apply_is_integer_arithmetic():
    patterns = ClassPatterns(np.array([[[[-100, 0, 100]]], [[[1, 2, -127]]]], np.int8))
    noise = np.array([[[[10, 20, 200]]], [[[255, 254, 130]]]], np.uint8)
    expected = np.array([[[[0, 20, 255]]], [[[255, 255, 3]]]])
    assert_array_equal(patterns.apply(noise, [0, 1]), expected)
    assert patterns.apply(noise, [0, 1]).dtype == np.uint8
    with pytest.raises(IndexError):
        patterns.apply(noise, [0, 2])


@pytest.mark.parametrize(("amplitude", "dtype"), [(0.2, np.int8), (0.5, np.int8), (1.0, np.int16)])
def test_amplitude(amplitude, dtype):
    patterns = ClassPatterns.fit(VIEW, SHAPE, amplitude=amplitude, max_steps=30).patterns
    assert patterns.shape == (4, *SHAPE)
    assert patterns.dtype == dtype
    assert 0.7 * 255 * amplitude < np.abs(patterns.astype(int)).max() <= 255 * amplitude


def test_the_seed_decides():
    first, second, third = (
        ClassPatterns.fit(VIEW, SHAPE, max_steps=5, seed=seed).patterns for seed in (0, 0, 1)
    )
    assert_array_equal(first, second)
    assert (first != third).any()


def test_it_ends_early(monkeypatch):
    steps = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: steps.append(step(self)))
    ClassPatterns.fit(VIEW, SHAPE, max_steps=200, kappa=1.0)
    assert 10 <= len(steps) < 200
    assert len(steps) % 10 == 0
    steps.clear()
    ClassPatterns.fit(VIEW, SHAPE, max_steps=12, kappa=1000.0)
    assert len(steps) == 12


def test_the_view_is_left_as_it_was(patterns):
    assert all(weight.dtype != torch.float32 for weight in VIEW.parameters())


# A few iterations make a classifier to look at; it need not be a good one.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("classifier", "kappa"),
    [
        (RidgeClassifier(), 0.2),
        (MLPClassifier((30,), max_iter=30, random_state=0), 2.0),
        (SVC(), 0.05),
    ],
)
def test_any_view(classifier, kappa):
    X, y = load_digits(return_X_y=True)
    classifier.fit(X * 255 / 16, y)
    patterns = ClassPatterns.fit(
        view_classifier(classifier), (8, 8, 1), kappa=kappa, amplitude=0.7, max_steps=150
    )
    noise = RNG.integers(0, 256, (200, 8, 8, 1), dtype=np.uint8)
    pixels = patterns.apply(noise, np.arange(200) % 10)
    assert (classifier.predict(pixels.reshape(200, 64)) == np.arange(200) % 10).mean() > 0.95


@pytest.mark.parametrize("amplitude", [0, -0.5, 1.5, 0.001])
def test_amplitude_refused(amplitude):
    with pytest.raises(ValueError, match="amplitude"):
        ClassPatterns.fit(VIEW, SHAPE, amplitude=amplitude)


def test_content_refused():
    with pytest.raises(ValueError, match=r"\(8, 8, 1\)"):
        ClassPatterns.fit(VIEW, SHAPE, content=np.zeros((2, 8, 8, 1), np.uint8))


@pytest.mark.parametrize(
    "layout", [lambda A: A[..., ::-1].copy()[..., ::-1], np.asfortranarray, lambda A: A[:]]
)
def test_content_in_any_layout(layout):
    content = RNG.integers(0, 256, (20, *SHAPE), dtype=np.uint8)
    expected = ClassPatterns.fit(VIEW, SHAPE, content=content, max_steps=3).patterns
    content.setflags(write=False)
    found = ClassPatterns.fit(VIEW, SHAPE, content=layout(content), max_steps=3).patterns
    assert_array_equal(found, expected)


def test_progress(capsys):
    ClassPatterns.fit(VIEW, SHAPE, max_steps=3)
    assert capsys.readouterr() == ("", "")
    ClassPatterns.fit(VIEW, SHAPE, max_steps=3, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "patterns" in err
    assert "0/3" in err


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_patterns_are_remembered():
    X, y = load_digits(return_X_y=True)
    form = ValueRange(0.0, 16.0), ImageForm(2, X.dtype), (8, 8, 1)
    reader, other = (
        Reader(MLPClassifier((5,), max_iter=1, random_state=seed).fit(X, y), *form)
        for seed in (0, 1)
    )
    found = find_patterns(reader, (8, 8, 1), content=None, max_steps=3)
    assert find_patterns(reader, (8, 8, 1), content=None, max_steps=3, verbose=1) is found
    assert find_patterns(reader, (8, 8, 1), content=None, max_steps=4) is not found
    assert find_patterns(other, (8, 8, 1), content=None, max_steps=3) is not found

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from ricsk import SecretKey
from ricsk.nae import find_noise_by_queries, noise_correlation

KEY = SecretKey(bytes(32))
X, Y = load_digits(return_X_y=True)
IMAGES = np.rint(X * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
NOISE = KEY.keystream("noise").uint8((60, 8, 8, 1))


def streams(indices):
    return [KEY.keystream("queries", bytes([i])) for i in indices]


class Scores:
    """Probabilities of a classifier, that counts what it is asked."""

    def __init__(self, classifier):
        self.classifier = classifier
        self.n_calls = self.n_queries = 0

    def __call__(self, pixels):
        assert pixels.dtype == np.uint8
        self.n_calls += 1
        self.n_queries += len(pixels)
        return self.classifier.predict_proba(pixels.reshape(len(pixels), -1))


@pytest.fixture(
    scope="module",
    params=[
        RandomForestClassifier(50, random_state=0),
        HistGradientBoostingClassifier(max_iter=15, random_state=0),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def score(request):
    return Scores(request.param.fit(IMAGES.reshape(-1, 64)[100:1000], Y[100:1000]))


def search(score, targets, indices=range(60), **options):
    noise = NOISE[list(indices)]
    return find_noise_by_queries(score, noise, targets, streams(indices), **options)


def test_tree_ensembles(score):
    targets = score.classifier.predict(IMAGES[:60].reshape(60, -1))
    score.n_calls = score.n_queries = 0
    found = search(score, targets, kappa=0.05)
    assert score.n_queries == found.passes.sum()
    assert score.n_calls == found.passes.max()
    assert found.reached.mean() >= 0.98
    predicted = score.classifier.predict(found.pixels.reshape(60, -1))
    assert_array_equal(predicted[found.reached], targets[found.reached])
    correlation = noise_correlation(found.pixels, IMAGES[:60], targets)
    assert abs(correlation.image.mean()) < 0.1


def test_replay(score):
    targets = np.arange(60) % 10
    found = search(score, targets, max_passes=40)
    assert not found.reached.all()  # those that failed come back, too

    def jittered(pixels):
        """Probabilities that depend on the batch in their last digits."""
        return score(pixels) + np.random.default_rng(len(pixels)).normal(
            0, 1e-14, (len(pixels), 10)
        )

    for indices in ([7], [50, 3, 21, 40]):
        again = search(jittered, targets[indices], indices, passes=found.passes[indices])
        assert_array_equal(again.pixels, found.pixels[indices])
        assert_array_equal(again.reached, found.reached[indices])
    longer = search(score, targets, passes=found.passes + 2)
    assert_array_equal(longer.passes, found.passes + 2)


def test_reached_is_said_of_the_pixels(score):
    targets = np.arange(60) % 10
    found = search(score, targets, max_passes=5, kappa=0.1)
    proba = score(found.pixels)
    own = proba[np.arange(60), targets].copy()
    proba[np.arange(60), targets] = -1
    assert_array_equal(found.reached, own - proba.max(axis=1) > 0.1)
    assert_array_equal(found.passes[~found.reached], 5)


def test_noise_that_meets_the_target_is_left_alone():
    found = search(lambda pixels: np.eye(2)[np.zeros(len(pixels), int)], np.zeros(60, int))
    assert_array_equal(found.pixels, NOISE)
    assert_array_equal(found.passes, 1)


def test_the_drawn_part_shrinks_again_and_again():
    """Nothing is ever better, so every query is drawn from the noise anew."""
    shown = []

    def score(pixels):
        shown.append(pixels[0])
        return np.array([[-float(len(shown)), 0.0]])

    search(score, [0], [0], max_passes=400)
    changed = np.array([(image != NOISE[0]).mean() for image in shown])
    assert np.mean([changed[t : t + 5].mean() for t in (1, 101, 201)]) == pytest.approx(
        0.45, abs=0.1
    )
    assert changed[60:100].mean() == pytest.approx(2 / 64, abs=0.02)
    assert changed[160:200].mean() == pytest.approx(2 / 64, abs=0.02)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"noise": NOISE[:2].astype(float)}, "uint8"),
        ({"targets": [[0.5, 0.5], [1.0, 0.0]]}, "positions in classes_"),
        ({"held_planes": -1}, "from 0 to 7"),
        ({"streams": streams([1])}, "1 streams for 2 images"),
        ({"score": lambda pixels: np.zeros(len(pixels))}, r"\(2, n_classes\)"),
        ({"max_passes": 0}, "max_passes=0"),
        ({"passes": [0, 1]}, "at least 1"),
    ],
)
def test_refused(changed, message):
    arguments = {
        "score": lambda pixels: np.zeros((len(pixels), 2)),
        "noise": NOISE[:2],
        "targets": [0, 1],
        "streams": streams([1, 2]),
    }
    with pytest.raises(ValueError, match=message):
        find_noise_by_queries(**{**arguments, **changed})


def test_held_planes_stay(score):
    targets = np.arange(20) % 10
    found = search(score, targets, range(20), held_planes=4, max_passes=500)
    assert_array_equal(found.pixels % 16, NOISE[:20] % 16)
    assert (found.pixels != NOISE[:20]).any(axis=(1, 2, 3)).mean() > 0.5
    assert found.reached.mean() > 0.8


def test_progress(score, capsys):
    targets = np.arange(20) % 10
    found = search(score, targets, range(20), max_passes=20)
    assert capsys.readouterr() == ("", "")
    again = search(score, targets, range(20), max_passes=20, verbose=1)
    assert_array_equal(again.pixels, found.pixels)
    out, err = capsys.readouterr()
    assert out == ""
    assert "searches" in err
    assert "0/20" in err

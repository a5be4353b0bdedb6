import numpy as np
import pytest

from ricsk.audit import score
from ricsk.datasets import make_street_numbers

X, Y = make_street_numbers(60, size=16, random_state=0)
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, X.shape, np.uint8)


def class_means():
    return np.stack([X[label == Y].mean(axis=0) for label in Y]).astype(np.uint8)


def test_the_image_itself():
    scores = score(X, X, Y)
    assert (scores.ssim == 1).all()
    assert (scores.psnr == 100).all()
    assert scores.reidentified == 1
    assert scores.p_value == 0.0001


def test_pale_and_dark_reconstructions_are_recognised():
    pale = np.rint(128 + 0.1 * (X - X.mean(axis=0))).astype(np.uint8)
    for found in (pale, X // 10, 200 + X // 10):
        assert score(X, found, Y).reidentified == 1


def test_what_depends_on_the_label_alone_is_no_leak():
    scores = score(X, class_means(), Y)
    assert scores.p_value > 0.5
    # At most one of a class is nearest to the picture of the class.
    assert scores.reidentified <= 10 / len(X)


def test_labels_that_are_no_secret_count_as_a_leak_elsewhere():
    assert score(X, class_means(), np.zeros(len(X))).p_value == 0.0001


@pytest.mark.parametrize("found", [NOISE, np.full_like(X, 128)], ids=["noise", "grey"])
def test_nothing(found):
    scores = score(X, found, Y)
    assert scores.p_value > 0.01
    assert scores.reidentified <= 5 / len(X)


def test_a_faint_trace_is_found():
    trace = np.rint(0.9 * NOISE + 0.1 * X).astype(np.uint8)
    scores = score(X, trace, Y)
    assert scores.p_value <= 0.001
    assert scores.reidentified < 1


def test_other_labels_leave_nothing_to_exchange():
    assert score(X, X, np.arange(len(X))).p_value == 1


def test_false_alarms_are_as_rare_as_they_should_be():
    p_values = [
        score(X, RNG.integers(0, 256, X.shape, np.uint8), Y, random_state=seed).p_value
        for seed in range(20)
    ]
    assert min(p_values) > 0.001
    assert 0.25 < np.median(p_values) < 0.75


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="cannot be compared"):
        score(X, X[:, :12], Y)

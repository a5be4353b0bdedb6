import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import SVC

from ricsk.nae import _search as module
from ricsk.nae import find_noise, group_small, view_classifier
from tests.nae.networks import SHAPE, tiny_cnn

VIEW = view_classifier(tiny_cnn())
SINGLE = copy.deepcopy(VIEW).float()
NOISE = np.random.default_rng(0).integers(0, 256, (10, *SHAPE), dtype=np.uint8)
LABELS = np.arange(10) % 4
PROBA = np.random.default_rng(1).dirichlet(np.ones(4), 10)
with torch.no_grad():
    FEATURES = VIEW.features(torch.from_numpy(NOISE[::-1] / 2)).numpy()

KINDS = {
    "search": (LABELS, {"solver": "search"}),
    "cw": (LABELS, {"solver": "cw", "max_passes": 40}),
    "probabilities": (PROBA, {"match": "proba", "tolerance": 0.05}),
    "features": (FEATURES, {"match": "features", "tolerance": 0.01}),
    "held planes": (LABELS, {"held_planes": 5}),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def margins(pixels, targets):
    with torch.no_grad():
        levels = torch.from_numpy(pixels.astype(np.float64))
        return VIEW.margins(levels, torch.from_numpy(targets)).numpy()


# What is found


def test_search_reaches_the_margin_on_the_rounded_pixels():
    found = find_noise(VIEW, NOISE, LABELS, kappa=6.0)
    assert found.pixels.dtype == np.uint8
    assert found.pixels.shape == NOISE.shape
    assert found.reached.all()
    assert (margins(found.pixels, LABELS) >= 6).all()
    assert (margins(NOISE, LABELS) < 6).any()


def test_each_image_leaves_when_it_has_its_margin():
    found = find_noise(VIEW, NOISE, LABELS)
    assert len(set(found.passes.tolist())) > 1
    for passes in range(1, found.passes.max()):
        earlier = find_noise(VIEW, NOISE, LABELS, passes=np.full(10, passes))
        late = found.passes > passes
        assert (margins(earlier.pixels, LABELS)[late] < 5).all()


def test_noise_that_meets_the_target_is_left_alone():
    already = VIEW.scores(torch.from_numpy(NOISE.astype(np.float64))).argmax(dim=1).numpy()
    found = find_noise(VIEW, NOISE, already, kappa=0.0)
    assert_array_equal(found.pixels, NOISE)
    assert_array_equal(found.passes, 1)


def test_what_was_not_reached_is_said(kind):
    targets, options = kind
    found = find_noise(VIEW, NOISE, targets, **{**options, "max_passes": 2, "kappa": 30.0})
    assert (found.passes <= 2).all()
    if options.get("solver") == "search":
        assert_array_equal(found.reached, margins(found.pixels, LABELS) >= 30)
    elif options.get("solver") == "cw":
        assert_array_equal(found.reached, margins(found.pixels, LABELS) > 0)
    assert not found.reached.all()


def test_probabilities():
    found = find_noise(VIEW, NOISE, PROBA, match="proba", tolerance=0.01, max_passes=300)
    with torch.no_grad():
        proba = VIEW.log_proba(torch.from_numpy(found.pixels.astype(np.float64))).exp().numpy()
    variation = np.abs(proba - PROBA).sum(axis=1) / 2
    same = proba.argmax(axis=1) == PROBA.argmax(axis=1)
    assert_array_equal(found.reached, (variation <= 0.01) & same)
    assert found.reached.mean() >= 0.9


def test_the_largest_probability_is_of_the_same_class():
    nearly_even = np.tile([0.26, 0.25, 0.25, 0.24], (10, 1))
    options = {"match": "proba", "tolerance": 0.1, "max_passes": 300}
    found = find_noise(VIEW, NOISE, nearly_even, **options)
    with torch.no_grad():
        scores = VIEW.scores(torch.from_numpy(found.pixels.astype(np.float64)))
    assert found.reached.mean() >= 0.8
    assert_array_equal(scores.argmax(dim=1)[found.reached], 0)


def test_cw_is_the_solver_of_the_paper():
    """One image, with torch's own Adam, step by step."""
    found = find_noise(VIEW, NOISE[3:4], LABELS[3:4], solver="cw", kappa=1.0, max_passes=50)
    start = torch.from_numpy(NOISE[3:4] / 255)
    w = torch.atanh((2 * start - 1).clamp(-1 + 1e-6, 1 - 1e-6)).requires_grad_()
    adam = torch.optim.Adam([w], lr=0.01)
    best, farthest, previous = NOISE[3:4], 1.0, np.inf
    for step in range(50):
        x = (torch.tanh(w) + 1) / 2
        logits = VIEW.scores(255 * x)[0]
        others = torch.cat([logits[:3], logits[4:]]).max()
        cost = 10 * torch.clamp(others - logits[3], min=-1)
        distance = ((x - start) ** 2).sum().item()
        pixels = (255 * x).round().detach().numpy().astype(np.uint8)
        if logits.argmax() == 3 and distance > farthest:
            best, farthest = pixels, distance
        if step % 5 == 0:
            if cost.item() > previous:
                best = pixels
                break
            previous = cost.item()
        adam.zero_grad()
        cost.backward()
        adam.step()
    assert_array_equal(found.pixels, best)
    assert found.reached.all()


def test_cw_returns_the_noise_if_nothing_was_accepted():
    found = find_noise(VIEW, NOISE, LABELS, solver="cw", max_passes=3)  # not far enough for any
    assert_array_equal(found.pixels, NOISE)
    assert_array_equal(found.passes, 0)
    assert_array_equal(found.reached, margins(NOISE, LABELS) > 0)


def test_cw_stops_an_image_where_its_loss_has_risen():
    class Rising(type(VIEW)):
        """The margin of the class 1 falls, whatever is done."""

        calls = 0

        def margins(self, levels, targets):
            self.calls += 1
            return super().margins(levels, targets) - 1000 * self.calls * (targets == 1)

    rising = Rising(VIEW.body, probabilistic=True)
    found = find_noise(rising, NOISE[:2], LABELS[:2], solver="cw", max_passes=40)
    assert found.passes[1] == 5  # it looks at the passes 1, 5, 9, ...
    alone = find_noise(VIEW, NOISE[:1], LABELS[:1], solver="cw", max_passes=40)
    assert_array_equal(found.pixels[0], alone.pixels[0])


def test_features():
    found = find_noise(VIEW, NOISE, FEATURES, match="features", tolerance=0.02, max_passes=300)
    with torch.no_grad():
        features = VIEW.features(torch.from_numpy(found.pixels.astype(np.float64))).numpy()
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(FEATURES, axis=1)
    distance = 1 - (features * FEATURES).sum(axis=1) / lengths
    assert_array_equal(found.reached, distance <= 0.02)
    assert found.reached.mean() >= 0.9


@pytest.mark.parametrize("n_classes", [2, 20, 21, 1000])
def test_of_many_classes_the_small_probabilities_are_one(n_classes):
    proba = np.random.default_rng(0).dirichlet(np.full(n_classes, 0.2), 6)
    targets = np.random.default_rng(1).dirichlet(np.ones(n_classes), 6)
    log_proba = torch.from_numpy(proba).clamp_min(1e-300).log()
    grouped = group_small(log_proba, torch.from_numpy(targets)).exp().numpy()
    if n_classes <= 20:
        np.testing.assert_allclose(grouped, proba)
        return
    largest = targets.argsort(axis=1)[:, :-6:-1]
    np.testing.assert_allclose(grouped[:, :5], np.take_along_axis(proba, largest, axis=1))
    np.testing.assert_allclose(grouped.sum(axis=1), 1)


def test_small_probabilities_are_searched_for_together():
    """The classifier finds others than the targets among them, and is not asked for these."""
    view = view_classifier(tiny_cnn(n_classes=30))
    targets = np.full((10, 30), 0.3 / 25)
    targets[:, :5] = 0.7 / 5
    targets[:, 0] += 0.02
    targets /= targets.sum(axis=1, keepdims=True)
    found = find_noise(view, NOISE, targets, match="proba", tolerance=0.02, max_passes=300)
    assert found.reached.mean() >= 0.7
    with torch.no_grad():
        proba = view.log_proba(torch.from_numpy(found.pixels.astype(np.float64))).exp().numpy()
    off = np.abs(proba - targets)
    rest = np.abs(proba[:, 5:].sum(axis=1) - targets[:, 5:].sum(axis=1))
    grouped = (off[:, :5].sum(axis=1) + rest) / 2
    same = proba.argmax(axis=1) == 0
    assert_array_equal(found.reached, (grouped <= 0.02) & same)
    assert (off.sum(axis=1) / 2 > 0.02).all()


@pytest.mark.parametrize("planes", [1, 4, 6])
def test_held_planes_stay(planes):
    found = find_noise(VIEW, NOISE, LABELS, held_planes=planes)
    assert_array_equal(found.pixels % 2**planes, NOISE % 2**planes)
    assert found.reached.mean() >= 0.9
    assert_array_equal(found.reached, margins(found.pixels, LABELS) >= 5)


# That it is found again


@pytest.mark.parametrize("size", [1, 3, 10])
@pytest.mark.parametrize("replay", [False, True])
def test_any_batch(kind, size, replay):
    targets, options = kind
    found = find_noise(VIEW, NOISE, targets, **options)
    for start in range(0, 10, size):
        part = slice(start, start + size)
        passes = found.passes[part] if replay else None
        again = find_noise(VIEW, NOISE[part], targets[part], **options, passes=passes)
        assert_array_equal(again.pixels, found.pixels[part])
        assert_array_equal(again.passes, found.passes[part])
        assert_array_equal(again.reached, found.reached[part])


def test_images_are_alone_in_single_precision(kind):
    targets, options = kind
    found = find_noise(SINGLE, NOISE, targets, **options)
    order = np.random.default_rng(2).permutation(10)
    again = find_noise(SINGLE, NOISE[order], targets[order], **options)
    assert_array_equal(again.pixels, found.pixels[order])
    assert_array_equal(again.passes, found.passes[order])
    assert found.reached.mean() >= 0.7
    for i in range(3):
        alone = find_noise(SINGLE, NOISE[[i]], targets[[i]], **options)
        assert_array_equal(alone.pixels[0], found.pixels[i])


def test_single_precision_sees_one_image_at_a_time():
    sizes = []
    handle = SINGLE.body.register_forward_pre_hook(lambda module, x: sizes.append(len(x[0])))
    find_noise(SINGLE, NOISE, LABELS)
    handle.remove()
    assert set(sizes) == {1}


def test_views_without_weights_or_parameters():
    X, y = load_digits(return_X_y=True)
    machine = view_classifier(SVC(C=0.1).fit(X[:300], y[:300]), value_range=(0, 16))
    noise = NOISE.reshape(-1, 8, 8, 1)[:4]
    for view in (machine, copy.deepcopy(machine).float()):
        assert not list(view.parameters())
        found = find_noise(view, noise, [0, 1, 2, 3], kappa=0.0, max_passes=2)
        assert found.pixels.dtype == np.uint8


def test_few_threads_compute():
    allowed, before = [], torch.get_num_threads()
    handle = VIEW.body.register_forward_pre_hook(
        lambda module, x: allowed.append(torch.get_num_threads())
    )
    try:
        torch.set_num_threads(2)
        find_noise(VIEW, NOISE, LABELS)
    finally:
        torch.set_num_threads(before)
        handle.remove()
    assert set(allowed) == {1}


def test_any_order_and_chunk(kind, monkeypatch):
    targets, options = kind
    found = find_noise(VIEW, NOISE, targets, **options)
    order = np.random.default_rng(2).permutation(10)
    monkeypatch.setattr(module, "_CHUNK_VALUES", 400)
    again = find_noise(VIEW, NOISE[order], targets[order], **options, passes=found.passes[order])
    assert_array_equal(again.pixels, found.pixels[order])


def test_any_number_of_threads():
    targets, options = KINDS["search"]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        found = find_noise(VIEW, NOISE, targets, **options)
        torch.set_num_threads(2)
        again = find_noise(VIEW, NOISE, targets, **options, passes=found.passes)
    finally:
        torch.set_num_threads(before)
    assert_array_equal(again.pixels, found.pixels)


def test_replay_has_no_stopping_rule(kind):
    targets, options = kind
    found = find_noise(VIEW, NOISE, targets, **options)
    again = find_noise(VIEW, NOISE, targets, **{**options, "max_passes": 1}, passes=found.passes)
    assert_array_equal(again.pixels, found.pixels)
    longer = find_noise(VIEW, NOISE, targets, **options, passes=found.passes + 2)
    assert_array_equal(longer.passes, found.passes + 2)
    assert (longer.pixels != found.pixels).any(axis=(1, 2, 3)).all()


def test_replay_of_cw_accepts_any_iterate():
    replayed = find_noise(VIEW, NOISE, LABELS, solver="cw", passes=np.full(10, 4))
    assert (replayed.pixels != NOISE).any(axis=(1, 2, 3)).all()


SCRIPT = """
import sys
import numpy as np
import torch
from ricsk.nae import find_noise, view_classifier
from tests.nae.networks import tiny_cnn

torch.set_num_threads(2)
given = np.load(sys.argv[1])
view = view_classifier(tiny_cnn())
parts = []
for part in (slice(3, 5), slice(2, 3), slice(0, 2)):
    passes = given["passes"][part]
    found = find_noise(view, given["noise"][part], given["labels"][part], passes=passes)
    parts.append(found.pixels)
np.save(sys.argv[2], np.concatenate(parts))
"""


def test_another_process(tmp_path):
    found = find_noise(VIEW, NOISE, LABELS)
    given, result = str(tmp_path / "given.npz"), str(tmp_path / "result.npy")
    np.savez(given, noise=NOISE, labels=LABELS, passes=found.passes)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", SCRIPT, given, result], env=environment, check=True)
    assert_array_equal(np.load(result), found.pixels[[3, 4, 2, 0, 1]])


# What is refused


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"noise": NOISE.astype(float)}, "uint8"),
        ({"noise": NOISE[0]}, r"\(n, height, width, channels\)"),
        ({"targets": LABELS[:3]}, "10 positions"),
        ({"targets": LABELS - 1}, "10 positions"),
        ({"targets": np.array(list("abcdefghij"))}, "not labels"),
        ({"targets": PROBA}, "match='label'"),
        ({"targets": PROBA * 2, "match": "proba"}, "sum to 1"),
        ({"targets": PROBA * np.inf, "match": "features"}, "finite features"),
        ({"match": "logits"}, "match='logits'"),
        ({"targets": PROBA, "match": "proba", "solver": "cw"}, "for labels"),
        ({"solver": "cw", "held_planes": 1}, "for labels"),
        ({"held_planes": 8}, "from 0 to 7"),
        ({"solver": "fgsm"}, "'search' or 'cw'"),
        ({"max_passes": 0}, "max_passes=0"),
        ({"passes": [1, 2]}, "10 integers"),
        ({"passes": np.ones(10)}, "10 integers"),
        ({"passes": np.zeros(10, int)}, "at least 1"),
    ],
)
def test_refused(changed, message):
    arguments = {"noise": NOISE, "targets": LABELS, **changed}
    with pytest.raises(ValueError, match=message):
        find_noise(VIEW, **arguments)


def test_probabilities_need_a_classifier_that_has_them():
    X, y = load_digits(return_X_y=True)
    view = view_classifier(RidgeClassifier().fit(X, y), value_range=(0, 16))
    noise = NOISE.reshape(-1, 8, 8, 1)[:10]
    with pytest.raises(TypeError, match="no probabilities"):
        find_noise(view, noise, np.full((10, 10), 0.1), match="proba")


def test_progress(kind, capsys):
    targets, options = kind
    found = find_noise(VIEW, NOISE, targets, **options)
    assert capsys.readouterr() == ("", "")
    again = find_noise(VIEW, NOISE, targets, verbose=1, **options)
    assert_array_equal(again.pixels, found.pixels)
    out, err = capsys.readouterr()
    assert out == ""
    assert "searches" in err

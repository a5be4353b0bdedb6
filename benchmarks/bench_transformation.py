"""The transformation network: what its classifier still reads, what is seen, and what comes back.

Trains the network for a frozen classifier, and prints, for each alpha: accuracy on plain and on
protected test images, and how often both are read alike; structural similarity of protected and
plain images; and PSNR and structural similarity of what a U-Net recovers, which an adversary who
has the network trains on pairs of their own, next to those of the mean image, which takes no
attack.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, TransformationNetworkEncryptor
from ricsk.attacks import KnownPlaintextAttack
from ricsk.datasets import load_packed, make_street_numbers
from ricsk.metrics import psnr, ssim


def load(args: argparse.Namespace) -> tuple[np.ndarray, ...]:
    """Give X_train, y_train, X_test, y_test."""
    if args.data_dir is None:
        X, y = make_street_numbers(args.n_train + args.n_test, random_state=0)
        return X[: args.n_train], y[: args.n_train], X[args.n_train :], y[args.n_train :]
    train = load_packed(args.data_dir, "cifar10", "train", limit=args.n_train)[:2]
    test = load_packed(args.data_dir, "cifar10", "test", limit=args.n_test)[:2]
    return (*train, *test)


def classifier_for(X: np.ndarray, y: np.ndarray, path: Path | None) -> ClassifierMixin:
    if path is not None and path.exists():
        return joblib.load(path)
    classifier = CNNClassifier(epochs=8, random_state=0).fit(X, y)
    if path is not None:
        joblib.dump(classifier, path)
    return classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="for CIFAR-10; otherwise street numbers")
    parser.add_argument("--classifier", type=Path, help="file to keep the trained classifier in")
    parser.add_argument("--alphas", type=float, nargs="+", default=[1.0])
    parser.add_argument("--margin", type=float, default=1.0, help="0: none")
    parser.add_argument("--features", default="small", choices=["small", "vgg16"])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--n-train", type=int, default=10000)
    parser.add_argument("--n-test", type=int, default=1000)
    parser.add_argument("--n-attack", type=int, default=5000, help="pairs of the adversary")
    parser.add_argument("--attack-steps", type=int, default=400, help="0: no attack")
    parser.add_argument("--picture", type=Path, help="where to save some images, as PNG")
    args = parser.parse_args()

    X_train, y_train, X, y = load(args)
    classifier = classifier_for(X_train, y_train, args.classifier)
    plain = classifier.predict(X)
    print(f"accuracy on {len(X)} plain images: {100 * np.mean(plain == y):.1f} %", flush=True)
    mean_image = np.broadcast_to(X_train.mean(axis=0).round().astype(np.uint8), X.shape)
    decibels, similarity = psnr(X, mean_image).mean(), ssim(X, mean_image).mean()
    print(f"the mean image: {decibels:.1f} dB, SSIM {similarity:.3f}", flush=True)

    rows, shown = [], [X]
    for alpha in args.alphas:
        encryptor = TransformationNetworkEncryptor(
            FrozenEstimator(classifier),
            alpha=alpha,
            margin=args.margin or None,
            features=args.features,
            width=args.width,
            augment=args.data_dir is not None,
            epochs=args.epochs,
            random_state=0,
        )
        start = time.perf_counter()
        encryptor.fit(X_train, y_train)
        fitted = time.perf_counter()
        C = encryptor.transform(X)
        milliseconds = 1000 * (time.perf_counter() - fitted) / len(X)
        predicted = classifier.predict(C)
        row = {
            "alpha": alpha,
            "accuracy %": 100 * np.mean(predicted == y),
            "read alike %": 100 * np.mean(predicted == plain),
            "SSIM": ssim(X, C).mean(),
            "fit s": fitted - start,
            "protect ms": milliseconds,
        }
        print(pd.DataFrame([row]).to_string(index=False, float_format="%.3f"), flush=True)
        shown.append(C)
        if args.attack_steps:
            P = X_train[: args.n_attack]
            attack = KnownPlaintextAttack(args.attack_steps, random_state=0)
            recovered = attack.fit(encryptor.transform(P), P).reconstruct(C)
            row["recovered dB"] = psnr(X, recovered).mean()
            row["its SSIM"] = ssim(X, recovered).mean()
            shown.append(recovered)
        rows.append(row)
    print("\n" + pd.DataFrame(rows).to_string(index=False, float_format="%.3f"))
    if args.picture is not None:
        from PIL import Image

        Image.fromarray(np.vstack([np.hstack(images[:12]) for images in shown])).save(args.picture)


if __name__ == "__main__":
    main()

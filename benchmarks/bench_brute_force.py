"""Guessing keys of RIC on CIFAR-10: what the paper's theorem claims, and what is measured.

Prints, for the paper's scheme, the table of `ricsk.attacks.brute_force_bound`, and the seconds that
it took.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import joblib
from sklearn.frozen import FrozenEstimator

from ricsk import RICEncryptor, SecretKey
from ricsk.attacks import brute_force_bound
from ricsk.datasets import load_packed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--classifier", type=Path, required=True, help="fitted, as joblib dumps it")
    parser.add_argument("--n", type=int, default=2, help="test images")
    parser.add_argument("--epochs", type=int, default=10, help="of the networks; the paper's 200")
    parser.add_argument("--guesses", type=int, default=1000, help="keys to try on every image")
    args = parser.parse_args()
    classifier = FrozenEstimator(joblib.load(args.classifier))
    X_train, _, _ = load_packed(args.data_dir, "cifar10", "train", limit=1000)
    X, _, _ = load_packed(args.data_dir, "cifar10", "test", limit=args.n)
    encryptor = RICEncryptor.as_published(SecretKey.generate(), classifier)
    encryptor.set_params(epochs=args.epochs, random_state=0).fit(X_train)
    start = time.perf_counter()
    result = brute_force_bound(encryptor, X, guesses=args.guesses, random_state=0)
    print(f"alpha {encryptor.alpha}, {args.n} images, {time.perf_counter() - start:.0f} s")
    print(result)


if __name__ == "__main__":
    main()

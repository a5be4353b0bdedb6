"""RIC on CIFAR-10 and flowers: what the classifier still reads, and what comes back.

Prints, for each mixing weight: agreement of predictions on ciphertexts, written to PNG files and
read again in another process, with those on plain images; PSNR of what that process recovers, with
other threads and batches, and whether its bytes are the same as here; PSNR under a
wrong key; forward passes through the classifier and milliseconds per image. Then accuracies of
other classifiers that are trained on the ciphertexts; and a random forest and a support vector
machine on 8×8 digits, enlarged, whose masks are searched by queries and by a view.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from ricsk import CNNClassifier, RICEncryptor, SecretKey
from ricsk.datasets import load_digits, load_packed
from ricsk.metrics import psnr

READER = """
import sys
import joblib, numpy as np, torch
from pathlib import Path
from PIL import Image
torch.set_num_threads(int(sys.argv[2]))
folder = Path(sys.argv[1])
encryptor = joblib.load(folder / "encryptor")
C = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))])
X = np.concatenate([encryptor.inverse_transform(C[i : i + 37]) for i in range(0, len(C), 37)])
np.savez(folder / "read.npz", X=X, predicted=encryptor.classifier_.predict(C))
"""


def in_another_process(encryptor: RICEncryptor, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write ciphertexts as PNG files; read, classify and decrypt them in a new process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        joblib.dump(encryptor, folder / "encryptor")
        for i, image in enumerate(C):
            Image.fromarray(image).save(folder / f"{i:05}.png")
        subprocess.run([sys.executable, "-c", READER, name, "1"], check=True)
        with np.load(folder / "read.npz") as read:
            return read["X"], read["predicted"]


def classifier_for(name: str, X: np.ndarray, y: np.ndarray, path: Path | None) -> ClassifierMixin:
    if path is not None and path.exists():
        return joblib.load(path)
    if name == "cifar10":
        classifier = CNNClassifier(epochs=8, random_state=0).fit(X, y)
    else:
        X, y = np.concatenate([X, X[:, :, ::-1]]), np.concatenate([y, y])  # with mirror images
        classifier = CNNClassifier(width=16, depth=5, epochs=12, random_state=0).fit(X, y)
    if path is not None:
        joblib.dump(classifier, path)
    return classifier


class Counted(CNNClassifier):
    """A classifier that counts the images that pass through it."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predict, and count."""
        self.count_ = getattr(self, "count_", 0) + len(X)
        return super().predict(X)


def black_boxes(key: SecretKey, n: int = 200) -> None:
    """RIC for classifiers that are asked, and for one that is known by its kernel."""
    X, y = load_digits(size=16)
    X = X.reshape(len(X), -1)
    rows = []
    for classifier in (RandomForestClassifier(random_state=0), SVC()):
        classifier.fit(X[n:], y[n:])
        encryptor = RICEncryptor(key, FrozenEstimator(classifier), image_shape=(16, 16))
        encryptor.fit(X[n:])
        start = time.perf_counter()
        C = encryptor.transform(X[:n])
        seconds = time.perf_counter() - start
        used = encryptor.read_recipe(C).passes
        rows.append(
            {
                "classifier": type(classifier).__name__,
                "agreement %": 100 * np.mean(classifier.predict(C) == classifier.predict(X[:n])),
                "PSNR dB": psnr(X[:n], encryptor.inverse_transform(C)).mean(),
                "queries or passes": used.mean(),
                "max": used.max(),
                "ms": 1000 * seconds / n,
            }
        )
    print(f"\n{n} digits, 16×16, alpha 0.8:")
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.2f"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--models", type=Path, help="folder to keep trained classifiers in")
    parser.add_argument("--sets", nargs="+", default=["cifar10", "flowers128"])
    parser.add_argument("--n", type=int, default=1000, help="CIFAR-10 test images")
    parser.add_argument("--n-flowers", type=int, default=200, help="test images of flowers")
    args = parser.parse_args()
    key, wrong_key = SecretKey.generate(), SecretKey.generate()
    rows = []
    for name in args.sets:
        n = args.n if name == "cifar10" else args.n_flowers
        X_train, y_train, _ = load_packed(args.data_dir, name, "train")
        X, y, _ = load_packed(args.data_dir, name, "test", limit=n)
        path = args.models / f"{name}.joblib" if args.models else None
        classifier = classifier_for(name, X_train, y_train, path)
        frozen = FrozenEstimator(classifier)
        plain = classifier.predict(X)
        print(f"{name}: accuracy {100 * np.mean(plain == y):.1f} % on {n} plain images", flush=True)
        for alpha in (0.5, 0.8, 0.9):
            start = time.perf_counter()
            encryptor = RICEncryptor(key, frozen, alpha=alpha).fit(X_train[:1000])
            counted = encryptor.classifier_.estimator
            counted.__class__, counted.count_ = Counted, 0
            fitted = time.perf_counter()
            C = encryptor.transform(X)
            encrypted = time.perf_counter()
            forward = counted.count_ / n
            counted.__class__ = CNNClassifier
            X_back = encryptor.inverse_transform(C)
            decrypted = time.perf_counter()
            X_read, predicted = in_another_process(encryptor, C)
            wrong = RICEncryptor(wrong_key, frozen, alpha=alpha).fit(X_train[:1000])
            passes = encryptor.read_recipe(C).passes
            rows.append(
                {
                    "data": name,
                    "alpha": alpha,
                    "agreement %": 100 * np.mean(predicted == plain),
                    "PSNR dB": psnr(X, X_read).mean(),
                    "least": psnr(X, X_read).min(),
                    "wrong key dB": psnr(X, wrong.inverse_transform(C)).mean(),
                    "same bytes": np.array_equal(X_read, X_back),
                    "searched": int((passes > 0).sum()),
                    "passes": forward,
                    "fit s": fitted - start,
                    "encrypt ms": 1000 * (encrypted - fitted) / n,
                    "decrypt ms": 1000 * (decrypted - encrypted) / n,
                }
            )
            print(pd.DataFrame(rows[-1:]).to_string(index=False, float_format="%.2f"), flush=True)
    print("\n" + pd.DataFrame(rows).to_string(index=False, float_format="%.2f"))

    black_boxes(key)
    if "cifar10" not in args.sets:
        return
    X_train, y_train, _ = load_packed(args.data_dir, "cifar10", "train", limit=3000)
    X, y, _ = load_packed(args.data_dir, "cifar10", "test", limit=1000)
    path = args.models / "cifar10.joblib" if args.models else None
    frozen = FrozenEstimator(classifier_for("cifar10", X_train, y_train, path))
    encryptor = RICEncryptor(key, frozen).fit(X_train[:1000])
    C_train, C = encryptor.transform(X_train), encryptor.transform(X)
    print("\ntrained on 3000 ciphertexts (alpha 0.8), accuracy on 1000:")
    print(f"  the encryptor's own classifier, untouched: {100 * frozen.score(C, y):.1f} %")
    for other in (
        CNNClassifier(random_state=0),
        LogisticRegression(max_iter=200, C=1e-3),
        RandomForestClassifier(200, random_state=0, n_jobs=2),
    ):
        flat = not isinstance(other, CNNClassifier)
        given, asked = (A.reshape(len(A), -1) / 255 if flat else A for A in (C_train, C))
        print(f"  {type(other).__name__}: {100 * other.fit(given, y_train).score(asked, y):.1f} %")


if __name__ == "__main__":
    main()

"""RIC on CIFAR-10 and flowers: what the classifier still reads, and what comes back.

Prints, for each mixing weight: agreement of predictions on ciphertexts, written to PNG files and
read again in another process, with those on plain images; PSNR of what that process recovers,
without the classifier, with another number of threads and in other batches, and whether its bytes
are the same as here; PSNR under a wrong key; and times in plain passes, which is what the
classifier takes for the prediction of one image: of `fit`, of a template, of an image whose
template is there, and of its decryption. Then accuracies of other classifiers that are trained on
the ciphertexts; and a random forest and a support vector machine on 8×8 digits, enlarged, whose
templates are found by queries and by a view.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
import time
import warnings
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
np.savez(folder / "read.npz", X=X, predicted=joblib.load(folder / "classifier").predict(C))
"""


def in_another_process(encryptor: RICEncryptor, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write ciphertexts as PNG files; read, classify and decrypt them in a new process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The one who decrypts has no classifier, and the one who classifies has no key.
        joblib.dump(encryptor.classifier_, folder / "classifier")
        encryptor = copy.copy(encryptor)
        encryptor.classifier = encryptor.classifier_ = None
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


def find_one_of_each(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_index=True)[1]


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
        encryptor.transform(X[find_one_of_each(classifier.predict(X[:n]))])
        made = time.perf_counter()
        C = encryptor.transform(X[:n])
        seconds = time.perf_counter() - made
        rows.append(
            {
                "classifier": type(classifier).__name__,
                "agreement %": 100 * np.mean(classifier.predict(C) == classifier.predict(X[:n])),
                "PSNR dB": psnr(X[:n], encryptor.inverse_transform(C)).mean(),
                "template s": (made - start) / len(encryptor.templates_.levels),
                "encrypt ms": 1000 * seconds / n,
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
        first = find_one_of_each(plain)
        start = time.perf_counter()
        classifier.predict(X)
        one_pass = (time.perf_counter() - start) / n
        for alpha in (0.5, 0.8, 0.9):
            start = time.perf_counter()
            encryptor = RICEncryptor(key, frozen, alpha=alpha).fit(X_train[:1000])
            fitted = time.perf_counter()
            encryptor.transform(X[first])
            made = time.perf_counter()
            C = encryptor.transform(X)
            encrypted = time.perf_counter()
            X_back = encryptor.inverse_transform(C)
            decrypted = time.perf_counter()
            X_read, predicted = in_another_process(encryptor, C)
            with warnings.catch_warnings(action="ignore"):
                X_wrong = encryptor.with_key(wrong_key).inverse_transform(C)
            rows.append(
                {
                    "data": name,
                    "alpha": alpha,
                    "agreement %": 100 * np.mean(predicted == plain),
                    "PSNR dB": psnr(X, X_read).mean(),
                    "least": psnr(X, X_read).min(),
                    "wrong key dB": psnr(X, X_wrong).mean(),
                    "same bytes": np.array_equal(X_read, X_back),
                    "coded %": 100 * encryptor.read_recipe(C).coded.mean(),
                    "fit": (fitted - start) / one_pass,
                    "template": (made - fitted) / one_pass / len(first),
                    "encrypt": (encrypted - made) / one_pass / n,
                    "decrypt": (decrypted - encrypted) / one_pass / n,
                    "pass ms": 1000 * one_pass,
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

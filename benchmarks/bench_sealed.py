"""Sealed images on CIFAR-10 and flowers: what is read, what comes back, and what it costs.

In one run on the same images: agreement of predictions on ciphertexts that were written as PNG and
read in another process, bit-exact recovery there, forward passes through the classifier and
milliseconds per image once the templates are made, and what these take, next to the solver of the
RIC paper ("cw"); the time of decryption next to that of codec and cipher alone; bytes per image.
Then probabilities and features (``--match``), and whether predictions survive other arithmetic
(``--arithmetic``).
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from bench_ric import classifier_for
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch.nn.modules.module import register_module_forward_pre_hook

from ricsk import CNNClassifier, SealedEncryptor, SecretKey
from ricsk.codecs import decompress
from ricsk.datasets import load_packed
from ricsk.encryptors.sealed._format import Sealer, Subkeys
from ricsk.encryptors.sealed._message import CODEC_NUMBERS, NONCE_BYTES
from ricsk.exceptions import TooLargeError
from ricsk.nae import find_noise, view_classifier

READER = """
import sys
import joblib, numpy as np, torch
from pathlib import Path
from PIL import Image
torch.set_num_threads(2)
folder = Path(sys.argv[1])
encryptor = joblib.load(folder / "encryptor")
C = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))])
np.savez(
    folder / "read.npz",
    X=encryptor.inverse_transform(C),
    predicted=np.concatenate([encryptor.classifier_.predict(C[i : i + 37])
                              for i in range(0, len(C), 37)]),
)
"""


@contextmanager
def counting_passes(classifier: CNNClassifier) -> Iterator[list[int]]:
    """Count the images that go forward through a network, by itself and by views of it."""
    counts: list[int] = []
    kind = type(classifier.module_.network)

    def count(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, kind):
            counts.append(len(inputs[0]))

    handle = register_module_forward_pre_hook(count)
    try:
        yield counts
    finally:
        handle.remove()


def in_another_process(encryptor: SealedEncryptor, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        joblib.dump(encryptor, folder / "encryptor")
        for i, image in enumerate(C):
            Image.fromarray(image).save(folder / f"{i:05}.png")
        subprocess.run([sys.executable, "-c", READER, name], check=True)
        with np.load(folder / "read.npz") as read:
            return read["X"], read["predicted"]


def file_bytes(X: np.ndarray, kind: str) -> float:
    sizes = []
    for image in X:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
        sizes.append(len(buffer.getvalue()))
    return float(np.mean(sizes))


def codec_and_cipher(encryptor: SealedEncryptor, C: np.ndarray) -> float:
    """Seconds that decryption cannot do without: AES-SIV and the codec, called directly."""
    subkeys = Subkeys(encryptor.key_)
    sealer = Sealer(subkeys, encryptor.ciphertext_shape_, encryptor.bit_planes_)
    messages = [sealer.authenticate(image) for image in C]
    sealed = [subkeys.cipher.encrypt(message, None) for message in messages]
    names = {number: name for name, number in CODEC_NUMBERS.items()}

    def run() -> None:
        for body in sealed:
            message = subkeys.cipher.decrypt(body, None)
            data = message[2 + NONCE_BYTES :].rstrip(b"\0")[:-1]
            decompress(data, names[message[0] & 15], encryptor.image_shape_in_)

    return best_of_ten(run)


def best_of_ten(run: Any) -> float:
    """Seconds of the processor that a function takes when nothing else is in its way."""
    seconds = []
    for _ in range(10):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def labels(name: str, classifier: CNNClassifier, X_fit: np.ndarray, X: np.ndarray) -> None:
    n = len(X)
    frozen = FrozenEstimator(classifier)
    plain = classifier.predict(X)
    rows = []
    settings: dict[str, dict[str, Any]] = {
        "noise": {},
        "compact": {"appearance": "compact"},
        "compact, JPEG XL": {"appearance": "compact", "codec": "jpegxl", "bit_planes": 5},
    }
    for title, parameters in settings.items():
        encryptor = SealedEncryptor(SecretKey.generate(), frozen, **parameters)
        start = time.perf_counter()
        encryptor.fit(X_fit)
        fitted = time.perf_counter()
        try:
            with counting_passes(classifier) as first:
                C = encryptor.transform(X)
        except TooLargeError as error:
            print(f"{title}: {error}")
            continue
        made = time.perf_counter()
        again = encryptor.transform(X)
        encrypted = time.perf_counter()
        assert (again == C).all()
        decrypting = best_of_ten(lambda C=C[:200], e=encryptor: e.inverse_transform(C))
        X_read, predicted = in_another_process(encryptor, C)
        part = X[:200]
        with counting_passes(classifier) as passes:
            encryptor.transform(part)
        rows.append(
            {
                "data": name,
                "look": title,
                "k": encryptor.bit_planes_,
                "kappa": encryptor.kappa_,
                "agreement %": 100 * np.mean(predicted == plain),
                "exact %": 100 * np.mean((X_read == X).all(axis=(1, 2, 3))),
                "passes": sum(passes) / len(part),
                "passes per template": (sum(first) - sum(passes) / len(part) * n)
                / len(encryptor.templates_.levels),
                "fit s": fitted - start,
                "first ms": 1000 * (made - fitted) / n,
                "encrypt ms": 1000 * (encrypted - made) / n,
                "decrypt ms": 1000 * decrypting / min(n, 200),
                "over codec and cipher": decrypting / codec_and_cipher(encryptor, C[:200]),
                "PNG": file_bytes(C[:300], "PNG"),
                "WebP": file_bytes(C[:300], "WEBP"),
                "plain PNG": file_bytes(X[:300], "PNG"),
            }
        )
        print(pd.DataFrame(rows[-1:]).to_string(index=False, float_format="%.2f"), flush=True)
    m = 20 if name == "cifar10" else 2
    noise = np.random.default_rng(0).integers(0, 256, X[:m].shape, np.uint8)
    start = time.perf_counter()
    find_noise(
        view_classifier(classifier),
        noise,
        np.searchsorted(classifier.classes_, plain[:m]),
        solver="cw",
    )
    published = 1000 * (time.perf_counter() - start) / m
    print(f"cw search of the RIC paper, 150 passes, on {m} of these: {published:.0f} ms per image")
    for row in rows:
        print(f"  {row['look']}: {published / row['encrypt ms']:.0f} times less")


def matches(classifier: CNNClassifier, X_fit: np.ndarray, X: np.ndarray, y: np.ndarray) -> None:
    n = len(X)
    frozen = FrozenEstimator(classifier)
    plain_proba, plain_features = classifier.predict_proba(X), classifier.features(X)
    for match in ("proba", "features"):
        encryptor = SealedEncryptor(SecretKey.generate(), frozen, match=match).fit(X_fit)
        start = time.perf_counter()
        C = encryptor.transform(X)
        seconds = time.perf_counter() - start
        exact = (encryptor.inverse_transform(C) == X).all()
        agreement = 100 * np.mean(classifier.predict(C) == classifier.predict(X))
        print(
            f"{match}, {n} images: {1000 * seconds / n:.0f} ms per image, exact {exact}, "
            f"same argmax {agreement:.2f} %"
        )
        variation = np.abs(classifier.predict_proba(C) - plain_proba).sum(axis=1) / 2
        print(f"  total variation: mean {variation.mean():.4f}, worst {variation.max():.4f}")
        if match == "features":
            features = classifier.features(C)
            unit, own = (
                F / np.linalg.norm(F, axis=1, keepdims=True) for F in (features, plain_features)
            )
            cosines = unit @ own.T
            nearest = 100 * np.mean(cosines.argmax(axis=1) == np.arange(n))
            print(
                f"  cosine with the own plain vector: mean {np.diag(cosines).mean():.4f}, "
                f"worst {np.diag(cosines).min():.4f}; it is the nearest of {n} in {nearest:.1f} %"
            )
            right = {"plain": 0, "sealed": 0}
            folds = StratifiedKFold(5, shuffle=True, random_state=0)
            for train, test in folds.split(features, y):
                for kind, F in (("plain", plain_features), ("sealed", features)):
                    head = LogisticRegression(max_iter=5000).fit(F[train], y[train])
                    right[kind] += int((head.predict(features[test]) == y[test]).sum())
            print(
                f"  a logistic regression, 5 folds, tested on ciphertexts' features: "
                f"{100 * right['sealed'] / n:.1f} % trained on those, "
                f"{100 * right['plain'] / n:.1f} % on plain ones"
            )


def arithmetic(classifier: CNNClassifier, X_fit: np.ndarray, X: np.ndarray) -> None:
    """Tell how often a prediction changes in the cloud's arithmetic, for some margins.

    Templates leave most margins far above kappa, so each image is searched for, from noise.
    """
    module, view = classifier.module_.cpu().eval(), view_classifier(classifier)
    rows = []
    moved: dict[str, float] = {}
    for kappa in (0.0, 0.02, 0.1, 0.5, "auto"):
        encryptor = SealedEncryptor(
            SecretKey.generate(), FrozenEstimator(classifier), kappa=kappa
        ).fit(X_fit)
        noise = np.random.default_rng(0).integers(0, 256, X.shape, np.uint8)
        C = find_noise(
            view,
            noise,
            np.searchsorted(classifier.classes_, classifier.predict(X)),
            kappa=encryptor.kappa_,
            held_planes=encryptor.bit_planes_,
        ).pixels
        x = torch.from_numpy(C)
        row: dict[str, Any] = {"kappa": f"{kappa} ({encryptor.kappa_:.2f})"}
        with torch.inference_mode():
            exact = module(x).argmax(dim=1)
            ways: dict[str, Any] = {
                "batch 7": torch.cat([module(part) for part in x.split(7)]),
                "float64": view.scores(x.double()),
            }
            for dtype in (torch.bfloat16, torch.float16):
                with torch.autocast("cpu", dtype=dtype):
                    ways[str(dtype)[6:]] = module(x)
            try:
                ways["compile"] = torch.compile(module)(x)
            except Exception as error:  # no compiler on this machine
                print(f"torch.compile: {type(error).__name__}")
            ways["ONNX"] = onnx(module, x)
        for name, scores in ways.items():
            if scores is not None:
                row[name] = int((scores.argmax(dim=1) != exact).sum())
                off = (scores - ways["float64"]).abs().max().item()
                moved[name] = max(moved.get(name, 0.0), 2 * off)
        rows.append(row)
    print(f"predictions of {len(X)} that change in other arithmetic:")
    print(pd.DataFrame(rows).to_string(index=False))
    print("a margin may move by: " + ", ".join(f"{k} {v:.2g}" for k, v in moved.items()))


def onnx(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    buffer = io.BytesIO()
    torch.onnx.export(
        module, (x[:2],), buffer, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}
    )
    session = onnxruntime.InferenceSession(buffer.getvalue())
    return torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--models", type=Path, help="folder to keep trained classifiers in")
    parser.add_argument("--sets", nargs="*", default=["cifar10", "flowers128"])
    parser.add_argument("--n", type=int, default=1000, help="test images, of each set at most")
    parser.add_argument("--no-labels", action="store_true", help="leave out the first table")
    parser.add_argument("--match", action="store_true", help="probabilities and features, CIFAR-10")
    parser.add_argument("--arithmetic", action="store_true", help="other arithmetic, CIFAR-10")
    args = parser.parse_args()
    for name in args.sets:
        X_train, y_train, _ = load_packed(args.data_dir, name, "train")
        X, y, _ = load_packed(args.data_dir, name, "test", limit=args.n)
        path = args.models / f"{name}.joblib" if args.models else None
        classifier = classifier_for(name, X_train, y_train, path)
        print(f"{name}: accuracy {100 * classifier.score(X, y):.1f} % on {len(X)} plain images")
        if not args.no_labels:
            labels(name, classifier, X_train[:1000], X)
        if name == "cifar10" and args.match:
            matches(classifier, X_train[:1000], X, y)
        if name == "cifar10" and args.arithmetic:
            arithmetic(classifier, X_train[:1000], X)


if __name__ == "__main__":
    main()

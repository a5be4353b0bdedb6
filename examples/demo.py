"""Encrypt images, train and classify on ciphertexts alone, decrypt: one table and one picture.

The default data are scikit-learn's handwritten digits, enlarged to 32×32, and its two photographs
to look at. ``--data street-numbers`` draws colour images; ``--data NAME --data-dir DIR`` reads the
packed JPEG files ``DIR/NAME_jpeg_train.npz`` and ``DIR/NAME_jpeg_test.npz``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from ricsk import (
    ConvMixerClassifier,
    EtCEncryptor,
    PrivateClassifier,
    SealedEncryptor,
    SecretKey,
    datasets,
    unseal,
)
from ricsk.base import BaseImageEncryptor
from ricsk.exceptions import NotSealedError
from ricsk.metrics import psnr
from ricsk.plotting import plot_round_trip


def load(name: str, data_dir: Path | None, n_train: int, n_test: int) -> list[np.ndarray]:
    """Give X_train, X_test, y_train, y_test."""
    if data_dir is not None:
        X_train, y_train, _ = datasets.load_packed(data_dir, name, "train", limit=n_train)
        X_test, y_test, _ = datasets.load_packed(data_dir, name, "test", limit=n_test)
        return [X_train, X_test, y_train, y_test]
    if name == "street-numbers":
        X, y = datasets.make_street_numbers(n_train + n_test, random_state=0)
    elif name == "digits":
        X, y = datasets.load_digits(size=32)
    else:
        raise SystemExit(f"--data {name} is a packed data set: say where it is with --data-dir DIR")
    n_test = min(n_test, len(X) // 4)
    return train_test_split(X, y, test_size=n_test, random_state=0, stratify=y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="digits, street-numbers, or a packed set")
    parser.add_argument("--data-dir", type=Path, help="the folder of a packed data set")
    parser.add_argument("--n-train", type=int, default=4000, help="training images at most")
    parser.add_argument("--n-test", type=int, default=1000, help="test images at most")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    args = parser.parse_args()

    X_train, X_test, y_train, y_test = load(args.data, args.data_dir, args.n_train, args.n_test)
    height, width, channels = X_test.shape[1:]
    print(
        f"{args.data}: {len(X_train)} training and {len(X_test)} test images of "
        f"{height}×{width}×{channels}"
    )

    key, wrong_key = SecretKey.generate(), SecretKey.generate()
    encryptor = EtCEncryptor(key, block_size=8 if X_train.shape[-1] == 3 else 4)
    classifier = ConvMixerClassifier(
        patch_size=4, epochs=args.epochs, random_state=0, verbose=int(sys.stdout.isatty())
    )

    print(f"{key}\nTraining on plain images ...", flush=True)
    plain_accuracy = classifier.fit(X_train, y_train).score(X_test, y_test)

    # Sealed: the classifier stays as it is.
    print("Sealing ...", flush=True)
    frozen = FrozenEstimator(classifier)
    sealed = Pipeline([("enc", SealedEncryptor(key, frozen)), ("clf", frozen)]).fit(X_train)
    start = time.perf_counter()
    C_sealed = sealed["enc"].transform(X_test)
    seconds = time.perf_counter() - start
    # From here on the cloud has C_sealed and the classifier, and no key.
    accuracy = np.mean(classifier.predict(C_sealed) == y_test)
    X_sealed = unseal(C_sealed, key)
    rows = [
        {
            "scheme": "sealed",
            "plain accuracy": f"{100 * plain_accuracy:.1f} %",
            "encrypted accuracy": f"{100 * accuracy:.1f} %",
            "drop": f"{100 * (plain_accuracy - accuracy):.1f} points",
            "encrypt": f"{1000 * seconds / len(X_test):.3f} ms per image",
            "bit-exact recovery": "yes" if np.array_equal(X_sealed, X_test) else "NO",
            "wrong key": "refused" if refuses(C_sealed, wrong_key) else "NOT REFUSED",
            "keys": "2^256",
        }
    ]

    # EtC: the classifier is trained again, on ciphertexts.
    print("Training on EtC ciphertexts ...", flush=True)
    private = PrivateClassifier(encryptor, classifier).fit(X_train, y_train)
    start = time.perf_counter()
    C_test = private.encrypt(X_test)
    seconds = time.perf_counter() - start
    accuracy = np.mean(private.cloud_half().predict(C_test) == y_test)
    X_back = private.decrypt(C_test)
    intruder = EtCEncryptor(wrong_key, block_size=encryptor.block_size).fit(X_test)
    X_wrong = intruder.inverse_transform(C_test)
    rows.append(
        {
            "scheme": "EtC",
            "plain accuracy": f"{100 * plain_accuracy:.1f} %",
            "encrypted accuracy": f"{100 * accuracy:.1f} %",
            "drop": f"{100 * (plain_accuracy - accuracy):.1f} points",
            "encrypt": f"{1000 * seconds / len(X_test):.3f} ms per image",
            "bit-exact recovery": "yes" if np.array_equal(X_back, X_test) else "NO",
            "wrong key": f"{psnr(X_test, X_wrong).mean():.1f} dB",
            "keys": f"2^{private.encryptor_.key_space_bits():.0f}",
        }
    )
    print("\n" + pd.DataFrame(rows).set_index("scheme").T.to_string() + "\n")

    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / "demo.png"
    schemes = {"sealed": sealed["enc"], "EtC": private.encryptor_}
    draw(path, schemes, X_test[:1], wrong_key)
    print(f"The picture is in {path}.")


def refuses(C: np.ndarray, key: SecretKey) -> bool:
    try:
        unseal(C, key)
    except NotSealedError:
        return True
    return False


def draw(
    path: Path, schemes: dict[str, BaseImageEncryptor], X: np.ndarray, wrong_key: SecretKey
) -> None:
    """Show an image of the data through both schemes, and the photographs through EtC."""
    photos = datasets.load_photos(size=(416, 640))
    etc = {"EtC": EtCEncryptor(SecretKey.generate()).fit(photos)}
    figure = Figure(figsize=(10, 8.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1.45, 1])
    plot_round_trip(schemes, X, wrong_key=wrong_key, figure=above)
    plot_round_trip(etc, photos, wrong_key=wrong_key, figure=below)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()

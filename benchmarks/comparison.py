"""Systems that the papers compare with, on one budget: what comes back, and what it costs.

After table II of J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image
classification through noise-like adversarial examples", arXiv:2310.12707, 2023, with what it leaves
out: milliseconds and bytes for an image, and what somebody without the key reads.

One small network is trained on plain CIFAR-10 images and stays as it is. Ciphertexts are 8-bit
images, and are asked about as such.

Prints a table, and writes it as CSV if told where.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, RICEncryptor, SealedEncryptor, SecretKey
from ricsk.attacks import DecoderAttack, ITNAttack
from ricsk.base import get_encryptor_tags
from ricsk.baselines import CloakEncryptor, LSBEncryptor
from ricsk.datasets import load_packed
from ricsk.metrics import perceptual_distance, psnr, ssim

# Where images come back bit for bit, to have a number.
_MAX_PSNR = 100.0


def make_systems(classifier: Any) -> dict[str, Any]:
    """List the systems, unfitted."""
    frozen = FrozenEstimator(classifier)
    key = SecretKey(bytes(range(32)))
    return {
        "sealed": SealedEncryptor(key, frozen),
        "RIC": RICEncryptor(key, frozen),
        **{f"LSB, {bits} bits": LSBEncryptor(frozen, bits=bits) for bits in range(3, 8)},
        "LSB, 4 bits, floor": LSBEncryptor(frozen, reading="floor"),
        "LSB, 4 bits, scaled": LSBEncryptor(frozen, reading="scaled"),
        **{
            f"Cloak, weight {weight:g}": CloakEncryptor(
                key, frozen, weight=weight, learning_rate=0.1, random_state=0
            )
            for weight in (0.1, 0.5, 2.0)
        },
    }


def measure(
    name: str, encryptor: Any, classifier: Any, train: NDArray[np.uint8], X: NDArray[np.uint8]
) -> dict[str, Any]:
    """Measure one row."""
    encryptor.fit(train)
    encryptor.transform(X[:20])  # templates are made once
    start = time.perf_counter()
    C = encryptor.transform(X)
    encrypt_ms = 1000 * (time.perf_counter() - start) / len(X)
    return {
        "system": name,
        **measure_recovery(encryptor, X, C),
        "agreement": np.mean(classifier.predict(C) == classifier.predict(X)),
        "encrypt_ms": encrypt_ms,
        "png_bytes": measure_bytes(C),
        "plain_png_bytes": measure_bytes(X),
        "shows": ssim(X, C).mean(),
        "read_without_key": read_without_key(encryptor, train, X, C),
    }


def measure_recovery(
    encryptor: Any, X: NDArray[np.uint8], C: NDArray[np.uint8]
) -> dict[str, float]:
    """Measure how close images come back to their owner, if they do."""
    if not get_encryptor_tags(encryptor).recoverable:
        return dict.fromkeys(("psnr", "ssim", "perceptual", "decrypt_ms"), np.nan)
    start = time.perf_counter()
    back = encryptor.inverse_transform(C)
    decrypt_ms = 1000 * (time.perf_counter() - start) / len(X)
    return {
        "psnr": np.minimum(psnr(X, back), _MAX_PSNR).mean(),
        "ssim": ssim(X, back).mean(),
        "perceptual": perceptual_distance(X, back).mean(),
        "decrypt_ms": decrypt_ms,
    }


def measure_bytes(images: NDArray[np.uint8]) -> float:
    """Measure the mean size of PNG files."""
    sizes = []
    for image in images[:100]:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png")
        sizes.append(file.tell())
    return float(np.mean(sizes))


def read_without_key(
    encryptor: Any, public: NDArray[np.uint8], X: NDArray[np.uint8], C: NDArray[np.uint8]
) -> float:
    """Measure the SSIM of what everybody reads: by the decoder, or a network taught with own keys.

    Schemes that bring images back with a key are left to `audit`.
    """
    tags = get_encryptor_tags(encryptor)
    if tags.keyed and tags.recoverable:
        return np.nan
    attack = DecoderAttack() if tags.recoverable else ITNAttack(n_keys=2, random_state=0)
    attack.fit(C, public_images=public, encryptor=encryptor)
    return float(ssim(X, attack.reconstruct(C)).mean())


def main() -> None:
    """Train, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the packs")
    parser.add_argument("--train", type=int, default=3000, help="images to train on")
    parser.add_argument("--images", type=int, default=200, help="images to encrypt")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="CSV file to write")
    args = parser.parse_args()
    X, y, _ = load_packed(args.data_dir, "cifar10", "train", limit=args.train)
    test, labels, _ = load_packed(args.data_dir, "cifar10", "test", limit=args.images)
    start = time.perf_counter()
    classifier = CNNClassifier(
        width=16, epochs=args.epochs, device="cpu", random_state=args.seed
    ).fit(X, y)
    accuracy = classifier.score(test, labels)
    print(f"accuracy of the network: {accuracy:.3f}, {time.perf_counter() - start:.0f} s")
    rows = []
    for name, encryptor in make_systems(classifier).items():
        start = time.perf_counter()
        row = measure(name, encryptor, classifier, X[:500], test)
        rows.append({**row, "seconds": time.perf_counter() - start})
        print(pd.DataFrame(rows[-1:]).round(3).to_string(index=False), flush=True)
    table = pd.DataFrame(rows).assign(
        network_accuracy=accuracy, train=args.train, images=args.images, seed=args.seed
    )
    print(table.round(3).to_string(index=False))
    if args.out is not None:
        table.round(4).to_csv(args.out, index=False)


if __name__ == "__main__":
    main()

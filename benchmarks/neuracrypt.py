"""NeuraCrypt: what known plaintexts give of other images of the key, and what codes teach."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ricsk import PrivateClassifier, SecretKey, ViTClassifier
from ricsk.attacks import NeuraCryptAttack, match_neuracrypt
from ricsk.baselines import NeuraCryptClassifier, NeuraCryptEncoder
from ricsk.datasets import load_packed
from ricsk.metrics import psnr, ssim

SETTINGS = [(100, 128, 4), (300, 128, 4), (100, 128, 7), (300, 128, 7)]


def main() -> None:
    """Encode, attack, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the packs")
    parser.add_argument("--images", type=int, default=100, help="images to read")
    parser.add_argument("--train", type=int, default=5000, help="images to learn from; 0 for none")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=1000, help="steps to learn to match")
    parser.add_argument("--out", type=Path, help="CSV file to write")
    args = parser.parse_args()
    most = max(pairs for pairs, _, _ in SETTINGS)
    X, _, _ = load_packed(args.data_dir, "cifar10", "test", limit=most + args.images)
    known, hidden = X[:most], X[most:]
    mean = np.broadcast_to(known.mean(axis=0).astype(np.uint8), hidden.shape)
    rows = []
    for pairs, width, depth in SETTINGS:
        start = time.process_time()
        encoder = NeuraCryptEncoder(SecretKey(bytes(32)), width=width, depth=depth).fit(known)
        attack = NeuraCryptAttack().fit(encoder.transform(known[:pairs]), known[:pairs])
        read = attack.reconstruct(encoder.transform(hidden))
        rows.append(
            {
                "pairs": pairs,
                "width": width,
                "depth": depth,
                "ssim": ssim(hidden, read).mean(),
                "psnr": psnr(hidden, read).mean(),
                "ssim_mean_image": ssim(hidden, mean).mean(),
                "cpu_seconds": time.process_time() - start,
            }
        )
    table = pd.DataFrame(rows).round(3)
    print(table.to_string(index=False))
    if args.out is not None:
        table.to_csv(args.out, index=False)
    public, _, _ = load_packed(args.data_dir, "cifar10", "train", limit=100)
    for pairs, width, depth in SETTINGS[::2]:
        match(known[:pairs], hidden, public, width, depth, args.steps)
    if args.train:
        compare_accuracy(args.data_dir, args.train, args.epochs)


def match(
    known: NDArray[np.uint8],
    hidden: NDArray[np.uint8],
    public: NDArray[np.uint8],
    width: int,
    depth: int,
    n_steps: int,
) -> None:
    """Match images in no order with their codes, and read others with what was found."""
    start = time.process_time()
    encoder = NeuraCryptEncoder(SecretKey(bytes(32)), width=width, depth=depth).fit(known)
    codes = encoder.transform(known)
    order = np.random.default_rng(0).permutation(len(known))
    found = match_neuracrypt(
        codes, known[order], public_images=public, encoder=encoder, n_steps=n_steps, random_state=0
    )
    attack = NeuraCryptAttack().fit(codes, known[order][found])
    read = ssim(hidden, attack.reconstruct(encoder.transform(hidden))).mean()
    right = np.mean(order[found] == np.arange(len(known)))
    print(
        f"depth {depth}, {len(known)} images in no order: {right:.0%} matched with their codes, "
        f"SSIM {read:.3f}, {time.process_time() - start:.0f} CPU seconds",
        flush=True,
    )


def compare_accuracy(data_dir: Path, n_train: int, epochs: int) -> None:
    """Train on codes, and a transformer on plain images."""
    train_X, train_y, _ = load_packed(data_dir, "cifar10", "train", limit=n_train)
    test_X, test_y, _ = load_packed(data_dir, "cifar10", "test", limit=1000)
    plain = ViTClassifier(depth=2, epochs=epochs, random_state=0).fit(train_X, train_y)
    print(f"plain, ViT of two blocks: {plain.score(test_X, test_y):.3f}")
    for depth in (0, 4):
        encoder = NeuraCryptEncoder(SecretKey(bytes(32)), depth=depth)
        classifier = NeuraCryptClassifier(depth=2, epochs=epochs, random_state=0)
        private = PrivateClassifier(encoder, classifier).fit(train_X, train_y)
        print(f"codes of depth {depth}: {private.score(test_X, test_y):.3f}", flush=True)


if __name__ == "__main__":
    main()

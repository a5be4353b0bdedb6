"""NeuraCrypt: what known plaintexts give of other images of the key, by depth and pairs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from ricsk import SecretKey
from ricsk.attacks import NeuraCryptAttack
from ricsk.baselines import NeuraCryptEncoder
from ricsk.datasets import load_packed
from ricsk.metrics import psnr, ssim

SETTINGS = [(100, 128, 4), (300, 128, 4), (100, 128, 7), (300, 128, 7)]


def main() -> None:
    """Encode, attack, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the packs")
    parser.add_argument("--images", type=int, default=100, help="images to read")
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


if __name__ == "__main__":
    main()

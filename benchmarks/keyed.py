"""A ViT trained on plain images reads encrypted ones without retraining: what it loses.

Prints, for several ways to encrypt, accuracy on plain and on encrypted test images, the drop, the
largest difference of logits, how many predictions changed, accuracy under a wrong key, and how long
it took to change keys. Then the same accuracies where all images have gone through JPEG, and the
bytes of a file. Then what weights alone tell of the order of pixels and patches.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ricsk import EtCEncryptor, JPEGCodec, SecretKey, ViTClassifier, adapt_to_key
from ricsk.datasets import load_packed

# Sides of patches and of sub-blocks; those of 16 and 8 fall into the units that JPEG codes.
SIDES = {"cifar10": (4, 2), "flowers128": (16, 8)}
EPOCHS = {"cifar10": 10, "flowers128": 20}
JPEG_HEADERS = 625  # bytes of every colour file
KEYS = [SecretKey(bytes([number]) * 32) for number in range(3)]  # the same in every run


def forms(sub_block_size: int) -> dict[str, dict]:
    return {
        "blocks permuted": {
            "rotate": False,
            "negate": False,
            "shuffle_channels": False,
        },
        "all steps": {},
        f"all steps, sub-blocks of {sub_block_size}×{sub_block_size}": {
            "sub_block_size": sub_block_size
        },
        "all steps, pixels": {"sub_block_size": 1},
    }


def trained(args: argparse.Namespace) -> ViTClassifier:
    if args.model is not None and args.model.exists():
        return joblib.load(args.model)
    X, y, _ = load_packed(args.data_dir, args.data, "train", limit=args.n_train)
    classifier = ViTClassifier(
        patch_size=SIDES[args.data][0], epochs=args.epochs or EPOCHS[args.data], random_state=0
    )
    start = time.perf_counter()
    classifier.fit(X, y)
    print(f"trained on {len(X)} plain images, {time.perf_counter() - start:.0f} s")
    if args.model is not None:
        joblib.dump(classifier, args.model)
    return classifier


def percent(found: NDArray, y: NDArray) -> float:
    return 100 * np.mean(found == y)


def compare(
    classifier: ViTClassifier, X: NDArray, y: NDArray, sub_block_size: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every form, as it is and through JPEG."""
    expected = classifier.decision_function(X)
    plain = expected.argmax(axis=1)
    codecs = [JPEGCodec(85, subsampling=subsampling).fit(X) for subsampling in ("4:4:4", "4:2:0")]
    plain_through = [
        (classifier.predict(codec.transform(X)), codec.sizes(X).mean()) for codec in codecs
    ]
    rows, jpeg_rows = [], []
    for name, form in forms(sub_block_size).items():
        old, new, wrong = (
            EtCEncryptor(key, block_size=classifier.patch_size, per_block_keys=False, **form).fit(X)
            for key in KEYS
        )
        adapt_to_key(classifier, old)
        start = time.perf_counter()
        keyed = adapt_to_key(classifier, new)
        took = time.perf_counter() - start
        C = new.transform(X)
        logits = keyed.decision_function(C)
        encrypted = logits.argmax(axis=1)
        rows.append(
            {
                "encryption": name,
                "keys, bits": new.key_space_bits(),
                "plain %": percent(plain, y),
                "encrypted %": percent(encrypted, y),
                "drop": percent(plain, y) - percent(encrypted, y),
                "logits differ by": np.abs(logits - expected).max(),
                "other answers": int((encrypted != plain).sum()),
                "wrong key %": percent(keyed.predict(wrong.transform(X)), y),
                "new key, ms": 1000 * took,
            }
        )
        for codec, (plain_coded, plain_size) in zip(codecs, plain_through, strict=True):
            encrypted_coded, size = keyed.predict(codec.transform(C)), codec.sizes(C).mean()
            jpeg_rows.append(
                {
                    "encryption": name,
                    "JPEG": codec.subsampling,
                    "plain %": percent(plain_coded, y),
                    "encrypted %": percent(encrypted_coded, y),
                    "drop": percent(plain_coded, y) - percent(encrypted_coded, y),
                    "other answers": int((encrypted_coded != plain_coded).sum()),
                    "plain bytes": plain_size,
                    "encrypted bytes": size,
                    "ratio": size / plain_size,
                    "without headers": (size - JPEG_HEADERS) / (plain_size - JPEG_HEADERS),
                }
            )
        print(f"{name} done", flush=True)
    return pd.DataFrame(rows), pd.DataFrame(jpeg_rows)


def print_order_in_weights(classifier: ViTClassifier) -> None:
    network, patch_size = classifier.module_.network, classifier.patch_size
    weights = network.patch_embed.proj.weight.detach().numpy()
    pixels = np.moveaxis(weights, 0, -1).reshape(3, patch_size**2, -1)  # for each channel alone
    rows, columns = np.divmod(np.arange(patch_size**2), patch_size)
    steps = abs(rows[:, None] - rows) + abs(columns[:, None] - columns)
    likeness = np.array([np.corrcoef(of_channel) for of_channel in pixels])
    print(
        f"\nweights of neighbouring pixels are correlated by {likeness[:, steps == 1].mean():.2f}, "
    )
    print(f"more than two steps apart by {likeness[:, steps > 2].mean():.2f}")

    positions = network.pos_embed[0, 1:].detach().numpy()
    side = round(len(positions) ** 0.5)
    rows, columns = np.divmod(np.arange(len(positions)), side)
    steps = abs(rows[:, None] - rows) + abs(columns[:, None] - columns)
    likeness = np.where(steps == 0, -np.inf, np.corrcoef(positions))
    most_alike = steps[np.arange(len(steps)), likeness.argmax(axis=1)]
    chance = (steps == 1).sum() / (steps > 0).sum()
    print(
        f"the position most alike is a neighbour's for {100 * np.mean(most_alike == 1):.0f} %, "
        f"by chance {100 * chance:.0f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--data", default="cifar10", choices=list(SIDES))
    parser.add_argument("--model", type=Path, help="file to keep the trained classifier in")
    parser.add_argument("--n-train", type=int, default=10_000)
    parser.add_argument("--n-test", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, help="10 on cifar10, 20 on flowers128")
    args = parser.parse_args()

    classifier = trained(args)
    X, y, _ = load_packed(args.data_dir, args.data, "test", limit=args.n_test)
    print(f"{len(X)} test images, {classifier!r}\n")
    as_they_are, through_jpeg = compare(classifier, X, y, SIDES[args.data][1])
    formatters = {"logits differ by": "{:.1e}".format}
    print("\n" + as_they_are.to_string(index=False, formatters=formatters))
    print("\nthrough JPEG of quality 85")
    print(through_jpeg.to_string(index=False, float_format="{:.2f}".format))
    print_order_in_weights(classifier)


if __name__ == "__main__":
    main()

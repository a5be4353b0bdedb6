"""A ViT trained on plain CIFAR-10 reads encrypted images without retraining: what it loses.

Prints, for several ways to encrypt, accuracy on plain and on encrypted test images, the drop, the
largest difference of logits, how many predictions changed, accuracy under a wrong key, and how long
it took to change keys. Then what weights alone tell of the order of pixels and patches.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from ricsk import EtCEncryptor, SecretKey, ViTClassifier, adapt_to_key
from ricsk.datasets import load_packed

PATCH = 4
KEYS = [SecretKey(bytes([number]) * 32) for number in range(3)]  # the same in every run
FORMS = {
    "blocks permuted": {
        "rotate": False,
        "negate": False,
        "shuffle_channels": False,
    },
    "all steps": {},
    "all steps, sub-blocks of 2×2": {"sub_block_size": 2},
    "all steps, pixels": {"sub_block_size": 1},
}


def print_order_in_weights(classifier: ViTClassifier) -> None:
    network = classifier.module_.network
    weights = network.patch_embed.proj.weight.detach().numpy()
    pixels = np.moveaxis(weights, 0, -1).reshape(3, PATCH**2, -1)  # for each channel alone
    rows, columns = np.divmod(np.arange(PATCH**2), PATCH)
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
    parser.add_argument("--model", type=Path, help="file to keep the trained classifier in")
    parser.add_argument("--n-train", type=int, default=10_000)
    parser.add_argument("--n-test", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()

    X, y, _ = load_packed(args.data_dir, "cifar10", "test", limit=args.n_test)
    if args.model is not None and args.model.exists():
        classifier = joblib.load(args.model)
    else:
        X_train, y_train, _ = load_packed(args.data_dir, "cifar10", "train", limit=args.n_train)
        classifier = ViTClassifier(patch_size=PATCH, epochs=args.epochs, random_state=0)
        start = time.perf_counter()
        classifier.fit(X_train, y_train)
        print(f"trained on {len(X_train)} plain images, {time.perf_counter() - start:.0f} s")
        if args.model is not None:
            joblib.dump(classifier, args.model)
    print(f"{len(X)} test images, {classifier!r}\n")

    expected = classifier.decision_function(X)
    plain = 100 * np.mean(expected.argmax(axis=1) == y)
    rows = []
    for name, form in FORMS.items():
        old, new, wrong = (
            EtCEncryptor(key, block_size=PATCH, per_block_keys=False, **form).fit(X) for key in KEYS
        )
        adapt_to_key(classifier, old)
        start = time.perf_counter()
        keyed = adapt_to_key(classifier, new)
        took = time.perf_counter() - start
        logits = keyed.decision_function(new.transform(X))
        of_wrong = keyed.predict(wrong.transform(X))
        encrypted = 100 * np.mean(logits.argmax(axis=1) == y)
        rows.append(
            {
                "encryption": name,
                "keys, bits": new.key_space_bits(),
                "plain %": plain,
                "encrypted %": encrypted,
                "drop": plain - encrypted,
                "logits differ by": np.abs(logits - expected).max(),
                "other answers": int((logits.argmax(axis=1) != expected.argmax(axis=1)).sum()),
                "wrong key %": 100 * np.mean(of_wrong == y),
                "new key, ms": 1000 * took,
            }
        )
        print(f"{name} done", flush=True)
    table = pd.DataFrame(rows)
    print("\n" + table.to_string(index=False, formatters={"logits differ by": "{:.1e}".format}))
    print_order_in_weights(classifier)


if __name__ == "__main__":
    main()

"""What a classifier learns of ciphertexts under many keys, and what a jigsaw solver gets of them.

Three ways to use keys with EtC and PE: one key for all images; a key for each image; and several
owners, each with a key of their own, whose ciphertexts train one classifier. The last is the future
work that the EtC paper names. For owners there are three figures: the classifier of the union on
all test images, under their owners' keys; the mean over owners of a classifier trained on one
owner's images alone, on test images under that owner's key; and, for comparison, one key for all.

    python benchmarks/many_keys.py --data-dir DIR
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone

from ricsk import ConvMixerClassifier, EtCEncryptor, PixelEncryptor, SecretKey, ViTClassifier
from ricsk.attacks import JigsawAttack, LabelOnlyBaseline, jigsaw_scores
from ricsk.datasets import load_packed
from ricsk.encryptors import GroupEncryptor
from ricsk.metrics import ssim

# Not secret: so that whoever runs this gets the same ciphertexts.
KEYS = [SecretKey(bytes([number]) * 32) for number in range(8)]

NETWORKS = {
    "ConvMixer": ConvMixerClassifier(dim=64, depth=4, patch_size=4),
    "ViT": ViTClassifier(patch_size=4),
}
SCHEMES = {
    "EtC": EtCEncryptor(KEYS[0], block_size=4),
    "PE": PixelEncryptor(KEYS[0]),
}


def score(network: Any, train: tuple[Any, Any], test: tuple[Any, Any], epochs: int) -> float:
    fitted = clone(network).set_params(epochs=epochs, random_state=0).fit(*train)
    return 100 * fitted.score(*test)


def learn(
    scheme: str, keys: str, network: str, sets: list[np.ndarray], args: argparse.Namespace
) -> float:
    """Train on ciphertexts and read others: the accuracy in percent."""
    X_train, y_train, X_test, y_test = sets
    model = NETWORKS[network]
    if scheme == "plain":
        return score(model, (X_train, y_train), (X_test, y_test), args.epochs)
    encryptor = SCHEMES[scheme]
    if keys in ("one key", "one for each image"):
        encryptor = clone(encryptor).set_params(per_image_keys=keys != "one key").fit(X_train)
        train, test = encryptor.transform(X_train), encryptor.transform(X_test)
        return score(model, (train, y_train), (test, y_test), args.epochs)
    n_owners = int(keys.split()[0])
    owners = [np.arange(len(X)) % n_owners for X in (X_train, X_test)]
    group = GroupEncryptor({i: clone(encryptor).set_params(key=KEYS[i]) for i in range(n_owners)})
    train = group.fit_transform(X_train, groups=owners[0])
    test = group.transform(X_test, groups=owners[1])
    if keys.endswith("together"):
        return score(model, (train, y_train), (test, y_test), args.epochs)
    alone = [
        score(
            model,
            (train[owners[0] == i], y_train[owners[0] == i]),
            (test[owners[1] == i], y_test[owners[1] == i]),
            args.epochs,
        )
        for i in range(n_owners)
    ]
    return float(np.mean(alone))


def solve(keys: str, sets: list[np.ndarray], n: int) -> dict[str, Any]:
    """Solve the puzzles of EtC ciphertexts: places that are right, and SSIM."""
    public, y_public, X, y = sets
    encryptor = clone(SCHEMES["EtC"]).set_params(per_image_keys=keys != "one key").fit(public)
    C = encryptor.transform(X[:n])
    attack = JigsawAttack().fit(C, public_images=public[:1000], encryptor=encryptor)
    found = attack.reconstruct(C)
    baseline = LabelOnlyBaseline().fit(
        C, labels=y[:n], public_images=public, public_labels=y_public, encryptor=encryptor
    )
    return {
        "neighbours right": jigsaw_scores(X[:n], found, 4).neighbour,
        "SSIM": float(np.mean(ssim(X[:n], found))),
        "SSIM of the label alone": float(np.mean(ssim(X[:n], baseline.reconstruct(C, y[:n])))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--n-train", type=int, default=5000)
    parser.add_argument("--n-test", type=int, default=2000)
    parser.add_argument("--n-puzzles", type=int, default=50, help="images for the jigsaw solver")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/many_keys.csv"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    X_train, y_train, _ = load_packed(args.data_dir, "cifar10", "train", limit=args.n_train)
    X_test, y_test, _ = load_packed(args.data_dir, "cifar10", "test", limit=args.n_test)
    sets = [X_train, y_train, X_test, y_test]
    rows = [
        {"scheme": "EtC", "keys": keys, "network": "jigsaw solver"}
        | solve(keys, sets, args.n_puzzles)
        for keys in ("one key", "one for each image")
    ]
    print(pd.DataFrame(rows).to_string(index=False), flush=True)
    several = [f"{n} owners, {how}" for n in (2, 4) for how in ("together", "each alone")]
    runs = [("plain", "none", network) for network in NETWORKS]
    runs += [
        (scheme, keys, network)
        for scheme in SCHEMES
        for keys in ("one key", "one for each image", *several)
        for network in NETWORKS
    ]
    for run in runs:
        start = time.process_time()
        accuracy = learn(*run, sets, args)
        row = dict(zip(("scheme", "keys", "network"), run, strict=True))
        rows.append(row | {"accuracy": accuracy, "seconds": time.process_time() - start})
        print(rows[-1], flush=True)
        settings = {"n_train": args.n_train, "epochs": args.epochs, "seed": 0}
        args.output.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).assign(**settings).round(4).to_csv(args.output, index=False)


if __name__ == "__main__":
    main()

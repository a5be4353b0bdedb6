"""Accuracy on plain and encrypted images: the rows of Table II that have a network here.

After A. MaungMaung and H. Kiya, "Privacy-preserving image classification using an isotropic
network", IEEE MultiMedia 29(2), 2022. "--budget full" takes their networks and recipes, for a GPU;
"--budget small" takes lighter networks, fewer images and fewer epochs, for a processor. Vision
transformers are trained from scratch here, while theirs was pre-trained; pixel-wise encryption is
left out, for its ResNet-18 is. Encrypted images are augmented after their encryption, as a cloud
would have to do; "--augment-first" does it before, as the published codes do.

Prints a table, writes it as CSV if told where, and prints what skorch costs over a bare loop.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin

from ricsk import (
    AdaptNetClassifier,
    CNNClassifier,
    ConvMixerClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PrivateClassifier,
    SecretKey,
    ViTClassifier,
)
from ricsk.datasets import load_packed

# Images for training and for testing, at most.
SIZES = {"small": (5000, 2000), "full": (50_000, 10_000)}
CONVMIXER = {
    ("small", "cifar10"): {"dim": 64, "depth": 4, "patch_size": 2, "epochs": 12},
    ("small", "flowers128"): {"dim": 64, "depth": 4, "patch_size": 8, "epochs": 20},
    ("full", "cifar10"): {
        "dim": 256, "depth": 8, "kernel_size": 9, "patch_size": 1, "epochs": 300,
    },
    ("full", "flowers128"): {
        "dim": 384, "depth": 8, "kernel_size": 9, "patch_size": 4, "epochs": 300,
    },
}  # fmt: skip
VIT = {
    ("small", "cifar10"): {"patch_size": 4, "epochs": 12},
    ("small", "flowers128"): {"patch_size": 16, "epochs": 40},
    ("full", "cifar10"): {"dim": 384, "depth": 7, "n_heads": 6, "patch_size": 4, "epochs": 300},
    ("full", "flowers128"): {
        "dim": 384, "depth": 7, "n_heads": 6, "patch_size": 16, "epochs": 300,
    },
}  # fmt: skip
VIT_RECIPE = {
    "small": {},
    "full": {"optimizer": "sgd", "schedule": "cosine", "learning_rate": 0.03, "batch_size": 512},
}
SHAKEPYRAMID = {
    "small": {"depth": 14, "alpha": 48, "epochs": 8},
    "full": {
        "depth": 110,
        "alpha": 270,
        "epochs": 305,
        "batch_size": 512,
        "optimizer": "nesterov",
        "schedule": "steps",
        "learning_rate": 0.1,
        "weight_decay": 5e-4,
        "clip": None,
    },
}


class Row(NamedTuple):
    """A row of the table: the network, the encryption, and the published accuracies in percent."""

    network: Callable[[str, str, bool, bool], ClassifierMixin]
    encryptor: Callable[[SecretKey], BaseEstimator] | None
    published: dict[str, float]


def convmixer(budget: str, data: str, plain: bool, _: bool) -> ClassifierMixin:
    augmentation = ("plain" if plain else "encrypted") if budget == "full" else None
    return ConvMixerClassifier(**CONVMIXER[budget, data], augmentation=augmentation)


def vit(budget: str, data: str, plain: bool, _: bool) -> ClassifierMixin:
    augmentation = ("plain" if plain else "encrypted") if budget == "full" else None
    return ViTClassifier(**VIT[budget, data], **VIT_RECIPE[budget], augmentation=augmentation)


def shakepyramid(adaptation: str | None) -> Callable[[str, str, bool, bool], ClassifierMixin]:
    def make(budget: str, _: str, plain: bool, augment_first: bool) -> ClassifierMixin:
        # Ciphertexts cannot be shifted and mirrored.
        crops = budget == "full" and (plain or augment_first)
        return AdaptNetClassifier(
            adaptation, **SHAKEPYRAMID[budget], augmentation="crop" if crops else None
        )

    return make


def ele(key: SecretKey) -> BaseEstimator:
    return LearnableEncryptor(key, per_block_keys=True, scramble_blocks=True)


def etc4(key: SecretKey) -> BaseEstimator:
    return EtCEncryptor(key, variant="madono2020")


# The published rows of ViT and ConvMixer beside flowers are those of Imagenette: no comparison.
ROWS = {
    "vit-plain": Row(vit, None, {"cifar10": 99.06}),
    "vit-etc": Row(vit, EtCEncryptor, {"cifar10": 87.89}),
    "convmixer-plain": Row(convmixer, None, {"cifar10": 96.07}),
    "convmixer-etc": Row(convmixer, EtCEncryptor, {"cifar10": 92.72}),
    "shakepyramid-plain": Row(shakepyramid(None), None, {"cifar10": 96.70}),
    "adaptnet-le": Row(shakepyramid("le"), LearnableEncryptor, {"cifar10": 94.49}),
    "adaptnet-ele": Row(shakepyramid("ele"), ele, {"cifar10": 83.06}),
    "adaptnet-etc4": Row(shakepyramid("ele"), etc4, {"cifar10": 89.09}),
}


def run(name: str, data: str, seed: int, sets: list[np.ndarray], args: argparse.Namespace) -> dict:
    row = ROWS[name]
    X_train, y_train, X_test, y_test = sets
    plain = row.encryptor is None
    classifier = row.network(args.budget, data, plain, args.augment_first)
    classifier.set_params(random_state=seed, device=args.device)
    if args.epochs:
        classifier.set_params(epochs=args.epochs)
    if args.checkpoints:
        classifier.set_params(checkpoint=str(args.checkpoints / f"{data}-{name}-{seed}"))
    model: Any = classifier
    if not plain:
        # Any key will do, as long as it is another one for each seed.
        key = SecretKey(seed.to_bytes(32, "big"))
        model = PrivateClassifier(row.encryptor(key), classifier, augment_first=args.augment_first)
    start = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    fitted = getattr(model, "classifier_", model)
    return {
        "data": data,
        "row": name,
        "budget": args.budget,
        "seed": seed,
        "accuracy": round(100 * float(np.mean(model.predict(X_test) == y_test)), 2),
        "published": row.published.get(data, float("nan")),
        "augmentation": fitted.augmentation or "none",
        "encryption": "none" if plain else "last" if args.augment_first else "first",
        "parameters": sum(p.numel() for p in fitted.module_.parameters()),
        "train": len(X_train),
        "test": len(X_test),
        "epochs": fitted.n_iter_,
        "images/s": round(len(X_train) * fitted.n_iter_ / seconds),
        "device": next(fitted.module_.parameters()).device.type,
    }


def overhead(X: np.ndarray, y: np.ndarray, n_repeats: int = 5) -> float:
    """Time a training by the classifier over the same one by a bare loop, on the CPU."""
    epochs, size, rate = 2, 64, 0.01
    classifier = CNNClassifier(
        epochs=epochs, batch_size=size, learning_rate=rate, random_state=0, device="cpu"
    )
    seed = np.random.RandomState(0).randint(2**31 - 1)
    pixels, targets = torch.from_numpy(X), torch.from_numpy(y)
    network = classifier.fit(X, y).module_.network

    def bare() -> torch.nn.Module:
        torch.manual_seed(seed)
        model = type(network)(X.shape[1:], len(np.unique(y)))
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            rate,
            total_steps=epochs * (len(X) // size),
            anneal_strategy="linear",
            cycle_momentum=False,
        )
        for _ in range(epochs):
            for chunk in torch.randperm(len(X)).split(size):
                x = 2 * (pixels[chunk].float() / 255).permute(0, 3, 1, 2) - 1
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(model(x), targets[chunk])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
        return model

    same = zip(bare().parameters(), network.parameters(), strict=True)
    if not all(torch.equal(a, b) for a, b in same):
        print("the two trainings ended differently")
    times: dict[str, list[float]] = {"classifier": [], "bare": []}
    for _ in range(n_repeats):
        for name, train in (("classifier", lambda: classifier.fit(X, y)), ("bare", bare)):
            start = time.perf_counter()
            train()
            times[name].append(time.perf_counter() - start)
    return min(times["classifier"]) / min(times["bare"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--data", nargs="+", default=["cifar10", "flowers128"])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--budget", default="small", choices=["small", "full"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--augment-first", action="store_true", help="encrypt augmented images")
    parser.add_argument("--n-train", type=int, help="training images, instead of the budget's")
    parser.add_argument("--n-test", type=int, help="test images, instead of the budget's")
    parser.add_argument("--epochs", type=int, help="instead of the budget's")
    parser.add_argument("--checkpoints", type=Path, help="folder to keep trainings in, to go on")
    parser.add_argument("--csv", type=Path, help="where to write the table")
    args = parser.parse_args()
    if args.checkpoints:
        args.checkpoints.mkdir(parents=True, exist_ok=True)

    n_train, n_test = SIZES[args.budget]
    results = []
    for data in args.data:
        sets: list[np.ndarray] = []
        for split, limit in (("train", args.n_train or n_train), ("test", args.n_test or n_test)):
            sets += load_packed(args.data_dir, data, split)[:2]
            sets[-2:] = (part[:limit] for part in sets[-2:])
        for name in args.rows:
            if data != "cifar10" and not name.startswith(("vit", "convmixer")):
                continue
            for seed in args.seeds:
                results.append(run(name, data, seed, sets, args))
                print(" ".join(f"{key}={value}" for key, value in results[-1].items()), flush=True)
                if args.csv:
                    pd.DataFrame(results).to_csv(args.csv, index=False)
        if data == "cifar10":
            n = min(1024, len(sets[0]) // 64 * 64)
            print(f"skorch over a bare loop: {overhead(sets[0][:n], sets[1][:n]):.3f}", flush=True)


if __name__ == "__main__":
    main()

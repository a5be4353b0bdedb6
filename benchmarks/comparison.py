"""The systems that the papers compare with, on one budget: what is kept, what it costs, who reads.

After tables I and II of J. Liu, J. Zhou, J. Tian and W. Sun, "Recoverable privacy-preserving image
classification through noise-like adversarial examples", arXiv:2310.12707, 2023, with what they
leave out: milliseconds and bytes for an image, and what somebody without the key reads.

``accuracy`` is table I: how many test images are classified rightly, plain and encrypted.
``recovery`` is table II: how close images come back to their owner.

All networks have the same images and passes. Ciphertexts are 8-bit images, and are asked about as
such. Each row is written to the CSV file as soon as it is there, and is not measured again.
"""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, PrivateClassifier, RICEncryptor, SealedEncryptor, SecretKey
from ricsk.attacks import DecoderAttack, ITNAttack, KnownPlaintextAttack, NeuraCryptAttack
from ricsk.base import get_encryptor_tags
from ricsk.baselines import (
    ArdenClassifier,
    ArdenEncoder,
    AVIHEncryptor,
    BinaryNetworkClassifier,
    CloakEncryptor,
    FeatureMapClassifier,
    HidingEncryptor,
    InstaHideClassifier,
    InstaHideEncryptor,
    LSBEncryptor,
    NeuraCryptClassifier,
    NeuraCryptEncoder,
)
from ricsk.datasets import load_digits, load_packed
from ricsk.metrics import perceptual_distance, psnr, ssim

KEY = SecretKey(bytes(range(32)))
# Where images come back bit for bit, to have a number.
MAX_PSNR = 100.0
# Images that the adversary has with their ciphertexts.
N_PAIRS = 100
# Passes in which each network learns to hide: about as much work for each.
HIDING_EPOCHS = {"ddh": 20, "hinet": 4, "iicnet": 3}

Images = NDArray[np.uint8]


class Data(NamedTuple):
    """Images to train on, of the adversary, and to test on."""

    train: Images
    labels: NDArray[np.int64]
    test: Images
    test_labels: NDArray[np.int64]

    @property
    def public(self) -> Images:
        """What the adversary has."""
        return self.train[:500]


def load(name: str, args: argparse.Namespace) -> Data:
    """Load digits of 32×32 pixels, or images of CIFAR-10."""
    if name == "digits":
        X, y = load_digits(size=32)
        return Data(X[:1200], y[:1200], X[1200 : 1200 + args.images], y[1200 : 1200 + args.images])
    if args.data_dir is None:
        raise SystemExit("CIFAR-10 needs --data-dir.")
    X, y, _ = load_packed(args.data_dir, "cifar10", "train", limit=args.train)
    test, labels, _ = load_packed(args.data_dir, "cifar10", "test", limit=args.images)
    return Data(X, y, test, labels)


def make_network(args: argparse.Namespace) -> CNNClassifier:
    """Make the network that everything is measured on, unfitted."""
    return CNNClassifier(width=16, epochs=args.epochs, device="cpu", random_state=args.seed)


# Table I


def make_classifiers(
    data: Data, network: CNNClassifier, args: argparse.Namespace
) -> dict[str, Any]:
    """List what makes the rows of table I: functions that train, and return what is to be asked."""
    frozen = FrozenEstimator(network)
    training: dict[str, Any] = {"epochs": args.epochs, "device": "cpu", "random_state": args.seed}
    front = FrozenEstimator(network)

    def fit(estimator: Any) -> Any:
        return clone(estimator).fit(data.train, data.labels)

    def fit_arden(epsilon: float) -> Any:
        encoder = ArdenEncoder(
            KEY, front, nullify=0.1 if epsilon < math.inf else 0.0, epsilon=epsilon
        )
        return fit(ArdenClassifier(encoder, FeatureMapClassifier(side=4, **training)))

    def fit_instahide(k: int) -> Any:
        return fit(
            InstaHideClassifier(InstaHideEncryptor(KEY, k=k), clone(network), test_encodings=10)
        )

    def fit_neuracrypt(depth: int) -> Any:
        classifier = NeuraCryptClassifier(depth=2, **training)
        return fit(PrivateClassifier(NeuraCryptEncoder(KEY, depth=depth), classifier))

    def fit_cloak(weight: float) -> Any:
        return fit(
            PrivateClassifier(
                CloakEncryptor(KEY, frozen, weight=weight, learning_rate=0.1, random_state=0)
            )
        )

    rows: dict[str, Callable[[], Any]] = {
        "RIC": lambda: fit(PrivateClassifier(RICEncryptor(KEY, frozen))),
        "sealed": lambda: fit(PrivateClassifier(SealedEncryptor(KEY, frozen))),
    }
    rows |= {f"InstaHide, k={k}": partial(fit_instahide, k) for k in (2, 4)}
    rows |= {f"Cloak, weight {weight:g}": partial(fit_cloak, weight) for weight in (0.1, 0.5)}
    rows |= {f"ARDEN, ε={epsilon:g}": partial(fit_arden, epsilon) for epsilon in (math.inf, 20, 5)}
    rows |= {f"NeuraCrypt, depth {depth}": partial(fit_neuracrypt, depth) for depth in (0, 4)}
    rows["TAPAS"] = lambda: fit(BinaryNetworkClassifier((256,), **training))
    return rows


def measure_accuracy(name: str, fit: Callable[[], Any], data: Data) -> dict[str, Any]:
    """Measure a row of table I."""
    system = fit()
    encryptor = getattr(system, "encryptor_", getattr(system, "encoder_", None))
    row: dict[str, Any] = {"system": name}
    if encryptor is None:  # TAPAS, whose ciphertexts are another library's
        return row | {"encrypted": system.score(data.test, data.test_labels)}
    encryptor.transform(data.test[:10])  # what is made once
    start = time.perf_counter()
    C = encryptor.transform(data.test)
    encrypt_ms = 1000 * (time.perf_counter() - start) / len(C)
    row |= {"encrypted": np.mean(system.predict(data.test) == data.test_labels)}
    if isinstance(system, InstaHideClassifier):
        as_published = system.classifier_.predict(encryptor.normalize(data.test))
        row |= {
            "one_encoding": np.mean(system.classifier_.predict(C) == data.test_labels),
            "plain_test": np.mean(as_published == data.test_labels),
        }
    return row | {
        "encrypt_ms": encrypt_ms,
        "png_bytes": measure_bytes(C),
        "read": read(encryptor, data, C),
    }


# Table II


def make_encryptors(classifier: Any, args: argparse.Namespace) -> dict[str, Any]:
    """List what makes the rows of table II, unfitted."""
    frozen = FrozenEstimator(classifier)
    systems: dict[str, Any] = {
        "sealed": SealedEncryptor(KEY, frozen),
        "RIC": RICEncryptor(KEY, frozen),
    }
    systems |= {f"LSB, {bits} bits": LSBEncryptor(frozen, bits=bits) for bits in range(3, 8)}
    systems |= {
        "LSB, 4 bits, floor": LSBEncryptor(frozen, reading="floor"),
        "LSB, 4 bits, scaled": LSBEncryptor(frozen, reading="scaled"),
    }
    systems |= {
        name: HidingEncryptor(
            frozen,
            name,
            epochs=epochs,
            learning_rate=0.002 if name == "ddh" else 0.001,
            device="cpu",
            random_state=args.seed,
        )
        for name, epochs in HIDING_EPOCHS.items()
    }
    systems["AVIH"] = AVIHEncryptor(KEY, frozen)
    return systems


def measure_recovery(name: str, encryptor: Any, classifier: Any, data: Data) -> dict[str, Any]:
    """Measure a row of table II."""
    start = time.process_time()
    encryptor.fit(data.train)
    fit_seconds = time.process_time() - start
    encryptor.transform(data.test[:5])  # templates are made once
    start = time.perf_counter()
    C = encryptor.transform(data.test)
    encrypt_ms = 1000 * (time.perf_counter() - start) / len(C)
    start = time.perf_counter()
    back = encryptor.inverse_transform(C)
    decrypt_ms = 1000 * (time.perf_counter() - start) / len(C)
    return {
        "system": name,
        "psnr": np.minimum(psnr(data.test, back), MAX_PSNR).mean(),
        "ssim": ssim(data.test, back).mean(),
        "perceptual": perceptual_distance(data.test, back).mean(),
        "agreement": np.mean(classifier.predict(C) == classifier.predict(data.test)),
        "fit_seconds": fit_seconds,
        "encrypt_ms": encrypt_ms,
        "decrypt_ms": decrypt_ms,
        "png_bytes": measure_bytes(C),
        "plain_png_bytes": measure_bytes(data.test),
        "shows": ssim(data.test, C).mean(),
        "read": read(encryptor, data, C),
    }


def measure_bytes(images: NDArray[np.uint8]) -> float:
    """Measure the mean size of PNG files."""
    sizes = []
    for image in images[:100]:
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, "png")
        sizes.append(file.tell())
    return float(np.mean(sizes))


def read(encryptor: Any, data: Data, C: Images) -> float:
    """Measure the SSIM of what somebody without the key reads.

    Where there is no key, that is everybody. Where nothing brings images back, somebody with public
    images teaches a network on keys of their own. Elsewhere, and where that is known to do more,
    it is somebody with pairs of images and ciphertexts. What InstaHide's adversary does is in
    ``instahide.py``.
    """
    tags = get_encryptor_tags(encryptor)
    if tags.mixes_labels:
        return np.nan
    if not tags.keyed:
        attack: Any = DecoderAttack().fit(C, encryptor=encryptor)
    elif tags.recoverable or isinstance(encryptor, NeuraCryptEncoder):
        known = data.public[:N_PAIRS]
        kind = KnownPlaintextAttack(random_state=0) if tags.recoverable else NeuraCryptAttack()
        attack = kind.fit(encryptor.transform(known), known, encryptor=encryptor)
    else:
        attack = ITNAttack(n_keys=2, random_state=0)
        attack.fit(C, public_images=data.public, encryptor=encryptor)
    return float(ssim(data.test, attack.reconstruct(C)).mean())


def read_for_free(data: Data, network: CNNClassifier) -> dict[str, float]:
    """Measure the SSIM of the mean image, and of that of the class that the network finds.

    Where ciphertexts disclose the class, everybody has the second.
    """
    mean = data.public.mean(axis=0).round().astype(np.uint8)
    labels = network.predict(data.public)
    classes = {k: data.public[labels == k].mean(axis=0).round() for k in np.unique(labels)}
    found = np.stack([classes.get(k, mean) for k in network.predict(data.test)]).astype(np.uint8)
    return {
        "mean_image": float(ssim(data.test, np.broadcast_to(mean, data.test.shape)).mean()),
        "class_image": float(ssim(data.test, found).mean()),
    }


def main() -> None:
    """Train, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=["accuracy", "recovery"])
    parser.add_argument("--images-of", choices=["digits", "cifar10"], default="cifar10")
    parser.add_argument("--data-dir", type=Path, help="folder of the packs, for CIFAR-10")
    parser.add_argument("--train", type=int, default=3000, help="images of CIFAR-10 to train on")
    parser.add_argument("--images", type=int, default=100, help="images to encrypt")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="rows whose names begin like that")
    parser.add_argument("--out", type=Path, help="CSV file, which rows are added to")
    args = parser.parse_args()
    data = load(args.images_of, args)
    network = make_network(args).fit(data.train, data.labels)
    setting = {
        "images_of": args.images_of,
        "network": network.score(data.test, data.test_labels),
        **read_for_free(data, network),
        "train": len(data.train),
        "images": len(data.test),
        "epochs": args.epochs,
        "seed": args.seed,
    }
    print(setting, flush=True)
    if args.table == "accuracy":
        classifiers = make_classifiers(data, network, args)
        rows = {
            name: partial(measure_accuracy, name, fit, data) for name, fit in classifiers.items()
        }
    else:
        rows = {
            name: partial(measure_recovery, name, encryptor, network, data)
            for name, encryptor in make_encryptors(network, args).items()
        }
    table = pd.DataFrame()
    if args.out is not None and args.out.exists():
        table = pd.read_csv(args.out)
    for name, measure in rows.items():
        if args.only and not name.startswith(args.only):
            continue
        if len(table) and ((table.system == name) & (table.images_of == args.images_of)).any():
            continue
        start = time.process_time()
        row = {**measure(), "seconds": time.process_time() - start, **setting}
        print(pd.DataFrame([row]).round(3).to_string(index=False), flush=True)
        table = pd.concat([table, pd.DataFrame([row]).round(4)], ignore_index=True)
        if args.out is not None:
            table.to_csv(args.out, index=False)
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()

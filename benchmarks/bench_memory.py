"""How much memory photographs of several sizes, and many of one size, take to encrypt and decrypt.

Every figure is of a process of its own: the largest resident set size in MB, above that after the
imports. It counts the images themselves.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ricsk import EtCEncryptor, PretrainedClassifier, RICEncryptor, SealedEncryptor, SecretKey

SCHEMES = ("EtC", "RIC", "sealed")
# Height, width and number of photographs.
SIZES = [(32, 32, 1), (224, 224, 1), (512, 512, 1), (1024, 1024, 1), (3000, 4000, 1)]
NUMBERS = [(224, 224, n) for n in (1, 8, 64)]
KEY = SecretKey(bytes(32))


def measure_peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_photographs(height: int, width: int, n: int) -> NDArray[np.uint8]:
    """Make waves with a little noise, in no more memory than they take."""
    random = np.random.default_rng(0)
    X = random.integers(0, 8, (n, height, width, 3), np.uint8)
    rows, columns = np.arange(height), np.arange(width)
    for i, image in enumerate(X):
        for channel in range(3):
            tall = 60 + 50 * np.cos(rows / (53 + 2 * channel))
            wide = 60 + 60 * np.sin(columns / (37 + i % 7 + channel))
            image[..., channel] += tall.astype(np.uint8)[:, np.newaxis]
            image[..., channel] += wide.astype(np.uint8)
    return X


def make_classifier() -> PretrainedClassifier:
    """Make a small stand-in for a network that reads 224×224 pixels."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 7, stride=4),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    network[-1].weight.data *= 20
    return PretrainedClassifier(network, size=224, device="cpu")


def measure(scheme: str, height: int, width: int, n: int) -> None:
    """Print the peaks of `fit` and `transform`, and of all, and the seconds, in this process."""
    encryptor = {
        "EtC": lambda: EtCEncryptor(KEY, block_size=8),
        "RIC": lambda: RICEncryptor(KEY, make_classifier(), kappa=0.1),
        "sealed": lambda: SealedEncryptor(KEY, make_classifier(), kappa=0.1),
    }[scheme]()
    before, start = measure_peak(), time.perf_counter()
    X = make_photographs(height, width, n)
    C = encryptor.fit(X).transform(X)
    encrypted, seconds = measure_peak() - before, time.perf_counter() - start
    encryptor.inverse_transform(C)
    print(f"{encrypted:.0f} {measure_peak() - before:.0f} {measure_peak():.0f} {seconds:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", nargs=4, metavar=("SCHEME", "HEIGHT", "WIDTH", "N"))
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=SCHEMES)
    parser.add_argument("--most", type=int, default=1 << 30, help="values of the largest batch")
    arguments = parser.parse_args()
    if arguments.measure:
        scheme, *numbers = arguments.measure
        measure(scheme, *map(int, numbers))
        return
    print(f"{'scheme':7}{'images':>17}{'encrypt':>9}{'+ decrypt':>10}{'in all':>8}{'seconds':>9}")
    for scheme in arguments.schemes:
        for height, width, n in dict.fromkeys(SIZES + NUMBERS):
            if 3 * height * width * n > arguments.most:
                continue
            command = [sys.executable, __file__, "--measure", scheme, *map(str, (height, width, n))]
            found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            encrypted, both, total, seconds = found.split()
            images = f"{n} of {height}×{width}"
            print(
                f"{scheme:7}{images:>17}{encrypted:>9}{both:>10}{total:>8}{seconds:>9}", flush=True
            )


if __name__ == "__main__":
    main()

"""Several processes against one: images per second, memory of a worker, and what a billion cost."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from dask import config
from distributed import Client, LocalCluster
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, RICEncryptor, SealedEncryptor, SecretKey
from ricsk.datasets import make_street_numbers
from ricsk.files import encode_ciphertexts

# AES-SIV is told from a random function with a chance of the order of (blocks)² / 2^128, where each
# image passes through the cipher twice (P. Rogaway and T. Shrimpton, "A provable-security treatment
# of the key-wrap problem", EUROCRYPT 2006). The chance that is taken is that of NIST SP 800-38D.
BLOCK_BITS, CHANCE_BITS, PASSES = 128, 32, 2


def time_encryption(encryptor: Any, X: np.ndarray) -> float:
    """Images in a second, once templates are made and processes run."""
    encryptor.transform(X[:8])
    start = time.perf_counter()
    encryptor.transform(X)
    return len(X) / (time.perf_counter() - start)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    args = parser.parse_args()
    X, y = make_street_numbers(args.images, size=32, random_state=0)
    classifier = FrozenEstimator(CNNClassifier(width=16, epochs=3, random_state=0).fit(X, y))
    with tempfile.TemporaryDirectory() as folder:
        key = SecretKey.generate().save(Path(folder, "images.key"))
        rates = {}
        for scheme in (SealedEncryptor, RICEncryptor):
            encryptor = scheme(key, classifier, nonce="random").fit(X)
            one = rates[scheme.__name__] = time_encryption(encryptor, X)
            encryptor.n_jobs = 2
            print(f"{scheme.__name__}: {one:.0f} images/s in one process", end="")
            print(f", two processes {time_encryption(encryptor, X) / one:.2f} times", end="")
            with (
                config.set({"distributed.worker.memory.spill": False}),
                LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
                Client(cluster) as client,
                joblib.parallel_config(backend="dask"),
            ):
                encryptor.n_jobs = None
                ratio = time_encryption(encryptor, X) / one
                memory = max(client.run(read_memory).values())
                time_encryption(encryptor, np.concatenate([X] * 4))
                more = max(client.run(read_memory).values())
            print(f", two workers of Dask {ratio:.2f} times, ", end="")
            print(f"{memory / 2**20:.0f} MiB each, {more / memory:.2f} times with 4 times as many")
        sealed = SealedEncryptor(key, classifier).fit(X[:100])
        C = sealed.transform(X[:100])
        n_bytes = np.mean([len(file) for file in encode_ciphertexts(C, sealed)])
        n_blocks = PASSES * -(-int(np.prod(C.shape[1:])) * sealed.bit_planes_ // BLOCK_BITS)
    most = 2 ** ((BLOCK_BITS - CHANCE_BITS) / 2) / n_blocks
    print(f"{n_blocks} blocks an image: {most:.3g} images under a key, for 2^-{CHANCE_BITS}")
    for n in (10**6, 10**9):
        hours = n / rates["SealedEncryptor"] / 3600
        print(f"{n:,} sealed images of 32×32: {hours:,.1f} core hours", end="")
        print(f", {n * n_bytes / 1e9:,.1f} GB of PNG files, {int(np.ceil(n / most))} key(s)")


def read_memory() -> int:
    """Bytes that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()

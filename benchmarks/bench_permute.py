"""Throughput and memory of the permute-and-XOR primitive under EtC, PE, LE and ELE.

Prints, for 10,000 images of 32×32×3 and 1,000 of 128×128×3:

- encrypt, decrypt: throughput of `transform` and `inverse_transform` as a fraction of that of a
  bare ``np.take(X.reshape(n, -1), index, axis=1)`` on the same array;
- over loop: throughput of `transform` as a multiple of that of a Python loop over blocks (PE: over
  pixels) of the same scheme, which must give the same ciphertexts;
- take over loop: the same of the bare take, which no encryption by a gather can beat;
- MiB: memory beyond input and output, and the same for a tenth of the images.

All are ratios of best times within one run, because absolute times depend on the machine.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from itertools import permutations

import numpy as np
import pandas as pd

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, SecretKey
from ricsk.encryptors.perceptual import PixelMapEncryptor
from ricsk.exceptions import SmallKeySpaceWarning

MIB = 2**20


def best_time(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def extra_memory(encryptor: PixelMapEncryptor, X: np.ndarray) -> float:
    """Peak MiB that `transform` allocates beyond its result."""
    tracemalloc.start()
    C = encryptor.transform(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - C.nbytes) / MIB


def etc_loop(encryptor: EtCEncryptor, X: np.ndarray) -> np.ndarray:
    """EtC as its paper tells it: each block of each image is taken through the four steps."""
    side, draw = encryptor.scheme_.block_size, partial(encryptor.scheme_.keystream, encryptor.key_)
    _, height, width, _ = X.shape
    blocks = [(r, c) for r in range(0, height, side) for c in range(0, width, side)]
    n = len(blocks)
    source = draw("etc/permute").permutation(n)
    symmetry = draw("etc/rotate").integers(8, n)
    order = draw("etc/channels").integers(6, n)
    negate = draw("etc/negate").integers(2, n)
    orders = [list(order) for order in permutations(range(3))]
    C = np.empty_like(X)
    for image, ciphertext in zip(X, C, strict=True):
        for i, (row, column) in enumerate(blocks):
            top, left = blocks[source[i]]
            block = np.rot90(image[top : top + side, left : left + side], symmetry[i] % 4)
            if symmetry[i] >= 4:
                block = block[:, ::-1]
            if negate[i]:
                block = block ^ 255
            ciphertext[row : row + side, column : column + side] = block[..., orders[order[i]]]
    return C


def pe_loop(encryptor: PixelEncryptor, X: np.ndarray) -> np.ndarray:
    """PE pixel by pixel."""
    _, height, width, channels = X.shape
    draw = partial(encryptor.scheme_.keystream, encryptor.key_)
    order = draw("pe/channels").integers(6, height * width)
    negate = draw("pe/negate").integers(2, height * width * channels)
    mask = (255 * negate.reshape(-1, channels)).astype(np.uint8)
    orders = [list(order) for order in permutations(range(3))]
    C = np.empty_like(X)
    for image, ciphertext in zip(
        X.reshape(len(X), -1, channels), C.reshape(len(X), -1, channels), strict=True
    ):
        for i in range(height * width):
            ciphertext[i] = image[i, orders[order[i]]] ^ mask[i]
    return C


def le_loop(encryptor: LearnableEncryptor, X: np.ndarray) -> np.ndarray:
    """LE and ELE block by block: split into nibbles, reverse, permute, reverse, join."""
    scheme, draw = encryptor.scheme_, partial(encryptor.scheme_.keystream, encryptor.key_)
    side = scheme.block_size
    _, height, width, channels = X.shape
    blocks = [(r, c) for r in range(0, height, side) for c in range(0, width, side)]
    half = side * side * channels
    n_orders = len(blocks) if scheme.per_block_keys else 1
    orders = draw("le/permute").permutations(2 * half, n_orders)
    places = np.arange(len(blocks))
    if scheme.scramble_blocks:
        places = draw("le/scramble").permutation(len(blocks))
    C = np.empty_like(X)
    for image, ciphertext in zip(X, C, strict=True):
        for (row, column), place in zip(blocks, places, strict=True):
            top, left = blocks[place]
            order = orders[place % n_orders]
            reverse = order > half
            values = image[top : top + side, left : left + side].ravel()
            nibbles = np.concatenate([values & 15, values >> 4])
            nibbles[reverse] = 15 - nibbles[reverse]
            nibbles = nibbles[order]
            nibbles[reverse] = 15 - nibbles[reverse]
            block = (nibbles[half:] << 4) + nibbles[:half]
            ciphertext[row : row + side, column : column + side] = block.reshape(side, side, -1)
    return C


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="timings to take the best of")
    args = parser.parse_args()
    warnings.simplefilter("ignore", SmallKeySpaceWarning)

    rng = np.random.default_rng(0)
    key = SecretKey(bytes(32))
    schemes = {
        "EtC 16": (EtCEncryptor(key), etc_loop),
        "EtC 4": (EtCEncryptor(key, block_size=4), etc_loop),
        "PE": (PixelEncryptor(key), pe_loop),
        "LE": (LearnableEncryptor(key), le_loop),
        "ELE": (LearnableEncryptor(key, per_block_keys=True, scramble_blocks=True), le_loop),
    }
    rows = []
    for n, side in ((10_000, 32), (1_000, 128)):
        X = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
        index = rng.permutation(side * side * 3)
        few = X[: max(1, n // 500)]
        for name, (encryptor, block_loop) in schemes.items():
            encryptor.fit(X[:1])
            if not np.array_equal(block_loop(encryptor, few), encryptor.transform(few)):
                print(f"{name}: the loop and the primitive disagree", file=sys.stderr)
                return 1
            bare = best_time(
                lambda X=X, i=index: np.take(X.reshape(len(X), -1), i, 1), args.repeats
            )
            ours = best_time(lambda X=X, e=encryptor: e.transform(X), args.repeats)
            back = best_time(lambda X=X, e=encryptor: e.inverse_transform(X), args.repeats)
            loop = best_time(lambda F=few, e=encryptor, f=block_loop: f(e, F), 3) * n / len(few)
            rows.append(
                {
                    "scheme": name,
                    "images": f"{n} of {side}×{side}×3",
                    "encrypt": bare / ours,
                    "decrypt": bare / back,
                    "over loop": loop / ours,
                    "take over loop": loop / bare,
                    "MiB": extra_memory(encryptor, X),
                    "MiB for n/10": extra_memory(encryptor, X[: n // 10]),
                }
            )
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    goals = {
        "throughput at least half of the bare take": table["encrypt"] >= 0.5,
        "at least 100 times the loop": table["over loop"] >= 100,
        "less than 64 MiB beyond input and output": table["MiB"] < 64,
    }
    print()
    for goal, met in goals.items():
        missed = ", ".join(f"{row.scheme} ({row.images})" for row in table[~met].itertuples())
        print(f"{goal}: {'missed by ' + missed if missed else 'met by all'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

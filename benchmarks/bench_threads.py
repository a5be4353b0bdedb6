"""How long trainings of small networks take with OpenMP's threads, and with ricsk's bound of them.

For each size of images a `CNNClassifier` is fitted in fresh processes:

- one thread: ``OMP_NUM_THREADS=1``;
- unbounded: with all threads that torch takes, as it would be without the bound;
- bounded: as ricsk does it, which is what plain ``python`` gives;
- passive: unbounded, but with ``OMP_WAIT_POLICY=passive``, so that threads wait without spinning.

Prints the time of each as a multiple of that in one thread, in rounds one after the other so that
all meet the same load of the machine, and the medians. Also the average load, without which the
ratios mean little: on an idle machine threads that spin do no harm.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from ricsk import CNNClassifier, _threads

WAYS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "unbounded": {"RICSK_UNBOUNDED": "1"},
    "bounded": {},
    "passive": {"RICSK_UNBOUNDED": "1", "OMP_WAIT_POLICY": "passive"},
}


def fit_once(side: int, n_images: int) -> float:
    """Fit in this process, and return the seconds that it took after a first, tiny fit."""
    if "RICSK_UNBOUNDED" in os.environ:
        _threads.VALUES_PER_THREAD = 1
    X = np.random.default_rng(0).integers(0, 256, (n_images, side, side, 3), np.uint8)
    y = np.arange(n_images) % 4
    CNNClassifier(width=4, depth=1, epochs=1).fit(X[:16], y[:16])
    start = time.perf_counter()
    CNNClassifier(epochs=1, random_state=0).fit(X, y).predict(X)
    return time.perf_counter() - start


def measure(side: int, n_images: int, way: str, n_threads: int) -> float:
    environment = {name: value for name, value in os.environ.items() if "OMP" not in name}
    environment |= {"OMP_NUM_THREADS": str(n_threads), **WAYS[way]}
    command = [sys.executable, __file__, "--fit", str(side), str(n_images)]
    return float(
        subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--fit", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fit:
        print(fit_once(*args.fit))
        return
    rows = []
    print(f"{args.threads} threads, {os.cpu_count()} processors")
    for side, n_images in ((8, 1024), (16, 512), (32, 192)):
        for number in range(args.rounds):
            load = os.getloadavg()[0]
            seconds = {way: measure(side, n_images, way, args.threads) for way in WAYS}
            ratios = {way: value / seconds["one thread"] for way, value in seconds.items()}
            rows.append({"images": f"{n_images} of {side}×{side}×3", "load": load, **ratios})
            print(f"{rows[-1]['images']}, round {number + 1} done", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.2f"))
    print("\nmedians")
    medians = table.groupby("images", sort=False).median().reset_index()
    print(medians.to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()

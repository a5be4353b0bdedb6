"""Attacks every reader with files that it must refuse or read as they were, and counts.

Files of a corpus with changed bytes, chunks, pixels and values, with right lengths and check sums,
single-bit flips among them; nonsense that is authentic, as only somebody with the key can make it;
and what was sealed with another key. A crash is any exception but a refusal in the package's own
words, and what is read of something that is authenticated, and was not put in, is a forgery. Each
target has a process of its own, whose memory is looked at.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.target import CRASHED, FORGED, READ, REFUSED, SAME
from tests.fuzz.targets import TARGETS

RESULTS = Path(__file__).parent / "results" / "fuzz.csv"
OUTCOMES = REFUSED, SAME, READ, FORGED, CRASHED
FORGED_SHARE = 10
"""One of so many files is forged, where a target has forgeries."""


def measure_memory() -> float:
    """Measure the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def attack(position: int, n: int, seed: int) -> dict[str, Any]:
    """Try n files on a target."""
    target, chance = TARGETS[position], Random(seed)
    for _ in range(n // 100):  # so that what a reader loads and keeps is there
        target.judge(target.change(chance))
    found: Counter[str] = Counter()
    longest, before = 0.0, measure_memory()
    for i in range(n):
        is_forged = target.forge is not None and i % FORGED_SHARE == 0
        data = target.forge(chance) if is_forged else target.change(chance)
        began = time.perf_counter()
        outcome, error = target.judge(data)
        longest = max(longest, time.perf_counter() - began)
        found[outcome] += 1
        if error is not None:
            traceback.print_exception(error, limit=-3)
    return {
        "target": target.name,
        "files": n,
        **{outcome: found[outcome] for outcome in OUTCOMES},
        "longest in ms": round(1000 * longest),
        "more memory in MiB": round(measure_memory() - before),
    }


def write_results(rows: list[dict[str, Any]]) -> None:
    """Put rows into the results in the place of those of the same targets."""
    with RESULTS.open(newline="") as file:
        found = {row["target"]: row for row in csv.DictReader(file)}
    found |= {row["target"]: row for row in rows}
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(found[target.name] for target in TARGETS if target.name in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="files for each target")
    parser.add_argument("--target", default="", help="a part of the names of the targets")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chosen = [i for i, target in enumerate(TARGETS) if args.target in target.name]
    rows = []
    context = multiprocessing.get_context("spawn")
    for position in chosen:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            row = pool.submit(attack, position, args.n, args.seed).result()
        rows.append(row)
        print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    write_results(rows)


if __name__ == "__main__":
    main()

"""What each scheme gives away to each adversary, on CIFAR-10: the comparison of the papers.

Figures 6 and 8 of the EtC paper (LE, ELE, PE and EtC under feature reconstruction, GAN and inverse
transformation network) and section 6 of the RIC paper (brute force, cloud, known plaintexts), at
equal budgets, with the adversaries that those leave out, and with those that draw no picture and
say which image is inside. Prints the table of `ricsk.audit.audit`, and writes it as a CSV file,
with the settings, after each scheme. Each scheme is a job of its own, on one core.
"""

from __future__ import annotations

import argparse
import inspect
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator

import ricsk
from ricsk import CNNClassifier, SecretKey, attacks
from ricsk.audit import audit
from ricsk.base import BaseImageEncryptor
from ricsk.datasets import load_packed
from ricsk.exceptions import SmallKeySpaceWarning

# Not secret: so that whoever runs this gets the same ciphertexts.
KEY = SecretKey(bytes(range(32)))

SCHEMES: dict[str, Callable[[FrozenEstimator], BaseImageEncryptor]] = {
    "LE": lambda _: ricsk.LearnableEncryptor(KEY),
    "ELE": lambda _: ricsk.LearnableEncryptor(KEY, per_block_keys=True, scramble_blocks=True),
    "PE": lambda _: ricsk.PixelEncryptor(KEY),
    "EtC 4": lambda _: ricsk.EtCEncryptor(KEY, block_size=4),
    "EtC 4 shared": lambda _: ricsk.EtCEncryptor(KEY, block_size=4, per_block_keys=False),
    "EtC 16": lambda _: ricsk.EtCEncryptor(KEY, block_size=16),
    "LE each": lambda _: ricsk.LearnableEncryptor(KEY, per_image_keys=True),
    "ELE each": lambda _: ricsk.LearnableEncryptor(
        KEY, per_block_keys=True, scramble_blocks=True, per_image_keys=True
    ),
    "PE each": lambda _: ricsk.PixelEncryptor(KEY, per_image_keys=True),
    "EtC 4 each": lambda _: ricsk.EtCEncryptor(KEY, block_size=4, per_image_keys=True),
    "RIC as published": lambda cnn: ricsk.RICEncryptor.as_published(KEY, cnn).set_params(epochs=5),
    "RIC": lambda cnn: ricsk.RICEncryptor(KEY, cnn),
    "sealed": lambda cnn: ricsk.SealedEncryptor(KEY, cnn),
    "sealed features": lambda cnn: ricsk.SealedEncryptor(KEY, cnn, match="features"),
    # For many images: of 20,000 some do not fit into fewer planes.
    "sealed 7": lambda cnn: ricsk.SealedEncryptor(KEY, cnn, bit_planes=7),
}
ATTACKS: dict[str, tuple[dict[str, object], ...]] = {
    "DistinguishingGame": ({},),
    "IdentificationAttack": ({},),
    "FRAttack": ({"variant": "basic"}, {"variant": "advanced"}, {"variant": "chosen"}),
    "LinearAttack": ({},),
    "KeyReuseAttack": ({},),
    "BruteForceAttack": ({"keys": 20},),
    "JigsawAttack": ({},),
    "KnownPlaintextAttack": ({},),
    "ITNAttack": ({"variant": "ito"}, {"variant": "unet"}),
    "GANAttack": ({},),
    "SIAGANAttack": ({},),
    "CloudAttack": ({},),
    "DisclosureBaseline": ({},),
}
# The published generators for pixelwise encryption.
PIXELWISE: dict[str, tuple[dict[str, object], ...]] = {
    "GANAttack": ({"generator": "pixel"},),
    "SIAGANAttack": ({"block_size": 1},),
}
# An encryption that matches features takes half a second, and this attack makes 2,000 of them.
LEFT_OUT = {"sealed features": {"ITNAttack"}}


class Job(NamedTuple):
    """One scheme under some attacks, with this many pairs and as many public images."""

    scheme: str
    attacks: list[str]
    n_pairs: int
    budget: int | str


def made(job: Job, scheme: BaseImageEncryptor, cnn: FrozenEstimator, seed: int) -> list[Any]:
    """Make attacks with the common budget, seed and classifier."""
    common = {
        "budget": job.budget,
        "random_state": seed,
        "classifier": cnn,
        "discloses": getattr(scheme, "match", "label"),
    }
    settings = {**ATTACKS, **(PIXELWISE if isinstance(scheme, ricsk.PixelEncryptor) else {})}
    result = []
    for name in job.attacks:
        kind = getattr(attacks, name)
        taken = {k: v for k, v in common.items() if k in inspect.signature(kind).parameters}
        result += [kind(**{**taken, **own}) for own in settings[name]]
    return result


def images(folder: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Load CIFAR-10, the test images first."""
    X, y, _ = load_packed(folder, "cifar10", "test", limit=n)
    if n > len(X):
        X_train, y_train, _ = load_packed(folder, "cifar10", "train", limit=n - len(X))
        X, y = np.concatenate([X, X_train]), np.concatenate([y, y_train])
    return X, y


def classifier(folder: Path, path: Path | None) -> CNNClassifier:
    """Read a fitted classifier, or train one, and keep it if it has a path."""
    if path is not None and path.exists():
        return joblib.load(path)
    X, y, _ = load_packed(folder, "cifar10", "train")
    fitted = CNNClassifier(epochs=8, random_state=0).fit(X, y)
    if path is not None:
        joblib.dump(fitted, path)
    return fitted


def attacked(job: Job, cnn: FrozenEstimator, args: argparse.Namespace) -> pd.DataFrame:
    """Audit one scheme, and put the attacks that cannot be run below the others."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", SmallKeySpaceWarning)
    X, y = images(args.data_dir, 2 * job.n_pairs + args.n_test)
    scheme = SCHEMES[job.scheme](cnn)
    result = audit(
        {job.scheme: scheme},
        X,
        y,
        made(job, scheme, cnn, args.seed),
        classifier=cnn,
        n_targets=args.n_test,
        random_state=args.seed,
        verbose=1,
    )
    refused = result.schemes[0].all_refused
    not_run = [{"scheme": job.scheme, "attack": name, "finding": "not run"} for name in refused]
    table = pd.concat([result.table, pd.DataFrame(not_run)], ignore_index=True)
    return table.assign(
        n_pairs=job.n_pairs,
        n_test=args.n_test,
        budget=job.budget,
        seed=args.seed,
        ricsk=ricsk.__version__,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--classifier", type=Path, help="joblib file of a fitted CNNClassifier")
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES)[:-1])
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--n-pairs", type=int, default=1000, help="and as many public images")
    parser.add_argument("--n-test", type=int, default=100, help="images that are attacked")
    parser.add_argument("--budget", default="200", help="quick, thorough or steps of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="schemes at a time")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/security.csv"))
    args = parser.parse_args()
    budget = int(args.budget) if args.budget.isdigit() else args.budget
    args.output.parent.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    cnn = FrozenEstimator(classifier(args.data_dir, args.classifier))
    jobs = [
        Job(
            name,
            [attack for attack in args.attacks if attack not in LEFT_OUT.get(name, ())],
            args.n_pairs,
            budget,
        )
        for name in args.schemes
    ]
    # What was measured of other schemes stays in the file.
    tables = [pd.read_csv(args.output)] if args.output.exists() else []
    tables = [table[~table["scheme"].isin(args.schemes)] for table in tables]
    run = joblib.Parallel(n_jobs=args.jobs, return_as="generator")
    for table in run(joblib.delayed(attacked)(job, cnn, args) for job in jobs):
        tables.append(table)
        pd.concat(tables, ignore_index=True).round(4).to_csv(args.output, index=False)
        shown = ["scheme", "attack", "finding", "advantage", "named", "chance", "low", "high"]
        shown += ["ssim", "ssim_worst", "gain", "reidentified", "p_value", "seconds"]
        print(table[shown].to_string(index=False, float_format="%.3f"), flush=True)
    print(f"{time.perf_counter() - start:.0f} s; the table is {args.output}.")


if __name__ == "__main__":
    main()

"""Whether ciphertexts of each scheme can be told apart, and named among candidates.

``python benchmarks/bench_game.py`` takes street numbers and a small CNN; ``--data-dir DIR --data
NAME`` takes a packed data set. One row for each scheme. AVIH trains a network for each key, and
runs if it is asked for, with few of everything: ``--schemes AVIH --size 16 --n-train 300
--n-candidates 30 --n-ciphertexts 20 --n-references 3``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from sklearn.frozen import FrozenEstimator

from ricsk import (
    CNNClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    datasets,
)
from ricsk.attacks import DistinguishingGame, IdentificationAttack
from ricsk.baselines import AVIHEncryptor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="street-numbers")
    parser.add_argument("--data-dir", type=Path, help="the folder of a packed data set")
    parser.add_argument("--size", type=int, default=32, help="of street numbers, in pixels")
    parser.add_argument("--n-train", type=int, default=2000)
    parser.add_argument("--n-candidates", type=int, default=200)
    parser.add_argument("--n-ciphertexts", type=int, default=200)
    parser.add_argument("--n-references", type=int, default=10)
    parser.add_argument("--schemes", nargs="+", help="some of those in the table, by name")
    args = parser.parse_args()

    n = args.n_train + args.n_candidates
    if args.data_dir is None:
        X, y = datasets.make_street_numbers(n, size=args.size, random_state=0)
    else:
        X, y, _ = datasets.load_packed(args.data_dir, args.data, "train", limit=n)
    candidates = X[args.n_train :]
    X, y = X[: args.n_train], y[: args.n_train]
    frozen = FrozenEstimator(CNNClassifier(epochs=8, random_state=0).fit(X, y))
    key = SecretKey.generate()
    schemes = {
        "PE": PixelEncryptor(key),
        "LE": LearnableEncryptor(key),
        "ELE": LearnableEncryptor(key, per_block_keys=True, scramble_blocks=True),
        "EtC 4": EtCEncryptor(key, block_size=4),
        "EtC 4, one key": EtCEncryptor(key, block_size=4, per_block_keys=False),
        **{f"RIC {alpha}": RICEncryptor(key, frozen, alpha=alpha) for alpha in (0.5, 0.8, 0.9)},
        "sealed": SealedEncryptor(key, frozen),
        "AVIH": AVIHEncryptor(key, frozen, steps=150, width=8, key_steps=150),
    }
    game = DistinguishingGame(args.n_ciphertexts)
    attack = IdentificationAttack(args.n_references)
    print(f"{args.data}: {args.n_candidates} candidates, {2 * args.n_ciphertexts} ciphertexts")
    print(
        "scheme          game: right  advantage       by           named right  by chance  seconds"
    )
    for name in args.schemes or [name for name in schemes if name != "AVIH"]:
        scheme = schemes[name]
        start = time.perf_counter()
        fitted = scheme.fit(X)
        played, named = game.play(fitted, candidates), attack.run(fitted, candidates)
        low, high = played.interval
        print(
            f"{name:15} {100 * played.accuracy:9.1f} %  {low:4.2f} to {high:4.2f}  "
            f"{played.features:12} {100 * named.share:9.1f} % {100 * named.chance:8.1f} %"
            f"  {time.perf_counter() - start:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

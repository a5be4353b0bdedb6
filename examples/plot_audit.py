"""Audit two schemes on images of one's own, and write the report.

EtC scrambles blocks; a sealed ciphertext is noise with an encrypted image in its low bits. Both are
attacked by the same adversaries, with the same effort, and the report shows what each got back.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, EtCEncryptor, SealedEncryptor, SecretKey
from ricsk.attacks import (
    FRAttack,
    ITNAttack,
    JigsawAttack,
    KnownPlaintextAttack,
    LinearAttack,
)
from ricsk.audit import audit, compare
from ricsk.datasets import make_street_numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo-output/audit"))
    parser.add_argument("--n", type=int, default=400, help="images")
    parser.add_argument("--budget", type=int, default=30, help="steps of training; quick is 400")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    X, y = make_street_numbers(args.n + 1000, random_state=0)
    classifier = CNNClassifier(width=16, epochs=8, random_state=0).fit(X[args.n :], y[args.n :])
    X, y = X[: args.n], y[: args.n]
    key = SecretKey.generate()
    schemes = {
        "EtC": EtCEncryptor(key, block_size=4),
        "sealed": SealedEncryptor(key, FrozenEstimator(classifier)),
    }
    # All that apply are run by default; these are the quick ones.
    attacks = [
        FRAttack("chosen"),
        LinearAttack(),
        JigsawAttack(),
        KnownPlaintextAttack(args.budget, random_state=0),
        ITNAttack(budget=args.budget, random_state=0),
    ]
    judge = FrozenEstimator(classifier)
    result = audit(schemes, X, y, attacks, classifier=judge, random_state=0, verbose=1)
    print(result.verdict)
    print(f"The report is {result.to_html(args.output / 'audit.html')}.\n")

    columns = ["scheme", "accuracy", "accuracy_drop", "encrypt_ms", "png_bytes", "recoverable"]
    table = compare(schemes, X, y, random_state=0)
    print(table[columns].to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()

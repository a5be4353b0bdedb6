"""How long `unseal`, which is told nothing but the key, takes against `inverse_transform`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import SealedEncryptor, SecretKey, datasets, unseal


def seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    X, y = datasets.make_street_numbers(600, random_state=0)
    classifier = LogisticRegression(tol=0.1, max_iter=1000).fit(X[:500].reshape(500, -1), y[:500])
    key = SecretKey.generate()
    for bit_planes in (6, 7):
        encryptor = SealedEncryptor(key, FrozenEstimator(classifier), bit_planes=bit_planes)
        C = encryptor.fit(X[:500]).transform(X[500:])
        pairs = [
            (
                seconds(lambda C=C: unseal(C, key)),
                seconds(lambda C=C, e=encryptor: e.inverse_transform(C)),
            )
            for _ in range(9)
        ]
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        print(
            f"{bit_planes} bit planes, 100 images of 32×32: unseal / inverse_transform {ratio:.2f}"
        )


if __name__ == "__main__":
    main()

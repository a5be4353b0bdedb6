"""The dictionary attack on sealed images: an adversary who can have images encrypted, as a chooser.

The adversary has a list of candidates, half of which are stored, has all of them encrypted, and
looks for their ciphertexts among the stored ones.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import SealedEncryptor, SecretKey
from ricsk.datasets import load_digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-stored", type=int, default=200)
    n = parser.parse_args().n_stored

    X, y = load_digits(size=32)
    flat = X.reshape(len(X), -1) / 255
    classifier = LogisticRegression(max_iter=2000, C=0.01).fit(flat[:600], y[:600])
    candidates = flat[600 : 600 + 2 * n]
    for nonce in ("content", "random"):
        encryptor = SealedEncryptor(
            SecretKey.generate(), FrozenEstimator(classifier), nonce=nonce, image_shape=(32, 32)
        ).fit(flat[:600])
        stored = {image.tobytes() for image in encryptor.transform(candidates[:n])}
        found = np.array([image.tobytes() in stored for image in encryptor.transform(candidates)])
        print(
            f'nonce="{nonce}": of {n} stored candidates {found[:n].sum()} are found, and '
            f"{found[n:].sum()} of {n} that are not stored",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Images of CIFAR-10 sealed to two public keys, next to the same images under one secret key.

In one run on the same images: what the classifier reads, who opens them, bytes and processor time
as ratios; ciphertexts sealed anew for others without the classifier, and how many it reads as
before; single-bit flips and wrong keys.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, PrivateKey, SealedEncryptor, SecretKey, unseal
from ricsk.codecs import compress
from ricsk.datasets import load_packed
from ricsk.encryptors.sealed import make_opener, make_sealing, reseal
from ricsk.encryptors.sealed._format import capacity
from ricsk.exceptions import NewerFormatError, NotSealedError
from ricsk.keys import SigningKey

Pixels = NDArray[np.uint8]
PLANES = 6
RESULTS = Path(__file__).parent / "results" / "recipients.csv"
rng = np.random.default_rng(0)


def take_fitting(X: Pixels, n: int, overhead: int) -> tuple[Pixels, int]:
    """Take the first images that fit beside the slots, and count those passed over."""
    room, chosen = capacity(X[0].size, PLANES, overhead), []
    for i, image in enumerate(X):
        if len(compress(image, "webp")[1]) <= room:
            chosen.append(i)
        if len(chosen) == n:
            break
    return X[chosen], chosen[-1] + 1 - len(chosen)


def time_in_turn(runs: dict[str, Callable[[], Any]], times: int) -> dict[str, float]:
    """Measure the processor time of each, in turn, and keep the least."""
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(times):
        for name, run in runs.items():
            start = time.process_time()
            run()
            least[name] = min(least[name], time.process_time() - start)
    return least


def count_png_bytes(images: Pixels) -> float:
    sizes = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        sizes.append(len(buffer.getvalue()))
    return float(np.mean(sizes))


def count_opened(C: Pixels, key: SecretKey | PrivateKey, X: Pixels) -> int:
    """Count the images that come back bit for bit."""
    opener, n = make_opener(key), 0
    for pixels, image in zip(C, X, strict=True):
        with suppress(NotSealedError):
            n += np.array_equal(opener.open(pixels), image)
    return n


def count_refused(name: str, inputs: Iterable[tuple[Pixels, PrivateKey]]) -> dict[str, Any]:
    """Try to open all."""
    n = refused = 0
    longest = 0.0
    for pixels, key in inputs:
        start = time.perf_counter()
        n += 1
        try:
            make_opener(key).open(pixels)
        except (NotSealedError, NewerFormatError):
            refused += 1
        longest = max(longest, time.perf_counter() - start)
    print(f"{name}: {refused:,} of {n:,} refused, the slowest in {1000 * longest:.1f} ms")
    return {"what": name, "value": refused, "of": n}


def flip(images: Pixels) -> Pixels:
    image = images[rng.integers(len(images))].copy()
    image.reshape(-1)[rng.integers(image.size)] ^= np.uint8(1 << rng.integers(8))
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--n", type=int, default=1000, help="images to seal")
    parser.add_argument("--tries", type=int, default=10_000, help="flips, and wrong keys")
    parser.add_argument("--train", type=int, default=5000, help="images of the classifier")
    args = parser.parse_args()
    X_train, y_train, _ = load_packed(args.data_dir, "cifar10", "train", limit=args.train)
    X_test, y_test, _ = load_packed(args.data_dir, "cifar10", "test")
    classifier = CNNClassifier(epochs=3, random_state=0).fit(X_train, y_train)
    accuracy = 100 * classifier.score(X_test[:1000], y_test[:1000])

    alice, bob, eve = (PrivateKey.generate() for _ in range(3))
    publics, secret = [alice.public_key, bob.public_key], SecretKey.generate()
    overhead = make_sealing(None, publics).overhead
    X, n_passed = take_fitting(X_test, args.n, overhead)
    print(f"{len(X)} images; {n_passed} before the last of them do not fit into {PLANES} planes")
    frozen, options = FrozenEstimator(classifier), {"bit_planes": PLANES}
    with_key = SealedEncryptor(secret, frozen, **options).fit(X_train[:500])
    for_two = SealedEncryptor(classifier=frozen, recipients=publics, **options)
    for_two.fit(X_train[:500])
    C, R = with_key.transform(X), for_two.transform(X)
    plain = classifier.predict(X)
    rows: list[dict[str, Any]] = [{"what": "accuracy %", "value": accuracy}]

    def tell(what: str, value: float, of: float | None = None) -> None:
        rows.append({"what": what, "value": value, "of": of})
        print(f"{what}: {value:,.2f}" + ("" if of is None else f" of {of:,.0f}"))

    tell("read as the plain image, secret key", int((classifier.predict(C) == plain).sum()), len(X))
    tell("read as the plain image, two keys", int((classifier.predict(R) == plain).sum()), len(X))
    for name, key in (("first", alice), ("second", bob), ("no", eve)):
        tell(f"opened bit for bit by the {name} recipient", count_opened(R, key, X), len(X))
    tell("bytes besides the image, secret key", make_sealing(secret, None).overhead)
    tell("bytes besides the image, two keys", overhead)
    tell("PNG bytes, two keys / secret key", count_png_bytes(R[:300]) / count_png_bytes(C[:300]))
    part = X[:200]
    times = time_in_turn(
        {
            "seal": lambda: with_key.transform(part),
            "seal for two": lambda: for_two.transform(part),
            "open": lambda: unseal(C[:200], secret),
            "open first": lambda: unseal(R[:200], alice),
            "open second": lambda: unseal(R[:200], bob),
            "refuse": lambda: count_opened(C[:200], SecretKey.generate(), part),
            "refuse eve": lambda: count_opened(R[:200], eve, part),
        },
        5,
    )
    for name, base in (
        ("seal for two", "seal"),
        ("open first", "open"),
        ("open second", "open"),
        ("refuse eve", "refuse"),
    ):
        tell(f"processor time, {name} / {base}", times[name] / times[base])
    tell("ms to seal for two", 1000 * times["seal for two"] / len(part))
    tell("ms to open as the second", 1000 * times["open second"] / len(part))

    reader = make_opener(alice)
    carol = PrivateKey.generate()
    anew = np.stack([reseal(r, reader, make_sealing(None, [carol.public_key]))[0] for r in R])
    tell(
        "read as before, sealed anew unasked",
        int((classifier.predict(anew) == plain).sum()),
        len(X),
    )
    tell("opened by the new recipient", count_opened(anew, carol, X), len(X))
    tell("opened by the former one", count_opened(anew, alice, X), len(X))

    smooth = X[: min(len(X), 100)] & 0xE0  # signatures take room, too
    signed = SealedEncryptor(
        classifier=frozen, recipients=publics, signing_key=SigningKey.generate(), **options
    )
    signed = signed.fit(X_train[:500] & 0xE0).transform(smooth)
    both = np.concatenate([R[:100], signed])
    assert count_opened(signed, alice, smooth) == len(smooth)
    keys = (alice, bob)
    rows.append(count_refused("flips", ((flip(both), keys[i % 2]) for i in range(args.tries))))
    rows.append(
        count_refused(
            "wrong keys",
            ((both[i % len(both)], PrivateKey.generate()) for i in range(args.tries)),
        )
    )
    for n, kind in product((1, 2, 16), ("X25519", "MLKEM768-X25519")):
        some = [PrivateKey.generate(kind).public_key for _ in range(n)]
        tell(f"bytes besides the image, {n} of {kind}", make_sealing(None, some).overhead)
    pd.DataFrame(rows).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()

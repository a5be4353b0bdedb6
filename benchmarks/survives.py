"""What is left of the ciphertexts of every scheme after what services do to files.

One small network is trained on plain images, for the schemes whose ciphertexts it reads as they
are, and one on the ciphertexts of each of the others. `ricsk.files.survives` sends ciphertexts of
images that no network has seen through each transport.

Prints a table, which the guide has, and writes it as CSV if told where, with the figures behind it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator

from ricsk import (
    CNNClassifier,
    EtCEncryptor,
    JPEGCodec,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
)
from ricsk.base import get_encryptor_tags
from ricsk.datasets import make_street_numbers
from ricsk.encryptors import PublishedRICEncryptor
from ricsk.exceptions import SmallKeySpaceWarning
from ricsk.files import survives
from ricsk.metrics import (
    ByteLimit,
    LeastSide,
    StripChunks,
    StripMetadata,
    Transcode,
    convert_colours,
    resize_and_back,
)

# Encryptors with networks of their own learn on so few: how well they recover is not the question.
_N_FIT = 100

TRANSPORTS = {
    "metadata stripped": StripMetadata(),
    "chunks stripped": StripChunks(),
    "PNG": Transcode("png"),
    "lossless WebP": Transcode("webp"),
    "lossless JPEG 2000": Transcode("jpeg2000"),
    "lossless HTJ2K": Transcode("htj2k"),
    "JPEG, 95, 4:4:4": JPEGCodec(95, subsampling="4:4:4"),
    "JPEG, 85, 4:4:4": JPEGCodec(85, subsampling="4:4:4"),
    "JPEG, 85, 4:2:0": JPEGCodec(85),
    "half the size": partial(resize_and_back, scale=0.5),
    "twice the size": partial(resize_and_back, scale=2),
    "YCbCr and back": partial(convert_colours, to="YCbCr"),
    "palette of 256": partial(convert_colours, to="P"),
    "grey": partial(convert_colours, to="L"),
    "at most 100 kB": ByteLimit(100_000),
    "sides of 200 or more": LeastSide(200),
}


def make_schemes(classifier: Any) -> dict[str, Any]:
    """List the schemes, unfitted."""
    frozen, key = FrozenEstimator(classifier), SecretKey(bytes(range(32)))
    return {
        "sealed": SealedEncryptor(key, frozen, bit_planes=2),
        "RIC": RICEncryptor(key, frozen),
        "RIC, published": PublishedRICEncryptor(key, frozen, epochs=1, random_state=0),
        "EtC": EtCEncryptor(key, block_size=16),
        "EtC, grey": EtCEncryptor(key, block_size=8, grayscale=True),
        "EtC, YCbCr": EtCEncryptor(key, block_size=8, grayscale="ycbcr"),
        "PE": PixelEncryptor(key),
        "LE": LearnableEncryptor(key),
        "transformation": TransformationNetworkEncryptor(frozen, epochs=5, random_state=0),
    }


def measure(
    name: str,
    encryptor: Any,
    classifier: Any,
    train: tuple[NDArray[np.uint8], NDArray[Any]],
    X: NDArray[np.uint8],
) -> list[dict[str, Any]]:
    """Measure one scheme."""
    encryptor.fit(train[0][:_N_FIT], train[1][:_N_FIT])
    if get_encryptor_tags(encryptor).learns_on == "ciphertexts":
        C = encryptor.transform(train[0])
        classifier = CNNClassifier(width=8, epochs=8, random_state=0).fit(C, train[1])
    rows = []
    for said, transport in TRANSPORTS.items():
        found = survives(encryptor, X, transport, classifier=classifier)
        figures = {"left": found.left, "agreement": found.agreement, "psnr": found.psnr}
        rows.append({"transport": said, "scheme": name, **figures})
    return rows


def show(row: dict[str, Any]) -> str:
    """Say what is left in the words of the guide."""
    if row["left"] == "close":
        return f"close, {row['psnr']:.0f} dB"
    if row["left"] == "nothing" and row["agreement"] > 0:
        return f"{100 * row['agreement']:.0f} %"
    return str(row["left"])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-train", type=int, default=400)
    parser.add_argument("--n", type=int, default=20, help="images that are sent")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--scheme", action="append", help="only this one")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", SmallKeySpaceWarning)  # small images do for this
    n = options.n_train + options.n
    X, y = make_street_numbers(n, size=options.size, random_state=0)
    train = X[: options.n_train], y[: options.n_train]
    classifier = CNNClassifier(width=8, epochs=8, random_state=0).fit(*train)
    rows = []
    for name, encryptor in make_schemes(classifier).items():
        if not options.scheme or name in options.scheme:
            start = time.perf_counter()
            rows += measure(name, encryptor, classifier, train, X[options.n_train :])
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    table = pd.DataFrame(rows).round(3)
    shown = table.assign(shown=[show(row) for row in table.to_dict("records")])
    shown = shown.pivot(index="transport", columns="scheme", values="shown")
    shown = shown.loc[list(TRANSPORTS), list(dict.fromkeys(table["scheme"]))]
    print(shown.to_csv(sep=";"))
    if options.csv:
        table.to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()

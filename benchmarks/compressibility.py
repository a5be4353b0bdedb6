"""Tables III and IV of the EtC paper on a small budget: file sizes, and accuracy under JPEG.

Table IV: bytes of plain, EtC (colour and grey-level) and ELE images, 128×128 photographs of
flowers, under JPEG, PNG and, with ``pip install "ricsk[codecs]"``, the lossless modes of JPEG-LS,
JPEG 2000 and JPEG XL; then the PSNR of images that were encrypted, coded, decoded and decrypted. On
32×32 pixels, as in the paper, there are four blocks of 16×16 only, and headers weigh half of a
file, so flowers take the place of CIFAR-10.

Table III: accuracy of a `ConvMixerClassifier` on CIFAR-10, trained and tested on images that went
through JPEG; and trained on uncoded, tested on coded ones. EtC blocks are 16×16, the unit of JPEG
4:2:0, which leaves 2^31 keys: this is about compression, and no advice.

A. P. MaungMaung and H. Kiya, "Privacy-preserving image classification using isotropic network",
arXiv:2204.07707, 2022.
"""

from __future__ import annotations

import argparse
import io
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ricsk import ConvMixerClassifier, EtCEncryptor, JPEGCodec, LearnableEncryptor, SecretKey
from ricsk.base import BaseImageEncryptor
from ricsk.datasets import load_packed
from ricsk.exceptions import SmallKeySpaceWarning
from ricsk.metrics import psnr

try:
    import imagecodecs
except ImportError:
    imagecodecs = None


def encryptors(key: SecretKey) -> dict[str, BaseImageEncryptor | None]:
    return {
        "plain": None,
        "EtC": EtCEncryptor(key),
        "EtC grey": EtCEncryptor(key, grayscale="ycbcr"),
        "ELE": LearnableEncryptor(key, per_block_keys=True, scramble_blocks=True),
    }


def png(image: np.ndarray) -> int:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return len(buffer.getvalue())


def lossless() -> dict[str, Callable[[np.ndarray], int]]:
    """Give functions from an image to its size in bytes."""
    coders: dict[str, Callable[[np.ndarray], int]] = {"PNG": png}
    if imagecodecs is None:
        print(
            "JPEG-LS, JPEG 2000 and JPEG XL are left out: imagecodecs is not installed. Run "
            'pip install "ricsk[codecs]".\n'
        )
        return coders
    return coders | {
        # What is like noise becomes larger than it was, which the coder does not expect.
        "JPEG-LS": lambda image: len(imagecodecs.jpegls_encode(image, out=2 * image.size)),
        "JPEG 2000": lambda image: len(imagecodecs.jpeg2k_encode(image, reversible=True)),
        "JPEG XL": lambda image: len(imagecodecs.jpegxl_encode(image, lossless=True)),
    }


def sizes_and_recovery(X: np.ndarray, key: SecretKey) -> None:
    codecs = {
        "JPEG 85": JPEGCodec(85),
        "JPEG 80": JPEGCodec(80),
        "JPEG 85, 4:4:4": JPEGCodec(85, subsampling="4:4:4"),
    }
    others = lossless()
    kilobytes, decibels = {}, {}
    for name, encryptor in encryptors(key).items():
        C = X if encryptor is None else encryptor.fit_transform(X)
        bytes_, recovered = {"uncompressed": C[0].size}, {}
        for codec_name, codec in codecs.items():
            bytes_[codec_name] = codec.fit(C).sizes(C).mean()
            D = codec.transform(C)
            X_back = D if encryptor is None else encryptor.inverse_transform(D)
            recovered[codec_name] = psnr(X, X_back).mean()
        for codec_name, size in others.items():
            bytes_[codec_name] = np.mean([size(np.squeeze(image)) for image in C])
        kilobytes[name] = pd.Series(bytes_) / 1000
        decibels[name] = recovered
    table = pd.DataFrame(kilobytes)
    for name in list(table)[1:]:
        table[f"{name}/plain"] = table[name] / table["plain"]
    print(f"kB per image, mean of {len(X)} images of flowers, 128×128:")
    print(table.to_string(float_format="%.3f"))
    print("\nPSNR of what comes back after JPEG, dB:")
    print(pd.DataFrame(decibels).to_string(float_format="%.2f"), flush=True)


def accuracies(
    data: tuple[np.ndarray, ...], key: SecretKey, epochs: int, qualities: list[int]
) -> None:
    X_train, y_train, X, y = data
    rows = []
    for name, encryptor in encryptors(key).items():
        if name == "EtC grey":
            continue
        C_train, C = X_train, X
        if encryptor is not None:
            C_train, C = encryptor.fit_transform(X_train), encryptor.transform(X)
        codecs = {f"JPEG {quality}": JPEGCodec(quality).fit(C) for quality in qualities}
        classifier = ConvMixerClassifier(patch_size=4, epochs=epochs, random_state=0)
        start = time.perf_counter()
        classifier.fit(C_train, y_train)
        row = {"images": name, "uncoded": classifier.score(C, y)}
        for codec_name, codec in codecs.items():
            row[f"uncoded, then {codec_name}"] = classifier.score(codec.transform(C), y)
        for codec_name, codec in codecs.items():
            classifier.fit(codec.transform(C_train), y_train)
            row[codec_name] = classifier.score(codec.transform(C), y)
        rows.append({**row, "s": (time.perf_counter() - start) / 100})
        print(f"  {name}: {row}", flush=True)
    table = 100 * pd.DataFrame(rows).set_index("images")
    print(
        f"\naccuracy in %, ConvMixer trained on {len(X_train)} images of CIFAR-10 for {epochs} "
        f"epochs, {len(X)} test images:"
    )
    print(table.to_string(float_format="%.1f"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of packed data sets")
    parser.add_argument("--n-images", type=int, default=200, help="flowers to measure sizes of")
    parser.add_argument("--n-train", type=int, default=5000, help="CIFAR-10 images; 0: no training")
    parser.add_argument("--n-test", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--qualities", type=int, nargs="+", default=[85, 80])
    args = parser.parse_args()
    warnings.simplefilter("ignore", SmallKeySpaceWarning)
    key = SecretKey.generate()

    X, _, _ = load_packed(args.data_dir, "flowers128", "test", limit=args.n_images)
    sizes_and_recovery(X, key)
    if args.n_train:
        train = load_packed(args.data_dir, "cifar10", "train", limit=args.n_train)[:2]
        test = load_packed(args.data_dir, "cifar10", "test", limit=args.n_test)[:2]
        print("\ntraining ...", flush=True)
        accuracies((*train, *test), key, args.epochs, args.qualities)


if __name__ == "__main__":
    main()

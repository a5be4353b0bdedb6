"""What a sealed photograph takes beyond its file, and how long, from 0.1 to 12 megapixels.

Photographs are flowers, enlarged, with fine noise as of a sensor, as JPEG files of quality 90 with
EXIF data. Each is sealed for a classifier of 224×224, written, classified by its PNG file, opened
and compared. A line tells the bytes that the PNG file has over the original; the seconds of the
processor, as multiples of decoding, resizing and encryption in one go alone; and the peak memory
beyond that of the process before.

Without ``--model`` the classifier is a small network that is trained here for a minute.

    python benchmarks/bench_photograph.py --data-dir DIR
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from PIL import Image
from pretrained import load_classifier, measure
from torch import nn
from torch.nn.functional import cross_entropy

from ricsk import PretrainedClassifier, SealedEncryptor, SecretKey, unseal
from ricsk.codecs import crop_and_resize, read_image
from ricsk.datasets import load_packed
from ricsk.files import open_photograph, read_photograph, seal_photograph

SIZE = (224, 224)
MEGAPIXELS = (0.1, 0.3, 1, 3, 12)


def train(X: np.ndarray, y: np.ndarray, epochs: int) -> PretrainedClassifier:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for n_in, n_out, stride in ((3, 24, 4), (24, 48, 2), (48, 96, 2), (96, 96, 2)):
        layers += [nn.Conv2d(n_in, n_out, 2 * stride - 1, stride, stride - 1)]
        layers += [nn.BatchNorm2d(n_out), nn.ReLU()]
    labels, targets = np.unique(y, return_inverse=True)
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.append(nn.Linear(96, len(labels)))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(32):
            inputs = torch.from_numpy(X[batch]).permute(0, 3, 1, 2).float() / 255
            loss = cross_entropy(network(inputs), torch.from_numpy(targets)[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return PretrainedClassifier(network, classes=labels, size=SIZE)


def make_photograph(image: np.ndarray, megapixels: float, rng: np.random.Generator) -> bytes:
    side = np.sqrt(megapixels * 1e6 / 12)
    large = Image.fromarray(image).resize(
        (round(4 * side), round(3 * side)), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 3, (large.height, large.width, 1)).astype(np.float32)
    grained = np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    buffer = io.BytesIO()
    Image.fromarray(grained).save(buffer, "JPEG", quality=90, exif=exif)
    return buffer.getvalue()


def seal_alone(data: bytes) -> None:
    """Do what cannot be left out: decode, resize, encrypt."""
    crop_and_resize(read_image(data), SIZE)
    ChaCha20Poly1305(bytes(32)).encrypt(bytes(12), data, None)


def seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", help="efficientnet-lite0, timm:NAME or onnx:PATH")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--n", type=int, default=3, help="photographs of each size")
    parser.add_argument("--bit-planes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--appearance", nargs="+", default=["compact", "noise"])
    arguments = parser.parse_args()
    X, y, _ = load_packed(arguments.data_dir, "flowers128", "train", limit=arguments.train)
    X = np.stack([crop_and_resize(x, SIZE) for x in X])
    flowers, _, _ = load_packed(arguments.data_dir, "flowers128", "test", limit=100)
    if arguments.model:
        classifier = load_classifier(arguments.model)
    else:
        classifier = train(X, y, arguments.epochs)
    key = SecretKey.generate()
    rng = np.random.default_rng(0)
    for appearance in arguments.appearance:
        for bit_planes in arguments.bit_planes:
            encryptor = SealedEncryptor(
                key, classifier, appearance=appearance, bit_planes=bit_planes
            ).fit(X[:50])
            print(f"appearance={appearance!r}, bit_planes={bit_planes}", flush=True)
            for megapixels in MEGAPIXELS:
                chosen = flowers[rng.choice(len(flowers), arguments.n, replace=False)]
                photographs = [make_photograph(image, megapixels, rng) for image in chosen]
                print("  ", try_photographs(encryptor, key, megapixels, photographs), flush=True)
    over = []
    for data in photographs:
        sealed = io.BytesIO()
        seal_photograph(io.BytesIO(data), sealed, key=key)
        over.append(len(sealed.getvalue()) - len(data))
    print(f"without a classifier: {max(over):,} bytes over, at most")


def try_photographs(
    encryptor: SealedEncryptor, key: SecretKey, megapixels: float, photographs: list[bytes]
) -> str:
    over, ratios, memory, agreed, restored = [], [], [], 0, 0
    coarse: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        plain, sealed, again = (Path(name, end) for end in ("a.jpg", "sealed.png", "again.jpg"))
        for data in photographs:
            plain.write_bytes(data)
            X = read_photograph(plain, encryptor)
            encryptor.seal_thumbnails(X)  # so that there is a template of its class
            alone = seconds(lambda data=data: seal_alone(data))
            _, there, peak = measure(
                lambda: seal_photograph(plain, sealed, encryptor, overwrite=True)
            )
            opened, back, _ = measure(lambda: open_photograph(sealed, key, again, overwrite=True))
            received = np.asarray(Image.open(sealed))[np.newaxis]
            over.append(sealed.stat().st_size - len(data))
            ratios.append((there / alone, back / alone))
            memory.append(peak)
            classifier = encryptor.classifier_
            agreed += int((classifier.predict(received) == classifier.predict(X)).all())
            restored += opened.found == "original" and again.read_bytes() == data
            error = unseal(received, key).astype(float) - X
            coarse.append(float(10 * np.log10(255**2 / max(np.square(error).mean(), 0.01))))
    n = len(photographs)
    sealing, opening = np.median(ratios, axis=0)
    return (
        f"{megapixels:5} MP, {np.mean([len(data) for data in photographs]):11,.0f} bytes: "
        f"{np.mean(over):7,.0f} over (at most {max(over):,}), read as the photograph {agreed}/{n}, "
        f"byte for byte {restored}/{n}, sealing {sealing:.1f} and opening {opening:.2f} times "
        f"codec and cipher, {max(memory):.0f} MiB, thumbnail {np.mean(coarse):.1f} dB"
    )


if __name__ == "__main__":
    main()

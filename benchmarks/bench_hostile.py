"""Memory and seconds that files and states made by a stranger take until they are refused, or read.

    python benchmarks/bench_hostile.py                      # this version
    PYTHONPATH=/path/to/another/checkout python benchmarks/bench_hostile.py

Each case runs in a process of its own, whose address space is limited to 12 GiB and whose time to
120 s. The memory is the largest resident set, less what the process had before the case.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 8190  # just below the limit of 2**26 pixels
TIME, MEMORY = 120, 12 * 2**30


def encode(image: Image.Image, format: str, **settings: object) -> bytes:
    """Write an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **settings)
    return buffer.getvalue()


def claim_jpeg() -> bytes:
    """Write a grey JPEG file of 8×8 pixels whose header claims 67 million."""
    file = encode(Image.new("L", (8, 8)), "JPEG")
    start = file.index(b"\xff\xc0") + 5
    return file[:start] + struct.pack(">HH", SIDE, SIDE) + file[start + 4 :]


def add_scans(file: bytes, n_scans: int) -> bytes:
    """Repeat the last scan of a progressive JPEG file."""
    start = file.rindex(b"\xff\xda")
    return file[:-2] + file[start:-2] * n_scans + file[-2:]


def grow_text() -> bytes:
    """Write a PNG file with 40 compressed texts of a megabyte each."""
    data = b"note\0\0" + zlib.compress(bytes(2**20 - 100))
    text = struct.pack(">I", len(data)) + b"zTXt" + data
    text += struct.pack(">I", zlib.crc32(b"zTXt" + data))
    file = encode(Image.new("L", (64, 64)), "PNG")
    return file[:33] + 40 * text + file[33:]


def write_alone(root: Path, file: bytes) -> None:
    """Write a file that is read by itself."""
    (root / "file").write_bytes(file)


def write_in_folder(root: Path, file: bytes) -> None:
    """Write a folder of two classes, with a small image before the file."""
    files = {"a/x.png": encode(Image.new("L", (8, 8)), "PNG"), "b/x.png": file}
    for name, content in files.items():
        path = root / "folder" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)


def write_pack(root: Path, arrays: dict[str, object]) -> None:
    """Write a pack of one JPEG file, with other arrays in the place of some."""
    file = encode(Image.new("RGB", (8, 8)), "JPEG")
    honest = {
        "jpeg": np.frombuffer(file, np.uint8),
        "offsets": np.array([0, len(file)]),
        "labels": np.array([0]),
        "classes": np.array(["a"]),
    }
    np.savez_compressed(root / "x_jpeg_y.npz", **(honest | arrays))


def many(n: int) -> dict[str, object]:
    """Make the arrays of a pack that claims n images, of one byte each."""
    return {
        "jpeg": np.zeros(n, np.uint8),
        "offsets": np.arange(n + 1),
        "labels": np.zeros(n, np.uint8),
    }


def flat(mode: str, format: str, **settings: object) -> bytes:
    """Write an image of one colour."""
    return encode(Image.new(mode, (SIDE, SIDE)), format, **settings)


def shades() -> Image.Image:
    """Make an image of 67 million pixels that takes about 2 MB as JPEG."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return Image.fromarray(((rows + columns) // 64).astype(np.uint8)).convert("RGB")


def forge(fitted: object, **changes: object) -> Callable[[], object]:
    """Prepare to load the state of an estimator with other values in it."""
    # Not every object has a state of these methods, but those that are given here do.
    state = {**fitted.__getstate__(), **changes}  # type: ignore[attr-defined]
    twin = object.__new__(type(fitted))
    return lambda: twin.__setstate__(state)  # type: ignore[attr-defined]


def etc_of(side: int, **scheme: object) -> Callable[[], object]:
    """Prepare to load an EtC encryptor whose images claim to be of another size."""
    from ricsk import EtCEncryptor, SecretKey

    fitted = EtCEncryptor(SecretKey(bytes(32)), block_size=8).fit(
        np.zeros((1, 64, 64, 3), np.uint8)
    )
    shape = (side, side, 3)
    given = {**fitted.__getstate__()["scheme_"], "image_shape": shape, **scheme}
    padded = tuple(-(-n // given["block_size"]) * given["block_size"] for n in shape[:2])
    return forge(
        fitted,
        scheme_=given,
        image_shape_in_=shape,
        ciphertext_shape_=(*padded, 3),
        n_features_in_=3 * side**2,
    )


def cnn_of(**sizes: object) -> Callable[[], object]:
    """Prepare to load a network whose sizes are others than those of its weights."""
    from ricsk import CNNClassifier

    X = np.zeros((4, 8, 8, 3), np.uint8)
    fitted = CNNClassifier(width=4, depth=1, epochs=1, batch_size=2).fit(X, [0, 1, 0, 1])
    return forge(fitted, network_config_={**fitted.network_config_, **sizes})


FILES = {
    "JPEG, 330 bytes, claims 67 megapixels": claim_jpeg,
    "JPEG, one colour": lambda: flat("RGB", "JPEG"),
    "JPEG, one colour, progressive": lambda: flat("RGB", "JPEG", progressive=True, subsampling=0),
    "JPEG, CMYK": lambda: flat("CMYK", "JPEG", progressive=True),
    "JPEG, honest gradient": lambda: encode(shades(), "JPEG"),
    "JPEG, 1 megapixel, 2,000 scans": lambda: add_scans(
        encode(Image.new("L", (1024, 1024)), "JPEG", progressive=True), 2000
    ),
    "PNG, one colour": lambda: flat("RGB", "PNG"),
    "PNG, transparent": lambda: flat("RGBA", "PNG"),
    "PNG, palette": lambda: flat("P", "PNG", transparency=0),
    "PNG, 40 MB of text": grow_text,
    "GIF, one colour": lambda: flat("L", "GIF"),
    "WebP, one colour": lambda: flat("RGB", "WEBP", lossless=True, method=0),
    "TIFF, LZW": lambda: flat("RGB", "TIFF", compression="tiff_lzw"),
    "GIF, 2,000 frames": lambda: encode(
        Image.new("L", (256, 256)),
        "GIF",
        save_all=True,
        append_images=[Image.new("L", (256, 256), n % 256) for n in range(2000)],
    ),
}
PACKS: dict[str, Callable[[], dict[str, object]]] = {
    "pack, 12 million images of 1 byte": lambda: many(12_000_000),
    "pack, 60 million class names": lambda: {"classes": np.zeros(60_000_000, "U1")},
    "pack, one name of 60 MB": lambda: {"classes": np.array(["a" * 15_000_000])},
    "pack, 60 million offsets": lambda: {"offsets": np.zeros(30_000_000, int)},
    "pack, first image of 67 megapixels": lambda: {
        "jpeg": np.frombuffer(file := flat("RGB", "JPEG"), np.uint8),
        "offsets": np.array([0, len(file)]),
    },
}
STATES: dict[str, Callable[[], Callable[[], object]]] = {
    "state, EtC of 8,192×8,192": lambda: etc_of(8192),
    "state, EtC of 20,000×20,000": lambda: etc_of(20_000),
    "state, EtC with blocks of 8,192 on 64×64": lambda: etc_of(
        64, block_size=8192, sub_block_size=8192, pad=True
    ),
    "state, network of depth 20,000": lambda: cnn_of(depth=20_000),
    "state, network of width 10⁸": lambda: cnn_of(width=10**8),
}


CASES: dict[str, Callable[[Path], None]] = {
    **{name: lambda root, make=make: write_alone(root, make()) for name, make in FILES.items()},
    **{
        f"{name}, in a folder": lambda root, make=FILES[name]: write_in_folder(root, make())
        for name in ("JPEG, honest gradient", "PNG, one colour")
    },
    **{name: lambda root, make=make: write_pack(root, make()) for name, make in PACKS.items()},
    **dict.fromkeys(STATES, lambda _: None),
}


def find_opener(case: str, root: Path) -> Callable[[], object]:
    """Find what opens that which was written."""
    if case in STATES:
        return STATES[case]()
    from ricsk.codecs import read_image
    from ricsk.datasets import load_folder, load_packed

    if case in PACKS:
        return lambda: load_packed(root, "x", "y")
    if case in FILES:
        return lambda: read_image(root / "file")
    return lambda: load_folder(root / "folder")


def open_one(case: str, root: Path) -> None:
    """Open it in this process, and print MiB, seconds and how it ended."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    open_it = find_opener(case, root)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        open_it()
        outcome = "read"
    except Exception as error:
        outcome = type(error).__name__
    seconds = time.perf_counter() - start
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([taken / 1024, seconds, outcome]))


def call(*arguments: str) -> str:
    """Run this script for one stage of a case, so that no case inherits the memory of another."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, timeout=TIME
    )
    return done.stdout or f"[0, 0, {done.stderr.strip().splitlines()[-1:]!r}]"


def main() -> None:
    """Print a row for each case."""
    print(f"{'case':44} {'bytes':>9} {'MiB':>7} {'s':>6}  outcome")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            call("write", case, folder)
            n_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            try:
                taken, seconds, outcome = json.loads(call("open", case, folder))
            except subprocess.TimeoutExpired:
                taken, seconds, outcome = float("nan"), TIME, "not ended"
            print(f"{case:44} {n_bytes:9,} {taken:7.0f} {seconds:6.1f}  {outcome}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "write":
        CASES[sys.argv[2]](Path(sys.argv[3]))
    else:
        open_one(sys.argv[2], Path(sys.argv[3]))

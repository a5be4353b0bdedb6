"""A folder of mixed files, sealed by a command that is killed again and again, and opened.

Makes files of several formats and sizes, some of them no pictures, in folders; runs ``ricsk
encrypt`` and kills it, with its processes, at random moments; lets it end with ``--resume``; does
the same with ``ricsk decrypt``; and compares everything that is on the disk. Then prints how long
sealing takes against codec and cipher alone, in processor time and without the start of the
command, and the peak of the memory with ten times as many files.

    python benchmarks/bench_folder.py
    python benchmarks/bench_folder.py --of small --files 50000
    python benchmarks/bench_folder.py --of large --files 200

The second and third are of pictures of 32×32 pixels, and of photographs of 12 megapixels, which
nobody kills.
"""

from __future__ import annotations

import argparse
import filecmp
import io
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from PIL import Image

from ricsk import SecretKey
from ricsk.codecs import compress, crop_and_resize, read_image

PICTURE = 64, 64
"""Height and width of the pictures of the command, where no model is given."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")


def make_files(folder: Path, n: int, seed: int) -> None:
    """Write pictures of all formats, with a text or random bytes now and then."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        place = folder / f"album {i % 7}" / f"part {i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        if i % 20 == 19:
            (place / f"{i:05}.bin").write_bytes(rng.bytes(int(rng.integers(0, 300_000))))
            continue
        kind = FORMATS[i % len(FORMATS)]
        height, width = rng.integers(8, 300, 2)
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture, file = Image.fromarray(coarse).resize((int(width), int(height))), io.BytesIO()
        picture.save(file, kind)
        (place / f"{i:05}.{kind.lower()}").write_bytes(file.getvalue())


def make_small(folder: Path, n: int, seed: int) -> None:
    """Write PNG files of 32×32 pixels."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        place = folder / f"{i // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32)).save(place / f"{i:05}.png")


def make_large(folder: Path, n: int, seed: int) -> None:
    """Write JPEG files of 4000×3000 pixels and some megabytes; five different ones, in turn."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    contents = []
    for _ in range(5):
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        grain = rng.normal(0, 6, (3000, 4000, 1))
        picture = (np.asarray(coarse.resize((4000, 3000))) + grain).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=90)
        contents.append(file.getvalue())
    for i in range(n):
        (folder / f"{i:03}.jpg").write_bytes(contents[i % 5])


def list_all(folder: Path) -> dict[Path, Path]:
    return {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}


def run(*arguments: str, kill_after: float | None = None) -> bool:
    """Run the command; whether it came to its end."""
    command = [sys.executable, "-m", "ricsk", *arguments, "--quiet"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    if code:
        raise SystemExit(f"the command ended with {code}")
    return True


def measure(*arguments: str) -> tuple[float, float]:
    """Run the command: seconds of the processor, and MiB at the peak of its memory."""
    start = measure_children()
    run(*arguments)
    seconds = measure_children() - start
    code = (
        "import sys; from ricsk.command import main\n"
        "try: main(sys.argv[1:])\n"
        # Not ru_maxrss, which counts the process that started this one, too.
        "except SystemExit: print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    command = [sys.executable, "-c", code, *arguments, "--force", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return seconds, float(done.stdout.split()[-1]) / 1024


def measure_children() -> float:
    """Measure the processor time of the processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def work_alone(plain: Path, target: Path) -> float:
    """Do with every file what cannot be left out, and tell how much processor time it takes.

    Read it, decode and resize it, compress its thumbnail and as many random pixels, encrypt it, and
    write a file. Nothing is made safe against a sudden end.
    """
    target.mkdir()
    random_pixels = np.random.default_rng(0).integers(0, 256, (*PICTURE, 3), np.uint8)
    start = time.process_time()
    for i, path in enumerate(list_all(plain).values()):
        data, thumbnail = path.read_bytes(), np.full((*PICTURE, 1), 128, np.uint8)
        with suppress(ValueError):  # it is no picture
            thumbnail = crop_and_resize(read_image(data), PICTURE)
        compress(thumbnail, "webp")
        picture = io.BytesIO()
        pixels = random_pixels[..., 0] if thumbnail.shape[2] == 1 else random_pixels
        Image.fromarray(pixels).save(picture, "PNG")
        encrypted = ChaCha20Poly1305(bytes(32)).encrypt(bytes(12), data, None)
        (target / f"{i}.png").write_bytes(picture.getvalue() + encrypted)
    return time.process_time() - start


def kill_and_resume(folder: Path, plain: Path, key: Path, args: argparse.Namespace) -> None:
    """Seal and open, killed at random moments, and compare everything on the disk."""
    sealed, back = folder / "sealed", folder / "back"
    options = ["--key", str(key), "--jobs", args.jobs, "--resume"]
    chance = random.Random(args.seed)
    killed = 0
    for step, source, target in (("encrypt", plain, sealed), ("decrypt", sealed, back)):
        while killed < args.kills / (2 if step == "encrypt" else 1):
            if run(step, str(source), str(target), *options, kill_after=chance.uniform(1, 4)):
                break
            killed += 1
        run(step, str(source), str(target), *options)
    expected, found = list_all(plain), list_all(back)
    same = sum(
        filecmp.cmp(path, found[inside], shallow=False)
        for inside, path in expected.items()
        if inside in found
    )
    whole = {f"{inside}.png" for inside in expected}
    surplus = {str(inside) for inside in list_all(sealed)} ^ whole | {
        str(inside) for inside in found.keys() ^ expected.keys()
    }
    print(
        f"{args.files} files, killed {killed} times: {same} of {len(expected)} come back byte "
        f"for byte; {len(surplus)} files too many or too few on the disk.",
        flush=True,
    )


def compare_cost(folder: Path, plain: Path, key: Path, args: argparse.Namespace) -> None:
    """Measure processor time and memory of sealing."""
    files = list_all(plain)
    n_bytes = sum(path.stat().st_size for path in files.values())
    alone = work_alone(plain, folder / "alone")
    few = folder / "few"
    MAKERS[args.of](few, args.files // 10, args.seed)
    one_process = ["--key", str(key), "--jobs", "1"]
    start, small = measure("encrypt", str(few), str(folder / "few sealed"), *one_process)
    seconds, large = measure("encrypt", str(plain), str(folder / "again"), *one_process)
    # Both runs start alike, and one has as many more files to seal.
    n_more = args.files - args.files // 10
    each = (seconds - start) / n_more
    sealed = sum(path.stat().st_size for path in list_all(folder / "again").values())
    print(
        f"{args.files} {args.of} files of {n_bytes / len(files) / 1000:.1f} kB: sealing with one "
        f"process takes {each * args.files / alone:.2f} times as long as codec and cipher alone, "
        f"{1 / each:.1f} files a second. Each is {(sealed - n_bytes) / len(files) / 1000:.1f} kB "
        f"larger. Peak of the memory with ten times as many files: {large / small:.2f} times "
        f"({small:.0f} and {large:.0f} MiB)."
    )


MAKERS = {"mixed": make_files, "small": make_small, "large": make_large}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--of", choices=MAKERS, default="mixed")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, key = folder / "plain", folder / "key"
        MAKERS[args.of](plain, args.files, args.seed)
        SecretKey.generate().save(key)
        if args.of == "mixed":
            kill_and_resume(folder, plain, key, args)
        compare_cost(folder, plain, key, args)


if __name__ == "__main__":
    main()

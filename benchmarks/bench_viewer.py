"""How long the page that `make viewer` builds takes to open a photograph, against this package.

The photograph is enlarged to 12 megapixels, with grain as of a sensor, as a JPEG file of quality
92. The page is opened from the disk, in a browser without a network. Its seconds are those from the
press of the button until the photograph is shown; the package's, those of `open_photograph` alone,
and with the decoding that a browser has to do to show it. The longest pause is the longest time for
which the page could not answer. What is downloaded is compared with the original, byte for byte.

``--large MB`` seals a file of noise as well, and tells the memory of the browser's processes at
most while that is opened, beyond what they had before.

    make viewer
    python -m benchmarks.bench_viewer --large 400
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ricsk import SecretKey
from ricsk.codecs import read_image
from ricsk.datasets import load_photos
from ricsk.files import open_photograph, seal_photograph
from tests.browser import open_browser

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "viewer" / "dist" / "viewer.html"
RESULTS = Path(__file__).parent / "results" / "viewer.csv"
OBSERVE = """() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
    }).observe({ type: "longtask" });
}"""


def make_photograph(path: Path) -> None:
    rng = np.random.default_rng(0)
    enlarged = Image.fromarray(load_photos(size=(427, 640))[0]).resize((4000, 3000))
    grain = rng.normal(0, 4, (3000, 4000, 1)).round().astype(np.int16)
    pixels = (np.asarray(enlarged) + grain).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=92)


def seconds(function: Any, *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def open_in_page(page: Any, sealed: Path, key: SecretKey) -> None:
    page.goto(PAGE.as_uri())
    page.evaluate(OBSERVE)
    page.fill("#key-text", key.reveal())
    page.set_input_files("#files", str(sealed))


def press_and_wait(page: Any, timeout: int = 60_000) -> None:
    page.click("#open")
    page.locator("article").wait_for(timeout=timeout)
    page.locator("article img").wait_for(timeout=timeout)


def measure_time(page: Any, folder: Path, key: SecretKey, rounds: int) -> dict[str, Any]:
    source, sealed = folder / "IMG_0042.jpg", folder / "sealed.png"
    make_photograph(source)
    seal_photograph(source, sealed, key=key)
    times = []
    for _ in range(rounds):
        open_in_page(page, sealed, key)
        times.append(
            (
                seconds(press_and_wait, page),
                opening := seconds(open_photograph, sealed, key),
                opening + seconds(read_image, source),
            )
        )
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download the original").click()
    waiting.value.save_as(folder / "downloaded.jpg")
    in_page, opening, shown = map(statistics.median, zip(*times, strict=True))
    return {
        "megapixels": 12,
        "bytes": source.stat().st_size,
        "identical": (folder / "downloaded.jpg").read_bytes() == source.read_bytes(),
        "page_seconds": round(in_page, 3),
        "open_photograph_seconds": round(opening, 3),
        "with_decoding_seconds": round(shown, 3),
        "ratio_to_opening": round(in_page / opening, 1),
        "ratio_to_opening_and_decoding": round(in_page / shown, 1),
        "longest_pause_seconds": round(page.evaluate("longest") / 1000, 3),
    }


class PeakMemory:
    """The most memory that the processes of the browser have while this is entered, in MiB."""

    def __enter__(self) -> PeakMemory:
        self.before = self.most = self._measure()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, self._measure())

    def _measure(self) -> int:
        total = 0
        for process in Path("/proc").iterdir():
            try:
                if b"chrom" in (process / "cmdline").read_bytes()[:200]:
                    rollup = (process / "smaps_rollup").read_text()
                    total += int(rollup.split("Pss:")[1].split()[0])
            except (OSError, IndexError):
                continue
        return total // 1024


def measure_memory(page: Any, folder: Path, key: SecretKey, megabytes: int) -> dict[str, Any]:
    source, sealed = folder / "noise.bin", folder / "noise.png"
    with source.open("wb") as file:
        for i in range(megabytes):
            file.write(np.random.default_rng(i).bytes(1_000_000))
    seal_photograph(source, sealed, key=key)
    open_in_page(page, sealed, key)
    with PeakMemory() as memory:
        in_page = seconds(press_and_wait, page, 600_000)
    opening = seconds(open_photograph, sealed, key, folder / "opened.bin")
    return {
        "large_megabytes": megabytes,
        "large_page_seconds": round(in_page, 1),
        "large_ratio": round(in_page / opening, 1),
        "large_longest_pause_seconds": round(page.evaluate("longest") / 1000, 3),
        "large_memory_mib": memory.most - memory.before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, metavar="MB", help="also seal so large a file")
    parser.add_argument(
        "--screenshot", type=Path, metavar="PATH", help="keep a picture of the page"
    )
    arguments = parser.parse_args()
    key = SecretKey.generate()
    with tempfile.TemporaryDirectory() as name, open_browser() as browser:
        folder = Path(name)
        browser.set_offline(True)
        page = browser.new_page()
        page.set_viewport_size({"width": 800, "height": 1000})
        results = measure_time(page, folder, key, arguments.rounds)
        if arguments.screenshot:
            page.screenshot(path=arguments.screenshot, full_page=True)
        if arguments.large:
            results |= measure_memory(page, folder, key, arguments.large)
    for what, value in results.items():
        print(f"{what:34}{value}")
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(results))
        writer.writeheader()
        writer.writerow(results)


if __name__ == "__main__":
    main()

"""The whole story on one machine: seal a folder, have it classified and searched, open it again.

Two folders stand for two machines. ``owner`` has the photographs and the key. ``cloud`` gets a
network and sealed files, and a process of its own serves them, which is given nothing else. Needs
``pip install 'ricsk[serve,remote,search]' skops``, and takes less than a minute:

    python examples/cloud/run.py [FOLDER]
"""

from __future__ import annotations

import filecmp
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import skops.io
from PIL import Image

from ricsk import CNNClassifier
from ricsk.cloud import RemoteClassifier, RemoteIndex
from ricsk.codecs import read_image
from ricsk.datasets import load_digits

RICSK = [sys.executable, "-m", "ricsk"]
N_PHOTOS = 12


def prepare(owner: Path, cloud: Path) -> CNNClassifier:
    """Make what anybody has before: photographs, and a network that was trained on others."""
    X, y = load_digits(size=32)
    (owner / "photos").mkdir(parents=True)
    cloud.mkdir()
    for i, image in enumerate(X[-N_PHOTOS:]):
        Image.fromarray(image.squeeze()).save(owner / "photos" / f"IMG_{i:04}.png")
    classifier = CNNClassifier(width=8, epochs=4, random_state=0).fit(X[:1000], y[:1000])
    skops.io.dump(classifier, cloud / "digits.skops")
    return classifier


def seal(owner: Path, cloud: Path) -> None:
    """Seal the folder. The key stays with the owner."""
    subprocess.run([*RICSK, "keygen", owner / "my.key"], check=True, stdout=subprocess.DEVNULL)
    sealed = [owner / "photos", cloud / "sealed", "--key", owner / "my.key", "--quiet"]
    model = ["--model", cloud / "digits.skops", "--match", "features"]
    subprocess.run([*RICSK, "encrypt", *sealed, *model], check=True)


@contextmanager
def serve(cloud: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the service in the cloud's folder; gives its process and its address."""
    command = [*RICSK, "serve", "digits.skops", "--index", "photos.index", "--writable"]
    process = subprocess.Popen(
        [*command, "--page", "--port", "0"], cwd=cloud, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        log = ""
        for line in process.stderr:
            log += line
            found = re.search(r"http://[\d.]+:\d+", line)
            if found:
                break
        else:
            raise SystemExit(f"the service did not start:\n{log}")
        yield process, found[0]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()


def ask(url: str, owner: Path, cloud: Path, classifier: CNNClassifier) -> None:
    """Have sealed files classified, stored and searched."""
    sealed = sorted((cloud / "sealed").glob("*.png"))
    names = [path.name.removesuffix(".png") for path in sealed]
    C = np.stack([read_image(path) for path in sealed])

    remote = RemoteClassifier(url, "digits")
    plain = np.stack([read_image(owner / "photos" / name) for name in names])
    same = (remote.predict(C) == classifier.predict(plain)).mean()
    print(f"classified as the photographs: {same:.0%} of {len(C)}")
    remote.close()

    with RemoteIndex(url, "photos") as index:
        index.add(C, names)
        question = load_digits(size=32)[0][1200:1201]
        found = index.query_features(classifier.features(question), k=3)
    print("nearest to a new photograph:", ", ".join(found.ids[0]))


def open_again(owner: Path, cloud: Path) -> None:
    """Open the folder with the key, and compare it with the photographs."""
    opened = [cloud / "sealed", owner / "opened", "--key", owner / "my.key", "--quiet"]
    subprocess.run([*RICSK, "decrypt", *opened], check=True)
    names = sorted(path.name for path in (owner / "photos").iterdir())
    same, *_ = filecmp.cmpfiles(owner / "photos", owner / "opened", names, shallow=False)
    print(f"opened, byte for byte: {len(same)} of {len(names)}")


def main(folder: Path) -> None:
    """Tell the story in a folder."""
    owner, cloud = folder / "owner", folder / "cloud"
    classifier = prepare(owner, cloud)
    seal(owner, cloud)
    with serve(cloud) as (_, url):
        print(f"the service is at {url}, with a page to look at")
        ask(url, owner, cloud, classifier)
    open_again(owner, cloud)


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))

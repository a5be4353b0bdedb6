"""Folders of photographs: every file comes back, and nothing else is on the disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, PrivateKey, SealedEncryptor, SecretKey
from ricsk.codecs import read_image
from ricsk.datasets import load_digits
from ricsk.files import decrypt_folder, encrypt_folder, open_photograph, seal_photograph

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))


@pytest.fixture
def plain(tmp_path):
    """Files of several kinds, with odd names."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "plain"
    for i, name in enumerate(["a.jpg", "a.png", "sub folder/b.webp", "sub folder/deep/ü.tif"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)).save(path)
    (folder / "empty").write_bytes(b"")
    (folder / "-rf").write_bytes(b"a name like an option")
    (folder / ".hidden").write_bytes(rng.bytes(200_000))
    return folder


def read_all(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.usefixtures("workers_end")
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_every_file_comes_back_in_its_place(plain, tmp_path, n_jobs):
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    results = list(encrypt_folder(plain, sealed, key=KEY, n_jobs=n_jobs))
    assert {result.status for result in results} == {"done"}
    assert [result.source for result in results] == sorted(
        (result.source for result in results), key=lambda path: path.parts
    )
    assert set(read_all(sealed)) == {Path(f"{name}.png") for name in read_all(plain)}
    assert all(content not in read_all(plain).values() for content in read_all(sealed).values())
    results = list(decrypt_folder(sealed, back, KEY, n_jobs=n_jobs))
    assert {result.status for result in results} == {"done"}
    assert read_all(back) == read_all(plain)


def test_resume_repeats_nothing_and_clears_what_was_half_written(plain, tmp_path):
    sealed = tmp_path / "sealed"
    first = dict(zip(range(3), encrypt_folder(plain, sealed, key=KEY), strict=False))
    assert len(first) == 3
    for path in sealed.rglob("*.png"):
        if path.name.startswith("a."):
            path.unlink()
    (sealed / ".ricsk-0123456789abcdef").write_bytes(b"half")
    (sealed / ".ricsk-mine").write_bytes(b"not ours")
    times = {path: path.stat().st_mtime_ns for path in sealed.rglob("*.png")}
    results = list(encrypt_folder(plain, sealed, key=KEY, resume=True))
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert sum(result.status == "skipped" for result in results) == len(times)
    assert not (sealed / ".ricsk-0123456789abcdef").exists()
    assert (sealed / ".ricsk-mine").exists()
    (sealed / ".ricsk-mine").unlink()
    back = tmp_path / "back"
    list(decrypt_folder(sealed, back, KEY))
    (back / "a.png").unlink()
    results = list(decrypt_folder(sealed, back, KEY, resume=True))
    assert [result.destination.name for result in results if result.status == "done"] == ["a.png"]
    assert read_all(back) == read_all(plain)


def test_what_is_there_is_neither_overwritten_nor_taken_for_done(plain, tmp_path):
    sealed = tmp_path / "sealed"
    list(encrypt_folder(plain, sealed, key=OTHER))
    before = read_all(sealed)
    results = list(encrypt_folder(plain, sealed, key=KEY))
    assert all("exists, and is not overwritten" in result.message for result in results)
    results = list(encrypt_folder(plain, sealed, key=KEY, resume=True))
    assert {result.status for result in results} == {"failed"}
    assert all("was not encrypted with this key" in result.message for result in results)
    assert read_all(sealed) == before
    results = list(encrypt_folder(plain, sealed, key=KEY, overwrite=True))
    assert {result.status for result in results} == {"done"}
    assert read_all(sealed) != before


def test_what_fails_is_named_and_stops_nothing(plain, tmp_path):
    (plain / "to nothing").symlink_to(plain / "gone")
    (plain / "to a folder").symlink_to(plain / "sub folder")
    (plain / "to a file").symlink_to(plain / "a.jpg")
    os.mkfifo(plain / "pipe")
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    results = {result.source.name: result for result in encrypt_folder(plain, sealed, key=KEY)}
    assert results["to nothing"].message == "a link to nothing"
    assert results["pipe"].message == "neither a file nor a folder"
    assert results["to a folder"].status == "skipped"
    assert results["to a file"].status == "done"
    damaged = sealed / "a.jpg.png"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    (sealed / "stranger.png").write_bytes((plain / "a.png").read_bytes())
    results = {result.source.name: result for result in decrypt_folder(sealed, back, KEY)}
    assert {name for name, result in results.items() if result.status == "failed"} == {
        "a.jpg.png",
        "stranger.png",
    }
    assert (back / "a.png").read_bytes() == (plain / "a.png").read_bytes()
    assert not (back / "a.jpg").exists()


def test_of_a_file_whose_original_was_taken_out_the_thumbnail_is_kept(plain, tmp_path):
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    list(encrypt_folder(plain, sealed, key=KEY))
    stripped = sealed / "a.jpg.png"
    Image.fromarray(read_image(stripped)).save(stripped)
    results = {result.source.name: result for result in decrypt_folder(sealed, back, KEY)}
    assert results["a.jpg.png"].status == "thumbnail"
    assert results["a.jpg.png"].destination.name == "a.jpg.thumbnail.png"
    assert read_image(back / "a.jpg.thumbnail.png").shape[2] == 3
    assert not (back / "a.jpg").exists()


def test_a_renamed_photograph_gets_its_own_name_back(plain, tmp_path):
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    sealed.mkdir()
    seal_photograph(plain / "a.jpg", sealed / "IMG_1.png", key=KEY)
    assert [result.destination.name for result in decrypt_folder(sealed, back, KEY)] == ["a.jpg"]
    again = decrypt_folder(sealed, back, KEY, resume=True)
    assert [result.status for result in again] == ["skipped"]


def test_a_folder_is_sealed_to_public_keys(plain, tmp_path):
    ann, bob, eve = (PrivateKey.generate() for _ in range(3))
    sealed = tmp_path / "sealed"
    public = [ann.public_key, bob.public_key]
    assert {r.status for r in encrypt_folder(plain, sealed, recipients=public)} == {"done"}
    again = encrypt_folder(plain, sealed, recipients=public, resume=True)
    assert {result.status for result in again} == {"skipped"}
    for name, key in (("ann", ann), ("bob", bob)):
        list(decrypt_folder(sealed, tmp_path / name, key))
        assert read_all(tmp_path / name) == read_all(plain)
    assert {r.status for r in decrypt_folder(sealed, tmp_path / "eve", eve)} == {"failed"}
    assert not read_all(tmp_path / "eve")


@pytest.mark.parametrize("where", ["plain", "plain/inside"])
def test_a_destination_in_the_source_is_refused(plain, where):
    with pytest.raises(ValueError, match="Give a destination outside of it"):
        encrypt_folder(plain, plain.parent / where, key=KEY)
    with pytest.raises(NotADirectoryError):
        encrypt_folder(plain / "a.jpg", plain.parent / "sealed", key=KEY)
    with pytest.raises(ValueError, match="one of them"):
        encrypt_folder(plain, plain.parent / "sealed")


@pytest.mark.usefixtures("workers_end")
def test_an_encryptor_goes_to_several_processes(tmp_path):
    X, y = load_digits(size=32)
    classifier = CNNClassifier(width=8, epochs=2, random_state=0).fit(X[:500], y[:500])
    encryptor = SealedEncryptor(
        KEY, FrozenEstimator(classifier), appearance="compact", nonce="random"
    ).fit(X[:200])
    plain = tmp_path / "plain"
    plain.mkdir()
    for i, image in enumerate(X[500:520]):
        Image.fromarray(image[..., 0]).save(plain / f"{i:02}.png")
    (plain / "text").write_text("no picture")
    results = list(encrypt_folder(plain, tmp_path / "sealed", encryptor, n_jobs=2))
    assert [result.source.name for result in results if result.status == "failed"] == ["text"]
    C = np.stack([read_image(path) for path in sorted((tmp_path / "sealed").iterdir())])
    assert (classifier.predict(C) == classifier.predict(X[500:520])).all()


RUN = """
import sys
from ricsk import SecretKey
from ricsk.files import encrypt_folder
plain, sealed = sys.argv[1:]
for result in encrypt_folder(plain, sealed, key=SecretKey(bytes(range(32))), resume=True):
    print(result.status, flush=True)
"""


def test_a_run_that_is_killed_leaves_whole_files_alone(tmp_path):
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.mkdir()
    for i in range(60):
        (plain / f"{i:03}").write_bytes(np.random.default_rng(i).bytes(300_000))
    command = [sys.executable, "-c", RUN, str(plain), str(sealed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (sealed / "020.png").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = list(sealed.glob("*.png"))
    assert 20 <= len(whole) < 60
    for path in whole:
        assert open_photograph(path, KEY).data == (plain / path.stem).read_bytes()
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=True).returncode == 0
    assert len(list(sealed.iterdir())) == 60

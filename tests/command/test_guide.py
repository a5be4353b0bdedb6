"""The guide page on the command says what the command says."""

import textwrap
from pathlib import Path

import numpy as np
import pytest
import skops.io
from click.testing import CliRunner
from PIL import Image
from sklearn.linear_model import LogisticRegression

from ricsk import CNNClassifier, PixelEncryptor, SecretKey
from ricsk.command import _app, main
from ricsk.command._errors import ExitCode
from ricsk.datasets import load_digits
from ricsk.files import encrypt_picture, seal_photograph

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "command.rst").read_text()


@pytest.mark.parametrize("name", sorted({*_app.app.commands} - {"serve"}))
def test_the_guide_has_the_help_of_every_command(name):
    arguments = [name, "--help"]
    runner = CliRunner(env={"COLUMNS": "80"})
    found = runner.invoke(_app.app, arguments, prog_name="ricsk")
    assert textwrap.indent(found.output.rstrip(), "    ") in PAGE


def test_the_guide_has_every_code():
    assert all(f"\n{code.value:<7}" in PAGE for code in ExitCode)


MESSAGES = [
    "encrypt photos sealed",
    "encrypt photos sealed --key gone.key",
    "encrypt photos sealed --key notes/note.txt",
    "encrypt gone sealed --key my.key",
    "encrypt photos/a.png sealed.png --key my.key",
    "encrypt photos photos/sealed --key my.key",
    "encrypt notes sealed --key my.key --scheme etc",
    "encrypt notes sealed --key my.key --model size.skops",
    "encrypt notes sealed --key my.key --model digits.skops",
    "encrypt notes sealed --key my.key --model gone.skops",
    "encrypt notes sealed --key my.key --model weights.safetensors",
    "encrypt notes sealed --key my.key --model size.skops --weights weights.safetensors",
    "encrypt notes sealed --key my.key --scheme pe --block-size 8",
    "encrypt notes sealed --scheme etc --recipient public.key",
    "encrypt - - --key my.key --model digits.skops",
    "decrypt sealed.png opened --key other.key",
    "decrypt etc.png opened.png --key other.key",
    "decrypt photos/a.png opened --key my.key",
    "decrypt stripped.png opened --key my.key",
    "rekey sealed.png new.png --key my.key",
    "inspect photos/a.png",
    "audit photos",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which something is wrong with all of them."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("photos", "notes", "opened"):
        (folder / name).mkdir()
    X, y = load_digits(size=16)
    Image.fromarray(X[0, ..., 0]).save(folder / "photos" / "a.png")
    (folder / "notes" / "note.txt").write_text("no picture")
    (folder / "notes" / "note.txt").chmod(0o600)  # or a key would not be read from it
    key = SecretKey(bytes(range(32))).save(folder / "my.key")
    SecretKey(bytes(range(1, 33))).save(folder / "other.key")
    seal_photograph(folder / "photos" / "a.png", folder / "sealed.png", key=key)
    encrypt_picture(folder / "photos" / "a.png", folder / "etc.png", PixelEncryptor(key))
    Image.fromarray(np.asarray(Image.open(folder / "sealed.png"))).save(folder / "stripped.png")
    (folder / "weights.safetensors").write_bytes(b"")
    network = CNNClassifier(width=2, depth=1, epochs=1, random_state=0).fit(X[:40], y[:40])
    skops.io.dump(network, folder / "digits.skops")
    skops.io.dump(LogisticRegression().fit(np.eye(4), [0, 0, 1, 1]), folder / "size.skops")
    return folder


@pytest.mark.parametrize("arguments", MESSAGES)
def test_the_guide_has_what_the_command_says_when_something_is_wrong(
    arguments, place, capfd, monkeypatch
):
    monkeypatch.chdir(place)
    monkeypatch.delenv("RICSK_KEYFILE", raising=False)
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    assert end.value.code != ExitCode.DONE
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("ricsk: ")]
    message = said[-1].replace(f"{place}/", "")
    assert f"    $ ricsk {arguments}\n    {message}\n" in PAGE

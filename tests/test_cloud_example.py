"""`examples/cloud/run.py`, and what the process of its service was given."""

import base64
import importlib.util
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ricsk import SecretKey
from ricsk.codecs import read_image

SCRIPT = Path(__file__).parent.parent / "examples" / "cloud" / "run.py"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    spec = importlib.util.spec_from_file_location("cloud_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_process(pid):
    """Read what a process was started with, and all memory that it has written."""
    process = Path(f"/proc/{pid}")
    parts = [(process / name).read_bytes() for name in ("cmdline", "environ")]
    with open(process / "mem", "rb") as memory:
        for line in (process / "maps").read_text().splitlines():
            start, stop, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if mode.startswith("rw") and "[v" not in line:
                memory.seek(int(start, 16))
                parts.append(memory.read(int(stop, 16) - int(start, 16)))
    return b"".join(parts)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process in /proc")
def test_the_service_is_given_neither_the_key_nor_an_image(example, tmp_path, monkeypatch, capfd):
    given, serve = [], example.serve

    @contextmanager
    def watched(cloud):
        with serve(cloud) as (process, url):
            yield process, url
            given.append(read_process(process.pid))
            given.extend(path.read_bytes() for path in cloud.rglob("*") if path.is_file())

    monkeypatch.setattr(example, "serve", watched)
    monkeypatch.setattr(example, "N_PHOTOS", 4)
    example.main(tmp_path)
    printed = capfd.readouterr().out
    assert f"100% of {example.N_PHOTOS}" in printed
    assert f"byte for byte: {example.N_PHOTOS} of {example.N_PHOTOS}" in printed

    memory, *files = given
    assert b"photos.index" in memory  # or it would not have been read
    assert len(files) >= example.N_PHOTOS + 2  # the network, the index, and the journal of that
    key = SecretKey.from_file(tmp_path / "owner" / "my.key")
    raw = base64.urlsafe_b64decode(key.reveal().removeprefix("RICSK-KEY-1-"))[:32]
    assert SecretKey(raw) == key
    photographs = sorted((tmp_path / "owner" / "photos").iterdir())
    pixels = [read_image(path)[12:20].tobytes() for path in photographs]
    assert np.mean([len(set(part)) for part in pixels]) > 50  # they are no blank parts
    secrets = [raw, raw.hex().encode(), key.reveal().encode(), bytes(tmp_path / "owner" / "my.key")]
    secrets += pixels + [path.read_bytes()[60:] for path in photographs]
    for secret in secrets:
        assert len(secret) >= 32
        assert not any(secret in part for part in given)

"""Every block of code in the README and the guide runs alone and prints what it says."""

import doctest
import os
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pretrained import networks

ROOT = Path(__file__).parent.parent
FENCED = r"```python\n(.*?)```"
DIRECTIVE = r"\.\. code-block:: python\n\n((?:    [^\n]*\n|\n)+)"
PROMISE = r"# prints (.+)$"


def find_blocks():
    pages = [ROOT / "README.md", ROOT / "docs" / "index.rst", *(ROOT / "docs/guide").glob("*.rst")]
    for page in sorted(pages):
        pattern = FENCED if page.suffix == ".md" else DIRECTIVE
        for i, code in enumerate(re.findall(pattern, page.read_text("utf8"), re.DOTALL), 1):
            yield pytest.param(textwrap.dedent(code), id=f"{page.stem}-{i}")


@pytest.fixture
def own_model(monkeypatch, tmp_path):
    """Stand-ins for what the guide to your own model takes from elsewhere, and an ONNX file."""
    for make in (networks.make_timm, networks.make_transformers, networks.make_onnx2torch):
        for name, module in make().items():
            monkeypatch.setitem(sys.modules, name, module)
    networks.write_onnx(tmp_path / "classifier.onnx")


def test_the_command_line_does_what_it_says(tmp_path, monkeypatch):
    (code,) = re.findall(
        r"```sh\n(ricsk keygen.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "photos" / "cat.jpg")
    run = f'ricsk() {{ "{sys.executable}" -m ricsk "$@"; }}\nset -e\n{code}'
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", run], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("the same\n")


@pytest.mark.parametrize("code", list(find_blocks()))
def test_block_prints_what_it_says(code, tmp_path, monkeypatch, capsys, own_model):
    monkeypatch.chdir(tmp_path)
    promised = re.findall(PROMISE, code, re.MULTILINE)
    assert promised, "the block shows no result: end a line of it with '# prints ...'"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, "<block>", "exec"), {"__name__": "__main__"})
    expected, printed = "".join(f"{line}\n" for line in promised), capsys.readouterr().out
    assert doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS), printed


def test_the_pages_that_are_read_first_have_blocks():
    pages = {block.id.rpartition("-")[0] for block in find_blocks()}
    assert {"README", "index", "getting_started"} <= pages

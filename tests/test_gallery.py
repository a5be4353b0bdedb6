"""The examples run as scripts, without a warning, and are in the form of gallery pages."""

import ast
import runpy
import warnings
from pathlib import Path

import pytest
from matplotlib import pyplot

from ricsk import PixelEncryptor, SecretKey
from ricsk.datasets import load_digits

EXAMPLES = Path(__file__).parent.parent / "examples"
GALLERY = sorted(EXAMPLES.glob("plot_*.py"))


@pytest.fixture(autouse=True)
def _pictures_are_drawn_and_not_shown(monkeypatch):
    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    yield
    pyplot.close("all")


@pytest.mark.long
@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_example_runs_and_draws(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runpy.run_path(str(path), run_name="__main__")
    assert pyplot.get_fignums()
    assert not list(tmp_path.iterdir()), "an example leaves files behind"


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_example_is_a_page(path):
    source = path.read_text("utf8")
    title, line, blank, *explanation = ast.get_docstring(ast.parse(source)).splitlines()
    assert line == "=" * len(title)
    assert not blank
    assert explanation
    assert source.count("\n# %%\n") >= 2


def test_every_example_is_in_the_gallery_except_the_demo():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "demo.py",
        *(path.name for path in GALLERY),
    }


def test_demo_draws_its_picture(tmp_path):
    demo = runpy.run_path(str(EXAMPLES / "demo.py"))
    X, _ = load_digits(size=16)
    encryptor = PixelEncryptor(SecretKey.generate()).fit(X)
    demo["draw"](tmp_path / "demo.png", {"PE": encryptor}, X[:1], SecretKey.generate())
    assert (tmp_path / "demo.png").stat().st_size > 0

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestCentroid

from ricsk import EtCEncryptor, PixelEncryptor, SecretKey
from ricsk.attacks import (
    BruteForceAttack,
    DistinguishingGame,
    FRAttack,
    IdentificationAttack,
    LinearAttack,
)
from ricsk.audit import audit
from ricsk.datasets import make_street_numbers

SECRET = bytes(range(100, 132))
KEY = SecretKey(SECRET)
X, Y = make_street_numbers(120, size=16, random_state=0)
VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture(scope="module")
def result():
    schemes = {"P<E>": PixelEncryptor(KEY), "EtC": EtCEncryptor(KEY, block_size=4)}
    attacks = [LinearAttack(), FRAttack(), BruteForceAttack([KEY, SecretKey(bytes(32))])]
    attacks += [DistinguishingGame(20), IdentificationAttack(2)]
    return audit(schemes, X, Y, attacks, classifier=NearestCentroid(), random_state=0)


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    path = result.to_html(tmp_path_factory.mktemp("report") / "audit.html")
    return path.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Check that elements nest, and keep tags, texts and what is loaded."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.loaded, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def test_it_needs_no_other_file(page, read):
    assert read.loaded
    assert all(source.startswith("data:image/png;base64,") for source in read.loaded)
    assert not {"script", "link", "iframe", "object", "embed"} & set(read.tags)
    assert not re.search(r"https?:|url\(|@import", page)


def test_no_key_is_in_it(page):
    everything = page.encode() + b"".join(images_of(page))
    for form in (
        SECRET,
        SECRET.hex().encode(),
        base64.b64encode(SECRET),
        str(list(SECRET)).encode(),
    ):
        assert form not in everything
    assert KEY.key_id not in page


def images_of(page):
    return [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", page)]


def test_the_pictures_are_those_of_the_result(result, page):
    drawn = [np.asarray(Image.open(io.BytesIO(data))) for data in images_of(page)]
    # The box plots, then six for each attack that was run.
    assert len(drawn) == 1 + 6 * sum(len(scheme.runs) for scheme in result.schemes)
    scheme = result.schemes[0]
    best = scheme.runs[0].scores.ssim.argmax()
    found = scheme.runs[0].reconstructions[best]
    for picture, expected in zip(
        drawn[1:4], (result.images[best], scheme.ciphertexts[best], found), strict=True
    ):
        assert (picture == expected).all()


def test_it_says_what_was_found(result, page, read):
    text = " ".join(read.text)
    for line in result.verdict.splitlines():
        assert line in text
    assert "moves values to other pixels" in text
    assert "P<E>" not in page
    assert "P&lt;E&gt;" in page
    for words in ("random_state", "PyTorch", "scikit-learn", "re-identified"):
        assert words in text


def test_the_figure_has_a_box_for_each_attack(result):
    figure = result.figure()
    for axis, scheme in zip(figure.axes, result.schemes, strict=True):
        labels = [label.get_text() for label in axis.get_yticklabels()]
        attacks = [run.attack for run in (*scheme.trials, *scheme.runs)]
        assert len(scheme.trials) == 2
        assert labels == [name if len(name) <= 38 else name[:37] + "…" for name in attacks]


def test_the_figure_has_a_dot_for_each_attack_that_draws_nothing(result):
    scheme = result.schemes[0]
    (axis,) = replace(result, schemes=(scheme,)).figure().axes
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == [trial.success for trial in scheme.trials]
    assert "telling images apart" in axis.get_xlabel()
    pictures = replace(result, schemes=(replace(scheme, trials=()),)).figure()
    assert "telling" not in pictures.axes[0].get_xlabel()


def test_what_is_told_apart_has_a_table_of_its_own(result, read, tmp_path):
    text = "|".join(read.text)
    row = "P<E>|DistinguishingGame(n_ciphertexts=20)|public images, labels, keys of its own|broken"
    assert f"{row}|1.00|–|0%|0.53|1.00|" in text
    assert "nan" not in text
    bare = tuple(replace(scheme, trials=()) for scheme in result.schemes)
    page = replace(result, schemes=bare).to_html(tmp_path / "bare.html")
    assert "Advantage: 0 for a coin" not in page.read_text(encoding="utf-8")


def test_it_says_why_images_were_not_told_apart(result, tmp_path):
    scheme = replace(result.schemes[0], trials=(), untried={"Game": "labels <name> images."})
    page = replace(result, schemes=(scheme,)).to_html(tmp_path / "audit.html")
    assert "<li>labels &lt;name&gt; images.</li>" in page.read_text(encoding="utf-8")


def test_a_folder_that_is_not_there(result, tmp_path):
    with pytest.raises(FileNotFoundError):
        result.to_html(tmp_path / "nowhere" / "audit.html")


@pytest.mark.parametrize("name", ["$x", "$^$", r"$\no$ $one$", r"a\b{", "100 % _ ^ #"])
def test_names_are_drawn_as_they_are(result, name, tmp_path):
    """Matplotlib would read what stands between dollars as a formula."""
    run = replace(result.schemes[0].runs[0], attack=name)
    scheme = replace(result.schemes[0], scheme=name, runs=(run,), trials=())
    renamed = replace(result, schemes=(scheme,))
    figure = renamed.figure()
    figure.savefig(tmp_path / "figure.png")
    (axis,) = figure.axes
    (label,) = axis.get_yticklabels()
    assert axis.get_title(loc="left") == label.get_text() == name
    assert name in renamed.to_html(tmp_path / "audit.html").read_text(encoding="utf-8")


def test_long_names_are_shortened(result):
    scheme = replace(result.schemes[0], scheme="x" * 200)
    (axis,) = replace(result, schemes=(scheme,)).figure().axes
    assert axis.get_title(loc="left") == "x" * 89 + "…"

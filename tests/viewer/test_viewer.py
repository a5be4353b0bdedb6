"""The page that opens sealed images in a browser, and the reader of its own that it has."""

import base64
import fcntl
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ricsk import SecretKey
from ricsk.datasets import load_photos
from ricsk.files import seal_photograph

ROOT = Path(__file__).parents[2]
VIEWER = ROOT / "viewer"
CASES = ROOT / "tests/testkit/cases"
VECTORS = ROOT / "tests/vectors"
REFUSED = "wrong key, damaged, or not sealed with ricsk"
KEY = SecretKey(bytes(range(32)))


def run(*command):
    """Run a program in the viewer's folder, and give what it says."""
    done = subprocess.run(command, cwd=VIEWER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def viewer(tmp_path_factory):
    """Build the page, once for all processes that test, and give its path."""
    missing = [name for name in ("node", "npm", "make") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the viewer is built with {', '.join(missing)}, which is not installed")
    with (tmp_path_factory.getbasetemp().parent / "viewer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("make", "-C", str(ROOT), "viewer")
    return VIEWER / "dist" / "viewer.html"


@pytest.fixture
def opened(viewer, page):
    """The page as from a disk, without a network; gives it with all that it asks for."""
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.context.set_offline(True)
    page.goto(viewer.as_uri())
    yield page
    assert requests[0] == viewer.as_uri()
    assert all(url.startswith("blob:") for url in requests[1:])


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """A photograph and what is sealed of it."""
    folder = tmp_path_factory.mktemp("photograph")
    source = folder / "Grüße.jpg"
    Image.fromarray(load_photos(size=(300, 400))[0]).save(source, quality=95)
    seal_photograph(source, folder / "sealed.png", key=KEY)
    Image.fromarray(read_pixels(folder / "sealed.png")).save(folder / "stripped.png")
    return source, folder / "sealed.png", folder / "stripped.png"


def open_files(page, *paths, key=KEY):
    page.fill("#key-text", key.reveal())
    page.set_input_files("#files", [str(path) for path in paths])
    page.click("#open")
    return wait_for_results(page, len(paths))


def wait_for_results(page, number):
    page.locator("article").nth(number - 1).wait_for()
    page.locator("#open:enabled").wait_for()
    return page.locator("article").all()


def read_pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def download(article, name, path):
    """Press a button of what was opened; gives the name that is suggested, and the content."""
    with article.page.expect_download() as waiting:
        article.get_by_role("link", name=name).click()
    waiting.value.save_as(path)
    return waiting.value.suggested_filename, path.read_bytes()


def shown_size(article):
    """Width and height of the picture that is shown, in pixels of its own."""
    image = article.locator("img")
    image.wait_for()
    return tuple(image.evaluate("image => [image.naturalWidth, image.naturalHeight]"))


def test_the_reader_agrees_with_all_vectors_and_the_kit(viewer):
    said = run("node", "--test", "--test-reporter=tap", "tests")
    n_cases = len(json.loads((CASES / "cases.json").read_text()))
    passed = int(re.search(r"^# pass (\d+)$", said, re.M)[1])
    assert passed > n_cases
    assert "# fail 0\n# cancelled 0\n# skipped 0\n" in said


def test_flips_and_wrong_keys_are_refused(viewer):
    assert run("node", "fuzz.js", "80").endswith("refused 160 of 160\n")


def test_a_photograph_is_opened(opened, photograph, tmp_path):
    source, sealed, _ = photograph
    (article,) = open_files(opened, sealed)
    assert "Found: the original file." in article.inner_text()
    assert shown_size(article) == read_pixels(source).shape[1::-1]
    expected = (source.name, source.read_bytes())
    assert download(article, "Download the original", tmp_path / "original") == expected


def test_of_a_stripped_photograph_there_is_the_thumbnail(opened, photograph, tmp_path):
    *_, stripped = photograph
    pixels = Image.fromarray(read_pixels(stripped))
    pixels.convert("RGBA").save(tmp_path / "alpha.png")
    pixels.save(tmp_path / "lossless.webp", lossless=True)
    article, *others = open_files(
        opened, stripped, tmp_path / "alpha.png", tmp_path / "lossless.webp"
    )
    for one in (article, *others):
        assert "Found: an image. If it was a sealed photograph" in one.inner_text()
    name, data = download(article, "Download the image", tmp_path / "image.png")
    assert name == "stripped-image.png"
    assert shown_size(article) == read_pixels(tmp_path / "image.png").shape[1::-1]
    assert data.startswith(b"\x89PNG")


def test_pictures_of_every_codec_are_exact(opened, tmp_path):
    cases = json.loads((CASES / "cases.json").read_text())
    kinds = ("raw-5x7x3-4", "raw-8x8x1-4", "webp-16x13x3", "webp-21x16x1")
    kinds += ("jpegxl-16x13x3", "jpegxl-21x16x1")
    chosen = [case for case in cases if case["name"] in {f"image-{kind}" for kind in kinds}]
    articles = open_files(opened, *(CASES / case["file"] for case in chosen))
    assert len(chosen) == len(kinds)
    for article, case in zip(articles, chosen, strict=True):
        download(article, "Download the image", tmp_path / "image.png")
        pixels = read_pixels(tmp_path / "image.png")
        height, width, channels = case["shape"]
        plain = np.arange(pixels.size).astype(np.uint8).reshape(height, width, channels)
        assert (pixels.reshape(plain.shape) == plain).all()


def test_nothing_is_shown_of_what_does_not_open(opened, photograph, tmp_path):
    _, sealed, _ = photograph
    data = bytearray(sealed.read_bytes())
    end = data.rindex(b"riCS")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(data[:end] + data[end:].replace(data[-60:-50], bytes(10)))
    (article,) = open_files(opened, damaged)
    assert REFUSED in article.inner_text()
    assert article.locator("img, a").count() == 0
    assert opened.inner_text("#status") == "Opened 0 of 1."


def test_the_error_says_what_anybody_can_see(opened, photograph, tmp_path):
    source, sealed, _ = photograph
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    articles = open_files(opened, sealed, source, tmp_path / "deep.png", key=SecretKey(b"k" * 32))
    said = [article.inner_text() for article in articles]
    assert KEY.key_id in said[0]
    assert "neither a PNG file nor a lossless WebP file" in said[1]
    assert "16-bit channels" in said[2]


def test_a_key_from_a_file_and_files_that_are_dropped(opened, photograph, tmp_path):
    _, sealed, _ = photograph
    KEY.save(tmp_path / "mine.key")
    opened.check("text=Key file")
    opened.set_input_files("#key-file", str(tmp_path / "mine.key"))
    encoded = base64.b64encode(sealed.read_bytes()).decode()
    dropped = opened.evaluate_handle(
        """encoded => {
            const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "dropped.png"));
            return transfer;
        }""",
        encoded,
    )
    opened.dispatch_event("main", "drop", {"dataTransfer": dropped})
    opened.click("#open")
    (article,) = wait_for_results(opened, 1)
    assert "dropped.png" in article.inner_text()
    assert "Found: the original file." in article.inner_text()


def test_a_passphrase_and_the_keyboard_alone(opened, tmp_path):
    known = json.loads((VECTORS / "keys.json").read_text())["passphrase"]
    key = SecretKey.from_text(known["text"])
    (tmp_path / "note.txt").write_bytes(b"a file that is no picture")
    seal_photograph(tmp_path / "note.txt", tmp_path / "note.png", key=key)
    opened.set_input_files("#files", str(tmp_path / "note.png"))
    opened.focus("[value=text]")
    for pressed in ("ArrowRight", "ArrowRight", "Tab"):
        opened.keyboard.press(pressed)
    opened.keyboard.insert_text(known["passphrase"])
    opened.keyboard.press("Tab")
    opened.keyboard.insert_text(known["key_id"])
    opened.keyboard.press("Enter")
    (article,) = wait_for_results(opened, 1)
    article.locator("img").wait_for()
    assert "This browser does not show files of this kind" in article.inner_text()
    name, data = download(article, "Download the original", tmp_path / "original")
    assert (name, data) == ("note.txt", b"a file that is no picture")


@pytest.mark.parametrize("kind", ["X25519", "MLKEM768-X25519"])
def test_an_image_for_recipients(opened, tmp_path, kind):
    vectors = json.loads((VECTORS / "recipients.json").read_text())
    image = next(i for i in vectors["images"] if i["kind"] == kind and i["signer"])
    pairs = [pair for pair in vectors["key_pairs"] if pair["private"] == image["private"][-1]]
    (pair,) = (pair for pair in pairs if pair["kind"] == kind)
    signer = vectors["key_pairs"][-1]
    height, width, channels = image["shape"]
    values = np.frombuffer(bytes.fromhex(image["ciphertext"]), np.uint8)
    values = values.reshape(height * image["scale"], width * image["scale"], channels)
    Image.fromarray(values.squeeze()).save(tmp_path / "sealed.png")

    opened.fill("#key-text", pair["private_text"])
    opened.set_input_files("#files", str(tmp_path / "sealed.png"))
    opened.click("#open")
    (article,) = wait_for_results(opened, 1)
    assert f"Signed by the key with the fingerprint {signer['fingerprint']}" in article.inner_text()
    assert shown_size(article) == (width, height)

    opened.click("text=Open only what is signed")
    opened.fill("#signers", signer["public_text"])
    opened.click("#open")
    (article,) = wait_for_results(opened, 1)
    assert "Signed by" in article.inner_text()


def test_what_is_missing_or_no_key_is_said(opened, photograph):
    _, sealed, _ = photograph
    opened.click("#open")
    assert opened.inner_text("#error") == "Give the text of the key."
    opened.fill("#key-text", KEY.reveal()[:-1] + "_")
    opened.click("#open")
    assert opened.inner_text("#error") == "Choose the files to open."
    opened.set_input_files("#files", str(sealed))
    opened.click("#open")
    opened.locator("text=The key is damaged").wait_for()
    assert opened.locator("article").count() == 0


def test_everything_is_forgotten(opened, photograph):
    _, sealed, _ = photograph
    open_files(opened, sealed)
    opened.check("#show-key")
    opened.click("#forget")
    assert opened.locator("article").count() == 0
    assert opened.input_value("#key-text") == opened.input_value("#files") == ""
    assert opened.get_attribute("#key-text", "type") == "password"


def test_the_page_reaches_nothing(viewer, browser):
    page = browser.new_page()
    page.goto(viewer.as_uri())
    reach = "url => fetch(url).then(() => 'reached', error => error.name)"
    assert page.evaluate(reach, "data:,x") == "TypeError"
    refused = page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation",
                (event) => resolve(event.effectiveDirective));
            document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1/x" }));
        })"""
    )
    assert refused == "img-src"
    page.close()


def test_every_field_has_a_label(opened):
    unlabelled = opened.evaluate(
        """() => [...document.querySelectorAll("input, textarea")]
            .filter((field) => !field.labels.length).map((field) => field.id)"""
    )
    assert unlabelled == []


def test_what_is_in_the_page_has_its_licence(viewer):
    text = viewer.read_text()
    packages = json.loads((VIEWER / "package.json").read_text())["dependencies"]
    for name, version in packages.items():
        assert f"{name} {version} (" in text
    assert "Copyright (c) 2010, Google Inc." in text  # of the WebP decoder


def test_versions_are_pinned_and_no_registry_is_named():
    package = json.loads((VIEWER / "package.json").read_text())
    pinned = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned.values())
    lock = (VIEWER / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    locked = json.loads(lock)["packages"]
    assert all("integrity" in entry for path, entry in locked.items() if path)

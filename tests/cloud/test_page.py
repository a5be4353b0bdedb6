"""The page of the service, in a browser."""

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from ricsk.cloud import create_app
from ricsk.search import ImageIndex
from tests.cloud.serving import LINEAR, NETWORK, X, encode_png, running


@pytest.fixture(scope="module")
def url():
    with ImageIndex(NETWORK) as index:
        index.add(X[:8], [f"{i}.png" for i in range(8)])
        models = {"network": NETWORK, "linear": LINEAR, "photos": index}
        with running(create_app(models, page=True)) as url:
            yield url


@pytest.fixture
def opened(page, url):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    expect(page.get_by_label("Index")).to_have_value("photos")
    yield page
    assert all(request.startswith((url, "data:")) for request in requests)


def make_file(image, name="sealed.png"):
    content = image if isinstance(image, bytes) else encode_png(image)
    return {"name": name, "mimeType": "image/png", "buffer": content}


def give(page, image):
    page.get_by_label("Drop a sealed image here").set_input_files(make_file(image))


def test_an_image_is_read_and_its_neighbours_are_shown(opened):
    give(opened, X[3])
    expect(opened.get_by_role("status")).to_contain_text("sealed.png is read as")
    label = NETWORK.predict(X[3:4])[0]
    expect(opened.locator("#label")).to_have_text(label)
    rows = opened.get_by_role("table").get_by_role("row")
    probabilities = NETWORK.predict_proba(X[3:4])[0]
    expected = [
        [NETWORK.classes_[i], f"{100 * probabilities[i]:.1f} %"] for i in np.argsort(-probabilities)
    ]
    found = [row.inner_text().split("\t") for row in rows.all()[1:]]
    assert found == expected
    buttons = opened.get_by_role("listitem").get_by_role("button")
    assert buttons.count() == 8
    expect(buttons.first).to_have_text("3.pngdistance 0.000")
    images = opened.locator("img").all()
    assert [image.evaluate("image => image.naturalWidth") for image in images] == [8] * 9


def test_neighbours_are_asked_about(opened):
    give(opened, X[3])
    buttons = opened.get_by_role("listitem").get_by_role("button")
    buttons.nth(5).click()
    name = opened.locator("#given-name")
    expect(name).not_to_have_text("sealed.png")
    expect(buttons.first).to_contain_text(name.inner_text())


def test_another_classifier_is_chosen(opened):
    give(opened, X[3])
    expect(opened.locator("#label")).to_have_text(NETWORK.predict(X[3:4])[0])
    opened.get_by_label("Classifier").select_option("linear")
    expect(opened.locator("#label")).to_have_text(str(LINEAR.predict(X[3:4].reshape(1, -1))[0]))


def test_an_image_is_dropped(opened):
    data = opened.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
            return data;
        }""",
        list(encode_png(X[1])),
    )
    opened.dispatch_event("h1", "drop", {"dataTransfer": data})
    expect(opened.get_by_role("status")).to_contain_text("dropped.png is read as")


def test_the_keyboard_is_enough(opened):
    chosen = []
    # Asked for before the first key: the browser may take the next key before it is told to
    # hand the dialog over, and then shows it to nobody.
    with opened.expect_file_chooser() as chooser:
        for _ in range(3):
            opened.keyboard.press("Tab")
            chosen.append(opened.evaluate("document.activeElement.id"))
        opened.keyboard.press("Enter")
    assert chosen == ["model", "index", "file"]
    chooser.value.set_files(make_file(X[2], "a.png"))
    expect(opened.get_by_role("status")).to_contain_text("a.png is read as")
    opened.keyboard.press("Tab")
    opened.keyboard.press("Enter")
    expect(opened.locator("#given-name")).to_have_text("2.png")


def test_what_is_wrong_is_said_in_words(browser, url):
    page = browser.new_page()  # the console tells of requests that were refused, rightly
    page.goto(url)
    expect(page.get_by_label("Index")).to_have_value("photos")
    for image, words in [
        (b"GIF89a", "sealed.png is not a PNG file"),
        (b"\x89PNG\r\n\x1a\n", "The service refused: cannot read the image images[0]"),
        (X[3, :4], "The service refused: images[0] has 4×8 pixels; expected 8×8"),
    ]:
        give(page, X[3])
        expect(page.locator("#answer")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_hidden()
        give(page, image)
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(page.locator("#answer")).to_be_hidden()
    page.close()


def test_a_service_that_is_gone_is_said_to_be(browser):
    page = browser.new_page()
    with running(create_app({"network": NETWORK}, page=True)) as url:
        page.goto(url)
        expect(page.get_by_label("Classifier")).to_have_value("network")
        expect(page.get_by_label("Index")).to_be_hidden()
        give(page, X[3])
        expect(page.get_by_role("status")).to_have_text(
            f"sealed.png is read as {NETWORK.predict(X[3:4])[0]}."
        )
    give(page, X[3])
    expect(page.get_by_role("alert")).to_have_text("The service cannot be reached.")
    page.close()


def test_a_page_reaches_its_service_alone(url):
    for path in ("", "page.css", "page.js"):
        headers = httpx.get(f"{url}/{path}").raise_for_status().headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_there_is_a_page_only_where_one_was_asked_for():
    with running(create_app({"network": NETWORK})) as url:
        assert httpx.get(url).status_code == 404
        assert httpx.get(f"{url}/page.js").status_code == 404


def test_models_are_named_as_by_triton(url):
    found = httpx.post(f"{url}/v2/repository/index", json={}).json()
    assert [model["name"] for model in found] == ["network", "linear", "photos"]

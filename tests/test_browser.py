"""The browser that pages are tested in."""

import pytest
from playwright.sync_api import Error

from tests import browser as module


def test_a_page_is_shown(page):
    page.set_content("<h1 hidden>one</h1><h2>two</h2><script>document.title = 1 + 1</script>")
    assert page.inner_text("h2") == "two"
    assert not page.is_visible("h1")
    assert page.title() == "2"


def test_nothing_but_this_machine_is_reached(browser):
    page = browser.new_page()
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://example.com")
    page.close()


def test_the_reason_is_said_where_there_is_no_browser(monkeypatch):
    monkeypatch.setattr(module, "NAMES", ("no-such-browser",))
    assert "none of no-such-browser" in module.say_what_is_missing()


@pytest.mark.parametrize("mistake", ["throw Error('no')", "console.error('no')"])
def test_mistakes_of_a_script_are_seen(browser, mistake):
    page = browser.new_page()
    errors = module.collect_errors(page)
    page.set_content(f"<script>{mistake}</script>")
    page.close()
    assert "no" in errors[0]

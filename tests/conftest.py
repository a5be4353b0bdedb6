import warnings

import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn import get_config

from ricsk.exceptions import SmallKeySpaceWarning
from tests.browser import collect_errors, open_browser, say_what_is_missing


@pytest.fixture(autouse=True)
def _small_key_spaces_are_intended():
    """Tests encrypt tiny images on purpose; those of the warning ask for it with pytest.warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallKeySpaceWarning)
        yield


@pytest.fixture(autouse=True)
def _sklearn_is_left_as_it_was():
    before = get_config()
    yield
    assert get_config() == before


@pytest.fixture(scope="module")
def workers_end():
    """End joblib's processes with the tests of one file.

    It keeps them for the next one. Where they have grown by then, as by loading PyTorch, they take
    that for a leak and end by themselves, and sometimes never do (loky 3.6, with psutil).
    """
    yield
    get_reusable_executor().shutdown(wait=True)


@pytest.fixture(scope="module")
def browser():
    """A browser for the tests of one file: while it is open, asyncio.run cannot be called."""
    missing = say_what_is_missing()
    if missing:
        pytest.skip(missing)
    with open_browser() as context:
        yield context


@pytest.fixture
def page(browser):
    """A page of Playwright, whose scripts must end without an error."""
    page = browser.new_page()
    errors = collect_errors(page)
    yield page
    page.close()
    assert errors == []

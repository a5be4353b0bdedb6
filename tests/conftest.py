import warnings

import pytest
from sklearn import get_config

from ricsk.exceptions import SmallKeySpaceWarning


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

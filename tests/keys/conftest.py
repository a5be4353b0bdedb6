import pytest

from ricsk.keys import SecretKey
from tests.keys.reference import VECTORS


@pytest.fixture(scope="session")
def passphrase_key():
    vector = VECTORS["passphrase"]
    return SecretKey.from_passphrase(vector["passphrase"], key_id=vector["key_id"])

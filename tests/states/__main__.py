"""Store a fitted encryptor as this version does: ``python -m tests.states``."""

from tests.states.test_states import FOLDER, write_all

write_all(FOLDER)

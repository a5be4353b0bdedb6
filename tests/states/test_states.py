"""What earlier versions stored stays readable and does what it did, or is refused in words.

The files are written by ``python -m tests.states`` in the root of the project, one set for each
`STATE_FORMAT`; those of earlier formats stay as they are. Each holds a fitted `EtCEncryptor`.
"""

import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io

from ricsk import EtCEncryptor, SecretKey
from ricsk._estimator import STATE_FORMAT
from ricsk.exceptions import StateVersionError

FOLDER = Path(__file__).parent
IMAGES = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
CIPHERTEXT = (
    "dfdedddce4ecf4fcd7d6d5d4e5edf5fdcfcecdcce6eef6fec7c6c5c4e7eff7ff"
    "fbfaf9f83c3d3e3ff3f2f1f034353637ebeae9e82c2d2e2fe3e2e1e024252627"
)
TRUSTED = ["ricsk.encryptors.EtCEncryptor", "ricsk.images.ValueRange", "ricsk.keys.SecretKey"]
FORMATS = sorted(int(path.stem.removeprefix("format-")) for path in FOLDER.glob("*.skops"))
# Streams had other contexts: what it stored would encrypt otherwise.
REFUSED = [1]


def make_encryptor():
    return EtCEncryptor(SecretKey(bytes(range(32))), block_size=4).fit(IMAGES)


def write_all(folder):
    """Store an encryptor in each way, under the number of today's format."""
    encryptor, path = make_encryptor(), folder / f"format-{STATE_FORMAT}"
    path.with_suffix(".pickle").write_bytes(pickle.dumps(encryptor))
    joblib.dump(encryptor, path.with_suffix(".joblib"))
    skops.io.dump(encryptor, path.with_suffix(".skops"))


def read(path):
    if path.suffix == ".pickle":
        return pickle.loads(path.read_bytes())
    if path.suffix == ".joblib":
        return joblib.load(path)
    assert skops.io.get_untrusted_types(file=path) == TRUSTED
    return skops.io.load(path, trusted=TRUSTED)


def check(encryptor):
    assert encryptor.transform(IMAGES).tobytes().hex() == CIPHERTEXT
    np.testing.assert_array_equal(encryptor.inverse_transform(encryptor.transform(IMAGES)), IMAGES)


def test_there_are_files_of_every_format():
    assert list(range(1, STATE_FORMAT + 1)) == FORMATS


@pytest.mark.parametrize("suffix", [".pickle", ".joblib", ".skops"])
@pytest.mark.parametrize("number", [number for number in FORMATS if number not in REFUSED])
def test_a_stored_encryptor_does_what_it_did(number, suffix):
    check(read(FOLDER / f"format-{number}{suffix}"))


@pytest.mark.parametrize("suffix", [".pickle", ".joblib", ".skops"])
@pytest.mark.parametrize("number", REFUSED)
def test_what_would_mean_something_else_is_refused(number, suffix):
    with pytest.raises(StateVersionError, match=rf"in the format {number}; .* or fit it again"):
        read(FOLDER / f"format-{number}{suffix}")


def test_what_is_stored_today_is_read_today(tmp_path):
    write_all(tmp_path)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 3
    for path in paths:
        check(read(path))


def test_the_layout_has_not_changed_without_a_new_number():
    """If this fails, `STATE_FORMAT` says when it is to be raised."""
    stored = read(FOLDER / f"format-{STATE_FORMAT}.pickle")
    assert vars(stored).keys() == vars(make_encryptor()).keys()


@pytest.mark.parametrize("number", [STATE_FORMAT + 1, None])
def test_a_foreign_format_is_refused(number):
    state = make_encryptor().__getstate__()
    assert state.pop("_ricsk_state") == STATE_FORMAT
    if number is not None:
        state["_ricsk_state"] = number
    with pytest.raises(StateVersionError, match=r"Fit it again|Install ricsk"):
        EtCEncryptor().__setstate__(state)

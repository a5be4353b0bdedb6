import base64
import copy
import io
import pickle
import re
import unicodedata
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, clone

from ricsk.exceptions import KeyFileError, KeyReferenceError, StateError, WrongKeyError
from ricsk.keys import SecretKey, allow_references
from tests.keys.leaks import SECRET, SECRET_TEXT, assert_no_secret, shows_secret
from tests.keys.reference import RAW, VECTORS, hkdf, slow_id, slow_text

# Known answers


@pytest.mark.parametrize("name", ["key", "passphrase"])
def test_vectors_of_names_and_texts(name, passphrase_key):
    vector = VECTORS[name]
    key = {"key": SecretKey(RAW), "passphrase": passphrase_key}[name]
    raw, salt = bytes.fromhex(vector["raw"]), bytes.fromhex(vector["salt"])
    assert key == SecretKey(raw)
    assert key.key_id == slow_id(raw, salt) == vector["key_id"]
    assert key.reveal() == slow_text(raw, salt) == vector["text"]


@pytest.mark.parametrize("vector", VECTORS["derive"], ids=str)
def test_vectors_of_derived_bytes(vector):
    purpose, context = vector["purpose"], bytes.fromhex(vector["context"])
    length = len(vector["bytes"]) // 2
    slow = hkdf(RAW, b"ricsk/1/" + purpose.encode() + b"\0" + context, length)
    assert SecretKey(RAW).derive(purpose, context, length).hex() == slow.hex() == vector["bytes"]


# Derivation


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"purpose": b"a"}, "purpose must be a str .* got bytes"),
        ({"purpose": None}, "purpose must be a str .* got NoneType"),
        ({"context": "b"}, r"context must be bytes, got str: convert it, .*context\.encode"),
        ({"context": None}, "context must be bytes, got NoneType"),
        ({"context": 3}, "context must be bytes, got int"),  # bytes(3) are three zeros
        ({"context": [1, 2]}, "context must be bytes, got list"),
    ],
)
def test_arguments_of_derivation(arguments, message):
    for derive in (SecretKey(RAW).derive, SecretKey(RAW).keystream):
        with pytest.raises(TypeError, match=message):
            derive(**{"purpose": "a", **arguments})


@pytest.mark.parametrize("length", [8.0, "8", None, b"8"])
def test_derived_length_is_an_int(length):
    with pytest.raises(TypeError, match=f"length must be an int, got {type(length).__name__}"):
        SecretKey(RAW).derive("a", length=length)


def test_contexts_may_be_any_bytes():
    key = SecretKey(RAW)
    assert key.derive("a", bytearray(b"b")) == key.derive("a", memoryview(b"b"))
    assert key.derive("a", bytearray(b"b"), np.int64(8)) == key.derive("a", b"b", 8)


def test_purposes_and_contexts_are_apart():
    key = SecretKey(RAW)
    inputs = [("a", b""), ("ab", b""), ("a", b"b"), ("a", b"\0"), ("a", b"\0b"), ("b", b"")]
    derived = {key.derive(*each) for each in inputs}
    assert len(derived) == len(inputs)
    assert SecretKey(bytes(32)).derive("a") not in derived
    assert key.derive("a", length=8) == key.derive("a")[:8]


@pytest.mark.parametrize("purpose", ["", "a\0b", "é", "a\n"])
def test_purpose_is_printable_ascii(purpose):
    with pytest.raises(ValueError, match="purpose must be"):
        SecretKey(RAW).derive(purpose)
    with pytest.raises(ValueError, match="purpose must be"):
        SecretKey(RAW).keystream(purpose)


@pytest.mark.parametrize("length", [0, 8161, -1])
def test_derived_length_has_bounds(length):
    with pytest.raises(ValueError, match="length must be from 1 to 8160"):
        SecretKey(RAW).derive("a", length=length)


# Identity


def test_generated_keys_differ():
    assert SecretKey.generate() != SecretKey.generate()


def test_equality_and_hash(passphrase_key):
    assert SecretKey(RAW) == SecretKey(RAW)
    assert SecretKey(RAW) != SecretKey(bytes(32))
    assert SecretKey(RAW) != RAW
    same = SecretKey(bytes.fromhex(VECTORS["passphrase"]["raw"]))
    assert len({same, passphrase_key}) == 1


def test_key_cannot_be_changed():
    raw = bytearray(RAW)
    key = SecretKey(raw)
    raw[:] = bytes(32)
    assert key.reveal() == SecretKey(RAW).reveal()
    with pytest.raises(AttributeError):
        key.key_id = "0"
    with pytest.raises(AttributeError):
        key._raw = bytes(32)
    with pytest.raises(AttributeError):
        del key._raw
    with pytest.raises(AttributeError):
        key.note = "mine"


def test_display_shows_id_and_source_only():
    shown = f"SecretKey(key_id='{VECTORS['key']['key_id']}', source='bytes')"
    key = SecretKey(RAW)
    assert repr(key) == str(key) == f"{key}" == shown
    assert key._repr_html_() == f"<code>{shown}</code>"


def test_coerce(tmp_path):
    key = SecretKey(RAW)
    key.save(tmp_path / "k")
    assert SecretKey.coerce(key) is key
    for given in (RAW, bytearray(RAW), memoryview(RAW), tmp_path / "k", str(tmp_path / "k")):
        assert SecretKey.coerce(given) == key
    with pytest.raises(ValueError, match=r"SecretKey\.generate\(\)"):
        SecretKey.coerce(None)
    with pytest.raises(TypeError, match=r"key must be .* got int.*from_text"):
        SecretKey.coerce(7)
    with pytest.raises(FileNotFoundError, match=r"SecretKey\.from_text"):
        SecretKey.coerce(key.reveal())
    with pytest.raises(FileNotFoundError, match="from_passphrase"):
        SecretKey.coerce("correct horse")


# Passphrases


def test_passphrase_with_a_new_salt_is_a_new_key(passphrase_key):
    assert SecretKey.from_passphrase(VECTORS["passphrase"]["passphrase"]) != passphrase_key


def test_passphrase_is_normalised(passphrase_key):
    typed = VECTORS["passphrase"]["passphrase"]
    decomposed = unicodedata.normalize("NFD", typed)
    assert decomposed != typed
    key_id = VECTORS["passphrase"]["key_id"]
    assert SecretKey.from_passphrase(decomposed, key_id=key_id) == passphrase_key


def test_wrong_passphrase_is_noticed():
    with pytest.raises(WrongKeyError, match="the passphrase is not that of the key"):
        SecretKey.from_passphrase("another", key_id=VECTORS["passphrase"]["key_id"])


def test_passphrase_arguments():
    with pytest.raises(ValueError, match="passphrase is empty"):
        SecretKey.from_passphrase("")
    for passphrase in (b"secret", None, 7, ["secret"], Path("secret")):
        given = type(passphrase).__name__
        with pytest.raises(TypeError, match=f"passphrase must be a str, got {given}: decode"):
            SecretKey.from_passphrase(passphrase)
    for key_id in (VECTORS["passphrase"]["key_id"].encode(), 7, SecretKey(RAW)):
        given = type(key_id).__name__
        with pytest.raises(TypeError, match=f"key_id must be a str.*passphrase, got {given}"):
            SecretKey.from_passphrase("secret", key_id=key_id)
    for key_id in ["", SecretKey(RAW).key_id, VECTORS["passphrase"]["key_id"] + "0"]:
        with pytest.raises(ValueError, match="32 more"):
            SecretKey.from_passphrase("secret", key_id=key_id)


def test_lone_surrogate_is_no_unicode_error():
    """That error would carry the passphrase."""
    assert SecretKey.from_passphrase("\udc80").key_id


# Texts and environment variables


def test_text_is_read_back(passphrase_key):
    for key in (SecretKey.generate(), passphrase_key):
        again = SecretKey.from_text(key.reveal())
        assert again == key
        assert repr(again) == f"SecretKey(key_id='{key.key_id}', source='text')"
    for text in (b"RICSK", None, 7):
        with pytest.raises(TypeError, match=f"text must be a str.* got {type(text).__name__}"):
            SecretKey.from_text(text)


def test_environment_variable(monkeypatch, passphrase_key):
    monkeypatch.setenv("RICSK_TEST_KEY", passphrase_key.reveal())
    key = SecretKey.from_env("RICSK_TEST_KEY")
    assert key == passphrase_key
    assert repr(key) == f"SecretKey(key_id='{passphrase_key.key_id}', source='environment')"


def test_variables_that_are_not_set():
    for name in ("RICSK_NOT_SET", "", "A=B", "A\0B", "\udc80", "\ud800"):
        with pytest.raises(
            KeyFileError, match="no environment variable of the name given"
        ) as caught:
            SecretKey.from_env(name)
        assert name not in str(caught.value) or name == ""
        assert caught.value.__context__ is None


def test_names_that_are_none():
    for name in (None, b"RICSK_TEST_KEY", 7, Path("k")):
        with pytest.raises(TypeError, match=f"name must be .* got {type(name).__name__}"):
            SecretKey.from_env(name)
    with pytest.raises(KeyFileError, match=r"read it with SecretKey\.from_text"):
        SecretKey.from_env(SECRET_TEXT)


# Pickles and copies


def through_pickle(key, protocol):
    return pickle.loads(pickle.dumps(key, protocol))


def through_joblib(key):
    buffer = io.BytesIO()
    joblib.dump(key, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def through_skops(key):
    data = skops.io.dumps(key)
    untrusted = skops.io.get_untrusted_types(data=data)
    assert untrusted == ["ricsk.keys.SecretKey"]
    with allow_references(key):
        return skops.io.loads(data, trusted=untrusted)


ROUND_TRIPS = {
    **{
        f"pickle{p}": lambda key, p=p: through_pickle(key, p)
        for p in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "joblib": through_joblib,
    "skops": through_skops,
}


@pytest.fixture(params=["bytes", "generated", "passphrase", "file", "environment"])
def key(request, tmp_path, monkeypatch, passphrase_key):
    if request.param == "bytes":
        return SecretKey(RAW)
    if request.param == "generated":
        return SecretKey.generate()
    if request.param == "passphrase":
        return passphrase_key
    if request.param == "file":
        return SecretKey.generate().save(tmp_path / "k")
    monkeypatch.setenv("RICSK_TEST_KEY", SecretKey.generate().reveal())
    return SecretKey.from_env("RICSK_TEST_KEY")


@pytest.mark.parametrize("way", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_round_trip(key, way):
    again = way(key)
    assert again is not key
    assert again == key
    assert repr(again) == repr(key)
    assert again.reveal() == key.reveal()


def test_references_hold_no_secret(key):
    raw = base64.urlsafe_b64decode(key.reveal()[12:60])[:32]
    by_reference = "source='file'" in repr(key) or "source='environment'" in repr(key)
    assert (raw in pickle.dumps(key)) is not by_reference
    assert (raw in pickle.dumps(through_pickle(key, 4))) is not by_reference


def test_reference_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key = SecretKey.generate().save("k")
    data = pickle.dumps(key)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir("below")
    assert pickle.loads(data) == key


def test_reference_to_what_has_changed(tmp_path):
    path = tmp_path / "k"
    data = pickle.dumps(SecretKey.generate().save(path))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"reference to file .*{re.escape(path.name)}"):
        pickle.loads(data)
    other = SecretKey.generate().save(path)
    with pytest.raises(WrongKeyError, match=f"now holds the key {other.key_id}"):
        pickle.loads(data)
    path.write_text("damaged")
    with pytest.raises(KeyFileError, match="reference to file"):
        pickle.loads(data)


def test_reference_to_a_variable_that_is_gone(monkeypatch):
    monkeypatch.setenv("RICSK_TEST_KEY", SECRET_TEXT)
    data = pickle.dumps(SecretKey.from_env("RICSK_TEST_KEY"))
    monkeypatch.delenv("RICSK_TEST_KEY")
    with pytest.raises(KeyFileError, match="reference to environment 'RICSK_TEST_KEY'"):
        pickle.loads(data)


def test_pickles_name_public_paths(key):
    assert b"ricsk.keys._" not in pickle.dumps(key)


def forge(**state):
    """Make a skops file as a stranger may, by writing the state of a key by hand."""

    class Forged:
        def __getstate__(self):
            return state

    Forged.__name__, Forged.__module__ = "SecretKey", "ricsk.keys"
    return skops.io.dumps(Forged())


def load(data):
    return skops.io.loads(data, trusted=["ricsk.keys.SecretKey"])


def test_no_reference_in_a_file_of_data_is_followed(tmp_path, monkeypatch):
    key = SecretKey.generate().save(tmp_path / "k")
    monkeypatch.setenv("RICSK_TEST_KEY", key.reveal())
    monkeypatch.setattr(Path, "open", None)
    monkeypatch.setattr("ricsk.keys._stored_secret.find_location_fault", None)
    monkeypatch.setattr("ricsk.keys._stored_secret._read_variable", None)
    for source, place in (("file", str(tmp_path / "k")), ("environment", "RICSK_TEST_KEY")):
        data = forge(source=source, location=place, key_id=key.key_id)
        with pytest.raises(KeyReferenceError, match=key.key_id) as caught:
            load(data)
        assert repr(place) in str(caught.value)
        assert "allow_references(key)" in str(caught.value)
        with allow_references(SecretKey.generate()), pytest.raises(KeyReferenceError):
            load(data)
        with allow_references(SecretKey.generate()), allow_references(key):
            assert load(data) == key
        with pytest.raises(KeyReferenceError):
            load(data)


def test_a_key_handed_over_keeps_its_own_place(tmp_path):
    key = SecretKey.generate().save(tmp_path / "k")
    with allow_references(key):
        again = load(forge(source="environment", location="PATH", key_id=key.key_id))
    assert repr(again) == repr(key)
    assert again.__getstate__() == key.__getstate__()


def test_a_long_place_is_not_repeated_in_full():
    with pytest.raises(KeyReferenceError) as caught:
        load(forge(source="file", location="<b>\n" * 10**5, key_id="0" * 16))
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_only_keys_are_handed_over():
    for other in (SECRET, SECRET_TEXT, None):
        context = allow_references(other)
        with pytest.raises(TypeError, match="takes keys of the class SecretKey") as caught, context:
            raise AssertionError
        assert_no_secret(caught.value)


BY_VALUE = {"source": "generated", "raw": SECRET, "salt": b""}
BY_REFERENCE = {"source": "file", "location": "/k", "key_id": "0" * 16}


@pytest.mark.parametrize(
    "state",
    [
        *({**BY_VALUE, "source": source} for source in ("<b>", "file", "environment", None, [])),
        *({**BY_VALUE, "raw": raw} for raw in (SECRET[1:], bytearray(SECRET), list(SECRET), None)),
        *({**BY_VALUE, "salt": salt} for salt in (b"1", bytes(10**6), "", None)),
        *({**BY_REFERENCE, "source": source} for source in ("generated", "<b>", None)),
        *({**BY_REFERENCE, "location": place} for place in (b"/k", None, 3)),
        *({**BY_REFERENCE, "key_id": key_id} for key_id in ("<b>", "0" * 15, 16 * "0" + "\n", 0)),
        {**BY_VALUE, "location": "/k"},
        {**BY_VALUE, **BY_REFERENCE},
        {"raw": SECRET},
        {},
    ],
)
def test_a_state_that_no_key_has_is_refused(state):
    for read in (
        lambda: load(forge(**state)),
        lambda: SecretKey.__new__(SecretKey).__setstate__(state),
    ):
        with pytest.raises(StateError, match="damaged or was made by hand") as caught:
            read()
        assert_no_secret(caught.value)


class Estimator(BaseEstimator):
    def __init__(self, key=None):
        self.key = key


def test_copies_are_the_key_itself():
    key = SecretKey(RAW)
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key
    assert clone(Estimator(key)).key is key
    assert joblib.hash(key) == joblib.hash(SecretKey(RAW)) != joblib.hash(SecretKey(bytes(32)))


def test_estimators_do_not_show_the_secret():
    key = SecretKey(SECRET)
    for shown in (repr(Estimator(key)), Estimator(key)._repr_html_()):
        assert key.key_id in shown
        assert not shows_secret(shown)


# No secret in an error


MISTAKES = {
    "short": lambda path: SecretKey(SECRET[:16]),
    "long": lambda path: SecretKey(SECRET + b"\0"),
    "short bytearray": lambda path: SecretKey(bytearray(SECRET[:31])),
    "array": lambda path: SecretKey(np.frombuffer(SECRET, np.uint8)),
    "list": lambda path: SecretKey(list(SECRET)),
    "hex": lambda path: SecretKey(SECRET.hex()),
    "text for bytes": lambda path: SecretKey(SECRET_TEXT),
    "passphrase of bytes": lambda path: SecretKey.from_passphrase(SECRET),
    "passphrase as id": lambda path: SecretKey.from_passphrase("x", key_id=SECRET_TEXT),
    "wrong passphrase": lambda path: SecretKey.from_passphrase(
        SECRET_TEXT, key_id=VECTORS["passphrase"]["key_id"]
    ),
    "passphrase and a wrong id": lambda path: SecretKey.from_passphrase(SECRET_TEXT, key_id=b"0"),
    "bytes as text": lambda path: SecretKey.from_text(SECRET),
    "hex as text": lambda path: SecretKey.from_text(SECRET.hex()),
    "text as path": lambda path: SecretKey.from_file(SECRET_TEXT),
    "text as Path": lambda path: SecretKey.from_file(Path(SECRET_TEXT)),
    "bytes as path": lambda path: SecretKey.from_file(SECRET),
    "text as name": lambda path: SecretKey.from_env(SECRET_TEXT),
    "hex as name": lambda path: SecretKey.from_env("k" + SECRET.hex()),
    "bytes as name": lambda path: SecretKey.from_env(SECRET),
    "coerced text": lambda path: SecretKey.coerce(SECRET_TEXT),
    "coerced short": lambda path: SecretKey.coerce(SECRET[:16]),
    "coerced list": lambda path: SecretKey.coerce(list(SECRET)),
    "coerced array": lambda path: SecretKey.coerce(np.frombuffer(SECRET, np.uint8)),
    "changed": lambda path: setattr(SecretKey(SECRET), "_raw", SECRET),
    "formatted": lambda path: format(SecretKey(SECRET), "x"),
    "file exists": lambda path: SecretKey(SECRET).save(path),
    "purpose": lambda path: SecretKey(SECRET).derive("é"),
    "context": lambda path: SecretKey(SECRET).keystream("a", 7),
    "high": lambda path: SecretKey(SECRET).keystream("a").integers(0, 1),
    "ordered": lambda path: SecretKey(SECRET) < SecretKey(SECRET),
    "pickled stream": lambda path: pickle.dumps(SecretKey(SECRET).keystream("a")),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_errors_do_not_repeat_the_secret(mistake, tmp_path):
    (tmp_path / "k").touch()
    with pytest.raises((ValueError, TypeError, AttributeError, OSError)) as caught:
        mistake(tmp_path / "k")
    assert_no_secret(caught.value)

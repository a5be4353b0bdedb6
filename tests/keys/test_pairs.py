"""Key pairs: under all guards that secret keys have; and public keys, which everybody may see."""

import copy
import pickle
import stat

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV

from ricsk._secrets import holds_key, show_value
from ricsk.exceptions import (
    KeyFileError,
    KeyFileNotFoundError,
    KeyReferenceError,
    StateError,
    WrongKeyError,
)
from ricsk.keys import (
    KeyedMixin,
    KeyParameter,
    PrivateKey,
    PublicKey,
    SecretKey,
    SigningKey,
    VerifyingKey,
    allow_references,
    coerce_opening_key,
)
from tests.encryptors.sealed import recipients as reference
from tests.keys.leaks import PACKAGE, SECRET, forms

SECRETS = {
    "X25519": (PrivateKey, "RICSK-PRIVATE-X25519-"),
    "MLKEM768-X25519": (PrivateKey, "RICSK-PRIVATE-MLKEM768-X25519-"),
    "ED25519": (SigningKey, "RICSK-SIGNING-ED25519-"),
}
every_secret = pytest.mark.parametrize("kind", SECRETS)


def text_of(kind):
    return reference.text(SECRETS[kind][1], SECRET)


def make(kind):
    return SECRETS[kind][0].from_text(text_of(kind))


def public_of(key):
    return key.verifying_key if isinstance(key, SigningKey) else key.public_key


def shows(text):
    """The texts of these keys begin, behind their marks, with what is the same for all."""
    body = text_of("X25519").removeprefix("RICSK-PRIVATE-X25519-")
    return any(form in text for form in [body[:20], *forms(SECRET)])


def assert_nothing_shown(error):
    while error is not None:
        assert not shows(f"{error} {error.args} {vars(error)}")
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
                assert not any(shows(repr(value)) for value in trace.tb_frame.f_locals.values())
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


@every_secret
def test_secrets_show_their_fingerprints_alone(kind):
    key = make(kind)
    public = public_of(key)
    shown = f"(fingerprint='{key.fingerprint}', source='text')"
    assert repr(key) == str(key) == type(key).__name__ + shown
    assert key._repr_html_() == f"<code>{key!r}</code>"
    assert repr(public) == f"{type(public).__name__}(fingerprint='{key.fingerprint}')"
    assert not shows(f"{key} {key._repr_html_()} {public} {public.text} {hash(key)}")
    assert key.kind == public.kind == kind


@every_secret
def test_files_and_variables(kind, tmp_path, monkeypatch):
    key, path = make(kind), tmp_path / "k"
    saved = key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert saved == key == type(key).from_file(path) == type(key).coerce(str(path))
    assert f"# Fingerprint of its public key: {key.fingerprint}" in path.read_text().splitlines()
    with pytest.raises(FileExistsError):
        key.save(path)
    monkeypatch.setenv("RICSK_TEST_KEY", key.reveal())
    assert type(key).from_env("RICSK_TEST_KEY") == key
    public = public_of(key)
    assert public.save(tmp_path / "public") is public
    assert type(public).from_file(tmp_path / "public") == public
    with pytest.raises(FileExistsError):
        public.save(tmp_path / "public")
    for reader in (SecretKey, type(public)):
        with pytest.raises(KeyFileError) as caught:
            reader.from_file(path)
        assert_nothing_shown(caught.value)


@every_secret
def test_pickles_are_references_where_there_is_a_place(kind, tmp_path, monkeypatch):
    key = make(kind)
    assert SECRET in pickle.dumps(key)
    monkeypatch.setenv("RICSK_TEST_KEY", key.reveal())
    for placed in (key.save(tmp_path / "k"), type(key).from_env("RICSK_TEST_KEY")):
        dumped, data = pickle.dumps(placed), skops.io.dumps(placed)
        joblib.dump(placed, tmp_path / "j")
        assert SECRET not in dumped + data + (tmp_path / "j").read_bytes()
        assert b"ricsk.keys._" not in dumped
        assert pickle.loads(dumped) == joblib.load(tmp_path / "j") == key
        trusted = [f"ricsk.keys.{type(key).__name__}"]
        assert skops.io.get_untrusted_types(data=data) == trusted
        with pytest.raises(KeyReferenceError, match=f"{type(key).__name__}.from_"):
            skops.io.loads(data, trusted=trusted)
        with allow_references(placed):
            assert skops.io.loads(data, trusted=trusted) == key
    (tmp_path / "k").unlink()
    _generate(kind).save(tmp_path / "k")
    with pytest.raises(WrongKeyError, match="now holds the key"):
        pickle.loads(pickle.dumps(key.save(tmp_path / "l")).replace(b"/l", b"/k"))


def _generate(kind):
    return SigningKey.generate() if kind == "ED25519" else PrivateKey.generate(kind)


@every_secret
def test_copies_by_value(kind):
    key = _generate(kind)
    data = skops.io.dumps(key)
    for again in (
        pickle.loads(pickle.dumps(key)),
        skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data)),
    ):
        assert again == key
        assert public_of(again) == public_of(key)
    assert copy.deepcopy([key])[0] is copy.copy(key) is key
    assert key != _generate(kind)
    assert len({key, type(key).from_text(key.reveal())}) == 1
    for name in ("_content", "kind", "note"):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(key, name, 1)


def test_keys_of_two_classes_differ_whatever_their_bytes():
    keys = [SecretKey(SECRET), *map(make, SECRETS)]
    assert len(set(keys)) == len(keys)
    assert all((one == two) is (one is two) for one in keys for two in keys)


@every_secret
def test_public_halves_are_no_secrets(kind):
    public = public_of(make(kind))
    data = skops.io.dumps(public)
    for again in (
        pickle.loads(pickle.dumps(public)),
        skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data)),
        type(public).from_text(f"# mine\n{public.text}\n"),
    ):
        assert again == public
        assert again.fingerprint == public.fingerprint
    assert copy.deepcopy([public])[0] is public
    assert not holds_key(public.text)
    assert b"ricsk.keys._" not in pickle.dumps(public)
    with pytest.raises(AttributeError, match="cannot be changed"):
        public.kind = "RSA"


@every_secret
def test_texts_of_secrets_are_known_everywhere(kind):
    text = text_of(kind)
    assert holds_key(text)
    assert holds_key([text])
    assert show_value(text) == "<str>"


MISTAKES = {
    "secret text": lambda text, path: SecretKey.from_text(text),
    "private text": lambda text, path: PrivateKey.from_text(text + "A"),
    "private bytes": lambda text, path: PrivateKey.from_text(text.encode()),
    "signing text": lambda text, path: SigningKey.from_text(text[:-1]),
    "public text": lambda text, path: PublicKey.from_text(text),
    "verifying text": lambda text, path: VerifyingKey.from_text(text),
    "public path": lambda text, path: PublicKey.from_file(text),
    "private path": lambda text, path: PrivateKey.from_file(text),
    "verifying path": lambda text, path: VerifyingKey.from_file(text),
    "public bytes": lambda text, path: PublicKey.from_text(text.encode()),
    "coerced": lambda text, path: coerce_opening_key(text),
    "coerced raw": lambda text, path: PrivateKey.coerce(SECRET),
    "coerced list": lambda text, path: SigningKey.coerce(list(SECRET)),
    "file exists": lambda text, path: PrivateKey.from_text(text).save(path),
    "name": lambda text, path: PrivateKey.from_env(text),
    "parameter": lambda text, path: setattr(Scheme(), "key", text),
    "parameter of bytes": lambda text, path: setattr(Scheme(), "key", SECRET),
    "set_params": lambda text, path: Scheme().set_params(key=text),
    "another class": lambda text, path: Scheme(SigningKey.generate()).fit(),
    "search": lambda text, path: GridSearchCV(Scheme(), {"key": [text]}, cv=2).fit(
        np.zeros((4, 1)), [0, 1, 0, 1]
    ),
}


class Scheme(KeyedMixin, BaseEstimator):
    key = KeyParameter(PrivateKey)

    def __init__(self, key=None):
        self.key = key

    def fit(self, X=None, y=None):
        self.key_ = PrivateKey.coerce(self.key)
        return self

    def score(self, X, y):
        return 0


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("kind", ["X25519", "MLKEM768-X25519"])
def test_errors_show_no_secret(mistake, kind, tmp_path):
    (tmp_path / "k").touch()
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        mistake(text_of(kind), tmp_path / "k")
    assert_nothing_shown(caught.value)


def test_estimators_show_fingerprints(tmp_path):
    key = make("X25519")
    scheme = Scheme(key)
    shown = f"{scheme!r} {scheme._repr_html_()} {scheme.get_params()}"
    assert key.fingerprint in shown
    assert not shows(shown)
    assert clone(scheme).fit().key_ is key
    path = tmp_path / "k"
    key.save(path)
    assert repr(Scheme(path)) == f"Scheme(key={str(path)!r})"
    assert Scheme(path).fit().key_ == key


FAULTS = {
    "": "is empty",
    "# only a comment": "comments, but no key",
    "A\nB": "holds 2 lines",
    "hello": "does not hold a private key, which would start with RICSK-PRIVATE-",
    "RICSK-PRIVATE-RSA-AAAA": "of a kind that this version does not know",
    "RICSK-PRIVATE-X25519-": "damaged",
    "RICSK-PRIVATE-X25519-é": "damaged",
    "RICSK-PRIVATE-X25519-AA=A": "damaged",
    reference.text("RICSK-PRIVATE-X25519-", SECRET) + "=": "damaged",
    reference.text("RICSK-PRIVATE-X25519-", SECRET)[:-1] + "_": "damaged",
    reference.text("RICSK-PRIVATE-X25519-", SECRET).replace("X25519", "MLKEM768-X25519"): "damaged",
    reference.text("RICSK-PRIVATE-X25519-", SECRET[:31]): "another length",
    reference.text("RICSK-PUBLIC-X25519-", SECRET): "a public key, which PublicKey reads; expected",
    SecretKey(SECRET).reveal(): "a secret key, which SecretKey reads; expected a private key",
}


@pytest.mark.parametrize(("text", "said"), FAULTS.items())
def test_texts_that_hold_no_private_key(text, said, tmp_path):
    with pytest.raises(KeyFileError, match=said):
        PrivateKey.from_text(text)


@pytest.mark.parametrize("kind", ["X25519", "MLKEM768-X25519"])
def test_texts_that_hold_no_public_key(kind):
    mark = f"RICSK-PUBLIC-{kind}-"
    for raw in (b"", bytes(31), bytes(33), bytes(1217), b"\xff" * 1216):
        with pytest.raises(KeyFileError, match="holds no key of its kind"):
            PublicKey.from_text(reference.text(mark, raw))
    with pytest.raises(KeyFileError, match="a private key, which PrivateKey reads"):
        PublicKey.from_text(text_of(kind))
    with pytest.raises(KeyFileNotFoundError, match="there is no file"):
        PublicKey.from_file("nowhere")


@pytest.mark.parametrize(
    "state",
    [
        {"kind": "RSA", "raw": bytes(32)},
        {"kind": "X25519", "raw": bytearray(32)},
        {"kind": "X25519", "raw": bytes(31)},
        {"kind": "MLKEM768-X25519", "raw": bytes(32)},
        {"kind": [], "raw": bytes(32)},
        {"kind": "X25519"},
        {"kind": "X25519", "raw": bytes(32), "more": 1},
        {},
        None,
    ],
)
def test_states_that_no_key_has(state):
    with pytest.raises(StateError, match="damaged or was made by hand"):
        PublicKey.__new__(PublicKey).__setstate__(state)
    if (state and len(state.get("raw", "")) != 32) or not state or state.get("kind") != "X25519":
        source = {} if state is None else {"source": "text", **state}
        if state == {"kind": "MLKEM768-X25519", "raw": bytes(32)}:
            return  # which is a seed
        with pytest.raises(StateError, match="damaged or was made by hand"):
            PrivateKey.__new__(PrivateKey).__setstate__(source)


def test_keys_are_not_made_by_hand():
    for cls in (PrivateKey, PublicKey, SigningKey):
        with pytest.raises(TypeError, match=r"generate|public_key"):
            cls()
    with pytest.raises(ValueError, match="kind='RSA'; expected 'X25519' or 'MLKEM768-X25519'"):
        PrivateKey.generate("RSA")


# What they do.


@pytest.mark.parametrize("kind", ["X25519", "MLKEM768-X25519"])
def test_what_is_wrapped_is_opened_by_the_owner_for_its_purpose(kind):
    key, other = PrivateKey.generate(kind), PrivateKey.generate(kind)
    wrapped = key.public_key.wrap(b"data", b"purpose")
    assert len(wrapped) == 4 + key.public_key.overhead
    assert key.unwrap(wrapped, b"purpose") == b"data"
    assert wrapped != key.public_key.wrap(b"data", b"purpose")
    assert other.unwrap(wrapped, b"purpose") is None
    assert key.unwrap(wrapped, b"another") is None
    for changed in (b"", wrapped[:-1], bytes(len(wrapped)), wrapped + b"\0"):
        assert key.unwrap(changed, b"purpose") is None
    for place in (0, len(wrapped) - 1):
        flipped = bytearray(wrapped)
        flipped[place] ^= 1
        assert key.unwrap(bytes(flipped), b"purpose") is None


def test_wraps_are_those_of_the_second_implementation():
    key = make("X25519")
    public = reference.public_of("X25519", SECRET)
    assert key.unwrap(reference.wrap(public, b"data", bytes(range(32))), reference.INFO) == b"data"


def test_nothing_is_wrapped_to_a_key_that_nobody_has():
    """Of low order: everybody could open it."""
    key = PublicKey.from_text(reference.text("RICSK-PUBLIC-X25519-", bytes(32)))
    with pytest.raises(ValueError, match="no private key has such a public key"):
        key.wrap(b"data", b"")


def test_signatures():
    key = SigningKey.generate()
    signature = key.sign(b"data")
    assert key.verifying_key.verify(signature, b"data")
    assert not key.verifying_key.verify(signature, b"date")
    assert not key.verifying_key.verify(bytes(64), b"data")
    assert not key.verifying_key.verify(b"", b"data")
    assert not SigningKey.generate().verifying_key.verify(signature, b"data")
    assert VerifyingKey(key.verifying_key.raw) == key.verifying_key
    with pytest.raises(ValueError, match="32 bytes"):
        VerifyingKey(bytes(31))


def test_keys_that_open(tmp_path):
    secret, private = SecretKey(SECRET), make("X25519")
    assert coerce_opening_key(secret) is secret
    assert coerce_opening_key(private) is private
    assert coerce_opening_key(SECRET) == secret
    secret.save(tmp_path / "s")
    private.save(tmp_path / "p")
    assert coerce_opening_key(tmp_path / "s") == secret
    assert coerce_opening_key(str(tmp_path / "p")) == private
    with pytest.raises(TypeError, match="key must be a SecretKey"):
        coerce_opening_key(SigningKey.generate())
    with pytest.raises(KeyFileNotFoundError):
        coerce_opening_key("nowhere at all")


def test_builds_without_ml_kem_say_so(monkeypatch):
    from cryptography.exceptions import UnsupportedAlgorithm

    def refuse(*_):
        raise UnsupportedAlgorithm("no ML-KEM")

    class Refusing:
        from_seed_bytes = from_public_bytes = staticmethod(refuse)

    monkeypatch.setattr("ricsk.keys._hpke.MLKEM768PrivateKey", Refusing)
    monkeypatch.setattr("ricsk.keys._hpke.MLKEM768PublicKey", Refusing)
    with pytest.raises(NotImplementedError, match="take keys of the kind X25519"):
        PrivateKey.generate("MLKEM768-X25519")
    assert PrivateKey.generate()

import base64
import copy
import hashlib
import hmac
import io
import itertools
import json
import os
import pickle
import re
import stat
import traceback
import unicodedata
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, clone

from ricsk.exceptions import KeyFileError, WrongKeyError
from ricsk.keys import Keystream, SecretKey

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "keys.json").read_text("utf-8"))
RAW = bytes(range(32))
POSIX = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")


@pytest.fixture(scope="module")
def passphrase_key():
    vector = VECTORS["passphrase"]
    return SecretKey.from_passphrase(vector["passphrase"], key_id=vector["key_id"])


def stream(purpose="test"):
    return SecretKey(RAW).keystream(purpose)


# A second implementation, after the RFCs and the "Format" section of the user guide.


def hkdf(key, info, length, salt=b""):
    pseudorandom = hmac.digest(salt or bytes(32), key, "sha256")
    out, block = b"", b""
    while len(out) < length:
        counter = bytes([len(out) // 32 + 1])
        block = hmac.digest(pseudorandom, block + info + counter, "sha256")
        out += block
    return out[:length]


def chacha20_block(key, counter, nonce):
    words = b"expand 32-byte k" + key + counter.to_bytes(4, "little") + nonce
    start = [int.from_bytes(words[i : i + 4], "little") for i in range(0, 64, 4)]
    state = list(start)

    def rotate_xor(x, y, z, bits):  # x += y; z = (z ^ x) <<< bits
        state[x] = (state[x] + state[y]) % 2**32
        state[z] ^= state[x]
        state[z] = (state[z] << bits | state[z] >> (32 - bits)) % 2**32

    def quarter_round(a, b, c, d):
        rotate_xor(a, b, d, 16)
        rotate_xor(c, d, b, 12)
        rotate_xor(a, b, d, 8)
        rotate_xor(c, d, b, 7)

    for _ in range(10):
        for i in range(4):
            quarter_round(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter_round(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    out = ((x + y) % 2**32 for x, y in zip(state, start, strict=True))
    return b"".join(x.to_bytes(4, "little") for x in out)


class SlowStream:
    """One word at a time."""

    def __init__(self, raw, purpose, context):
        key = hkdf(raw, b"ricsk/1/" + purpose.encode() + b"\0" + context, 32)
        blocks = (chacha20_block(key, i, bytes(12)) for i in itertools.count())
        self._bytes = itertools.chain.from_iterable(blocks)

    def bytes(self, n):
        return bytes(itertools.islice(self._bytes, n))

    def word(self, width):
        return int.from_bytes(self.bytes(width), "little")

    def random(self, size):
        return [(self.word(8) >> 11) / 2**53 for _ in range(size)]

    def integers(self, high, size):
        width = next(b for b in (1, 2, 4, 8) if 256**b >= high)
        out = []
        while len(out) < size:
            word = self.word(width)
            if word < 256**width // high * high:
                out.append(word % high)
        return out

    def permutation(self, n):
        while True:
            words = [self.word(8) for _ in range(n)]
            if len(set(words)) == n:
                return sorted(range(n), key=words.__getitem__)

    def permutations(self, n, size):
        return [self.permutation(n) for _ in range(size)]


def slow_id(raw, salt):
    return hkdf(raw, b"ricsk/1 key id", 8).hex() + ("." + salt.hex() if salt else "")


def slow_text(raw, salt):
    checksum = hashlib.sha256(b"ricsk/1 checksum" + raw + salt).digest()[:4]
    text = "RICSK-KEY-1-" + base64.urlsafe_b64encode(raw + checksum).decode()
    return text + ("." + salt.hex() if salt else "")


def draw(source, method, *args):
    """What one draw gives, in the form that the vectors have."""
    out = getattr(source, method)(*args)
    if method == "bytes":
        return out.hex()
    out = out if isinstance(out, list) else out.tolist()
    return [x.hex() for x in out] if method == "random" else out


# Known answers


def test_second_implementation_knows_the_rfcs():
    # RFC 5869, test cases 1 and 3
    secret = bytes([0x0B] * 22)
    info, salt = bytes(range(0xF0, 0xFA)), bytes(range(13))
    assert hkdf(secret, info, 42, salt).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    assert hkdf(secret, b"", 42).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
    # RFC 8439, section 2.3.2 and appendix A.1, test vector 1
    block = chacha20_block(RAW, 1, bytes.fromhex("000000090000004a00000000"))
    assert block[:16].hex() == "10f1e7e4d13b5915500fdd1fa32071c4"
    assert chacha20_block(bytes(32), 0, bytes(12))[:16].hex() == "76b8e0ada0f13d90405d6ae55386bd28"


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


@pytest.mark.parametrize("vector", VECTORS["draws"], ids=lambda v: f"{v['method']}{v['args']}")
def test_vectors_of_draws(vector):
    """Every vector starts a stream of its own."""
    purpose, context = VECTORS["stream"]["purpose"], bytes.fromhex(VECTORS["stream"]["context"])
    library = SecretKey(RAW).keystream(purpose, context)
    slow = SlowStream(RAW, purpose, context)
    assert draw(library, vector["method"], *vector["args"]) == vector["result"]
    assert draw(slow, vector["method"], *vector["args"]) == vector["result"]


def test_draws_continue_the_stream():
    library, slow = stream(), SlowStream(RAW, "test", b"")
    for step in [
        ("bytes", 3),
        ("integers", 200, 50),  # skips words
        ("random", 2),
        ("permutations", 7, 3),
        ("integers", 2**33 + 1, 5),
        ("permutation", 4),
        ("bytes", 200),
    ]:
        assert draw(library, *step) == draw(slow, *step)


# Keystream


class Scripted(Keystream):
    """A keystream whose bytes are given."""

    def __init__(self, words, width):
        super().__init__(RAW, "scripted")
        self.source = io.BytesIO(b"".join(w.to_bytes(width, "little") for w in words))

    def bytes(self, n):
        out = self.source.read(n)
        assert len(out) == n, "more was drawn than was given"
        return out


def test_integers_skip_words_above_the_last_multiple():
    assert Scripted([251, 252, 255, 6, 5], 1).integers(6, 3).tolist() == [5, 0, 5]
    assert Scripted([255, 0], 1).integers(256, 2).tolist() == [255, 0]
    assert Scripted([65535, 257, 256], 2).integers(257, 2).tolist() == [0, 256]
    high = 2**63 - 1  # the last multiple is 2**64 - 2
    words = [2**64 - 1, 2**64 - 2, 2**64 - 3, high]
    assert Scripted(words, 8).integers(high, 2).tolist() == [high - 1, 0]
    assert Scripted([2**64 - 1], 8).integers(2**63, 1).tolist() == [2**63 - 1]


def test_permutations_with_equal_words_are_drawn_again():
    words = [[3, 1, 2], [7, 8, 7], [2**64 - 1, 0, 2**63], [1, 2, 3]]
    scripted = Scripted(itertools.chain(*words), 8)
    assert scripted.permutations(3, 3).tolist() == [[1, 2, 0], [1, 2, 0], [0, 1, 2]]


def chi_square(counts):
    expected = counts.sum() / counts.size
    return ((counts - expected) ** 2 / expected).sum()


# The key is fixed, and so is the outcome; the bounds are the 99.9 % quantiles.
@pytest.mark.parametrize(("high", "bound"), [(6, 20.5), (200, 266)])
def test_integers_are_uniform(high, bound):
    counts = np.bincount(stream().integers(high, 200_000), minlength=high)
    assert counts.size == high
    assert chi_square(counts) < bound


def test_permutations_are_uniform():
    permutations = stream().permutations(4, 24_000)
    _, counts = np.unique(permutations, axis=0, return_counts=True)
    assert counts.size == 24
    assert chi_square(counts) < 49.7


def test_floats_are_uniform_below_one():
    floats = stream().random(100_000)
    assert chi_square(np.bincount((floats * 100).astype(int), minlength=100)) < 149.4
    assert Scripted([0, 2**64 - 1], 8).random(2).tolist() == [0, 1 - 2**-53]


def test_shapes_and_dtypes():
    for method, args, dtype in [
        ("uint8", (), np.uint8),
        ("random", (), np.float64),
        ("integers", (1000,), np.int64),
    ]:
        flat = getattr(stream(), method)(*args, 24)
        cube = getattr(stream(), method)(*args, (2, 3, 4))
        assert flat.dtype == cube.dtype == dtype
        assert flat.shape == (24,)
        np.testing.assert_array_equal(cube, flat.reshape(2, 3, 4))
        cube[:] = 0  # writable
        assert getattr(stream(), method)(*args, (3, 0)).shape == (3, 0)
    assert stream().uint8(9).tobytes() == stream().bytes(9)
    assert stream().permutations(5, 2).dtype == np.int64
    assert stream().permutations(0, 2).shape == (2, 0)
    assert stream().permutations(5, 0).shape == (0, 5)
    assert stream().permutation(1).tolist() == [0]
    assert stream().integers(1, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("method", "args", "message"),
    [
        ("bytes", (-1,), "n must be 0 or more, got -1"),
        ("bytes", (2**38 + 1,), "ends after"),
        ("uint8", ((2, -1),), "size must be 0 or more, got -1"),
        ("random", (-1,), "size must be"),
        ("integers", (0, 1), "high must be from 1 to"),
        ("integers", (2**63 + 1, 1), "high must be from 1 to"),
        ("integers", (5, -1), "size must be"),
        ("permutation", (-1,), "n must be"),
        ("permutations", (3, -1), "size must be"),
    ],
)
def test_draws_refuse_what_makes_no_sense(method, args, message):
    source = stream()
    with pytest.raises(ValueError, match=message):
        getattr(source, method)(*args)
    assert source.bytes(8) == stream().bytes(8)  # nothing was consumed


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy, skops.io.dumps])
def test_keystream_is_not_duplicated(duplicate):
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        duplicate(stream())


def test_keystream_repr_shows_purpose_and_position():
    source = stream()
    source.random(2)
    assert repr(source) == "Keystream(purpose='test', position=16)"


# Derivation


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


@pytest.mark.parametrize("length", [0, 8161])
def test_derived_length_has_bounds(length):
    with pytest.raises(ValueError, match="length must be from 1 to 8160"):
        SecretKey(RAW).derive("a", length=length)


# SecretKey


def test_generated_keys_differ():
    assert SecretKey.generate() != SecretKey.generate()


def test_equality_and_hash(passphrase_key):
    assert SecretKey(RAW) == SecretKey(RAW)
    assert SecretKey(RAW) != SecretKey(bytes(32))
    assert SecretKey(RAW) != RAW
    same = SecretKey(bytes.fromhex(VECTORS["passphrase"]["raw"]))
    assert len({same, passphrase_key}) == 1


def test_key_cannot_be_changed():
    key = SecretKey(RAW)
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
    for given in (RAW, tmp_path / "k", str(tmp_path / "k")):
        assert SecretKey.coerce(given) == key
    with pytest.raises(ValueError, match=r"SecretKey\.generate\(\)"):
        SecretKey.coerce(None)
    with pytest.raises(TypeError, match="got int"):
        SecretKey.coerce(7)
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
    with pytest.raises(WrongKeyError, match="the passphrase is not the one"):
        SecretKey.from_passphrase("another", key_id=VECTORS["passphrase"]["key_id"])


def test_passphrase_arguments():
    with pytest.raises(ValueError, match="empty"):
        SecretKey.from_passphrase("")
    with pytest.raises(TypeError, match="got bytes"):
        SecretKey.from_passphrase(b"secret")
    for key_id in ["", SecretKey(RAW).key_id, VECTORS["passphrase"]["key_id"] + "0"]:
        with pytest.raises(ValueError, match="32 more"):
            SecretKey.from_passphrase("secret", key_id=key_id)


# Files and environment variables


def test_saved_key_is_read_back(tmp_path, passphrase_key):
    for name, key in [("a", SecretKey.generate()), ("b", passphrase_key)]:
        saved = key.save(tmp_path / name)
        assert repr(saved) == f"SecretKey(key_id='{key.key_id}', source='file')"
        assert saved == SecretKey.from_file(tmp_path / name) == key
        content = (tmp_path / name).read_text("ascii").splitlines()
        assert [line for line in content if not line.startswith("#")] == [key.reveal()]
        assert f"# Key id: {key.key_id}" in content


@POSIX
def test_saved_key_is_for_its_owner_only(tmp_path):
    path = tmp_path / "k"
    before = os.umask(0)
    try:
        SecretKey.generate().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.warns(UserWarning, match="chmod 600"):
        SecretKey.from_file(path)


def test_save_never_overwrites(tmp_path):
    path = tmp_path / "k"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="never overwritten"):
        SecretKey.generate().save(path)
    assert path.read_text() == "mine"


def test_failed_save_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        SecretKey.generate().save(tmp_path / "k")
    assert list(tmp_path.iterdir()) == []


TEXT = SecretKey(RAW).reveal()


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        f"\r\n# note\r\n  {TEXT}  \r\n",
        f"\ufeff# saved by an editor\n{TEXT}\n",
    ],
)
def test_readable_contents(content, tmp_path):
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_text(content, "utf-8")
    assert SecretKey.from_file(path) == SecretKey(RAW)


UNREADABLE = {
    "": "holds 0",
    "# only a comment": "holds 0",
    f"{TEXT}\n{TEXT}": "holds 2",
    RAW.hex(): "no key of ricsk",
    TEXT.replace("KEY-1", "KEY-2"): "newer version",
    TEXT.replace("KEY-1", "KEY-12"): "newer version",
    TEXT[:-1]: "damaged",
    TEXT + "A": "damaged",
    TEXT[:-1] + ("A" if TEXT[-1] != "A" else "B"): "damaged",
    TEXT[:20] + ("A" if TEXT[20] != "A" else "B") + TEXT[21:]: "damaged",
    TEXT + "." + "0" * 32: "damaged",
    TEXT + ".0": "damaged",
    TEXT + "é": "damaged",
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.items())
def test_unreadable_contents(content, message, tmp_path, monkeypatch):
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(KeyFileError, match=message):
        SecretKey.from_file(path)
    monkeypatch.setenv("RICSK_TEST_KEY", content)
    with pytest.raises(KeyFileError, match=message):
        SecretKey.from_env("RICSK_TEST_KEY")


def test_nothing_to_read(tmp_path, monkeypatch):
    for path in (tmp_path / "none", tmp_path, "\0"):
        with pytest.raises(FileNotFoundError, match="no key file"):
            SecretKey.from_file(path)
    with pytest.raises(TypeError, match="got bytes"):
        SecretKey.from_file(b"k")
    with pytest.raises(TypeError, match="got bytes"):
        SecretKey.generate().save(os.fsencode(tmp_path / "k"))
    monkeypatch.delenv("RICSK_TEST_KEY", raising=False)
    with pytest.raises(KeyFileError, match="set"):
        SecretKey.from_env("RICSK_TEST_KEY")


def test_environment_variable(monkeypatch, passphrase_key):
    monkeypatch.setenv("RICSK_TEST_KEY", passphrase_key.reveal())
    key = SecretKey.from_env("RICSK_TEST_KEY")
    assert key == passphrase_key
    assert repr(key) == f"SecretKey(key_id='{passphrase_key.key_id}', source='environment')"


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
    monkeypatch.setenv("RICSK_TEST_KEY", TEXT)
    data = pickle.dumps(SecretKey.from_env("RICSK_TEST_KEY"))
    monkeypatch.delenv("RICSK_TEST_KEY")
    with pytest.raises(KeyFileError, match="reference to environment 'RICSK_TEST_KEY'"):
        pickle.loads(data)


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
    estimator = Estimator(SecretKey(RAW))
    for shown in (repr(estimator), estimator._repr_html_()):
        assert VECTORS["key"]["key_id"] in shown
        assert not any(form in shown for form in forms(RAW))


# No secret in an error


def forms(raw):
    """Every way in which the bytes could show up in a text, whole or by their first half."""
    found = []
    for part in (raw, raw[:16]):
        found += [part.hex(), repr(part)[2:-1], repr(list(part))[1:-1]]
        found += [
            encode(part).decode().rstrip("=")[:-1]
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
        ]
    return found


SECRET = hashlib.sha256(b"a secret of these tests").digest()
SECRET_TEXT = SecretKey(SECRET).reveal()
MISTAKES = {
    "short": lambda path: SecretKey(SECRET[:16]),
    "long": lambda path: SecretKey(SECRET + b"\0"),
    "bytearray": lambda path: SecretKey(bytearray(SECRET)),
    "hex": lambda path: SecretKey(SECRET.hex()),
    "text for bytes": lambda path: SecretKey(SECRET_TEXT),
    "passphrase of bytes": lambda path: SecretKey.from_passphrase(SECRET),
    "passphrase as id": lambda path: SecretKey.from_passphrase("x", key_id=SECRET_TEXT),
    "wrong passphrase": lambda path: SecretKey.from_passphrase(
        SECRET_TEXT, key_id=VECTORS["passphrase"]["key_id"]
    ),
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


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        SECRET.hex().encode(),
        SECRET_TEXT.replace("-1-", "-2-").encode(),
        SECRET_TEXT.encode() + b"\xff",
        SECRET_TEXT[:-1].encode(),
        SECRET_TEXT.encode() * 2,
        SECRET_TEXT.encode() + b"\n" + SECRET_TEXT.encode(),
    ],
)
def test_file_errors_do_not_repeat_the_content(content, tmp_path):
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyFileError) as caught:
        SecretKey.from_file(path)
    assert_no_secret(caught.value)


def assert_no_secret(error):
    """Look at the error, at what it came from, and at everything that they carry."""
    while error is not None:
        shown = "".join(traceback.format_exception_only(error)) + repr(vars(error))
        shown += repr(error.args) + repr(getattr(error, "object", ""))
        assert SECRET_TEXT[12:30] not in shown
        assert not any(form in shown for form in forms(SECRET))
        error = error.__cause__ or error.__context__


def test_lone_surrogate_is_no_unicode_error():
    """That error would carry the passphrase."""
    assert SecretKey.from_passphrase("\udc80").key_id

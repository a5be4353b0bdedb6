"""Files sealed anew: the same file and picture, other keys, and the classifier's answer stays."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier

from ricsk import PrivateKey, SealedEncryptor, SecretKey, unseal
from ricsk.codecs import read_image
from ricsk.datasets import load_digits
from ricsk.encryptors import find_signers
from ricsk.exceptions import (
    NotSealedError,
    TargetNotReachedError,
    TooLargeError,
    WrongKeyError,
)
from ricsk.files import (
    open_photograph,
    read_header,
    rekey_file,
    rekey_folder,
    seal_photograph,
    write_ciphertexts,
)
from ricsk.keys import SigningKey
from tests.files.reference import join_chunks, split_chunks

KEY, NEW = SecretKey.generate(), SecretKey.generate()
ALICE, BOB = PrivateKey.generate(), PrivateKey.generate()
CAMERA = SigningKey.generate()
FILES = [b"", b"any file", np.random.default_rng(0).bytes(200_000)]
SMALL, LABELS = load_digits(size=8)
X = SMALL[:300].repeat(5, axis=1).repeat(5, axis=2)


class Reader(RidgeClassifier):
    """Reads images as they are."""

    def fit(self, X, y):
        return super().fit(X.reshape(len(X), -1), y)

    def predict(self, X):
        return super().predict(X.reshape(len(X), -1))


CLASSIFIER = FrozenEstimator(Reader(10).fit(X, LABELS[:300]))


@pytest.fixture(scope="module")
def encryptor():
    return SealedEncryptor(KEY, CLASSIFIER, bit_planes=6, kappa=0.1).fit(X)


def seal(path, data, name="a.raw", **options):
    source = io.BytesIO(data)
    source.name = name
    seal_photograph(source, path, **{"key": KEY, **options})
    return path


WAYS = {
    "key to key": ({"key": KEY}, KEY, {"new_key": NEW}, NEW),
    "key to public": ({"key": KEY}, KEY, {"recipients": [ALICE.public_key]}, ALICE),
    "public to public": (
        {"key": None, "recipients": [ALICE.public_key]},
        ALICE,
        {"recipients": [BOB.public_key]},
        BOB,
    ),
    "public to key": (
        {"key": None, "recipients": [ALICE.public_key]},
        ALICE,
        {"new_key": NEW},
        NEW,
    ),
    "signed": (
        {"key": None, "recipients": [ALICE.public_key], "signing_key": CAMERA},
        ALICE,
        {"recipients": [BOB.public_key], "signing_key": CAMERA},
        BOB,
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", FILES, ids=len)
def test_photographs(way, data, tmp_path):
    options, old_key, changes, new_key = WAYS[way]
    old = seal(tmp_path / "old.png", data, **options)
    before = old.read_bytes()
    rekey_file(old, tmp_path / "new.png", old_key, **changes)
    opened = open_photograph(tmp_path / "new.png", new_key)
    assert (opened.data, opened.name) == (data, "a.raw")
    assert opened.signer == (CAMERA.verifying_key if way == "signed" else None)
    np.testing.assert_array_equal(opened.thumbnail, open_photograph(old, old_key).thumbnail)
    assert old.read_bytes() == before
    with pytest.raises((NotSealedError, WrongKeyError)):
        open_photograph(tmp_path / "new.png", old_key)


def test_high_planes_stay_and_low_ones_change(tmp_path, encryptor):
    C = encryptor.transform(X[:20])
    folder = tmp_path / "old"
    for path in write_ciphertexts(C, folder, encryptor):
        new = tmp_path / path.name
        rekey_file(path, new, KEY, recipients=[ALICE.public_key], classifier=CLASSIFIER)
        before, after = read_image(path), read_image(new)
        np.testing.assert_array_equal(before >> 6, after >> 6)
        for plane in range(6):
            assert 0.4 < np.mean((before ^ after) >> plane & 1) < 0.6
    sealed = np.stack([read_image(path) for path in sorted(tmp_path.glob("*.png"))])
    np.testing.assert_array_equal(unseal(sealed, ALICE), X[:20])
    np.testing.assert_array_equal(CLASSIFIER.predict(sealed), CLASSIFIER.predict(C))


@pytest.mark.parametrize("format", ["png", "webp"])
def test_headers_say_the_new_key(tmp_path, encryptor, format):
    (path,) = write_ciphertexts(encryptor.transform(X[:1]), tmp_path, encryptor, format=format)
    old, signed = read_header(path), tmp_path / "signed"
    rekey_file(path, signed, KEY, recipients=[ALICE.public_key], signing_key=CAMERA)
    to_recipients = read_header(signed)
    assert (old.version, to_recipients.version, to_recipients.key_id) == (2, 3, None)
    assert to_recipients.image_shape == old.image_shape
    assert to_recipients.parameters == {**old.parameters, "nonce": "random"}
    pixels = read_image(signed)[..., :1]
    assert find_signers(pixels[None], ALICE) == [CAMERA.verifying_key]
    back = tmp_path / "back"
    rekey_file(signed, back, ALICE, NEW)
    assert read_header(back).key_id == NEW.key_id
    np.testing.assert_array_equal(unseal(read_image(back)[None, ..., :1], NEW), X[:1])


def test_a_thumbnail_becomes_coarser_where_the_slots_need_its_room(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    old = seal(tmp_path / "old.png", b"x", image=image)
    many = [PrivateKey.generate("MLKEM768-X25519") for _ in range(8)]
    rekey_file(old, tmp_path / "new.png", KEY, recipients=[each.public_key for each in many])
    before = open_photograph(old, KEY).thumbnail
    opened = open_photograph(tmp_path / "new.png", many[-1])
    assert opened.data == b"x"
    assert opened.thumbnail.shape == before.shape
    assert not np.array_equal(opened.thumbnail, before)


def test_an_image_without_room_is_named_with_what_is_missing(tmp_path):
    small = SealedEncryptor(KEY, CLASSIFIER, bit_planes=2, kappa=0.1).fit(X)
    (path,) = write_ciphertexts(small.transform(X[:1]), tmp_path, small)
    hybrid = PrivateKey.generate("MLKEM768-X25519").public_key
    with pytest.raises(TooLargeError, match=r"\d+ bytes are missing"):
        rekey_file(path, tmp_path / "new.png", KEY, recipients=[hybrid])
    assert not (tmp_path / "new.png").exists()


def test_pixels_from_which_all_else_was_taken(tmp_path):
    old = seal(tmp_path / "old.png", b"any file")
    ihdr, _, idat, _, end = split_chunks(old.read_bytes())
    old.write_bytes(join_chunks([ihdr, idat, end]))
    rekey_file(old, tmp_path / "new.png", KEY, recipients=[ALICE.public_key])
    assert open_photograph(tmp_path / "new.png", ALICE).found == "thumbnail"


def test_a_classifier_that_says_something_else_is_believed(tmp_path, encryptor):
    class Fickle:
        asked = 0

        def predict(self, X):
            Fickle.asked += 1
            return np.array([0, Fickle.asked < 3])

    (path,) = write_ciphertexts(encryptor.transform(X[:1]), tmp_path, encryptor)
    with pytest.raises(TargetNotReachedError, match="8 new ciphertexts otherwise"):
        rekey_file(
            path,
            tmp_path / "a.png",
            KEY,
            NEW,
            classifier=type("C", (), {"predict": staticmethod(lambda X: np.arange(2))})(),
        )
    assert not (tmp_path / "a.png").exists()
    rekey_file(path, tmp_path / "a.png", KEY, NEW, classifier=Fickle())
    assert Fickle.asked == 3


class TestFolders:
    def fill(self, folder, encryptor):
        (folder / "below").mkdir(parents=True)
        for i, data in enumerate(FILES):
            seal(folder / f"{i}.png", data)
        write_ciphertexts(encryptor.transform(X[:3]), folder / "below", encryptor)
        (folder / "notes.txt").write_text("not an image")

    def test_all_files_of_a_folder(self, tmp_path, encryptor):
        old, new = tmp_path / "old", tmp_path / "new"
        self.fill(old, encryptor)
        written = rekey_folder(old, new, KEY, recipients=[ALICE.public_key])
        assert len(written) == 6
        assert sorted(p.relative_to(new) for p in new.rglob("*.png")) == sorted(
            p.relative_to(old) for p in old.rglob("*.png")
        )
        for i, data in enumerate(FILES):
            assert open_photograph(new / f"{i}.png", ALICE).data == data
        assert not (new / "notes.txt").exists()

    def test_a_run_goes_on_where_it_ended(self, tmp_path, encryptor):
        old, new = tmp_path / "old", tmp_path / "new"
        self.fill(old, encryptor)
        whole = (old / "2.png").read_bytes()
        (old / "2.png").write_bytes(whole[:-9])
        with pytest.raises(NotSealedError, match=r"2\.png' was not sealed anew, after 2 others"):
            rekey_folder(old, new, KEY, NEW)
        assert sorted(path.name for path in new.iterdir()) == ["0.png", "1.png"]
        kept = (new / "0.png").read_bytes()
        (old / "2.png").write_bytes(whole)
        assert len(rekey_folder(old, new, KEY, NEW)) == 4
        assert (new / "0.png").read_bytes() == kept
        assert rekey_folder(old, new, KEY, NEW) == []

    def test_folders_that_are_none(self, tmp_path):
        (tmp_path / "old").mkdir()
        with pytest.raises(NotADirectoryError, match="rekey_file"):
            rekey_folder(tmp_path / "nothing", tmp_path / "new", KEY, NEW)
        for one, other in (("old", "old"), ("old", "old/new"), (".", "old")):
            with pytest.raises(ValueError, match="lie in each other"):
                rekey_folder(tmp_path / one, tmp_path / other, KEY, NEW)
        for wrong in ({}, {"new_key": NEW, "recipients": [ALICE.public_key]}):
            with pytest.raises(ValueError, match="key and recipients are given"):
                rekey_folder(tmp_path / "old", tmp_path / "new", KEY, **wrong)


def test_what_is_no_sealed_file(tmp_path):
    Image.new("L", (40, 40)).save(tmp_path / "a.png")
    with pytest.raises(NotSealedError):
        rekey_file(tmp_path / "a.png", tmp_path / "b.png", KEY, NEW)
    seal(tmp_path / "c.png", b"x", key=NEW)
    with pytest.raises(WrongKeyError):
        rekey_file(tmp_path / "c.png", tmp_path / "b.png", KEY, NEW)
    seal(tmp_path / "d.png", b"x")
    with pytest.raises(FileExistsError):
        rekey_file(tmp_path / "d.png", tmp_path / "c.png", KEY, NEW)
    rekey_file(tmp_path / "d.png", tmp_path / "c.png", KEY, NEW, overwrite=True)
    assert not (tmp_path / "b.png").exists()

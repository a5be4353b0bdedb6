"""Photographs sealed to public keys."""

import io

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier

from ricsk import PrivateKey, SealedEncryptor, SecretKey, unseal
from ricsk.datasets import load_digits
from ricsk.exceptions import NotSealedError, WrongKeyError
from ricsk.files import (
    open_photograph,
    read_ciphertexts,
    read_header,
    read_photograph,
    seal_photograph,
    write_ciphertexts,
)
from ricsk.files._stream import REFUSED
from ricsk.keys import SigningKey
from tests.files import recipients as reference
from tests.files.reference import join_chunks, split_chunks

ALICE, BOB, EVE = (PrivateKey.generate() for _ in range(3))
CAMERA = SigningKey.generate()
BOTH = [ALICE.public_key, BOB.public_key]
FILE = np.random.default_rng(0).bytes(150_000)
SMALL, LABELS = load_digits(size=8)
X = SMALL[:300].repeat(5, axis=1).repeat(5, axis=2)
CLASSIFIER = FrozenEstimator(RidgeClassifier(10).fit(X.reshape(300, -1), LABELS[:300]))


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.raw"
    path.write_bytes(FILE)
    return path


def make_encryptor(**options):
    return SealedEncryptor(
        classifier=CLASSIFIER, recipients=BOTH, image_shape=(40, 40), bit_planes=2, **options
    ).fit(X.reshape(300, -1))


@pytest.mark.parametrize("signer", [None, CAMERA], ids=["unsigned", "signed"])
def test_each_recipient_gets_the_file(plain, tmp_path, signer):
    sealed = tmp_path / "sealed.png"
    seal_photograph(plain, sealed, recipients=BOTH, signing_key=signer)
    public = None if signer is None else signer.verifying_key
    for private in (ALICE, BOB):
        opened = open_photograph(sealed, private)
        assert (opened.data, opened.name, opened.signer) == (FILE, "plain.raw", public)
    path = tmp_path / "private.key"
    ALICE.save(path)
    assert open_photograph(sealed, path, tmp_path / "opened").path.read_bytes() == FILE
    with pytest.raises(NotSealedError, match=REFUSED):
        open_photograph(sealed, EVE)
    with pytest.raises(WrongKeyError, match=r"sealed with public keys.*you read with a secret key"):
        open_photograph(sealed, SecretKey.generate())
    header = read_header(sealed)
    assert (header.version, header.key_id) == (2, None)
    for key in BOTH:
        assert key.fingerprint[:16].encode() not in sealed.read_bytes()


def test_signers_that_are_asked_for(plain, tmp_path):
    signed, unsigned = tmp_path / "signed.png", tmp_path / "unsigned.png"
    seal_photograph(plain, signed, recipients=BOTH, signing_key=CAMERA)
    seal_photograph(plain, unsigned, recipients=BOTH)
    camera = CAMERA.verifying_key
    assert open_photograph(signed, BOB, signers=[camera]).data == FILE
    for path, signers in ((unsigned, [camera]), (signed, [])):
        with pytest.raises(NotSealedError, match=REFUSED):
            open_photograph(path, BOB, tmp_path / "opened", signers=signers)
    with pytest.raises(ValueError, match="leave signers out"):
        open_photograph(unsigned, SecretKey.generate(), signers=[camera])
    assert not (tmp_path / "opened").exists()


def test_a_false_signature_of_the_file_leaves_nothing(tmp_path):
    pixels, _ = reference.make_picture(signer=reference.SIGNER)
    chunks = reference.seal(
        FILE, pixels=pixels, details={"name": "a", "signature": reference.sign(b"", pixels)}
    )
    private = PrivateKey.from_text(
        reference.sealed.text("RICSK-PRIVATE-X25519-", reference.private(0))
    )
    with pytest.raises(NotSealedError, match=REFUSED):
        open_photograph(io.BytesIO(join_chunks(chunks)), private, tmp_path / "opened")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changes_while_it_is_sealed_and_signed_is_refused(plain, tmp_path, monkeypatch):
    from ricsk.files import _seal

    hash_all = _seal.hash_all

    def hash_and_change(read):
        found = hash_all(read)
        plain.write_bytes(FILE[:-1] + b"?")
        return found

    monkeypatch.setattr(_seal, "hash_all", hash_and_change)
    with pytest.raises(RuntimeError, match="changed while it was sealed"):
        seal_photograph(plain, tmp_path / "sealed.png", recipients=BOTH, signing_key=CAMERA)
    assert [path.name for path in tmp_path.iterdir()] == ["plain.raw"]


def test_the_classifier_reads_it(tmp_path):
    encryptor = make_encryptor(signing_key=CAMERA)
    image = SMALL[400].repeat(20, axis=1).repeat(20, axis=0)
    sealed, plain = io.BytesIO(), tmp_path / "plain.bin"
    plain.write_bytes(FILE)
    seal_photograph(plain, sealed, encryptor, image=image)
    opened = open_photograph(io.BytesIO(sealed.getvalue()), ALICE)
    assert (opened.data, opened.signer) == (FILE, CAMERA.verifying_key)
    (idat,) = (data for name, data in split_chunks(sealed.getvalue()) if name == b"IDAT")
    assert idat
    from ricsk.codecs import read_image

    received = read_image(sealed.getvalue())
    given = read_photograph(image, encryptor)
    assert CLASSIFIER.predict(received.reshape(1, -1)) == CLASSIFIER.predict(given)


def test_one_of_key_recipients_and_encryptor_is_given(plain, tmp_path):
    encryptor, key = make_encryptor(), SecretKey.generate()
    for options in (
        {},
        {"signing_key": CAMERA},
        {"key": key, "recipients": BOTH},
        {"encryptor": encryptor, "recipients": BOTH},
        {"encryptor": encryptor, "key": key},
        {"encryptor": encryptor, "signing_key": CAMERA},
        {"key": key, "signing_key": CAMERA},
    ):
        with pytest.raises(ValueError, match=r"give a fitted|signing_key|key and recipients"):
            seal_photograph(plain, tmp_path / "sealed.png", **options)
    assert not (tmp_path / "sealed.png").exists()


def test_ciphertexts_in_files(tmp_path):
    encryptor = make_encryptor(key=ALICE)
    C = encryptor.seal_thumbnails(X[:3].reshape(3, -1))
    paths = write_ciphertexts(C, tmp_path, encryptor)
    header = read_header(paths[0])
    assert (header.scheme, header.version, header.key_id) == ("sealed", 3, None)
    np.testing.assert_array_equal(read_ciphertexts(tmp_path, encryptor), C)
    levels = read_ciphertexts(tmp_path)
    assert unseal(levels, BOB).shape == (3, 40, 40, 1)
    with_key = SealedEncryptor(
        SecretKey.generate(), CLASSIFIER, image_shape=(40, 40), bit_planes=2
    ).fit(X.reshape(300, -1))
    with pytest.raises(WrongKeyError, match="sealed with public keys"):
        read_ciphertexts(tmp_path, with_key)

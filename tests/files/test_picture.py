"""Pictures whose pixels are encrypted, opened again by key and header."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from ricsk import (
    CNNClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
)
from ricsk.datasets import load_digits, make_street_numbers
from ricsk.exceptions import NotSealedError, WrongKeyError
from ricsk.files import (
    CiphertextHeader,
    decrypt_picture,
    encrypt_picture,
    is_encrypted_picture,
    read_header,
    seal_photograph,
    write_ciphertexts,
)
from ricsk.files._containers import encode_png

KEY = SecretKey(bytes(range(32)))
X, _ = make_street_numbers(3, size=40, random_state=0)


def as_file(image, format="png"):
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, format)
    file.seek(0)
    return file


def encrypt(encryptor, image=X[0]):
    target = io.BytesIO()
    encrypt_picture(as_file(image), target, encryptor)
    return target.getvalue()


@pytest.mark.parametrize("image", [X[0], X[0, :33, :18], X[1, ..., :1]], ids=lambda x: str(x.shape))
@pytest.mark.parametrize(
    "encryptor",
    [
        EtCEncryptor(KEY, pad=True),
        EtCEncryptor(KEY, block_size=8, pad=True, per_block_keys=False, sub_block_size=4),
        EtCEncryptor(KEY, block_size=8, pad=True, grayscale="ycbcr"),
        PixelEncryptor(KEY),
        PixelEncryptor(KEY, per_image_keys=True),
        LearnableEncryptor(KEY, pad=True, scramble_blocks=True),
    ],
    ids=str,
)
def test_pictures_of_any_size_come_back_by_the_key_alone(encryptor, image):
    if getattr(encryptor, "grayscale", False) and image.shape[2] == 1:
        image = X[1]
    expected = encryptor.fit(image[np.newaxis])
    expected = expected.inverse_transform(expected.transform(image[np.newaxis]))[0]
    found = decrypt_picture(io.BytesIO(encrypt(clone(encryptor), image)), KEY)
    np.testing.assert_array_equal(found, expected)


def test_a_fitted_encryptor_gets_the_size_it_was_fitted_on():
    encryptor = PixelEncryptor(KEY).fit(X[:, :16, :16])
    content = encrypt(encryptor)
    assert read_header(content).image_shape == (16, 16, 3)
    assert decrypt_picture(io.BytesIO(content), KEY).shape == (16, 16, 3)


def test_sealed_images_are_opened_too(tmp_path):
    digits, labels = load_digits(size=32)
    classifier = CNNClassifier(width=8, depth=2, epochs=1, random_state=0)
    encryptor = SealedEncryptor(KEY, classifier).fit(digits[:300], labels[:300])
    (path,) = write_ciphertexts(encryptor.transform(digits[:1]), tmp_path, encryptor)
    np.testing.assert_array_equal(decrypt_picture(path, KEY), digits[0])
    pixels = np.array(Image.open(path))
    pixels[0, 0] ^= 1
    header = read_header(path).to_bytes()
    with pytest.raises(NotSealedError):
        decrypt_picture(io.BytesIO(encode_png(pixels[..., np.newaxis], header)), KEY)


def test_it_is_written_whole_or_not_at_all(tmp_path):
    path, target = tmp_path / "c.png", tmp_path / "back.png"
    encrypt_picture(as_file(X[0]), path, PixelEncryptor(KEY))
    decrypt_picture(path, KEY, target)
    np.testing.assert_array_equal(np.asarray(Image.open(target)), X[0])
    before = target.read_bytes()
    with pytest.raises(FileExistsError):
        decrypt_picture(path, KEY, target)
    with pytest.raises(WrongKeyError, match="you gave"):
        decrypt_picture(path, SecretKey(bytes(32)), target, overwrite=True)
    with pytest.raises(ValueError, match="cannot read the image"):
        encrypt_picture(io.BytesIO(b"no picture"), path, PixelEncryptor(KEY), overwrite=True)
    assert target.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"c.png", "back.png"}


def test_which_files_are_pictures():
    sealed = io.BytesIO()
    seal_photograph(as_file(X[0]), sealed, key=KEY)
    sealed.seek(0)
    assert not is_encrypted_picture(sealed)
    assert not is_encrypted_picture(as_file(X[0]))
    assert is_encrypted_picture(io.BytesIO(encrypt(PixelEncryptor(KEY))))
    with pytest.raises(ValueError, match="Use open_photograph"):
        decrypt_picture(sealed, KEY)


def test_encryptors_that_learn_more_than_a_size_must_be_fitted():
    with pytest.raises(NotFittedError):
        encrypt(RICEncryptor(KEY))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": [4000, 4000, 3]}, "not of its pixels"),
        ({"image_shape": None}, "not of its pixels"),
        ({"image_shape": [8, 8, 3]}, "40×40"),
        ({"parameters": {"block_size": 16}}, "not all settings"),
        ({"parameters": "block_size", "value": 1 << 20}, "far larger"),
        ({"parameters": "block_size", "value": "16"}, "block_size"),
        ({"parameters": "another", "value": 1}, "not all settings"),
        ({"parameters": "variant", "value": "madono2020"}, "nothing brings pictures back"),
        ({"scheme": "transformation"}, "the key alone does not open"),
        ({"version": 3}, "Update ricsk"),
        ({"key_id": "0" * 16}, "encrypted with the key 0000"),
    ],
    ids=str,
)
def test_headers_by_anybody(change, message):
    content = encrypt(EtCEncryptor(KEY, block_size=8))
    said = json.loads(read_header(content).to_bytes())
    if "value" in change:
        said["parameters"][change["parameters"]] = change["value"]
        if change["parameters"] == "block_size":
            said["parameters"]["sub_block_size"] = change["value"]
            said["parameters"]["pad"] = True
    else:
        said |= change
    del said["ricsk"]
    shape = said.pop("image_shape")
    header = CiphertextHeader(**said, image_shape=None if shape is None else tuple(shape))
    pixels = np.array(Image.open(io.BytesIO(content)))
    with pytest.raises(ValueError, match=message):
        decrypt_picture(io.BytesIO(encode_png(pixels, header.to_bytes())), KEY)

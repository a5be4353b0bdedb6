"""Thumbnails: what comes back of images that are larger than their ciphertexts have room for."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier
from torch import nn

from ricsk import PretrainedClassifier, SealedEncryptor, SecretKey, unseal
from ricsk.datasets import load_photos, make_street_numbers
from ricsk.encryptors.sealed import seal_noise
from ricsk.encryptors.sealed._thumbnail import compress_thumbnail
from ricsk.exceptions import TooLargeError

KEY = SecretKey(bytes(range(32)))
X, Y = make_street_numbers(60, size=32, random_state=0)
ROWS = X.reshape(len(X), -1) / 255
CLASSIFIER = FrozenEstimator(RidgeClassifier(100).fit(ROWS, Y % 2))
ENCRYPTOR = SealedEncryptor(KEY, CLASSIFIER, bit_planes=2, kappa=0).fit(ROWS)


def test_what_does_not_fit_is_sealed_coarsely_and_read_as_it_is():
    with pytest.raises(TooLargeError):
        ENCRYPTOR.transform(ROWS[:20])
    C = ENCRYPTOR.seal_thumbnails(ROWS[:20])
    assert C.dtype == ROWS.dtype
    assert C.shape == ROWS[:20].shape
    assert (CLASSIFIER.predict(C) == CLASSIFIER.predict(ROWS[:20])).all()
    thumbnails = ENCRYPTOR.inverse_transform(C)
    assert not (thumbnails == ROWS[:20]).all()
    blocks = thumbnails.reshape(20, 8, 4, 8, 4, 3) * 255
    means = ROWS[:20].reshape(blocks.shape).mean(axis=(2, 4)) * 255
    assert np.abs(blocks.mean(axis=(2, 4)) - means).mean() < 8


def test_a_thumbnail_is_sealed_with_another_nonce_each_time():
    C = ENCRYPTOR.seal_thumbnails(ROWS[[0, 0]])
    again = ENCRYPTOR.seal_thumbnails(ROWS[:1])
    assert not (C[0] == C[1]).all()
    assert not (C[0] == again[0]).all()
    assert ENCRYPTOR.nonce_ == "content"


def test_ciphertexts_are_flattened_where_they_are_to_be():
    encryptor = SealedEncryptor(KEY, CLASSIFIER, bit_planes=2, kappa=0, flatten=True)
    images = ROWS.reshape(-1, 32, 32, 3)
    C = encryptor.fit(ROWS).seal_thumbnails(ROWS[:2])
    assert C.shape == ROWS[:2].shape
    network = PretrainedClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)), size=32)
    encryptor = SealedEncryptor(KEY, network, bit_planes=2, kappa=0, flatten=True).fit(images)
    assert encryptor.seal_thumbnails(images[:2]).shape == ROWS[:2].shape


def test_what_fits_comes_back_as_it_was():
    flat = np.full((1, ROWS.shape[1]), 0.2)
    assert (ENCRYPTOR.inverse_transform(ENCRYPTOR.seal_thumbnails(flat)) == flat).all()


@pytest.mark.parametrize("shape", [(40, 60, 3), (37, 53, 3), (37, 53, 1), (1, 90, 3)])
def test_squares_are_as_small_as_the_room_allows(shape):
    image = load_photos(size=shape[:2])[0][..., : shape[2]]
    before = None
    for room in (100, 400, 1600, 6400):
        _, data = compress_thumbnail(image, "webp", room)
        assert len(data) <= room
        noise = None if room < 6400 else seal_noise(image, KEY)
        if before is not None:
            assert len(data) >= before
        before = len(data)
    assert unseal(noise[np.newaxis], KEY).shape == (1, *shape)


def test_noise_looks_like_noise_and_opens():
    image = load_photos(size=(64, 64))[0]
    first, second = seal_noise(image, KEY), seal_noise(image, KEY)
    for plane in range(8):
        assert 0.47 < (first >> plane & 1).mean() < 0.53
    assert (first != second).mean() > 0.98
    back = unseal(first[np.newaxis], KEY)[0]
    assert np.abs(back.astype(int) - image).mean() < 12


def test_what_is_too_small_or_not_an_image_is_refused():
    with pytest.raises(ValueError, match="no room"):
        seal_noise(np.zeros((4, 4, 3), np.uint8), KEY)
    for wrong in (np.zeros((9, 9)), np.zeros((9, 9, 2), np.uint8), np.zeros((9, 9, 3))):
        with pytest.raises(ValueError, match="expected"):
            seal_noise(wrong, KEY)

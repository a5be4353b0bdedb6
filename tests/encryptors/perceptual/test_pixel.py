import json
import math
from pathlib import Path

import numpy as np
import pytest

from ricsk import PixelEncryptor, SecretKey

KEY = SecretKey(bytes(range(32)))
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def test_half_of_the_values_are_negated_each_by_its_own_draw():
    C = PixelEncryptor(KEY, shuffle_channels=False).fit_transform(PIXELS)
    negated = C == 255 - PIXELS
    assert np.all(negated ^ (C == PIXELS))
    np.testing.assert_array_equal(negated[0], negated[1])
    n = negated[0].size
    assert abs(negated[0].mean() - 0.5) < 5 * 0.5 / math.sqrt(n)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        together = np.corrcoef(negated[0, ..., first].ravel(), negated[0, ..., second].ravel())
        assert abs(together[0, 1]) < 5 / math.sqrt(n / 3)


def test_channels_of_each_pixel_are_put_in_one_of_six_orders():
    marked = np.zeros((1, 64, 64, 3), np.uint8) + np.array([1, 2, 3], np.uint8)
    C = PixelEncryptor(KEY).fit_transform(marked)
    values = np.where(C > 127, 255 - C, C).reshape(-1, 3)
    orders, counts = np.unique(values, axis=0, return_counts=True)
    assert len(orders) == 6
    assert np.all(np.sort(orders, axis=1) == [1, 2, 3])
    assert np.all(np.abs(counts - 64 * 64 / 6) < 5 * math.sqrt(64 * 64 / 6))


def test_nothing_moves_from_pixel_to_pixel():
    changed = PIXELS.copy()
    changed[0, 10, 20] ^= 1
    encryptor = PixelEncryptor(KEY).fit(PIXELS)
    difference = encryptor.transform(PIXELS) != encryptor.transform(changed)
    assert difference[0, 10, 20].all()
    assert difference.sum() == 3


@pytest.mark.parametrize(
    ("parameters", "shape", "expected"),
    [
        ({}, (32, 32, 3), 5719),  # systems of 32×32 pixels: 3·1024 + 1024·log2(6)
        ({"shuffle_channels": False}, (32, 32, 3), 3072),
        ({}, (32, 32), 1024),
    ],
)
def test_key_space(parameters, shape, expected):
    bits = PixelEncryptor(KEY, **parameters).key_space_bits(shape)
    assert bits == pytest.approx(expected, abs=0.5)


def test_ciphertexts_are_those_of_the_format():
    vectors = json.loads((Path(__file__).parents[2] / "vectors" / "perceptual.json").read_text())
    for vector in vectors["PixelEncryptor"]:
        shape = vector["shape"]
        X = np.arange(math.prod(shape)).astype(np.uint8).reshape(1, *shape)
        encryptor = PixelEncryptor(KEY, **vector["parameters"]).fit(X)
        assert encryptor.transform(X).tobytes().hex() == vector["ciphertext"]

import json
import math
from pathlib import Path

import numpy as np
import pytest

from ricsk import LearnableEncryptor, SecretKey

KEY = SecretKey(bytes(range(32)))
ELE = {"per_block_keys": True, "scramble_blocks": True}
rng = np.random.default_rng(0)


def nibbles_of(block):
    """Low nibbles in (row, column, channel) order, then high ones."""
    values = block.ravel()
    return np.concatenate([values & 15, values >> 4])


def known_plaintext(encryptor, side, channels=3, n_pairs=400):
    """Read permutation and reversals of a single block off many pairs."""
    X = rng.integers(0, 256, (n_pairs, side, side, channels), dtype=np.uint8)
    C = encryptor.fit(X).transform(X)
    plain = np.stack([nibbles_of(block) for block in X])
    secret = np.stack([nibbles_of(block) for block in C])
    same = (secret[:, :, None] == plain[:, None]).all(axis=0)
    reversed_ = (secret[:, :, None] == 15 - plain[:, None]).all(axis=0)
    assert np.all((same | reversed_).sum(axis=1) == 1)
    return (same | reversed_).argmax(axis=1), reversed_.any(axis=1)


@pytest.mark.parametrize(("side", "channels"), [(4, 3), (4, 1), (2, 3)])
def test_one_block_is_the_published_map(side, channels):
    """Reverse where the key's value is above the middle, gather by the key, reverse there again."""
    order, negated = known_plaintext(LearnableEncryptor(KEY, block_size=side), side, channels)
    n = 2 * side * side * channels
    assert sorted(order) == list(range(n))
    reverse = order > n // 2
    v = np.arange(n) % 16
    expected = v.copy()
    expected[reverse] = 15 - expected[reverse]
    expected = expected[order]
    expected[reverse] = 15 - expected[reverse]
    np.testing.assert_array_equal(np.where(negated, 15 - v[order], v[order]), expected)


def test_independent_reversals_do_not_follow_the_permutation():
    encryptor = LearnableEncryptor(KEY, reversal="independent")
    order, negated = known_plaintext(encryptor, 4)
    reverse = order > 48
    assert np.mean(negated == (reverse[order] ^ reverse)) < 0.8
    assert 0.25 < negated.mean() < 0.75


def test_all_blocks_share_a_key_in_le_and_none_does_in_ele():
    X = np.tile(rng.integers(0, 256, (1, 4, 4, 3), dtype=np.uint8), (1, 8, 8, 1))
    C = LearnableEncryptor(KEY).fit_transform(X)
    np.testing.assert_array_equal(C, np.tile(C[:, :4, :4], (1, 8, 8, 1)))
    C = LearnableEncryptor(KEY, **ELE).fit_transform(X)
    blocks = C.reshape(8, 4, 8, 4, 3).swapaxes(1, 2).reshape(64, -1)
    assert len(np.unique(blocks, axis=0)) == 64


@pytest.mark.parametrize("scramble_blocks", [False, True])
def test_scrambling_moves_blocks_whole(scramble_blocks):
    X = np.zeros((33, 16, 16, 3), np.uint8)
    blocks = [(4 * row, 4 * column) for row in range(4) for column in range(4)]
    for i, (top, left) in enumerate(blocks):
        X[i + 1, top : top + 4, left : left + 4] = 255
    encryptor = LearnableEncryptor(KEY, per_block_keys=True, scramble_blocks=scramble_blocks)
    C = encryptor.fit_transform(X)
    moved = []
    for i in range(16):
        changed = (C[i + 1] != C[0]).reshape(4, 4, 4, 4, 3).swapaxes(1, 2).all(axis=(2, 3, 4))
        assert changed.sum() == 1
        moved.append(int(changed.argmax()))
    assert sorted(moved) == list(range(16))
    assert (moved == sorted(moved)) is not scramble_blocks


def double_factorial(n):
    return math.prod(range(n, 0, -2))


@pytest.mark.parametrize(
    ("parameters", "shape", "expected"),
    [
        ({}, (32, 32, 3), math.log2(math.factorial(96))),
        ({"reversal": "independent"}, (32, 32, 3), math.log2(double_factorial(191))),
        (ELE, (32, 32, 3), 64 * math.log2(math.factorial(96)) + math.log2(math.factorial(64))),
        ({"block_size": 2}, (4, 4), math.log2(math.factorial(8))),
    ],
)
def test_key_space(parameters, shape, expected):
    bits = LearnableEncryptor(KEY, **parameters).key_space_bits(shape)
    assert bits == pytest.approx(expected)


def test_key_space_of_independent_reversals_counts_different_maps():
    """All maps of four nibbles (two bytes), counted one by one."""
    from itertools import permutations, product

    maps = {
        (order, tuple(r[i] ^ r[order[i]] for i in range(4)))
        for order in permutations(range(4))
        for r in product((0, 1), repeat=4)
    }
    assert len(maps) == double_factorial(7)


def test_blocks_must_fill_the_image_or_be_padded():
    X = rng.integers(0, 256, (1, 30, 30, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"Resize them to 28×28 or 32×32"):
        LearnableEncryptor(KEY).fit(X)
    encryptor = LearnableEncryptor(KEY, pad=True)
    C = encryptor.fit_transform(X)
    assert C.shape == (1, 32, 32, 3)
    np.testing.assert_array_equal(encryptor.inverse_transform(C), X)


def test_ciphertexts_are_those_of_the_format():
    vectors = json.loads((Path(__file__).parents[2] / "vectors" / "perceptual.json").read_text())
    for vector in vectors["LearnableEncryptor"]:
        shape = vector["shape"]
        X = np.arange(math.prod(shape)).astype(np.uint8).reshape(1, *shape)
        encryptor = LearnableEncryptor(KEY, **vector["parameters"]).fit(X)
        assert encryptor.transform(X).tobytes().hex() == vector["ciphertext"]

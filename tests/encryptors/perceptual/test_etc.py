import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

from ricsk import EtCEncryptor, SecretKey
from ricsk.exceptions import SmallKeySpaceWarning

KEY = SecretKey(bytes(range(32)))
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
OFF = {"permute": False, "rotate": False, "negate": False, "shuffle_channels": False}


def blocks_of(image, side):
    height, width = image.shape[:2]
    return [
        image[top : top + side, left : left + side]
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def symmetries(block):
    """The eight, written as in a textbook."""
    transposed = block.swapaxes(0, 1)
    return [b[::v, ::h] for b in (block, transposed) for v, h in product((1, -1), repeat=2)]


def only(step, n_images=1, size=256, block_size=2, **parameters):
    """Encrypt with one step, on so many blocks that every draw occurs."""
    X = rng.integers(0, 256, (n_images, size, size, 3), dtype=np.uint8)
    encryptor = EtCEncryptor(KEY, block_size=block_size, **{**OFF, step: True}, **parameters)
    C = encryptor.fit_transform(X)
    return blocks_of(X[0], block_size), blocks_of(C[0], block_size)


def test_no_step_changes_nothing():
    np.testing.assert_array_equal(EtCEncryptor(KEY, **OFF).fit_transform(PIXELS), PIXELS)


def test_permute_moves_whole_blocks():
    plain, secret = only("permute", size=64, block_size=8)
    places = [
        next(i for i, block in enumerate(plain) if np.array_equal(block, found)) for found in secret
    ]
    assert sorted(places) == list(range(64))
    assert places != sorted(places)


def test_rotate_uses_all_eight_symmetries_equally():
    plain, secret = only("rotate", block_size=4)
    found = [
        next(i for i, turned in enumerate(symmetries(p)) if np.array_equal(turned, s))
        for p, s in zip(plain, secret, strict=True)
    ]
    counts = np.bincount(found, minlength=8)
    assert np.all(np.abs(counts - len(plain) / 8) < 5 * math.sqrt(len(plain) / 8))


def test_negate_takes_all_channels_of_half_of_the_blocks():
    plain, secret = only("negate")
    negated = [np.array_equal(255 - p, s) for p, s in zip(plain, secret, strict=True)]
    kept = [np.array_equal(p, s) for p, s in zip(plain, secret, strict=True)]
    assert all(n ^ k for n, k in zip(negated, kept, strict=True))
    assert abs(np.mean(negated) - 0.5) < 5 * 0.5 / math.sqrt(len(plain))


def test_shuffle_channels_uses_all_six_orders_equally():
    plain, secret = only("shuffle_channels")
    found = [
        [np.array_equal(p[..., list(order)], s) for order in product(range(3), repeat=3)].index(
            True
        )
        for p, s in zip(plain, secret, strict=True)
    ]
    orders = [i for i, order in enumerate(product(range(3), repeat=3)) if len(set(order)) == 3]
    counts = np.bincount(found, minlength=27)
    assert counts.sum() == counts[orders].sum()
    assert np.all(np.abs(counts[orders] - len(plain) / 6) < 5 * math.sqrt(len(plain) / 6))


def test_steps_are_independent_of_each_other():
    """Sharing one draw between two steps was a defect of a published code."""
    plain, secret = only("rotate", block_size=4)
    mirrored = [
        any(np.array_equal(t, s) for t in symmetries(p)[:4])
        for p, s in zip(plain, secret, strict=True)
    ]
    plain, secret = only("negate", block_size=4)
    negated = [np.array_equal(255 - p, s) for p, s in zip(plain, secret, strict=True)]
    assert abs(np.corrcoef(mirrored, negated)[0, 1]) < 5 / math.sqrt(len(plain))


def test_shared_keys_do_the_same_to_every_block():
    X = np.tile(rng.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8), (1, 8, 8, 1))
    C = EtCEncryptor(KEY, block_size=8, per_block_keys=False).fit_transform(X)
    np.testing.assert_array_equal(C, np.tile(C[:, :8, :8], (1, 8, 8, 1)))
    C = EtCEncryptor(KEY, block_size=8).fit_transform(X)
    assert not np.array_equal(C, np.tile(C[:, :8, :8], (1, 8, 8, 1)))


def test_sub_blocks_are_permuted_within_their_block_alike_in_all_blocks():
    X = rng.integers(0, 256, (1, 24, 32, 3), dtype=np.uint8)
    parameters = {"block_size": 8, "sub_block_size": 2, "per_block_keys": False, **OFF}
    C = EtCEncryptor(KEY, **parameters).fit_transform(X)
    orders = [
        [
            next(i for i, part in enumerate(blocks_of(p, 2)) if np.array_equal(part, found))
            for found in blocks_of(s, 2)
        ]
        for p, s in zip(blocks_of(X[0], 8), blocks_of(C[0], 8), strict=True)
    ]
    assert sorted(orders[0]) == list(range(16))
    assert orders[0] != sorted(orders[0])
    assert all(order == orders[0] for order in orders)


@pytest.mark.parametrize("step", ["rotate", "negate", "shuffle_channels"])
def test_each_sub_block_has_its_own_draw(step):
    """So many sub-blocks of one block that all draws occur, undone block by block."""
    X = np.tile(rng.integers(0, 256, (1, 4, 4, 3), dtype=np.uint8), (1, 32, 32, 1))
    parameters = {"block_size": 64, "sub_block_size": 4, "per_block_keys": False, **OFF}
    C = EtCEncryptor(KEY, **{**parameters, step: True}).fit_transform(X)[0]
    np.testing.assert_array_equal(C[:64, :64], C[64:, :64])
    np.testing.assert_array_equal(C[:64, :64], C[:64, 64:])
    found = [part.tobytes() for part in blocks_of(C[:64, :64], 4)]
    assert len(set(found)) == {"rotate": 8, "negate": 2, "shuffle_channels": 6}[step]


def test_a_whole_block_is_its_own_sub_block():
    one = EtCEncryptor(KEY, block_size=8, per_block_keys=False)
    other = clone(one).set_params(sub_block_size=8)
    np.testing.assert_array_equal(one.fit_transform(PIXELS), other.fit_transform(PIXELS))


def test_sub_blocks_of_one_pixel_permute_pixels():
    encryptor = EtCEncryptor(
        KEY, block_size=8, sub_block_size=1, per_block_keys=False, **{**OFF, "rotate": True}
    )
    C = encryptor.fit_transform(PIXELS)
    for plain, secret in zip(blocks_of(PIXELS[0], 8), blocks_of(C[0], 8), strict=True):
        assert not np.array_equal(plain, secret)
        np.testing.assert_array_equal(
            *(np.unique(block.reshape(-1, 3), axis=0) for block in (plain, secret))
        )


def test_sub_blocks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"3×3 pixels do not fill blocks of 16×16"):
        EtCEncryptor(KEY, per_block_keys=False, sub_block_size=3).fit(PIXELS)
    with pytest.raises(ValueError, match=r"add per_block_keys=False"):
        EtCEncryptor(KEY, sub_block_size=4).fit(PIXELS)


@pytest.mark.parametrize("grayscale", [True, "ycbcr"])
def test_grayscale_stacks_three_planes_in_blocks_of_8(grayscale):
    encryptor = EtCEncryptor(KEY, grayscale=grayscale).fit(PIXELS)
    assert encryptor.ciphertext_shape_ == (96, 48, 1)
    C = encryptor.transform(PIXELS)
    assert C.shape == (2, 96, 48, 1)
    n_blocks = 96 * 48 / 64
    expected = math.log2(math.factorial(round(n_blocks))) + 4 * n_blocks
    assert encryptor.key_space_bits() == pytest.approx(expected)
    planes = EtCEncryptor(KEY, grayscale=grayscale, **OFF).fit_transform(PIXELS)
    ours = sorted(np.sort(np.minimum(b, 255 - b), axis=None).tobytes() for b in blocks_of(C[0], 8))
    theirs = sorted(
        np.sort(np.minimum(b, 255 - b), axis=None).tobytes() for b in blocks_of(planes[0], 8)
    )
    assert ours == theirs


def test_grayscale_is_exact_for_every_colour():
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    X = colours.reshape(1, 52 * 4, 52 * 13, 3)
    encryptor = EtCEncryptor(KEY, block_size=4, grayscale=True)
    C = encryptor.fit_transform(X)
    np.testing.assert_array_equal(encryptor.inverse_transform(C), X)


def test_grayscale_ycbcr_is_that_of_jpeg():
    encryptor = EtCEncryptor(KEY, grayscale="ycbcr", **OFF)
    planes = encryptor.fit_transform(PIXELS)[0, ..., 0].reshape(3, 32, 48)
    expected = np.asarray(Image.fromarray(PIXELS[0]).convert("YCbCr"))
    np.testing.assert_array_equal(np.moveaxis(planes, 0, -1), expected)
    back = encryptor.inverse_transform(encryptor.transform(PIXELS)).astype(int)
    assert 0 < np.abs(back - PIXELS).max() <= 4


def test_grayscale_luminance_looks_like_the_image():
    ramp = np.linspace(0, 255, 32 * 48).reshape(1, 32, 48, 1).astype(np.uint8)
    planes = EtCEncryptor(KEY, grayscale=True, **OFF).fit_transform(np.repeat(ramp, 3, axis=-1))
    np.testing.assert_array_equal(planes[0, :32, :, 0], ramp[0, ..., 0])
    assert (planes[0, 32:] == 128).all()


def test_padding_is_undone():
    X = PIXELS[:, :30, :41]
    encryptor = EtCEncryptor(KEY, pad=True)
    C = encryptor.fit_transform(X)
    assert C.shape == (2, 32, 48, 3)
    np.testing.assert_array_equal(encryptor.inverse_transform(C), X)
    assert len(encryptor.get_feature_names_out()) == 32 * 48 * 3


def test_padding_repeats_the_edge():
    X = PIXELS[:, :30, :41]
    C = EtCEncryptor(KEY, pad=True, **OFF).fit_transform(X)
    np.testing.assert_array_equal(C, np.pad(X, ((0, 0), (0, 2), (0, 7), (0, 0)), mode="edge"))


def test_sides_that_blocks_do_not_fill_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"30×41.*Resize them to 16×32 or 32×48.*pad=True"):
        EtCEncryptor(KEY).fit(PIXELS[:, :30, :41])
    with pytest.raises(ValueError, match=r"Resize them to 16×16,"):
        EtCEncryptor(KEY).fit(PIXELS[:, :10, :10])
    with pytest.raises(ValueError, match=r"1×60.*image_shape=\(height, width, channels\)"):
        EtCEncryptor(KEY).fit(PIXELS[:, :4, :5].reshape(2, -1))


def test_four_blocks_are_too_few_and_the_warning_says_how_many_keys():
    X = PIXELS[:, :32, :32]
    with pytest.warns(SmallKeySpaceWarning, match=r"2\^30\.9 different keys"):
        EtCEncryptor(KEY).fit(X)


@pytest.mark.parametrize(
    ("parameters", "shape", "expected"),
    [
        ({}, (32, 32, 3), math.log2(24 * 8**4 * 2**4 * 6**4)),
        ({}, (128, 128, 3), 717),  # the figure of the paper's authors for 64 blocks
        ({}, (224, 224, 3), 2505.5),
        ({}, (32, 32), math.log2(24 * 8**4 * 2**4)),
        ({"per_block_keys": False}, (32, 32, 3), math.log2(24 * 8 * 2 * 6)),
        (
            {"per_block_keys": False, "sub_block_size": 8},
            (32, 32, 3),
            math.log2(24 * 24 * 8**4 * 2**4 * 6**4),
        ),
        (
            {"per_block_keys": False, "sub_block_size": 1, "block_size": 2, "permute": False},
            (32, 32),
            math.log2(24 * 2**4),
        ),
        ({"block_size": 1}, (2, 2), math.log2(24 * 2**4)),
        ({"permute": False, "rotate": False}, (32, 32, 3), math.log2(2**4 * 6**4)),
        ({"variant": "fugokidi2023"}, (32, 32, 3), math.log2(24 * 4**4 * 2**4 * 6**4)),
        ({"variant": "madono2020", "block_size": 16}, (32, 32, 3), math.log2(24 * 8**4 * 6 * 6**4)),
    ],
)
def test_key_space(parameters, shape, expected):
    assert EtCEncryptor(KEY, **parameters).key_space_bits(shape) == pytest.approx(expected, abs=0.5)


def test_key_space_counts_the_encryptions_that_there_are():
    X = rng.integers(0, 128, (1, 4, 2, 1), dtype=np.uint8)
    encryptor = EtCEncryptor(block_size=2, sub_block_size=1, per_block_keys=False, negate=False)
    found = {
        encryptor.set_params(key=SecretKey(number.to_bytes(32, "little")))
        .fit_transform(X)
        .tobytes()
        for number in range(600)
    }
    assert math.log2(len(found)) == pytest.approx(encryptor.key_space_bits(), abs=1e-9)


def test_fugokidi2023_has_four_symmetries_that_form_no_group():
    plain, secret = only("rotate", block_size=4, variant="fugokidi2023")
    found = {
        next(i for i, turned in enumerate(symmetries(p)) if np.array_equal(turned, s))
        for p, s in zip(plain, secret, strict=True)
    }
    block = plain[0]
    named = [block, block[::-1], np.rot90(block), np.rot90(block)[::-1]]
    expected = {
        next(i for i, turned in enumerate(symmetries(block)) if np.array_equal(turned, n))
        for n in named
    }
    assert found == expected


def test_madono2020_loses_channels_and_says_so():
    _, secret = only("shuffle_channels", variant="madono2020")
    lost = [len(np.unique(s.reshape(-1, 3).T, axis=0)) < 3 for s in secret]
    assert np.mean(lost) == pytest.approx(5 / 6, abs=0.02)
    broken = EtCEncryptor(KEY, variant="madono2020")
    assert not hasattr(broken, "inverse_transform")
    with pytest.raises(AttributeError):
        broken.inverse_transform(PIXELS)
    assert hasattr(clone(broken).set_params(shuffle_channels=False), "inverse_transform")


def test_madono2020_negates_exactly_half_in_blocks_of_4():
    X = np.zeros((1, 32, 32, 3), np.uint8)
    C = EtCEncryptor(KEY, variant="madono2020").fit_transform(X)
    blocks = blocks_of(C[0], 4)
    assert len(blocks) == 64
    assert sum((block == 255).all() for block in blocks) == 32
    assert sum((block == 0).all() for block in blocks) == 32


@pytest.mark.parametrize("parameters", [{"grayscale": True}, {"per_block_keys": False}])
def test_variants_have_no_options_that_their_code_lacks(parameters):
    with pytest.raises(ValueError, match="Leave those out, or the variant"):
        EtCEncryptor(KEY, variant="fugokidi2023", **parameters).fit(PIXELS)


@pytest.mark.parametrize(
    "parameters",
    [
        {"block_size": 0},
        {"sub_block_size": 0},
        {"variant": "x"},
        {"grayscale": "rgb"},
        {"negate": "yes"},
        {"pad": 2.5},
    ],
)
def test_impossible_parameters_are_refused(parameters):
    with pytest.raises(ValueError, match=f"The '{next(iter(parameters))}' parameter"):
        EtCEncryptor(KEY, **parameters).fit(PIXELS)


def test_ciphertexts_are_those_of_the_format():
    """Old ciphertexts must stay readable: a change of any draw shows here."""
    vectors = json.loads((Path(__file__).parents[2] / "vectors" / "perceptual.json").read_text())
    for vector in vectors["EtCEncryptor"]:
        shape = vector["shape"]
        X = np.arange(math.prod(shape)).astype(np.uint8).reshape(1, *shape)
        encryptor = EtCEncryptor(KEY, **vector["parameters"]).fit(X)
        assert encryptor.transform(X).tobytes().hex() == vector["ciphertext"]

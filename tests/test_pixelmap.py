import tracemalloc

import numpy as np
import pytest

from ricsk.pixelmap import PixelMap

rng = np.random.default_rng(0)


def random_map(n_bytes, nibbles):
    n_units = 2 * n_bytes if nibbles else n_bytes
    mask = rng.integers(0, 16 if nibbles else 256, n_units)
    return PixelMap(rng.permutation(n_units), mask, nibbles=nibbles)


def one_by_one(pixel_map, images):
    """The definition, unit by unit."""
    result = []
    for image in images.reshape(len(images), -1).tolist():
        units = [v & 15 for v in image] + [v >> 4 for v in image] if pixel_map.nibbles else image
        out = [
            units[i] ^ m
            for i, m in zip(pixel_map.index.tolist(), pixel_map.mask.tolist(), strict=True)
        ]
        if pixel_map.nibbles:
            n = len(image)
            out = [out[i] | out[i + n] << 4 for i in range(n)]
        result.append(out)
    return np.array(result, np.uint8).reshape(images.shape)


# Batches around the eight images that share a word, and around a chunk of them.
@pytest.mark.parametrize("n_samples", [1, 7, 8, 9, 64, 131])
@pytest.mark.parametrize("nibbles", [False, True])
def test_does_what_it_is_defined_to_do(n_samples, nibbles):
    images = rng.integers(0, 256, (n_samples, 8, 7, 3), dtype=np.uint8)
    pixel_map = random_map(8 * 7 * 3, nibbles)
    np.testing.assert_array_equal(pixel_map(images), one_by_one(pixel_map, images))


@pytest.mark.parametrize("nibbles", [False, True])
def test_chunks_join_where_images_are_large(nibbles):
    images = rng.integers(0, 256, (37, 128, 128, 3), dtype=np.uint8)
    pixel_map = random_map(128 * 128 * 3, nibbles)
    whole = pixel_map(images)
    for i in (0, 8, 20, 36):
        np.testing.assert_array_equal(whole[i : i + 1], pixel_map(images[i : i + 1]))


@pytest.mark.parametrize("nibbles", [False, True])
def test_inverse_undoes(nibbles):
    images = rng.integers(0, 256, (10, 5, 5, 1), dtype=np.uint8)
    pixel_map = random_map(25, nibbles)
    np.testing.assert_array_equal(pixel_map.inverse()(pixel_map(images)), images)
    np.testing.assert_array_equal(pixel_map(pixel_map.inverse()(images)), images)


@pytest.mark.parametrize("nibbles", [False, True])
def test_composition_is_one_after_the_other(nibbles):
    images = rng.integers(0, 256, (3, 12), dtype=np.uint8)
    first, second = random_map(12, nibbles), random_map(12, nibbles)
    np.testing.assert_array_equal((second @ first)(images), second(first(images)))


def test_identity_changes_nothing():
    images = rng.integers(0, 256, (3, 12), dtype=np.uint8)
    np.testing.assert_array_equal(PixelMap.identity(12)(images), images)
    np.testing.assert_array_equal(PixelMap.identity(24, nibbles=True)(images), images)


def test_reads_any_memory_layout_and_leaves_the_input_alone():
    images = np.asfortranarray(rng.integers(0, 256, (20, 4, 4, 3), dtype=np.uint8))[::2]
    before = images.copy()
    pixel_map = random_map(48, True)
    np.testing.assert_array_equal(pixel_map(images), pixel_map(before))
    np.testing.assert_array_equal(images, before)


def test_floats_are_moved_and_negated():
    pixel_map = PixelMap([2, 0, 1], [255, 0, 255])
    images = np.array([[0.25, 0.5, 1.0]], np.float32)
    result = pixel_map.on_floats(images, 0.0, 1.0)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.array([[0.0, 0.25, 0.5]], np.float32))
    np.testing.assert_array_equal(pixel_map.inverse().on_floats(result, 0.0, 1.0), images)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("low_high", [(0, 1), (0, 255), (-1, 1), (-3.5, 5)])
def test_floats_that_are_levels_are_negated_to_levels(dtype, low_high):
    low, high = low_high
    numbers = np.arange(256)
    levels = (low + numbers * (high - low) / 255).astype(dtype)[np.newaxis]
    negate = PixelMap(numbers, np.full(256, 255))
    np.testing.assert_array_equal(negate.on_floats(levels, low, high), levels[:, ::-1])
    between = levels[:, :-1] / 2 + levels[:, 1:] / 2
    beside = np.concatenate([between, levels[:, -1:]], axis=1)
    negated = negate.on_floats(beside, low, high)
    assert negated[0, -1] == levels[0, 0]
    expected = (low + high - beside.astype(np.float64)).astype(dtype)
    np.testing.assert_array_equal(negated[:, :-1], expected[:, :-1])


def test_floats_need_little_memory_besides_the_result():
    images = rng.random((400, 64, 64, 3), dtype=np.float32)
    negate = PixelMap(np.arange(64 * 64 * 3), np.full(64 * 64 * 3, 255))
    tracemalloc.start()
    result = negate.on_floats(images, 0.0, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - result.nbytes < images.nbytes / 2


def test_floats_outside_of_the_range_are_negated_too():
    negate = PixelMap([0, 1], [255, 255])
    for dtype, images, low, high in (
        (np.float16, [[2e4, 6e4]], 3e4, 5e4),
        (np.float64, [[-1e30, 1e30]], -1.0, 1.0),
    ):
        negated = negate.on_floats(np.array(images, dtype), low, high)
        np.testing.assert_array_equal(negated, np.array(images, dtype)[:, ::-1])


def test_maps_that_do_more_refuse_floats():
    for pixel_map in (PixelMap([0, 1], [1, 0]), PixelMap.identity(2, nibbles=True)):
        assert not pixel_map.only_negates
        with pytest.raises(ValueError, match="round the images to uint8"):
            pixel_map.on_floats(np.zeros((1, pixel_map.n_bytes)), 0.0, 1.0)


def test_repeated_units_have_no_inverse():
    with pytest.raises(ValueError, match="nothing can undo it"):
        PixelMap([0, 0], [0, 0]).inverse()


def test_repr_tells_no_permutation():
    assert repr(PixelMap([3, 1, 2, 0], [7, 7, 7, 7])) == "PixelMap(<4 bytes>)"


@pytest.mark.parametrize(
    ("index", "mask", "nibbles", "message"),
    [
        ([0, 1], [0], False, "same length"),
        ([], [], False, "at least 1"),
        ([[0]], [[0]], False, "one-dimensional"),
        ([0, 2], [0, 0], False, "outside of 0..1"),
        ([0, -1], [0, 0], False, "outside of 0..1"),
        ([0, 1], [0, 256], False, "outside of 0..255"),
        ([0, 1], [0, 16], True, "outside of 0..15"),
        ([0, 1, 2], [0, 0, 0], True, "3 nibbles do not fill whole bytes"),
    ],
)
def test_impossible_maps_are_refused(index, mask, nibbles, message):
    with pytest.raises(ValueError, match=message):
        PixelMap(index, mask, nibbles=nibbles)


def test_composition_of_different_units_is_refused():
    with pytest.raises(ValueError, match="different units"):
        PixelMap.identity(4) @ PixelMap.identity(4, nibbles=True)


def test_wrong_images_are_refused():
    pixel_map = PixelMap.identity(4)
    with pytest.raises(TypeError, match="float64; expected uint8"):
        pixel_map(np.zeros((2, 4)))
    for shape in ((2, 5), (4,)):
        with pytest.raises(ValueError, match="expected images with 4 pixel values"):
            pixel_map(np.zeros(shape, np.uint8))

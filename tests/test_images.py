import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ricsk.images import ValueRange, check_images

rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "image_shape", "expected"),
    [
        ((2, 4, 5, 3), None, (4, 5, 3)),
        ((2, 4, 5, 1), None, (4, 5, 1)),
        ((2, 4, 5), None, (4, 5, 1)),
        ((2, 60), (4, 5, 3), (4, 5, 3)),
        ((2, 20), (4, 5), (4, 5, 1)),
        ((2, 20), None, (1, 20, 1)),
    ],
)
def test_every_form_of_images_is_read_and_restored(shape, image_shape, expected):
    X = rng.random(shape, np.float32)
    batch = check_images(X, image_shape=image_shape)
    assert batch.shape == expected
    restored = batch.restore(batch.pixels)
    assert restored.dtype == np.float32
    np.testing.assert_array_equal(restored, X)


def test_lists_of_pillow_images_and_data_frames_are_read():
    images = [Image.new("RGB", (5, 4), (1, 2, 3)) for _ in range(3)]
    batch = check_images(images)
    assert batch.shape == (4, 5, 3)
    assert batch.pixels[0, 0, 0].tolist() == [1, 2, 3]
    assert check_images(pd.DataFrame(np.zeros((3, 20)))).shape == (1, 20, 1)


def test_other_integers_are_8_bit_values_and_come_back():
    X = np.array([[0, 128, 255]], np.int64)
    batch = check_images(X)
    assert batch.pixels.dtype == np.uint8
    assert batch.restore(batch.pixels).dtype == np.int64


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 3, 8, 8)), r"8 channels.*channel-first: use numpy.moveaxis"),
        (np.zeros((2, 8, 8, 4)), r"4 channels; expected 1 or 3"),
        (np.zeros(5), r"1 dimension; expected images as"),
        (np.zeros((1, 2, 3, 4, 5)), r"5 dimensions"),
        (np.full((1, 4), 256), r"from 256 to 256; expected 8-bit"),
        (np.full((1, 4), -1), r"from -1 to -1; expected 8-bit"),
        (np.full((1, 4, 4, 3), np.nan), r"contains NaN"),
        (np.full((1, 4, 4, 3), np.inf), r"contains infinity"),
        (np.zeros((0, 4, 4, 3)), r"0 sample"),
        (np.zeros((2, 0, 4, 3)), r"at least one pixel"),
        ([np.zeros((4, 4)), np.zeros((5, 4))], r"different sizes or channel counts"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        check_images(X)


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="bool"):
        check_images(np.zeros((1, 4, 4), bool))
    with pytest.raises(ValueError, match="could not convert string"):
        check_images(np.array([["a", "b"]], dtype=object))


@pytest.mark.parametrize("image_shape", [(3,), (2, 2, 2), (0, 4), (4, 4, 3, 1)])
def test_impossible_image_shapes_are_refused(image_shape):
    with pytest.raises(ValueError, match=r"expected \(height, width\)"):
        check_images(np.zeros((1, 4)), image_shape=image_shape)


def test_image_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"X has 10 features, but image_shape=.* needs 12"):
        check_images(np.zeros((1, 10)), image_shape=(2, 2, 3))


def test_value_range_is_found():
    assert ValueRange.of(np.zeros(3, np.uint8), None) == ValueRange(0.0, 1.0)
    assert ValueRange.of(np.array([0.0, 0.1]), None) == ValueRange(0.0, 1.0)
    assert ValueRange.of(np.array([0.0, 7.0]), None) == ValueRange(0.0, 7.0, learned=True)
    assert ValueRange.of(np.array([7.0, 7.0]), None) == ValueRange(7.0, 8.0, learned=True)
    assert ValueRange.of(np.array([7.0, 8.0]), (0, 255)) == ValueRange(0.0, 255.0)


@pytest.mark.parametrize("value_range", [(1, 0), (0, 0), (0,), (0, np.inf), ("a", "b"), (0, 1, 2)])
def test_impossible_value_ranges_are_refused(value_range):
    with pytest.raises(ValueError, match=r"pair \(low, high\)"):
        ValueRange.of(np.zeros(3), value_range)


def test_rounding_to_256_levels_and_back():
    values = ValueRange(-1.0, 1.0)
    levels = np.arange(256, dtype=np.uint8)
    for dtype in (np.float32, np.float64):
        floats = values.from_uint8(levels, dtype)
        assert floats.dtype == dtype
        assert floats[0] == -1
        assert floats[-1] == 1
        np.testing.assert_array_equal(values.to_uint8(floats), levels)
    assert values.to_uint8(np.array([0.0039])).tolist() == [128]


def test_values_outside_of_the_range_are_refused_but_not_rounding_errors():
    values = ValueRange(0.0, 1.0)
    values.check(np.array([-1e-9, 1 + 1e-9]))
    with pytest.raises(ValueError, match=r"from 0 to 255, outside of the range 0 to 1"):
        values.check(np.array([0.0, 255.0]))

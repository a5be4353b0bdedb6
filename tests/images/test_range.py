import numpy as np
import pytest

from ricsk.images import ValueRange

LEVELS = np.arange(256, dtype=np.uint8)


def test_value_range_is_found():
    assert ValueRange.of(np.zeros(3, np.uint8), None) == ValueRange(0.0, 1.0)
    assert ValueRange.of(np.array([0.0, 0.1]), None) == ValueRange(0.0, 1.0)
    assert ValueRange.of(np.array([0.0, 7.5]), None) == ValueRange(0.0, 7.5, learned=True)
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


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("to_bytes", [np.trunc, np.rint], ids=["cut", "rounded"])
def test_a_cast_to_8_bits_gives_the_level(dtype, to_bytes):
    floats = ValueRange(0.0, 1.0).from_uint8(LEVELS, dtype)
    np.testing.assert_array_equal(to_bytes(floats * 255).astype(np.uint8), LEVELS)


def test_levels_are_what_numpy_makes_of_8_bits():
    floats = ValueRange(0.0, 1.0).from_uint8(LEVELS, np.float64)
    np.testing.assert_array_equal(floats, LEVELS / 255)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "values",
    [np.arange(256), np.arange(3, 251), np.arange(17), np.arange(-3, 6), np.arange(100, 355)],
    ids=["8-bit", "part of 8-bit", "0 to 16", "negative", "high"],
)
def test_whole_numbers_come_back_exactly(values, dtype):
    images = values.astype(dtype)
    found = ValueRange.of(images, None)
    np.testing.assert_array_equal(found.from_uint8(found.to_uint8(images), dtype), images)


def test_8_bit_values_given_as_floats_have_the_whole_range():
    dark = np.array([3.0, 90.0])
    assert ValueRange.of(dark, None) == ValueRange(0.0, 255.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_lies_between_levels_is_told_from_levels(dtype):
    values = ValueRange(0.0, 1.0)
    images = values.from_uint8(LEVELS.reshape(1, 16, 16, 1), dtype).repeat(3, axis=0)
    images[1, 3, 4] += 0.1 / 255
    images[2, 0, 0] += 0.499 / 255
    assert values.are_levels(images).tolist() == [True, False, False]
    assert values.are_levels(LEVELS.reshape(1, 16, 16, 1)).tolist() == [True]
    # by another way of computing the same level
    other = (LEVELS * (1 / 255)).reshape(1, 16, 16, 1)
    assert values.are_levels(other.astype(np.float64)).tolist() == [True]

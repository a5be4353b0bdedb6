import numpy as np
import pandas as pd
import polars
import pytest
from PIL import Image
from sklearn.base import BaseEstimator

from ricsk.images import check_images, validate_images

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
    restored = batch.form.restore(batch.pixels)
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
    assert batch.form.restore(batch.pixels).dtype == np.int64


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 3, 8, 8)), r"8 channels.*channel-first: use numpy.moveaxis"),
        (np.zeros((2, 8, 8, 4)), r"4 channels; expected 1 or 3"),
        (np.zeros(5), r"1 dimension; expected images as.*X\[numpy.newaxis\]"),
        (np.zeros((1, 2, 3, 4, 5)), r"5 dimensions"),
        (np.full((1, 4), 256), r"from 256 to 256; expected 8-bit"),
        (np.full((1, 4), -1), r"from -1 to -1; expected 8-bit"),
        (np.full((1, 4, 4, 3), np.nan), r"contains NaN"),
        (np.full((1, 4, 4, 3), np.inf), r"contains infinity"),
        (np.zeros((0, 4, 4, 3)), r"0 sample"),
        (np.zeros((8, 9, 3)), r"single image; expected a batch. Use X\[numpy.newaxis\]"),
        (np.zeros((8, 9, 1)), r"single image"),
        (np.zeros((2, 100 * 90)), r"9000 features.*image_shape=\(height, width\)"),
        (np.zeros((2, 0, 4, 3)), r"at least one pixel"),
        (
            [np.zeros((4, 4)), np.zeros((5, 4))],
            r"X\[0\] has shape \(4, 4\) and X\[1\] has shape \(5, 4\)",
        ),
    ],
)
def test_what_is_not_a_batch_of_images_is_refused(X, message):
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


@pytest.mark.parametrize(
    ("n_features", "shape"),
    [
        (63, (1, 63, 1)),
        (64, (8, 8, 1)),
        (256, (16, 16, 1)),
        (3 * 81, (9, 9, 3)),
        (3072, (32, 32, 3)),
    ],
)
def test_rows_are_read_as_square_images_unless_they_are_short(n_features, shape):
    assert check_images(np.zeros((2, n_features))).shape == shape


class Reads(BaseEstimator):
    def __init__(self, image_shape=None):
        self.image_shape = image_shape

    def fit(self, X):
        validate_images(self, X, reset=True)
        return self


def test_the_fitted_shape_tells_how_later_rows_are_read():
    reader = Reads((4, 16)).fit(np.zeros((2, 64)))
    reader.set_params(image_shape=(8, 8))
    assert validate_images(reader, np.zeros((2, 64)), reset=False).shape == (4, 16, 1)


@pytest.mark.parametrize("X", [np.zeros((9, 8, 3)), np.zeros((9, 8))], ids=["colour", "grey"])
def test_one_image_in_the_place_of_a_batch_is_recognized(X):
    channels = X.shape[2:] or (1,)
    reader = Reads().fit(np.zeros((2, 9, 8, *channels)))
    with pytest.raises(ValueError, match=r"a single image; expected a batch.*newaxis"):
        validate_images(reader, X, reset=False)


def test_one_row_of_measurements_is_a_batch():
    reader = Reads().fit(np.zeros((5, 7)))
    assert validate_images(reader, np.zeros((1, 7)), reset=False).shape == (1, 7, 1)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_column_names_are_kept_and_compared(library):
    names = [f"pixel {i}" for i in range(9)]
    values = np.arange(18, dtype=np.uint8).reshape(2, 9)
    make = pd.DataFrame if library == "pandas" else polars.DataFrame
    argument = "columns" if library == "pandas" else "schema"
    reader = Reads((3, 3)).fit(make(values, **{argument: names}))
    assert reader.feature_names_in_.tolist() == names
    with pytest.raises(ValueError, match="order"):
        validate_images(reader, make(values, **{argument: names[::-1]}), reset=False)


@pytest.mark.parametrize("X", [np.array(3), np.zeros(5)], ids=["scalar", "1-D"])
def test_an_estimator_refuses_fewer_dimensions_in_the_words_of_images(X):
    with pytest.raises(ValueError, match=r"X is a .* array; expected .*X\[numpy.newaxis\]"):
        Reads().fit(X)

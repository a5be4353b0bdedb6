from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pytest
import sklearn
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from ricsk.images import check_images

IMAGES = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
OBJECTS = np.empty(2, object)
OBJECTS[:] = list(IMAGES)


@pytest.mark.parametrize(
    "X",
    [
        list(IMAGES),
        tuple(IMAGES),
        deque(IMAGES),
        pd.Series(list(IMAGES)),
        pd.Series(list(IMAGES), index=[7, 3]),
        pd.DataFrame({"image": list(IMAGES)}),
        OBJECTS,
        [Image.fromarray(image) for image in IMAGES],
        pd.Series([Image.fromarray(image) for image in IMAGES]),
        [torch.from_numpy(image) for image in IMAGES],
        torch.from_numpy(IMAGES),
        IMAGES.tolist(),
    ],
    ids=lambda X: type(X).__name__,
)
def test_images_one_by_one_are_stacked(X):
    np.testing.assert_array_equal(check_images(X).pixels, IMAGES)


def test_a_tensor_is_read_while_scikit_learn_dispatches_to_its_library(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with sklearn.config_context(array_api_dispatch=True):
        np.testing.assert_array_equal(check_images(torch.from_numpy(IMAGES)).pixels, IMAGES)


@pytest.mark.parametrize(
    "X",
    [
        "photos",
        Path("photos"),
        ["a.png", "b.png"],
        [Path("a.png")],
        np.array(["a.png", "b.png"]),
        pd.Series(["a.png", "b.png"]),
        pd.Series([Path("a.png")]),
        pd.DataFrame({"file": ["a.png"], "size": [3]}),
        polars.Series(["a.png"]),
        polars.DataFrame({"file": ["a.png"]}),
    ],
    ids=lambda X: type(X).__name__,
)
def test_file_names_are_called_that(X):
    with pytest.raises(TypeError, match=r"file names; .*load_folder"):
        check_images(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (None, r"X is None; expected an array"),
        (3, r"X is a int; expected an array"),
        (b"\x89PNG", r"X is bytes; .*read_image"),
        ([b"\x89PNG"], r"X holds bytes; .*read_image"),
        (DataLoader(TensorDataset(torch.zeros(2, 3))), r"X is a DataLoader; .*transform_batches"),
        ((image for image in IMAGES), r"X is a generator; .*numpy.concatenate"),
        ({3, 4}, r"X is a set, which has no order"),
        ({"images": IMAGES}, r"X is a dict"),
        (torch.zeros(2, 8, 8, 3, requires_grad=True), r"X\.detach\(\)\.cpu\(\)"),
        (torch.zeros(2, 8, 8, 3, device="meta"), r"X is a Tensor that NumPy cannot read"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_an_array_is_named(X, message):
    with pytest.raises(TypeError, match=message):
        check_images(X)


@pytest.mark.parametrize(
    "X",
    [
        [np.zeros((4, 4)), np.zeros((5, 4))],
        pd.Series([np.zeros((4, 4)), np.zeros((5, 4))]),
        [IMAGES[0], IMAGES[1, ..., :1]],
    ],
)
def test_images_of_different_sizes_are_named(X):
    with pytest.raises(ValueError, match=r"X\[0\] has shape .* and X\[1\] has shape"):
        check_images(X)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_without_talk_of_models(value):
    with pytest.raises(ValueError, match=r"(?s)contains.*numpy.nan_to_num") as caught:
        check_images(np.full((1, 4, 4, 3), value))
    assert "HistGradientBoosting" not in str(caught.value)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 8, 8, 3), complex), r"Complex data not supported: .* of real numbers.$"),
        (np.ma.masked_equal(IMAGES, 7), r"masked values. Fill them first"),
    ],
    ids=["complex", "masked"],
)
def test_other_arrays_are_refused_in_the_words_of_images(X, message):
    with pytest.raises(ValueError, match=message):
        check_images(X)

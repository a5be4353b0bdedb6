"""Resizing and cropping, held against Pillow, whose way of it the recipes of networks follow."""

import numpy as np
import pytest
from PIL import Image
from torch import nn

from ricsk import PretrainedClassifier
from ricsk.pretrained._graph import ImageGraph, count_channels
from tests.pretrained.networks import make_images

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(images, **params):
    """See what the module is given, as levels and channels last."""
    given = []

    class Spy(nn.Module):
        def forward(self, x):
            given.append(x)
            return x.mean(dim=(2, 3))

    PretrainedClassifier(Spy(), classes=[0, 1, 2], **params).predict(images)
    return given[0].permute(0, 2, 3, 1).numpy() * 255


def textured(size):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (3, *size, 3))
    return np.clip(make_images(3, size) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [(12, 12), (30, 20), (10, 45)])
def test_whole_images_are_resized_as_pillow_does(interpolation, size):
    images = textured((24, 31))
    found = prepare(images, size=size, interpolation=interpolation)
    expected = [
        Image.fromarray(image).resize(size[::-1], FILTERS[interpolation]) for image in images
    ]
    # Pillow rounds to levels twice, once along each side.
    assert np.abs(found - np.stack([np.asarray(image) for image in expected])).max() < 2.1


@pytest.mark.parametrize(
    ("given", "size", "crop", "resized", "corner"),
    [
        ((40, 60), (14, 14), 0.7, (20, 30), (3, 8)),
        ((60, 40), (14, 14), 0.7, (30, 20), (8, 3)),
        ((30, 30), (14, 14), 0.9, (15, 15), (0, 0)),  # 15.6 is rounded down, half a pixel to even
        ((16, 16), (16, 16), 0.8, (20, 20), (2, 2)),
        ((40, 60), (20, 20), 1.0, (20, 30), (0, 5)),
        ((40, 60), (10, 20), 1.0, (13, 20), (2, 0)),
    ],
)
def test_the_middle_is_kept_of_what_keeps_its_proportions(given, size, crop, resized, corner):
    images = textured(given)
    found = prepare(images, size=size, crop=crop)
    top, left = corner
    for image, part in zip(images, found, strict=True):
        whole = np.asarray(Image.fromarray(image).resize(resized[::-1], Image.Resampling.BILINEAR))
        expected = whole[top : top + size[0], left : left + size[1]].astype(float)
        assert np.abs(part - expected).max() < 1.6


def test_images_of_the_size_are_given_as_they_are():
    images = textured((16, 16))
    for params in ({"size": 16}, {"size": (16, 16), "crop": 1.0}, {}):
        np.testing.assert_allclose(prepare(images, **params), images, atol=1e-4)


def test_cubic_curves_do_not_leave_the_range():
    edges = np.zeros((1, 8, 8, 3), np.uint8)
    edges[:, :, 4:] = 255
    found = prepare(edges, size=31, interpolation="bicubic")
    assert found.min() == 0
    assert found.max() == 255


def test_nearest_pixels():
    images = textured((8, 8))
    found = prepare(images, size=13, interpolation="nearest")
    expected = [
        np.asarray(Image.fromarray(image).resize((13, 13), Image.Resampling.NEAREST))
        for image in images
    ]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_normalization_of_each_channel():
    images = make_images(2, (8, 8))
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7])
    found = prepare(images, mean=mean, std=std.tolist()) / 255
    np.testing.assert_allclose(found, (images / 255 - mean) / std, atol=1e-5)


def test_a_normalization_for_other_channels_is_refused():
    params = {"size": None, "crop": None, "interpolation": "nearest", "output": None}
    with pytest.raises(ValueError, match="expected one number, or one for each of three"):
        ImageGraph(nn.Identity(), mean=[0.1] * 4, std=1.0, from_logits=True, **params)


def test_channels_are_counted_by_the_first_convolution():
    assert count_channels(nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 4, 1))) == 1
    assert count_channels(nn.Conv2d(7, 3, 1)) is None
    assert count_channels(nn.Linear(3, 4)) is None

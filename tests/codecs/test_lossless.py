"""Codecs bring back every bit, or refuse before they take memory for it."""

import numpy as np
import pytest
from PIL import Image

from ricsk.codecs import LOSSLESS, compress, decompress

rng = np.random.default_rng(0)


def ramp(shape):
    return np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)


@pytest.mark.parametrize("codec", sorted(LOSSLESS))
@pytest.mark.parametrize("shape", [(8, 8, 1), (17, 31, 1), (9, 13, 3), (40, 33, 3)])
@pytest.mark.parametrize("content", ["noise", "ramp", "black"])
def test_codecs_lose_nothing(codec, shape, content):
    image = rng.integers(0, 256, shape, np.uint8) if content == "noise" else ramp(shape)
    image = image * (content != "black")
    used, data = compress(image, codec)
    assert len(data) <= image.size
    np.testing.assert_array_equal(decompress(data, used, shape), image)


@pytest.mark.parametrize("codec", ["webp", "jpegxl"])
def test_codecs_compress(codec):
    used, data = compress(np.zeros((64, 64, 3), np.uint8), codec)
    assert used == codec
    assert len(data) < 100


def test_what_compression_enlarges_is_left_as_it_is():
    image = rng.integers(0, 256, (8, 8, 1), np.uint8)
    assert compress(image, "webp") == ("raw", image.tobytes())


def test_images_in_any_order_of_memory():
    image = rng.integers(0, 4, (3, 20, 17), np.uint8).transpose(1, 2, 0)
    for codec in LOSSLESS:
        used, data = compress(image, codec)
        np.testing.assert_array_equal(decompress(data, used, image.shape), image)


@pytest.mark.parametrize("codec", sorted(LOSSLESS))
@pytest.mark.parametrize("shape", [(24, 12, 3), (25, 24, 3), (24, 25, 3), (400, 400, 3)])
def test_an_image_of_another_size_is_refused(codec, shape):
    _, data = compress(ramp((24, 24, 3)), codec)
    with pytest.raises(ValueError, match="not an image of"):
        decompress(data, codec, shape)


@pytest.mark.parametrize("codec", sorted(LOSSLESS))
def test_a_damaged_image_is_refused(codec):
    used, data = compress(ramp((24, 24, 3)), codec)
    assert used == codec or codec == "raw"
    for damaged in (b"", data[:-4], data[:5], rng.bytes(200)):
        with pytest.raises(ValueError, match="not an image of 24×24 pixels with 3 channels in"):
            decompress(damaged, codec, (24, 24, 3))


def test_jpeg_xl_of_another_number_of_channels_is_refused():
    _, data = compress(ramp((24, 24, 1)), "jpegxl")
    with pytest.raises(ValueError, match="not an image"):
        decompress(data, "jpegxl", (24, 24, 3))


def test_webp_of_enormous_size_is_never_given_to_the_decoder(monkeypatch):
    def opened(*_, **__):
        raise AssertionError("it was")

    monkeypatch.setattr(Image, "open", opened)
    with pytest.raises(ValueError, match="not an image"):
        decompress(b"\x2f\xff\xff\xff\x0f" + bytes(20), "webp", (24, 24, 3))


@pytest.mark.parametrize("shape", [(1, 20_000, 1), (14_000, 14_000, 1)])
def test_what_is_too_large_for_webp_is_refused_before_it_is_lost(shape):
    """Pillow writes more pixels than it reads."""
    image = np.broadcast_to(np.uint8(0), shape)
    with pytest.raises(ValueError, match=r"too large for WebP.*codec=\"jpegxl\""):
        compress(image, "webp")


def test_without_imagecodecs_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(ImportError, match=r'pip install "ricsk\[codecs\]"'):
        compress(ramp((24, 24, 3)), "jpegxl")
    with pytest.raises(ImportError, match=r'pip install "ricsk\[codecs\]"'):
        decompress(b"", "jpegxl", (24, 24, 3))

"""What services do to files, and images that go through it."""

import io
import sys

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ricsk import PixelEncryptor, SecretKey
from ricsk.codecs import read_image
from ricsk.metrics import (
    AgreementAfter,
    ByteLimit,
    LeastSide,
    StripChunks,
    StripMetadata,
    Transcode,
    carry_images,
    convert_colours,
)
from tests.files.reference import split_chunks

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def make_file(pixels=PIXELS, **options):
    said, file = PngInfo(), io.BytesIO()
    said.add_text("Author", "somebody")
    said.add_itxt("Title", "something")
    said.add(b"prIv", b"private")
    Image.fromarray(pixels.squeeze()).save(file, "PNG", pnginfo=said, **options)
    return file.getvalue()


def list_names(file):
    return [chunk[0] for chunk in split_chunks(file)]


def test_chunks_are_stripped():
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    file = make_file(exif=exif, dpi=(72, 72))
    rest = {b"IHDR", b"IDAT", b"IEND"}
    assert {*list_names(file)} == rest | {b"tEXt", b"iTXt", b"eXIf", b"prIv", b"pHYs"}
    assert {*list_names(StripMetadata().carry(file))} == rest | {b"prIv", b"pHYs"}
    assert {*list_names(StripChunks().carry(file))} == rest
    for transport in (StripMetadata(), StripChunks()):
        assert (read_image(transport.carry(file)) == PIXELS).all()
        for end in (-1, -14, 10):
            with pytest.raises(ValueError, match="the PNG file ends too early"):
                transport.carry(file[:end])
        with pytest.raises(ValueError, match="no PNG file"):
            transport.carry(b"\xff\xd8\xff")


def test_transparency_is_needed_to_show_a_picture():
    file = io.BytesIO()
    Image.fromarray(PIXELS).quantize(8).save(file, "PNG", transparency=3)
    assert {b"PLTE", b"tRNS"} <= {*list_names(StripChunks().carry(file.getvalue()))}


FORMATS = {"png": "PNG", "webp": "WEBP", "jpeg2000": "JPEG2000", "htj2k": "JPEG2000"}


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., :1]], ids=["colour", "grey"])
@pytest.mark.parametrize("format", FORMATS)
def test_lossless_formats_keep_pixels_and_nothing_else(format, pixels):
    arrived = Transcode(format).carry(make_file(pixels))
    assert (read_image(arrived, formats=[FORMATS[format]]) == pixels).all()
    for kept in (b"somebody", b"something", b"private"):
        assert kept not in arrived
    # The capabilities of Part 15 stand in the marker CAP, beside the size.
    assert (b"\xff\x50" in arrived[:100]) == (format == "htj2k")


def test_formats_have_names_and_packages(monkeypatch):
    with pytest.raises(ValueError, match="format='jpeg'; expected 'png'"):
        Transcode("jpeg")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(ImportError, match=r'pip install "ricsk\[codecs\]"'):
        Transcode("htj2k").carry(make_file())


def test_limits_are_limits():
    file = make_file()
    assert ByteLimit(len(file)).carry(file) == file
    assert ByteLimit(len(file) - 1).carry(file) is None
    assert LeastSide(20).carry(file) == file
    assert LeastSide(21).carry(file) is None


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., :1]], ids=["colour", "grey"])
def test_images_go_through_files_unchanged_or_are_refused(pixels):
    images = np.stack([pixels, pixels[::-1]]) / np.float32(255)
    for format in FORMATS:
        arrived = carry_images(images, Transcode(format))
        assert arrived.dtype == np.float32
        np.testing.assert_allclose(arrived, images, atol=1e-7)
    with pytest.raises(ValueError, match=r"LeastSide\(n_pixels=21\) refuses image 0, of [\d,]+ b"):
        carry_images(images, LeastSide(21))


def test_agreement_after_what_a_service_does():
    X = np.stack([PIXELS, 255 - PIXELS])
    rows = X.reshape(2, -1) / 255
    frozen = FrozenEstimator(LogisticRegression().fit(rows, [0, 1]))
    encryptor = PixelEncryptor(SecretKey(bytes(32)), image_shape=PIXELS.shape)
    pipeline = make_pipeline(encryptor, frozen).fit(rows)
    before = np.mean(frozen.predict(encryptor.fit_transform(rows)) == [0, 1])
    for transport in (Transcode("jpeg2000"), StripChunks(), ByteLimit(10_000)):
        assert AgreementAfter(transport)(pipeline, rows) == before


def test_colours_are_converted_by_hand():
    images = PIXELS[np.newaxis] / 255
    red, green, blue = np.moveaxis(images, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    grey = convert_colours(images, "L")
    np.testing.assert_allclose(grey, np.repeat(luma[..., np.newaxis], 3, -1), atol=1 / 255)
    through = convert_colours(images, "YCbCr")
    assert 0 < np.abs(through - images).max() < 3 / 255
    palette = convert_colours(images, "P")
    assert len(np.unique((palette * 255).round().reshape(-1, 3), axis=0)) <= 256
    assert np.abs(palette - images).max() > 3 / 255
    for mode in ("L", "YCbCr", "P"):
        np.testing.assert_allclose(convert_colours(images[..., :1], mode), images[..., :1])
    with pytest.raises(ValueError, match="to='CMYK'; expected"):
        convert_colours(images, "CMYK")

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import skops.io
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ricsk import EtCEncryptor, JPEGCodec, PixelEncryptor, SecretKey
from ricsk.datasets import load_digits, load_folder, load_photos
from ricsk.metrics import psnr

KEY = SecretKey(bytes(range(32)))
PHOTOS = load_photos(size=(128, 192))[0]
NOISE = np.random.default_rng(0).integers(0, 256, (4, 24, 40, 3), np.uint8)


def pillow(image, quality, subsampling):
    """JPEG without this package; Pillow's numbers for 4:4:4 and 4:2:0 are 0 and 2."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


@pytest.mark.parametrize(("subsampling", "number"), [("4:4:4", 0), ("4:2:0", 2)])
@pytest.mark.parametrize("quality", [1, 80, 100])
def test_files_are_pillows_and_transform_is_what_pillow_reads(quality, subsampling, number):
    codec = JPEGCodec(quality, subsampling=subsampling).fit(NOISE)
    files = [pillow(image, quality, number) for image in NOISE]
    assert codec.encode(NOISE) == files
    X = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
    np.testing.assert_array_equal(codec.transform(NOISE), X)
    np.testing.assert_array_equal(codec.decode(files), X)
    np.testing.assert_array_equal(codec.sizes(NOISE), [len(file) for file in files])


@pytest.mark.parametrize(("subsampling", "factors"), [("4:4:4", (1, 1)), ("4:2:0", (2, 2))])
def test_files_say_which_subsampling_they_have(subsampling, factors):
    file = JPEGCodec(subsampling=subsampling).fit(NOISE).encode(NOISE)[0]
    image = Image.open(io.BytesIO(file))
    assert [layer[1:3] for layer in image.layer] == [factors, (1, 1), (1, 1)]


def test_grey_images_stay_grey():
    grey = NOISE[..., :1]
    codec = JPEGCodec().fit(grey)
    assert Image.open(io.BytesIO(codec.encode(grey)[0])).mode == "L"
    assert codec.transform(grey).shape == grey.shape
    np.testing.assert_array_equal(codec.transform(grey[..., 0]), codec.transform(grey)[..., 0])
    np.testing.assert_array_equal(codec.decode(codec.encode(grey)), codec.transform(grey))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 5)])
def test_floats_are_rounded_to_levels_of_their_range(dtype, low, high):
    levels = NOISE.copy()
    levels[0, 0, 0] = 0, 255, 0
    X = (low + (high - low) * (levels / 255)).astype(dtype)
    decoded = JPEGCodec().fit(X).transform(X)
    assert decoded.dtype == dtype
    expected = low + (high - low) * (JPEGCodec().fit(levels).transform(levels) / 255)
    np.testing.assert_allclose(decoded, expected, atol=1e-6 * (high - low))


def test_flattened_images_are_those_images():
    flat = JPEGCodec(image_shape=(24, 40, 3))
    decoded = flat.fit_transform(NOISE.reshape(4, -1))
    np.testing.assert_array_equal(decoded, JPEGCodec().fit_transform(NOISE).reshape(4, -1))
    assert len(flat.get_feature_names_out()) == 24 * 40 * 3


def test_lower_quality_makes_smaller_files_and_worse_images():
    codecs = [JPEGCodec(quality).fit(PHOTOS[None]) for quality in (50, 80, 95)]
    sizes = [codec.sizes(PHOTOS[None])[0] for codec in codecs]
    decibels = [psnr(PHOTOS[None], codec.transform(PHOTOS[None]))[0] for codec in codecs]
    assert sizes == sorted(sizes)
    assert decibels == sorted(decibels)


@pytest.mark.parametrize(("block_size", "subsampling"), [(16, "4:2:0"), (8, "4:4:4")])
def test_blocks_that_are_jpegs_units_come_back_as_from_a_plain_jpeg(block_size, subsampling):
    """What `EtCEncryptor` exists for; and blocks of half that size cost what is said here."""
    X = PHOTOS[None]
    codec = JPEGCodec(subsampling=subsampling).fit(X)
    plain = psnr(X, codec.transform(X))[0]

    def through(side):
        etc = EtCEncryptor(KEY, block_size=side).fit(X)
        C = etc.transform(X)
        recovered = psnr(X, etc.inverse_transform(codec.transform(C)))[0]
        return recovered - plain, codec.sizes(C)[0] / codec.sizes(X)[0]

    decibels, ratio = through(block_size)
    assert decibels > -1.5
    assert ratio < 1.1
    decibels_half, ratio_half = through(block_size // 2)
    assert decibels_half < decibels - 1
    assert ratio_half > ratio + 0.05


def test_scrambled_pixels_are_hard_to_compress():
    C = PixelEncryptor(KEY).fit_transform(PHOTOS[None])
    codec = JPEGCodec().fit(C)
    assert codec.sizes(C)[0] > 2 * codec.sizes(PHOTOS[None])[0]


def test_stands_between_encryptor_and_classifier():
    X, y = load_digits(size=32)
    X = X.reshape(len(X), -1) / 255
    pipeline = make_pipeline(
        EtCEncryptor(KEY, block_size=8, image_shape=(32, 32)),
        JPEGCodec(image_shape=(32, 32)),
        LogisticRegression(max_iter=200),
    )
    assert pipeline.fit(X[:600], y[:600]).score(X[600:800], y[600:800]) > 0.8


@pytest.mark.parametrize("module", [pickle, skops.io])
def test_copies_code_alike(module):
    codec = JPEGCodec(80).fit(NOISE)
    dumped = module.dumps(codec)
    if module is skops.io:
        untrusted = skops.io.get_untrusted_types(data=dumped)
        assert all(name.startswith("ricsk.") for name in untrusted)
        other = skops.io.loads(dumped, trusted=untrusted)
    else:
        other = pickle.loads(dumped)
    assert other.encode(NOISE) == codec.encode(NOISE)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


GOOD = pillow(NOISE[0], 85, 2)


def claim(side):
    """The same picture, of which the header says that it has so many pixels a side."""
    sizes = GOOD.index(b"\xff\xc0") + 5
    return GOOD[:sizes] + 2 * side.to_bytes(2, "big") + GOOD[sizes + 4 :]


@pytest.mark.parametrize("file", [b"", b"no image", GOOD[:300], GOOD[:-40], png(NOISE[0])])
def test_damaged_and_foreign_files_are_refused(file):
    with pytest.raises(ValueError, match=r"cannot read the image files\[1\], of \d+ bytes: "):
        JPEGCodec().fit(NOISE).decode([GOOD, file])


def test_files_of_another_size_are_refused_before_they_are_decoded():
    codec = JPEGCodec().fit(NOISE)
    with pytest.raises(ValueError, match=r"files\[0\].* it has 5000×5000 pixels; expected 24×40"):
        codec.decode([claim(5000)])
    with pytest.raises(ValueError, match=r"cannot read the image files\[0\].* pixels"):
        codec.decode([claim(65_000)])
    with pytest.raises(ValueError, match=r"files\[1\].* it has 16×40 pixels; expected 24×40"):
        codec.decode([GOOD, pillow(NOISE[0, :16], 85, 2)])


def test_files_of_another_number_of_channels_are_refused():
    with pytest.raises(ValueError, match="fitted on images of 24×40 pixels with 3 channels"):
        JPEGCodec().fit(NOISE).decode([pillow(NOISE[0, ..., 0], 85, 2)])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_files_are_turned_as_their_exif_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(NOISE[0]).save(buffer, "JPEG", exif=exif)
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "turned.jpg").write_bytes(buffer.getvalue())
    X, _ = load_folder(tmp_path)
    assert X.shape[1:3] == ((24, 40) if orientation < 5 else (40, 24))
    np.testing.assert_array_equal(JPEGCodec().fit(X).decode([buffer.getvalue()]), X)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_files_may_be_any_bytes_in_any_iterable(wrap):
    codec = JPEGCodec().fit(NOISE)
    expected = codec.transform(NOISE[:1])
    np.testing.assert_array_equal(codec.decode([wrap(GOOD)]), expected)
    np.testing.assert_array_equal(codec.decode(wrap(file) for file in (GOOD,)), expected)


@pytest.mark.parametrize("files", [GOOD, bytearray(GOOD), "a.jpg", Path("a.jpg"), None, 3])
def test_anything_but_a_list_is_refused(files):
    with pytest.raises(TypeError, match="expected a list of bytes, one per file"):
        JPEGCodec().fit(NOISE).decode(files)


@pytest.mark.parametrize("file", ["a.jpg", Path("a.jpg"), None, NOISE[0], [GOOD]])
def test_anything_but_bytes_in_the_list_is_refused(file):
    with pytest.raises(TypeError, match=r"files\[1\] is a \w+; expected the bytes of a JPEG file"):
        JPEGCodec().fit(NOISE).decode([GOOD, file])


def test_no_files_are_refused():
    with pytest.raises(ValueError, match="no files"):
        JPEGCodec().fit(NOISE).decode([])


def test_images_that_jpeg_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="65500 pixels a side"):
        JPEGCodec().fit(np.zeros((1, 1, 65501), np.uint8))


@pytest.mark.parametrize("parameters", [{"quality": 0}, {"quality": 101}, {"subsampling": "4:1:1"}])
def test_parameters_are_checked(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        JPEGCodec(**parameters).fit(NOISE)

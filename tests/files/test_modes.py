"""Every mode of Pillow is carried, and read or refused by name, as the table of the guide says."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from ricsk import PretrainedClassifier, SealedEncryptor, SecretKey
from ricsk.datasets import load_photos
from ricsk.files import open_photograph, read_photograph, seal_photograph
from tests.files.reference import SIGNATURE, chunk

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "photographs.rst"
KEY = SecretKey(bytes(range(32)))
PHOTO = Image.fromarray(load_photos(size=(64, 64))[0])
OTHER = Image.new("RGB", (64, 64), "red")
GREY = np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257


def save(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def add_alpha(image):
    alpha = Image.linear_gradient("L").resize(image.size)
    image = image.copy()
    image.putalpha(alpha)
    return image


def save_transparent_palette():
    image = PHOTO.convert("P")
    return save(image, "PNG", transparency=3)


def save_16_bit_colour():
    rows = b"".join(b"\0" + bytes(6 * 64) for _ in range(64))
    ihdr = struct.pack(">2I5B", 64, 64, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", ihdr), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return SIGNATURE + b"".join(chunk(*each) for each in chunks)


def rotate():
    exif = Image.Exif()
    exif[0x0112] = 6
    return save(PHOTO.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


ANIMATED = {"save_all": True, "append_images": [OTHER]}
PICTURES = {
    "grey (L)": save(PHOTO.convert("L"), "PNG"),
    "bilevel (1)": save(PHOTO.convert("1"), "PNG"),
    "grey with alpha (LA)": save(add_alpha(PHOTO.convert("L")), "PNG"),
    "palette (P)": save(PHOTO.convert("P"), "PNG"),
    "palette with transparency (P)": save_transparent_palette(),
    "colour (RGB)": save(PHOTO, "JPEG", quality=95),
    "colour with alpha (RGBA)": save(add_alpha(PHOTO), "PNG"),
    "CMYK": save(PHOTO.convert("CMYK"), "TIFF"),
    "YCbCr": save(PHOTO.convert("YCbCr"), "TIFF"),
    "CIELAB (LAB)": save(PHOTO.convert("LAB"), "TIFF"),
    "animated GIF": save(PHOTO.convert("P"), "GIF", **ANIMATED),
    "animated PNG": save(PHOTO, "PNG", **ANIMATED),
    "animated WebP": save(PHOTO, "WEBP", lossless=True, **ANIMATED),
    "TIFF of several pages": save(PHOTO, "TIFF", **ANIMATED),
    "rotated by EXIF": rotate(),
    "16-bit grey (I;16)": save(Image.fromarray(GREY), "PNG"),
    "16-bit colour": save_16_bit_colour(),
    "32-bit integers (I)": save(Image.fromarray(GREY.astype(np.int32)), "TIFF"),
    "floating point (F)": save(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
    "HEIC, camera raw and others": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
}


def read_table():
    text = GUIDE.read_text("utf8")
    _, _, table = text.partition(":name: picture-modes")
    table, _, _ = table.partition("\n\n\n")
    rows = re.findall(r"\* - (.*)\n     - (.*)\n", table)
    return dict(rows[1 : 1 + len(PICTURES)])


def test_the_table_has_all_of_them():
    assert list(read_table()) == list(PICTURES)


@pytest.fixture(scope="module")
def encryptor():
    network = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(48, 2))
    classifier = PretrainedClassifier(network, size=16)
    return SealedEncryptor(KEY, classifier, bit_planes=3, kappa=0).fit(load_photos(size=(16, 16)))


def seal(data, **options):
    sealed = io.BytesIO()
    seal_photograph(io.BytesIO(data), sealed, **options)
    return open_photograph(io.BytesIO(sealed.getvalue()), KEY)


@pytest.mark.parametrize("name", PICTURES)
def test_all_are_carried_byte_for_byte(name):
    opened = seal(PICTURES[name], key=KEY)
    assert opened.data == PICTURES[name]
    read_as = read_table()[name]
    if read_as.startswith("refused"):
        assert (opened.thumbnail == 128).all()
    else:
        assert opened.thumbnail.shape == (64, 64, 1 if read_as.startswith("grey") else 3)
        expected = PHOTO if opened.thumbnail.shape[2] == 3 else PHOTO.convert("L")
        small = [np.asarray(expected.resize((8, 8), Image.Resampling.BOX), float)]
        small.append(opened.thumbnail.reshape(8, 8, 8, 8, -1).mean(axis=(1, 3)))
        assert np.abs(small[0].reshape(8, 8, -1) - small[1]).mean() < 12


@pytest.mark.parametrize("name", PICTURES)
def test_a_classifier_is_given_what_the_table_says(name, encryptor):
    read_as = read_table()[name]
    if read_as.startswith("refused"):
        said = re.fullmatch('refused: "(.*)"', read_as)[1]
        with pytest.raises(ValueError, match=re.escape(said)):
            seal(PICTURES[name], encryptor=encryptor)
    else:
        assert read_photograph(PICTURES[name], encryptor).shape == (1, 16, 16, 3)
        assert seal(PICTURES[name], encryptor=encryptor).data == PICTURES[name]
    given = seal(PICTURES[name], encryptor=encryptor, image=np.asarray(PHOTO))
    assert given.data == PICTURES[name]

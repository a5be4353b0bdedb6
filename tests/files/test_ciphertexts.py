"""Ciphertexts of every scheme as files, with what is public about them."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier

from ricsk import (
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
)
from ricsk.codecs import read_image
from ricsk.datasets import load_photos, make_street_numbers
from ricsk.encryptors import PublishedRICEncryptor
from ricsk.encryptors.perceptual import _scheme
from ricsk.encryptors.ric import _header, _published
from ricsk.encryptors.sealed import _format
from ricsk.exceptions import NewerFormatError, RicskError, WrongKeyError
from ricsk.files import read_ciphertexts, read_header, write_ciphertexts
from ricsk.files._header import _SCHEMES
from tests.files.reference import join_chunks, split_chunks

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
PHOTOS = load_photos(size=(64, 80))[[0, 1, 0]]
PHOTOS[2] = PHOTOS[2, ::-1]
NUMBERS, LABELS = make_street_numbers(60, size=32, random_state=0)
NUMBERS &= 0xC0
ROWS = NUMBERS.reshape(len(NUMBERS), -1) / 255
CLASSIFIER = FrozenEstimator(RidgeClassifier(100).fit(ROWS, LABELS % 2))

SCHEMES = {
    "etc": lambda key: (EtCEncryptor(key), PHOTOS),
    "etc, padded": lambda key: (EtCEncryptor(key, pad=True), PHOTOS[:, :57, :70]),
    "etc, grey": lambda key: (EtCEncryptor(key, grayscale=True), PHOTOS),
    "pe": lambda key: (PixelEncryptor(key), PHOTOS[..., :1]),
    "pe, flat floats": lambda key: (PixelEncryptor(key), NUMBERS.reshape(60, -1) / np.float32(255)),
    "pe, flattened": lambda key: (PixelEncryptor(key, flatten=True), PHOTOS),
    "le": lambda key: (LearnableEncryptor(key), PHOTOS),
    "sealed": lambda key: (SealedEncryptor(key, CLASSIFIER, kappa=0), ROWS[:5]),
    "ric": lambda key: (RICEncryptor(key, CLASSIFIER, kappa=0), ROWS[:5]),
}


@pytest.fixture(scope="module")
def made():
    """Fit and encrypt once: encryptors and ciphertexts by scheme."""
    found = {}
    for name, make in SCHEMES.items():
        encryptor, X = make(KEY)
        found[name] = encryptor.fit(X), encryptor.transform(X[:3])
    return found


@pytest.mark.parametrize("format", ["png", "webp"])
@pytest.mark.parametrize("name", SCHEMES)
def test_every_bit_comes_back(name, format, made, tmp_path):
    encryptor, C = made[name]
    paths = write_ciphertexts(C, tmp_path, encryptor, format=format)
    assert [path.name for path in paths] == [f"{i}.{format}" for i in range(3)]
    for source in (tmp_path, str(tmp_path), paths):
        again = read_ciphertexts(source, encryptor)
        assert again.dtype == C.dtype
        assert (again == C).all()
    assert (read_ciphertexts(paths[1], encryptor) == C[1:2]).all()
    as_levels = encryptor.value_range_.to_uint8(C).reshape(3, *encryptor.ciphertext_shape_)
    in_the_cloud = read_ciphertexts(tmp_path)
    assert in_the_cloud.dtype == np.uint8
    assert (in_the_cloud[..., : as_levels.shape[3]] == as_levels).all()
    plain = encryptor.inverse_transform(again)
    assert (plain == encryptor.inverse_transform(C)).all()


@pytest.mark.parametrize("name", SCHEMES)
def test_what_is_public_stands_in_the_file(name, made, tmp_path):
    encryptor, C = made[name]
    (path, *_) = write_ciphertexts(C, tmp_path, encryptor)
    header = read_header(path)
    assert header.scheme == name.split(",")[0]
    assert header.key_id == KEY.key_id[:16]
    assert header.image_shape == encryptor.image_shape_in_
    given = encryptor.get_params()
    for parameter, value in header.parameters.items():
        if given.get(parameter, "auto") not in ("auto", None):
            assert value == given[parameter]
    content = path.read_bytes()
    for secret in (bytes(range(32)), KEY.reveal().encode(), bytes(range(32)).hex().encode()):
        assert secret not in content


def test_versions_are_those_of_the_schemes():
    versions = {path: (scheme, version) for path, (scheme, version, _) in _SCHEMES.items()}
    perceptual = {EtCEncryptor: "etc", PixelEncryptor: "pe", LearnableEncryptor: "le"}
    expected = {kind: (name, _scheme._VERSION) for kind, name in perceptual.items()} | {
        SealedEncryptor: ("sealed", _format.VERSION),
        RICEncryptor: ("ric", _header.VERSION),
        PublishedRICEncryptor: ("ric-published", _published._VERSION),
        TransformationNetworkEncryptor: ("transformation", 1),
    }
    assert versions == {
        f"{kind.__module__}.{kind.__qualname__}": value for kind, value in expected.items()
    }


def break_pixels(path):
    """Leave nothing of the pixels but their size."""
    data = path.read_bytes()
    place = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[place - 4 : place])
    content = b"IDAT" + bytes(length)
    changed = data[:place] + content + struct.pack(">I", zlib.crc32(content))
    path.write_bytes(changed + data[place + 8 + length :])


def test_another_key_is_named_before_pixels_are_touched(made, tmp_path):
    encryptor, C = made["etc"]
    paths = write_ciphertexts(C, tmp_path, encryptor)
    break_pixels(paths[2])
    with pytest.raises(WrongKeyError) as caught:
        read_ciphertexts(tmp_path, encryptor.with_key(OTHER))
    assert f"encrypted with the key {KEY.key_id}, you gave {OTHER.key_id}" in str(caught.value)
    assert repr(str(paths[0])) in str(caught.value)
    with pytest.raises(ValueError, match="cannot read the image"):
        read_ciphertexts(tmp_path, encryptor)


def test_other_schemes_and_settings_are_named(made, tmp_path):
    encryptor, C = made["etc"]
    write_ciphertexts(C, tmp_path, encryptor)
    with pytest.raises(ValueError, match="of the scheme 'etc'; expected 'le'"):
        read_ciphertexts(tmp_path, made["le"][0])
    smaller = EtCEncryptor(KEY, block_size=8).fit(PHOTOS)
    with pytest.raises(ValueError, match=r"made with block_size=16, and this encryptor has .*=8"):
        read_ciphertexts(tmp_path, smaller)
    other = EtCEncryptor(KEY).fit(PHOTOS[:, :48])
    with pytest.raises(ValueError, match=r"image_shape=\(64, 80, 3\)"):
        read_ciphertexts(tmp_path, other)


def test_a_newer_version_is_named(made, tmp_path):
    encryptor, C = made["pe"]
    (path, *_) = write_ciphertexts(C, tmp_path, encryptor, format="webp")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"version":2', b'"version":9'))
    with pytest.raises(NewerFormatError, match=r"version 9 of 'pe'.*Update ricsk"):
        read_ciphertexts(tmp_path, encryptor)
    path.write_bytes(data.replace(b'"ricsk":1', b'"ricsk":9'))
    with pytest.raises(NewerFormatError, match="Update ricsk"):
        read_header(path)


@pytest.mark.parametrize(("options", "quality"), [({}, "4:4:4"), ({}, "4:2:0")])
def test_etc_in_jpeg(options, quality, tmp_path):
    photos = load_photos(size=(192, 256))
    encryptor = EtCEncryptor(KEY, **options).fit(photos)
    C = encryptor.transform(photos)
    jpeg = {"format": "jpeg", "quality": 90, "subsampling": quality}
    paths = write_ciphertexts(C, tmp_path, encryptor, **jpeg)
    again = read_ciphertexts(tmp_path, encryptor)
    assert 0 < np.abs(again.astype(int) - C).mean() < 8
    assert read_header(paths[0]).scheme == "etc"
    with Image.open(paths[0]) as image:
        assert image.format == "JPEG"
        assert dict(image.getexif()) == {}
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    smaller = [write_ciphertexts(C, tmp_path / "small", encryptor, **{**jpeg, "quality": 30})]
    assert smaller[0][0].stat().st_size < paths[0].stat().st_size


def test_jpeg_is_refused_where_it_would_ruin_ciphertexts(made, tmp_path):
    jpeg = {"format": "jpeg", "quality": 90, "subsampling": "4:4:4"}
    for name in ("pe", "le", "sealed", "ric"):
        encryptor, C = made[name]
        with pytest.raises(ValueError, match=f"scheme '{name}' do not bear JPEG"):
            write_ciphertexts(C, tmp_path, encryptor, **jpeg)
    encryptor, C = made["etc"]
    for changed in ({"quality": None}, {"subsampling": None}, {"quality": 0}, {"quality": 101}):
        with pytest.raises(ValueError, match="JPEG needs both"):
            write_ciphertexts(C, tmp_path, encryptor, **{**jpeg, **changed})
    for side, subsampling, grayscale in ((8, "4:2:0", False), (4, "4:4:4", False), (4, "4:2:0", 1)):
        small = EtCEncryptor(KEY, block_size=side, grayscale=bool(grayscale)).fit(PHOTOS)
        with pytest.raises(ValueError, match="would mix blocks"):
            write_ciphertexts(
                small.transform(PHOTOS), tmp_path, small, **{**jpeg, "subsampling": subsampling}
            )
    with pytest.raises(ValueError, match="neither quality nor subsampling"):
        write_ciphertexts(C, tmp_path, encryptor, quality=90)
    with pytest.raises(ValueError, match="format='gif'"):
        write_ciphertexts(C, tmp_path, encryptor, format="gif")
    assert os.listdir(tmp_path) == []


def test_names_are_kept_below_the_folder(made, tmp_path):
    encryptor, C = made["etc"]
    C = C[:2]
    paths = write_ciphertexts(C, tmp_path / "new", encryptor, names=["a/b/cat", "dog.v2"])
    assert paths == [tmp_path / "new/a/b/cat.png", tmp_path / "new/dog.v2.png"]
    assert (read_ciphertexts(paths, encryptor) == C).all()
    for names in (
        ["../a", "b"],
        ["/a", "b"],
        ["a//b", "c"],
        ["", "a"],
        [".", "a"],
        ["a", "a"],
        ["a"],
    ):
        with pytest.raises(ValueError, match="name"):
            write_ciphertexts(C, tmp_path, encryptor, names=names)
    with pytest.raises(ValueError, match="1 names"):
        write_ciphertexts(C, tmp_path, encryptor, names=["a"])
    assert os.listdir(tmp_path) == ["new"]


def test_nothing_is_overwritten_unless_asked(made, tmp_path):
    encryptor, C = made["etc"]
    write_ciphertexts(C, tmp_path, encryptor)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_ciphertexts(C, tmp_path, encryptor)
    write_ciphertexts(C, tmp_path, encryptor, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["0.png", "1.png", "2.png"]


def test_what_a_file_cannot_hold_is_refused(tmp_path):
    X = np.random.default_rng(0).random((2, 16, 16, 3))
    encryptor = PixelEncryptor(KEY).fit(X)
    with pytest.raises(ValueError, match="between the 256 levels"):
        write_ciphertexts(encryptor.transform(X), tmp_path, encryptor)
    with pytest.raises(ValueError, match=r"Pass what transform returned"):
        write_ciphertexts(np.zeros((2, 16, 8, 3), np.uint8), tmp_path, encryptor)


def test_files_of_others(made, tmp_path):
    encryptor, _ = made["etc"]
    path = tmp_path / "plain.png"
    Image.fromarray(PHOTOS[0]).save(path)
    with pytest.raises(ValueError, match="no header of ricsk"):
        read_ciphertexts(path, encryptor)
    with pytest.raises(ValueError, match="no header of ricsk"):
        read_header(path)
    with pytest.raises(FileNotFoundError):
        read_ciphertexts(tmp_path / "not-there.png")
    with pytest.raises(ValueError, match="there are no ciphertexts"):
        read_ciphertexts([])


def test_a_header_stands_before_the_pixels(made, tmp_path):
    """So that it can be read without them."""
    encryptor, C = made["etc"]
    (path, *_) = write_ciphertexts(C[:1], tmp_path, encryptor)
    ihdr, header, idat, end = split_chunks(path.read_bytes())
    path.write_bytes(join_chunks([ihdr, idat, header, end]))
    with pytest.raises(ValueError, match="no header of ricsk"):
        read_header(path)


def test_sizes_that_differ_are_named(made, tmp_path):
    write_ciphertexts(made["etc"][1], tmp_path, made["etc"][0], names=["a", "b", "c"])
    write_ciphertexts(made["etc, grey"][1], tmp_path, made["etc, grey"][0])
    with pytest.raises(ValueError, match="cannot read the image"):
        read_ciphertexts(tmp_path)


@pytest.mark.parametrize("format", ["png", "webp", "jpeg"])
def test_damaged_files_are_refused_by_name(format, made, tmp_path):
    encryptor, C = made["etc"]
    options = {"quality": 90, "subsampling": "4:4:4"} if format == "jpeg" else {}
    (path, *_) = write_ciphertexts(C[:1], tmp_path, encryptor, format=format, **options)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    opened = 0
    for _ in range(200):
        changed = bytearray(data)
        place = int(rng.integers(len(data) if rng.integers(2) else 400))
        changed[place : place + 4] = rng.bytes(4) if rng.integers(2) else b""
        path.write_bytes(changed)
        opened += try_to_read(path, encryptor)
    assert opened < (3 if format == "png" else 200)  # JPEG and WebP have no check sums


def try_to_read(path, encryptor):
    """Read a damaged file: an image, or an error that names the file."""
    try:
        return read_ciphertexts(path, encryptor).shape == (1, *encryptor.ciphertext_shape_)
    except (ValueError, RicskError) as error:
        message = str(error)
    assert repr(str(path)) in message
    return False


def test_another_reader_sees_an_ordinary_image(made, tmp_path):
    encryptor, C = made["etc"]
    for format in ("png", "webp"):
        (path, *_) = write_ciphertexts(C, tmp_path, encryptor, format=format)
        assert (read_image(path) == C[0]).all()
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
            assert (np.asarray(image) == C[0]).all()

"""Sealed photographs: what comes back, what a stranger sees, and what is refused."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier
from torch import nn

from ricsk import PretrainedClassifier, SealedEncryptor, SecretKey, unseal
from ricsk.codecs import read_image
from ricsk.datasets import load_digits, load_photos
from ricsk.exceptions import NewerFormatError, NotSealedError, WrongKeyError
from ricsk.files import open_photograph, read_header, read_photograph, seal_photograph
from ricsk.files._stream import REFUSED
from tests.files import reference
from tests.files.reference import KEY, join_chunks, split_chunks

FILE = Path(__file__).parents[1] / "vectors" / "photograph.json"
PHOTO = load_photos(size=(120, 160))[0]
PLACE, CAMERA, COMMENT = b"Somewhere in Wales", b"A camera of mine", b"Not for others"


def save(image, format="JPEG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format, **options)
    return buffer.getvalue()


def make_jpeg():
    exif = Image.Exif()
    exif[0x010F] = CAMERA.decode()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[0x001C] = PLACE
    return save(PHOTO, exif=exif, comment=COMMENT, quality=90)


JPEG = make_jpeg()


@pytest.fixture(scope="module")
def encryptor():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3))
    classifier = PretrainedClassifier(network, classes=["cat", "dog", "fox"], size=32)
    X = load_photos(size=(32, 32))
    return SealedEncryptor(
        KEY, classifier, bit_planes=2, kappa=0, appearance="compact", image_shape=(32, 32, 3)
    ).fit(X)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "IMG_0042.JPG"
    path.write_bytes(JPEG)
    return path


def seal_bytes(data, encryptor=None, **options):
    sealed = io.BytesIO()
    if encryptor is None:
        options.setdefault("key", KEY)
    seal_photograph(io.BytesIO(data), sealed, encryptor, **options)
    return sealed.getvalue()


def open_bytes(sealed, key=KEY):
    return open_photograph(io.BytesIO(sealed), key)


class TestThereAndBack:
    @pytest.mark.parametrize("with_classifier", [True, False])
    def test_the_file_comes_back_byte_for_byte_with_its_name(
        self, photo, tmp_path, encryptor, with_classifier
    ):
        sealed, folder = tmp_path / "sealed.png", tmp_path / "opened"
        folder.mkdir()
        if with_classifier:
            seal_photograph(photo, sealed, encryptor)
        else:
            seal_photograph(str(photo), str(sealed), key=KEY)
        opened = open_photograph(sealed, KEY, folder)
        assert (opened.found, opened.name, opened.data) == ("original", "IMG_0042.JPG", None)
        assert opened.path == folder / "IMG_0042.JPG"
        assert opened.path.read_bytes() == JPEG
        assert sorted(os.listdir(folder)) == ["IMG_0042.JPG"]
        assert open_photograph(sealed, KEY).data == JPEG

    def test_the_classifier_reads_the_png_as_the_photograph(self, photo, tmp_path, encryptor):
        sealed = tmp_path / "sealed.png"
        seal_photograph(photo, sealed, encryptor)
        classifier = encryptor.classifier_
        received = np.asarray(Image.open(sealed))[np.newaxis]
        assert received.shape == (1, 32, 32, 3)
        assert classifier.predict(received) == classifier.predict(read_photograph(photo, encryptor))

    def test_the_photograph_is_turned_cropped_and_resized(self, encryptor):
        turned = Image.fromarray(np.rot90(PHOTO, -1))
        expected = turned.crop((0, 20, 120, 140)).resize((32, 32), Image.Resampling.LANCZOS)
        exif = Image.Exif()
        exif[0x0112] = 6
        found = read_photograph(save(PHOTO, "PNG", exif=exif), encryptor)
        assert found.shape == (1, 32, 32, 3)
        assert np.abs(found[0].astype(int) - np.asarray(expected)).mean() < 1

    def test_every_class_is_read(self, tmp_path, encryptor):
        classifier, seen = encryptor.classifier_, set()
        plain, sealed = tmp_path / "plain.png", tmp_path / "sealed.png"
        for color in ("black", "white", "red", "lime", "blue", "yellow"):
            Image.new("RGB", (40, 40), color).save(plain)
            seal_photograph(plain, sealed, encryptor, overwrite=True)
            label = classifier.predict(read_photograph(plain, encryptor))
            assert classifier.predict(np.asarray(Image.open(sealed))[np.newaxis]) == label
            seen.add(str(label[0]))
        assert len(seen) > 1

    def test_a_classifier_of_grey_rows(self, tmp_path):
        X, y = load_digits(size=32)
        rows = X[:600].reshape(600, -1) / 16
        classifier = FrozenEstimator(RidgeClassifier(10).fit(rows, y[:600]))
        encryptor = SealedEncryptor(
            KEY, classifier, bit_planes=2, image_shape=(32, 32), value_range=(0, 16)
        ).fit(rows)
        plain, sealed = tmp_path / "plain.png", tmp_path / "sealed.png"
        plain.write_bytes(save(np.repeat(X[700], 3, axis=2), "PNG"))
        seal_photograph(plain, sealed, encryptor)
        received = encryptor.value_range_.from_uint8(read_image(sealed), float)
        given = read_photograph(plain, encryptor)
        assert given.shape == (1, 1024)
        assert classifier.predict(received.reshape(1, -1)) == classifier.predict(given)
        assert open_photograph(sealed, KEY).data == plain.read_bytes()

    @pytest.mark.parametrize("n", [0, 1, 65536, 65536 * 2, (1 << 20) + 5])
    def test_any_bytes_come_back(self, n):
        """A details block of 17 bytes goes before them, so other lengths are multiples too."""
        for length in {n, max(n - 17, 0)}:
            data = np.random.default_rng(n).bytes(length)
            sealed = seal_bytes(data)
            assert open_bytes(sealed).data == data
            chunks = split_chunks(sealed)
            assert max(len(content) for _, content in chunks) <= 1 << 20
            assert reference.open_chunks(chunks)[1] == data if length else True

    def test_what_is_not_an_image_has_an_even_thumbnail(self):
        opened = open_bytes(seal_bytes(b"not an image"))
        assert (opened.thumbnail == 128).all()
        assert opened.name is None

    def test_an_image_may_be_given_for_formats_that_are_not_read(self, encryptor):
        with pytest.raises(ValueError, match="cannot read the image"):
            seal_bytes(b"camera raw", encryptor)
        sealed = seal_bytes(b"camera raw", encryptor, image=PHOTO)
        assert open_bytes(sealed).data == b"camera raw"
        thumbnail = open_bytes(seal_bytes(b"camera raw", image=PHOTO)).thumbnail
        middle = Image.fromarray(PHOTO[:, 20:140]).resize((64, 64), Image.Resampling.LANCZOS)
        assert np.abs(thumbnail.astype(int) - np.asarray(middle)).mean() < 12

    def test_equal_photographs_have_nothing_in_common(self, encryptor):
        first, second = (split_chunks(seal_bytes(JPEG, encryptor)) for _ in range(2))
        assert dict(first)[b"riCS"][:48] != dict(second)[b"riCS"][:48]
        lowest = [reference.read_picture(chunks) & 1 for chunks in (first, second)]
        assert 0.4 < (lowest[0] == lowest[1]).mean() < 0.6

    def test_files_and_pipes(self, encryptor):
        class Pipe:
            def __init__(self, data):
                self._file = io.BytesIO(data)

            def read(self, n=-1):
                return self._file.read(min(n, 1000) if n >= 0 else n)

        sealed, plain = io.BytesIO(), io.BytesIO()
        seal_photograph(Pipe(JPEG), sealed, encryptor)
        opened = open_photograph(Pipe(sealed.getvalue()), KEY, plain)
        assert plain.getvalue() == JPEG
        assert (opened.data, opened.path) == (None, None)


class TestWhatAStrangerSees:
    def test_nothing_of_the_plain_file(self, photo, tmp_path, encryptor):
        for options in ({"encryptor": encryptor}, {"key": KEY}):
            sealed = tmp_path / "sealed.png"
            seal_photograph(photo, sealed, **options, overwrite=True)
            content = sealed.read_bytes()
            for secret in (PLACE, CAMERA, COMMENT, b"IMG_0042", b"Exif", b"JFIF", bytes(range(32))):
                assert secret not in content
            names = [name for name, _ in split_chunks(content)]
            assert names == [b"IHDR", b"riCM", b"IDAT", b"riCS", b"IEND"]
            with Image.open(sealed) as image:
                image.load()
                assert image.info == {}
                assert dict(image.getexif()) == {}

    def test_scheme_version_and_key_id_are_public(self, tmp_path):
        path = tmp_path / "sealed.png"
        path.write_bytes(seal_bytes(JPEG))
        header = read_header(path)
        assert (header.scheme, header.version) == ("photograph", 1)
        assert header.key_id == KEY.key_id[:16]
        assert header.image_shape is None
        assert header.parameters == {}

    def test_what_a_file_takes_is_known(self):
        data = bytes(200_000)
        assert 0 < len(seal_bytes(data)) - len(data) < 5_000  # an even thumbnail, of 4,096 bytes


class TestStrippedFiles:
    def test_the_thumbnail_is_left_where_chunks_are_stripped(self, tmp_path, encryptor):
        sealed = seal_bytes(JPEG, encryptor)
        with Image.open(io.BytesIO(sealed)) as image:
            for format, options in (
                ("PNG", {}),
                ("PNG", {"optimize": True}),
                ("WEBP", {"lossless": True}),
                ("BMP", {}),
                ("TIFF", {}),
            ):
                buffer = io.BytesIO()
                image.save(buffer, format, **options)
                opened = open_bytes(buffer.getvalue())
                assert (opened.found, opened.data, opened.name) == ("thumbnail", None, None)
                pixels = np.asarray(image)[np.newaxis]
                assert (opened.thumbnail == unseal(pixels, KEY)[0]).all()

    def test_nothing_is_written_then(self, tmp_path):
        chunks = [chunk for chunk in split_chunks(seal_bytes(JPEG)) if chunk[0] != b"riCS"]
        target = tmp_path / "opened.jpg"
        opened = open_photograph(io.BytesIO(join_chunks(chunks)), KEY, target)
        assert (opened.found, opened.path) == ("thumbnail", None)
        assert not target.exists()

    def test_chunks_that_a_service_adds_do_no_harm(self):
        chunks = split_chunks(seal_bytes(JPEG))
        added = (b"tEXt", b"Software\0a service")
        for place in range(1, len(chunks)):
            more = [*chunks[:place], added, *chunks[place:]]
            assert open_bytes(join_chunks(more)).data == JPEG

    def test_lossy_changes_are_refused(self, encryptor):
        with Image.open(io.BytesIO(seal_bytes(JPEG, encryptor))) as image:
            for changed, format in (
                (image, "JPEG"),
                (image.resize((31, 32)), "PNG"),
                (image.convert("L"), "PNG"),
                (image.rotate(90), "PNG"),
            ):
                buffer = io.BytesIO()
                changed.save(buffer, format)
                with pytest.raises(NotSealedError) as caught:
                    open_bytes(buffer.getvalue())
                assert str(caught.value) == REFUSED


class TestFormat:
    def test_a_second_implementation_opens_what_is_written(self, photo):
        sealed = io.BytesIO()
        seal_photograph(photo, sealed, key=KEY)
        chunks = split_chunks(sealed.getvalue())
        assert reference.open_chunks(chunks) == ("IMG_0042.JPG", JPEG)

    @pytest.mark.parametrize("sizes", [(1,), (16, 40, 1), (48, 70_000), (1 << 20,)])
    def test_chunks_may_be_split_anywhere(self, sizes):
        original = bytes(300) if sizes[-1] == 1 else bytes(200_000)
        sealed = join_chunks(reference.seal(original, sizes=sizes))
        opened = open_bytes(sealed)
        assert (opened.data, opened.name) == (original, "a.jpg")

    def test_vectors(self):
        vectors = json.loads(FILE.read_text())
        assert [vector["photograph"] for vector in vectors["photographs"]] == [
            join_chunks(chunks).hex() for chunks in make_vector_photographs()
        ]
        for vector in vectors["photographs"]:
            opened = open_bytes(bytes.fromhex(vector["photograph"]))
            assert opened.name == vector["name"]
            assert opened.data.hex() == vector["original"]
            assert opened.thumbnail.tobytes().hex() == vector["thumbnail"]
            assert list(opened.thumbnail.shape) == vector["shape"]

    def test_a_newer_version_is_named(self):
        for changes in ({"version": 3}, {"ricsk": 2}):
            header = reference.make_header(**changes)
            with pytest.raises(NewerFormatError, match="Update ricsk"):
                open_bytes(join_chunks(reference.seal(b"", header=header)))

    def test_details_of_later_minor_versions_are_passed_over(self):
        chunks = reference.seal(b"content", details={"name": "a", "more": [1]})
        assert open_bytes(join_chunks(chunks)).data == b"content"

    def test_opening_does_not_load_torch(self, tmp_path):
        path = tmp_path / "sealed.png"
        path.write_bytes(seal_bytes(JPEG))
        program = (
            "import sys; from ricsk.files import open_photograph; "
            f"open_photograph({str(path)!r}, bytes(range(32))); print('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.stdout == "False\n", done.stderr


def make_vector_photographs():
    yield reference.seal(b"")
    yield reference.seal(b"any file", name=None, salt=bytes(range(16)), sizes=(30,))
    pixels, _ = reference.make_picture((8, 8, 3))
    yield reference.seal(bytes(range(256)), name="gr\u00fcn.png", pixels=pixels)


class TestNames:
    @pytest.mark.parametrize("name", ["..", ".", "a\\b", "C:a", "..\\a", "a\\"])
    def test_a_name_that_leads_out_of_the_folder_is_refused(self, name, tmp_path):
        sealed = join_chunks(reference.seal(b"x", name=name))
        with pytest.raises(ValueError, match="not the name of a file on every system"):
            open_photograph(io.BytesIO(sealed), KEY, tmp_path)
        open_photograph(io.BytesIO(sealed), KEY, tmp_path / "given")
        assert os.listdir(tmp_path) == ["given"]

    @pytest.mark.parametrize("name", ["", "a/b", "../a", "/a", "a\0", "a" * 1025, 1, ["a"]])
    def test_what_no_writer_writes_is_refused(self, name, tmp_path):
        with pytest.raises(NotSealedError) as caught:
            open_photograph(io.BytesIO(join_chunks(reference.seal(b"x", name=name))), KEY, tmp_path)
        assert str(caught.value) == REFUSED
        assert os.listdir(tmp_path) == []

    def test_a_file_without_a_name_needs_one(self, tmp_path):
        with pytest.raises(ValueError, match="has no name"):
            open_photograph(io.BytesIO(seal_bytes(b"x")), KEY, tmp_path)

    def test_open_files_have_names_if_they_are_on_a_disk(self, photo):
        sealed = io.BytesIO()
        with photo.open("rb") as file:
            seal_photograph(file, sealed, key=KEY)
        assert open_bytes(sealed.getvalue()).name == "IMG_0042.JPG"
        for name in (3, "<stdin>", "", None):
            file, sealed = io.BytesIO(b"x"), io.BytesIO()
            file.name = name
            seal_photograph(file, sealed, key=KEY)
            assert open_bytes(sealed.getvalue()).name is None

    def test_names_of_any_letters(self, tmp_path):
        for name in ("Grüße aus 東京.heic", "a b", ".hidden", "x" * 200):
            plain, sealed = tmp_path / name, tmp_path / "sealed.png"
            plain.write_bytes(b"x")
            seal_photograph(plain, sealed, key=KEY, overwrite=True)
            assert open_photograph(sealed, KEY).name == name


class TestWholeOrNotAtAll:
    def test_nothing_is_overwritten_unless_asked(self, photo, tmp_path):
        sealed = tmp_path / "sealed.png"
        sealed.write_bytes(b"before")
        with pytest.raises(FileExistsError, match="overwrite=True"):
            seal_photograph(photo, sealed, key=KEY)
        assert sealed.read_bytes() == b"before"
        seal_photograph(photo, sealed, key=KEY, overwrite=True)
        with pytest.raises(FileExistsError, match="overwrite=True"):
            open_photograph(sealed, KEY, photo)
        open_photograph(sealed, KEY, photo, overwrite=True)
        assert photo.read_bytes() == JPEG
        assert sorted(os.listdir(tmp_path)) == ["IMG_0042.JPG", "sealed.png"]

    def test_a_damaged_end_leaves_nothing(self, tmp_path):
        sealed = seal_bytes(np.random.default_rng(0).bytes(300_000))
        for cut in (1, 13, 5_000, 150_000):
            with pytest.raises(NotSealedError):
                open_photograph(io.BytesIO(sealed[:-cut]), KEY, tmp_path / "opened")
            assert os.listdir(tmp_path) == []

    def test_an_error_while_sealing_leaves_nothing(self, photo, tmp_path, monkeypatch):
        def fail(*_):
            raise OSError("no space left on device")

        monkeypatch.setattr("ricsk.files._write.encrypt_segments", fail)
        with pytest.raises(OSError, match="no space"):
            seal_photograph(photo, tmp_path / "sealed.png", key=KEY)
        assert os.listdir(tmp_path) == ["IMG_0042.JPG"]

    def test_memory_is_bounded(self, tmp_path):
        for name, n_bytes in (("small", 0), ("large", 60_000_000)):
            with (tmp_path / name).open("wb") as file:
                file.truncate(n_bytes)
        program = (
            "import os, resource, sys\n"
            "from ricsk.files import open_photograph, seal_photograph\n"
            "key, sealed, opened = bytes(range(32)), 'sealed.png', 'opened'\n"
            "os.chdir(sys.argv[1])\n"
            "for plain in ('small', 'large'):\n"
            "    seal_photograph(plain, sealed, key=key, overwrite=True)\n"
            "    open_photograph(sealed, key, opened, overwrite=True)\n"
            "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "opened").stat().st_size == 60_000_000
        small, large = map(int, done.stdout.split())
        assert large - small < 20_000  # KiB


def test_one_key_is_needed(photo, encryptor, tmp_path):
    for options in ({}, {"encryptor": encryptor, "key": KEY}):
        with pytest.raises(ValueError, match="give a fitted SealedEncryptor"):
            seal_photograph(photo, tmp_path / "sealed.png", **options)


def test_another_key_is_told_by_its_id():
    other = SecretKey(bytes(32))
    with pytest.raises(WrongKeyError, match=f"key {KEY.key_id}, you gave {other.key_id}"):
        open_bytes(seal_bytes(JPEG), other)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_photograph(tmp_path / "not-there.png", KEY)
    with pytest.raises(FileNotFoundError):
        seal_photograph(tmp_path / "not-there.jpg", tmp_path / "sealed.png", key=KEY)
    assert os.listdir(tmp_path) == []


if __name__ == "__main__":
    vectors = []
    for made, name, original in zip(
        make_vector_photographs(),
        ("a.jpg", None, "gr\u00fcn.png"),
        (b"", b"any file", bytes(range(256))),
        strict=True,
    ):
        opened = open_bytes(join_chunks(made))
        vectors.append(
            {
                "name": name,
                "original": original.hex(),
                "shape": list(opened.thumbnail.shape),
                "thumbnail": opened.thumbnail.tobytes().hex(),
                "photograph": join_chunks(made).hex(),
            }
        )
    FILE.write_text(
        json.dumps({"key": bytes(range(32)).hex(), "photographs": vectors}, indent=1) + "\n"
    )

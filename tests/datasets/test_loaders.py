import io

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Bunch

from ricsk.datasets import (
    fetch_cifar10,
    fetch_svhn,
    load_digits,
    load_folder,
    load_packed,
    load_photos,
    make_street_numbers,
)


class TestMakeStreetNumbers:
    def test_form(self):
        X, y = make_street_numbers(12, random_state=0)
        assert X.shape == (12, 32, 32, 3)
        assert X.dtype == np.uint8
        assert y.shape == (12,)
        assert y.dtype == np.int64

    @pytest.mark.parametrize("size", [8, 20, 48])
    def test_size(self, size):
        X, _ = make_street_numbers(3, size=size, random_state=0)
        assert X.shape == (3, size, size, 3)

    def test_the_size_changes_the_scale_only(self):
        small, y_small = make_street_numbers(10, size=16, random_state=0)
        _, y_large = make_street_numbers(10, size=32, random_state=0)
        assert small.std() > 10
        np.testing.assert_array_equal(y_small, y_large)

    def test_same_seed_same_images(self):
        X, y = make_street_numbers(25, random_state=3)
        X_again, y_again = make_street_numbers(25, random_state=np.random.RandomState(3))
        np.testing.assert_array_equal(X, X_again)
        np.testing.assert_array_equal(y, y_again)

    def test_other_seed_other_images(self):
        X, y = make_street_numbers(25, random_state=3)
        X_other, y_other = make_street_numbers(25, random_state=4)
        assert not np.array_equal(y, y_other)
        assert (X_other != X).any(axis=(1, 2, 3)).all()

    def test_the_first_images_do_not_depend_on_their_number(self):
        X, y = make_street_numbers(37, random_state=5)
        X_few, y_few = make_street_numbers(14, random_state=5)
        np.testing.assert_array_equal(X[:14], X_few)
        np.testing.assert_array_equal(y[:14], y_few)

    def test_balanced_and_shuffled(self):
        _, y = make_street_numbers(200, size=8, random_state=0)
        assert np.bincount(y).tolist() == [20] * 10
        blocks = y.reshape(-1, 10)
        assert (np.sort(blocks, axis=1) == np.arange(10)).all()
        assert len(np.unique(blocks, axis=0)) > 15

    def test_all_images_differ_and_are_coloured(self):
        X, _ = make_street_numbers(200, random_state=0)
        assert len(np.unique(X.reshape(200, -1), axis=0)) == 200
        chroma = np.ptp(X.astype(float).mean(axis=(1, 2)), axis=1)
        assert np.median(chroma) > 5
        brightness = X.mean(axis=(1, 2, 3))
        assert brightness.min() < 60
        assert brightness.max() > 190

    def test_hard_for_a_linear_model_but_not_void(self):
        X, y = make_street_numbers(1500, size=32, random_state=0)
        classifier = LogisticRegression(C=0.01, max_iter=300)
        pixels = X[:, ::2, ::2].reshape(len(X), -1) / 255
        assert classifier.fit(pixels[:1200], y[:1200]).score(pixels[1200:], y[1200:]) < 0.3
        strokes = np.stack([hog(image, channel_axis=-1, cells_per_block=(2, 2)) for image in X])
        classifier.set_params(C=1)
        assert classifier.fit(strokes[:1200], y[:1200]).score(strokes[1200:], y[1200:]) > 0.5

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"n_samples": 0}, ValueError, "n_samples == 0, must be >= 1"),
            ({"n_samples": 2.5}, TypeError, "n_samples must be an instance of int"),
            ({"size": 7}, ValueError, "size == 7, must be >= 8"),
            ({"size": (32, 32)}, TypeError, "size must be an instance of int"),
            ({"random_state": "seed"}, ValueError, "cannot be used to seed"),
        ],
    )
    def test_wrong_parameters(self, parameters, error, message):
        with pytest.raises(error, match=message):
            make_street_numbers(**parameters)


class TestLoadDigits:
    def test_form(self):
        X, y = load_digits()
        assert X.shape == (1797, 32, 32, 1)
        assert X.dtype == np.uint8
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, sklearn.datasets.load_digits().target)

    def test_original_size_keeps_the_values(self):
        X, _ = load_digits(size=8)
        original = sklearn.datasets.load_digits().images
        np.testing.assert_array_equal(X[..., 0], np.rint(original / 16 * 255))

    def test_wrong_size(self):
        with pytest.raises(ValueError, match="size == 0, must be >= 1"):
            load_digits(size=0)


class TestLoadPhotos:
    def test_originals(self):
        X = load_photos()
        assert X.dtype == np.uint8
        np.testing.assert_array_equal(X, sklearn.datasets.load_sample_images().images)

    def test_crops_around_the_middle_before_it_resizes(self):
        X = load_photos(size=(427, 320))
        np.testing.assert_array_equal(X, load_photos()[:, :, 160:480])
        assert load_photos(size=(48, 64)).shape == (2, 48, 64, 3)

    @pytest.mark.parametrize("size", [32, (32,), (32, 0), (32.0, 32.0), [32, 32], "ab"])
    def test_wrong_size(self, size):
        with pytest.raises(ValueError, match=r"expected a tuple \(height, width\)"):
            load_photos(size=size)


def gradient(height, width, colour=True):
    """Return pixels that tell where they are."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, rows + columns], axis=-1) if colour else rows + columns


@pytest.fixture
def folder(tmp_path):
    """Two classes of three images in different formats, and files to pass over."""
    for label, names in {"cat": ["b.PNG", "a.bmp"], "dog": ["c.tiff"]}.items():
        (tmp_path / label).mkdir()
        for k, name in enumerate(names):
            Image.fromarray(gradient(6, 9) + np.uint8(k)).save(tmp_path / label / name)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / ".hidden.png").write_text("no image")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.png").write_text("no image")
    (tmp_path / "readme.png").write_text("in no class")
    return tmp_path


class TestLoadFolder:
    def test_form_and_order(self, folder):
        X, y = load_folder(str(folder))
        assert X.shape == (3, 6, 9, 3)
        assert X.dtype == np.uint8
        assert y.tolist() == ["cat", "cat", "dog"]
        assert y.dtype.kind == "U"
        np.testing.assert_array_equal(X[0], gradient(6, 9) + 1)  # a.bmp comes before b.PNG
        np.testing.assert_array_equal(X[1], gradient(6, 9))

    @pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "ppm"])
    def test_formats(self, tmp_path, ending):
        (tmp_path / "red").mkdir()
        Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "red" / f"x.{ending}")
        X, _ = load_folder(tmp_path)
        assert np.abs(X[0].astype(int) - (200, 10, 10)).max() < 10

    def test_size_crops_then_resizes(self, folder):
        X, _ = load_folder(folder, size=(6, 3))
        np.testing.assert_array_equal(X[1], gradient(6, 9)[:, 3:6])
        Image.fromarray(gradient(20, 11)).save(folder / "dog" / "large.png")
        X, _ = load_folder(folder, size=(8, 16))
        assert X.shape == (4, 8, 16, 3)

    def test_grey_images_have_one_channel(self, tmp_path):
        (tmp_path / "grey").mkdir()
        pixels = gradient(5, 4, colour=False)
        Image.fromarray(pixels).save(tmp_path / "grey" / "a.png")
        Image.fromarray(pixels).convert("LA").save(tmp_path / "grey" / "b.png")
        Image.fromarray(pixels > 3).save(tmp_path / "grey" / "c.png")
        X, _ = load_folder(tmp_path)
        assert X.shape == (3, 5, 4, 1)
        np.testing.assert_array_equal(X[0, ..., 0], pixels)
        np.testing.assert_array_equal(X[1], X[0])
        np.testing.assert_array_equal(X[2, ..., 0], 255 * (pixels > 3))

    def test_grey_among_colour_images_has_three(self, folder):
        pixels = gradient(6, 9, colour=False)
        Image.fromarray(pixels).save(folder / "dog" / "z.png")
        X, _ = load_folder(folder)
        assert X.shape == (4, 6, 9, 3)
        np.testing.assert_array_equal(X[3], np.stack([pixels] * 3, axis=-1))

    def test_transparency_is_dropped(self, tmp_path):
        (tmp_path / "red").mkdir()
        red = Image.new("RGBA", (4, 4), (255, 0, 0, 100))
        red.save(tmp_path / "red" / "a.png")
        palette = Image.new("P", (4, 4))
        palette.putpalette([255, 0, 0])
        palette.save(tmp_path / "red" / "b.png", transparency=bytes([0]))
        X, _ = load_folder(tmp_path)
        assert (X == (255, 0, 0)).all()

    def test_exif_orientation(self, tmp_path):
        (tmp_path / "turned").mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise
        Image.fromarray(gradient(6, 9)).save(tmp_path / "turned" / "a.png", exif=exif)
        X, _ = load_folder(tmp_path)
        np.testing.assert_array_equal(X[0], np.rot90(gradient(6, 9), -1))

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no folder '.*missing'"):
            load_folder(tmp_path / "missing")

    def test_no_sub_folders(self, tmp_path):
        Image.new("L", (4, 4)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match="no sub-folders; expected one for each class"):
            load_folder(tmp_path)

    def test_no_images(self, tmp_path):
        (tmp_path / "cat").mkdir()
        with pytest.raises(ValueError, match=r"no images; expected files that end in .*\.png"):
            load_folder(tmp_path)

    def test_no_image_file(self, folder):
        (folder / "dog" / "broken.png").write_bytes(b"no image")
        with pytest.raises(ValueError, match=r"cannot read the image .*broken\.png"):
            load_folder(folder)

    def test_truncated_image(self, folder):
        buffer = io.BytesIO()
        Image.fromarray(gradient(64, 64)).save(buffer, "JPEG")
        (folder / "dog" / "half.jpg").write_bytes(buffer.getvalue()[:-200])
        with pytest.raises(ValueError, match=r"cannot read the image .*half\.jpg.*[Tt]runcated"):
            load_folder(folder)

    def test_16_bits(self, folder):
        Image.fromarray(np.full((6, 9), 5000, dtype=np.uint16)).save(folder / "dog" / "deep.png")
        with pytest.raises(ValueError, match=r"deep\.png' has Pillow's mode I;16; expected 8 bits"):
            load_folder(folder)

    def test_different_sizes(self, folder):
        Image.fromarray(gradient(5, 9)).save(folder / "dog" / "other.png")
        message = r"a\.bmp' has 6×9 pixels and .*other\.png' has 5×9 pixels\. Give size="
        with pytest.raises(ValueError, match=message):
            load_folder(folder)

    def test_wrong_size(self, folder):
        with pytest.raises(ValueError, match="size=32: expected a tuple"):
            load_folder(folder, size=32)


@pytest.fixture
def pack(tmp_path):
    """Twelve plain images, each as bright as 20 times its number."""
    files = []
    for k in range(12):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (20 * k,) * 3).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    np.savez(
        tmp_path / "my_grey_jpeg_train.npz",
        jpeg=np.frombuffer(b"".join(files), dtype=np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        labels=np.arange(12, dtype=np.uint8) % 3,
        classes=["a", "b", "c"],
    )
    return tmp_path


class TestLoadPacked:
    def test_all(self, pack):
        X, y, classes = load_packed(str(pack), "my_grey", "train")
        order = np.random.default_rng(0).permutation(12)
        assert X.shape == (12, 8, 8, 3)
        assert X.dtype == np.uint8
        assert y.dtype == np.int64
        assert classes == ["a", "b", "c"]
        np.testing.assert_array_equal(y, order % 3)
        assert np.abs(X[:, 0, 0, 0] - 20.0 * order).max() <= 1

    def test_limit_keeps_the_first(self, pack):
        X, y, _ = load_packed(pack, "my_grey", "train")
        X_few, y_few, _ = load_packed(pack, "my_grey", "train", limit=5)
        np.testing.assert_array_equal(X_few, X[:5])
        np.testing.assert_array_equal(y_few, y[:5])

    @pytest.mark.parametrize(("name", "split"), [("cifar10", "train"), ("my_grey", "test")])
    def test_missing_pack(self, pack, name, split):
        message = rf"{name}_jpeg_{split}\.npz'.*found: \('my_grey', 'train'\)\."
        with pytest.raises(FileNotFoundError, match=message):
            load_packed(pack, name, split)

    def test_missing_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"found: none\."):
            load_packed(tmp_path / "nowhere", "my_grey", "train")

    def test_wrong_limit(self, pack):
        with pytest.raises(ValueError, match="limit == 0, must be >= 1"):
            load_packed(pack, "my_grey", "train", limit=0)


@pytest.fixture
def openml(monkeypatch):
    """Put a fake in place of OpenML. It returns what is in `answer` and notes what was asked."""
    fake = Bunch(answer=None, asked=None)

    def fetch_openml(**asked):
        fake.asked = asked
        return fake.answer

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    return fake


def by_colour(images):
    return np.moveaxis(images, -1, 1).reshape(len(images), -1)


def by_pixel(images):
    return images.reshape(len(images), -1)


class TestFetchCifar10:
    def test_layout(self, openml):
        data = np.zeros((2, 3072))
        data[1, 2 * 1024 + 5 * 32 + 7] = 201  # blue, row 5, column 7
        openml.answer = Bunch(data=data, target=np.array(["3", "9"], dtype=object))
        X, y = fetch_cifar10(data_home="here")
        assert openml.asked == {"data_id": 40927, "data_home": "here", "as_frame": False}
        assert X.shape == (2, 32, 32, 3)
        assert X.dtype == np.uint8
        assert np.argwhere(X).tolist() == [[1, 5, 7, 2]]
        assert X[1, 5, 7, 2] == 201
        assert y.tolist() == [3, 9]
        assert y.dtype == np.int64

    def test_subset(self, openml):
        target = np.array(["1"] * 50_000 + ["2"] * 3)
        openml.answer = Bunch(data=np.zeros((50_003, 3072), dtype=np.uint8), target=target)
        X, y = fetch_cifar10(subset="test")
        assert X.shape == (3, 32, 32, 3)
        assert y.tolist() == [2, 2, 2]
        openml.answer.data = openml.answer.data[:5]
        openml.answer.target = target[:5]
        assert len(fetch_cifar10(subset="train")[0]) == 5

    def test_wrong_subset(self, openml):
        with pytest.raises(ValueError, match="subset='valid': expected 'all', 'train' or 'test'"):
            fetch_cifar10(subset="valid")
        assert openml.asked is None

    def test_errors_of_openml_pass(self, monkeypatch):
        def offline(**asked):
            raise OSError("no network")

        monkeypatch.setattr(sklearn.datasets, "fetch_openml", offline)
        with pytest.raises(OSError, match="no network"):
            fetch_cifar10()


class TestFetchSvhn:
    @pytest.mark.parametrize("layout", [by_colour, by_pixel])
    def test_either_layout(self, openml, layout):
        images, digits = make_street_numbers(30, random_state=0)
        labels = np.where(digits == 0, 10, digits).astype(str)
        openml.answer = Bunch(data=layout(images).astype(np.int64), target=labels)
        X, y = fetch_svhn()
        assert openml.asked["data_id"] == 41081
        assert X.dtype == np.uint8
        assert y.dtype == np.int64
        np.testing.assert_array_equal(X, images)
        np.testing.assert_array_equal(y, digits)

    def test_subset(self, openml):
        data = np.zeros((73_259, 3072), dtype=np.uint8)
        openml.answer = Bunch(data=data, target=np.full(len(data), "10"))
        X, y = fetch_svhn(subset="test")
        assert X.shape == (2, 32, 32, 3)
        assert y.tolist() == [0, 0]

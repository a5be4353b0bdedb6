import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from ricsk.datasets import load_packed


def jpeg(brightness, side=8, mode="RGB", **settings):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (brightness,) * 3).convert(mode).save(buffer, "JPEG", **settings)
    return buffer.getvalue()


def join(files):
    return {
        "jpeg": np.frombuffer(b"".join(files), dtype=np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "labels": np.arange(len(files), dtype=np.uint8) % 3,
        "classes": np.array(["a", "b", "c"]),
    }


GOOD = join([jpeg(20 * k) for k in range(12)])


@pytest.fixture
def pack(tmp_path):
    """Twelve plain images, each as bright as 20 times its number."""
    np.savez(tmp_path / "my_grey_jpeg_train.npz", **GOOD)
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

    @pytest.mark.parametrize("path", [None, 3, b"packs"])
    def test_wrong_path(self, path):
        with pytest.raises(TypeError, match="expected the folder of the packs"):
            load_packed(path, "my_grey", "train")


@pytest.fixture
def load(tmp_path):
    """Save arrays as a pack, and load it."""

    def load(save=np.savez, **arrays):
        save(tmp_path / "bad_jpeg_test.npz", **arrays)
        return load_packed(tmp_path, "bad", "test")

    return load


REFUSED = r"cannot read the pack '.*bad_jpeg_test\.npz': "


class TestDamagedPacks:
    @pytest.mark.parametrize("name", list(GOOD))
    def test_missing_arrays(self, load, name):
        arrays = {other: array for other, array in GOOD.items() if other != name}
        with pytest.raises(ValueError, match=rf"{REFUSED}it has no array {name}\. Make"):
            load(**arrays)

    @pytest.mark.parametrize(
        ("name", "array"),
        [
            ("jpeg", GOOD["jpeg"].astype(np.int8)),
            ("jpeg", GOOD["jpeg"].astype(np.uint16)),
            ("jpeg", GOOD["jpeg"][np.newaxis]),
            ("offsets", GOOD["offsets"].astype(float)),
            ("offsets", np.array(0)),
            ("labels", GOOD["labels"].astype(float)),
            ("labels", GOOD["labels"].astype(bool)),
            ("labels", GOOD["labels"][:, np.newaxis]),
            ("classes", np.array([b"a", b"b", b"c"])),
            ("classes", np.arange(3)),
            ("classes", np.array("abc")),
        ],
    )
    def test_wrong_arrays(self, load, name, array):
        with pytest.raises(ValueError, match=f"{REFUSED}its array {name} has dtype .*; expected"):
            load(**GOOD | {name: array})

    @pytest.mark.parametrize("name", list(GOOD))
    def test_arrays_of_objects_are_not_unpickled(self, load, name):
        objects = GOOD[name].astype(object)
        with pytest.raises(ValueError, match=f"{REFUSED}its array {name} has dtype object"):
            load(**GOOD | {name: objects})

    @pytest.mark.parametrize("size", [0, 1, 12, 14])
    def test_number_of_offsets(self, load, size):
        offsets = np.resize(GOOD["offsets"], size)
        with pytest.raises(ValueError, match=f"{REFUSED}it has 12 labels and {size} offsets"):
            load(**GOOD | {"offsets": offsets})

    def test_no_images(self, load):
        nothing = {"offsets": np.array([0]), "labels": np.zeros(0, int)}
        with pytest.raises(ValueError, match="expected at least one label"):
            load(**GOOD | nothing)

    @pytest.mark.parametrize("dtype", [np.int64, np.uint64])
    @pytest.mark.parametrize(
        ("place", "offset", "image"), [(4, 0, 3), (4, 10**9, 3), (12, 10**9, 11), (5, "last", 5)]
    )
    def test_offsets_increase_and_stay_inside(self, load, place, offset, image, dtype):
        offsets = GOOD["offsets"].astype(dtype)
        offsets[place] = offsets[-1] if offset == "last" else offset
        with pytest.raises(ValueError, match=f"{REFUSED}image {image} goes from byte"):
            load(**GOOD | {"offsets": offsets})

    def test_negative_offsets(self, load):
        offsets = GOOD["offsets"].copy()
        offsets[0] = -5
        with pytest.raises(ValueError, match=f"{REFUSED}image 0 goes from byte -5"):
            load(**GOOD | {"offsets": offsets})

    @pytest.mark.parametrize("label", [3, -1])
    def test_labels_without_a_class(self, load, label):
        labels = GOOD["labels"].astype(np.int64)
        labels[7] = label
        with pytest.raises(ValueError, match=f"{REFUSED}image 7 has the label {label}, of 3 class"):
            load(**GOOD | {"labels": labels})

    def test_damaged_images_are_named_with_their_position(self, load):
        files = [jpeg(20 * k) for k in range(4)]
        files[2] = files[2][:100]
        message = r"cannot read the image 2 of '.*bad_jpeg_test\.npz': "
        with pytest.raises(ValueError, match=message):
            load(**join(files))

    def test_other_formats_are_refused(self, load):
        buffer = io.BytesIO()
        Image.new("L", (8, 8)).save(buffer, "PNG")
        with pytest.raises(ValueError, match=r"image 1 of .* not a file of the format JPEG"):
            load(**join([jpeg(0), buffer.getvalue()]))

    def test_sizes_differ(self, load):
        with pytest.raises(ValueError, match=r"image \d of .*it has \d+×\d+ pixels; expected \d+×"):
            load(**join([jpeg(0), jpeg(0, side=16), jpeg(0)]))

    def test_grey_images_get_three_channels(self, load):
        X, _, _ = load(**join([jpeg(200, mode="L"), jpeg(200)]))
        assert X.shape == (2, 8, 8, 3)
        assert np.abs(X.astype(int) - 200).max() <= 1

    @pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + bytes(50)])
    def test_no_archive(self, tmp_path, content):
        (tmp_path / "bad_jpeg_test.npz").write_bytes(content)
        with pytest.raises(ValueError, match=f"{REFUSED}File is not a zip file"):
            load_packed(tmp_path, "bad", "test")

    def test_damaged_archive(self, tmp_path, pack):
        content = bytearray((pack / "my_grey_jpeg_train.npz").read_bytes())
        content[300:400] = bytes(100)
        (tmp_path / "bad_jpeg_test.npz").write_bytes(content)
        with pytest.raises(ValueError, match=f"{REFUSED}Bad CRC-32"):
            load_packed(tmp_path, "bad", "test")

    def test_archives_that_grow_are_refused_before_they_are_read(self, load, monkeypatch):
        monkeypatch.setattr("ricsk.datasets._packed.MAX_SMALL_ARRAYS", 10_000)
        monkeypatch.setattr(np, "load", lambda *args, **kwargs: pytest.fail("loaded"))
        for name in ("labels", "unknown"):
            zeros = GOOD | {name: np.zeros(1_000_000, np.uint8)}
            with pytest.raises(ValueError, match=rf"{REFUSED}it would take 1,\d+,\d+ bytes of"):
                load(np.savez_compressed, **zeros)

    @pytest.mark.parametrize(
        ("arrays", "refusal"),
        [
            ({"labels": np.zeros(10**5, np.uint8), "offsets": np.arange(10**5 + 1)}, "100 bytes"),
            ({"classes": np.zeros(2**17 + 1, "U1")}, "131,073 classes"),
            ({"classes": np.array(["a" * 1001])}, "up to 1,001 characters"),
            ({"labels": np.zeros(0, int), "offsets": np.zeros(1, int)}, "0 labels"),
        ],
        ids=["labels", "classes", "names", "none"],
    )
    def test_counts_are_refused_before_arrays_are_read(self, load, monkeypatch, arrays, refusal):
        monkeypatch.setattr(np, "load", lambda *args, **kwargs: pytest.fail("loaded"))
        with pytest.raises(ValueError, match=f"{REFUSED}.*{refusal}"):
            load(np.savez_compressed, **GOOD | arrays)

    def test_images_that_grow_are_refused(self, load, monkeypatch):
        monkeypatch.setattr("ricsk.datasets._packed.MAX_SMALL", 10_000)
        monkeypatch.setattr("ricsk.datasets._packed.read_image", None)
        large = join([jpeg(0, side=1000, quality=1)] * 30)
        with pytest.raises(ValueError, match=f"{REFUSED}it would take 90,000,000 bytes of memory"):
            load(**large)

    def test_claims_of_an_array_are_not_believed(self, tmp_path):
        """The header of an array that says more than there is, as the archive knows."""
        header = io.BytesIO()
        claimed = {"descr": "|u1", "fortran_order": False, "shape": (10**15,)}
        np.lib.format.write_array_header_1_0(header, claimed)
        with zipfile.ZipFile(tmp_path / "bad_jpeg_test.npz", "w") as archive:
            archive.writestr("jpeg.npy", header.getvalue() + bytes(100))
            for name in ("offsets", "labels", "classes"):
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, GOOD[name])
        with pytest.raises(ValueError, match=REFUSED):
            load_packed(tmp_path, "bad", "test")

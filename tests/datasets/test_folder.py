import io
import os

import numpy as np
import pytest
from PIL import Image
from PIL.ImageFile import ImageFile

from ricsk.datasets import load_folder


def gradient(height, width, colour=True):
    """Return pixels that tell where they are."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, rows + columns], axis=-1) if colour else rows + columns


@pytest.fixture
def folder(tmp_path):
    """Two classes of three images in different formats, and what is passed over in silence."""
    for label, names in {"cat": ["b.PNG", "a.bmp"], "dog": ["c.tiff"]}.items():
        (tmp_path / label).mkdir()
        for k, name in enumerate(names):
            Image.fromarray(gradient(6, 9) + np.uint8(k)).save(tmp_path / label / name)
    for litter in (".hidden.png", "Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / "cat" / litter).write_text("no image")
    for litter in (".cache", "__MACOSX"):
        (tmp_path / litter).mkdir()
        (tmp_path / litter / "x.png").write_text("no image")
    (tmp_path / "readme.txt").write_text("in no class")
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

    def test_a_file_instead_of_a_folder(self, folder):
        with pytest.raises(FileNotFoundError, match=r"readme\.txt' is not a folder"):
            load_folder(folder / "readme.txt")

    @pytest.mark.parametrize("path", [None, 3, b"images", ["a"]])
    def test_wrong_path(self, path):
        with pytest.raises(TypeError, match="expected the path of a folder, a str or a Path"):
            load_folder(path)

    def test_no_sub_folders(self, tmp_path):
        Image.new("L", (4, 4)).save(tmp_path / "a.png")
        message = r"no sub-folders; expected one for each class.* It has 1 × \.png"
        with pytest.raises(ValueError, match=message):
            load_folder(tmp_path)

    @pytest.mark.parametrize(
        ("names", "found"),
        [
            ([], "nothing in it"),
            ([".hidden.png", "Thumbs.db"], "nothing in it"),
            (["a.heic", "b.HEIC", "notes"], r"2 × \.heic, 1 × no ending"),
            (["inner/a.png"], "1 × folder"),
            (["inner.png/a.png"], "1 × folder"),
        ],
    )
    def test_no_class_vanishes(self, folder, names, found):
        (folder / "owl").mkdir()
        for name in names:
            (folder / "owl" / name).parent.mkdir(exist_ok=True)
            (folder / "owl" / name).write_bytes(b"")
        message = rf"sub-folder '.*owl' has no images, .* class 'owl' .*: it has {found}\. Expected"
        with pytest.raises(ValueError, match=message):
            load_folder(folder)

    def test_what_is_passed_over_is_named_and_counted(self, folder):
        for name in ("notes.txt", "a.heic"):
            (folder / "cat" / name).write_text("no image")
        (folder / "dog" / "more").mkdir()
        Image.new("L", (6, 9)).save(folder / "dog" / "more" / "deep.png")
        (folder / "top.JPG").write_text("in no class")
        with pytest.warns(UserWarning, match="4 of the files and folders in ") as caught:
            X, y = load_folder(folder)
        assert len(caught) == 1
        message = str(caught[0].message)
        names = ("top.JPG", "cat/a.heic", "cat/notes.txt", "dog/more")
        assert all(repr(name) in message for name in names)
        assert "readme" not in message
        assert caught[0].filename == __file__
        assert len(X) == len(y) == 3

    def test_many_files_that_are_passed_over_are_not_all_named(self, folder):
        for k in range(30):
            (folder / "cat" / f"{k:02}.txt").write_text("no image")
        with pytest.warns(UserWarning, match="30 of the .* 'cat/04.txt', 25 more"):
            load_folder(folder)

    @pytest.mark.parametrize("suffix", [".pgm", ".jfif", ".JPE", ".avif", ".jp2", ".Apng", ".PNM"])
    def test_less_common_suffixes(self, folder, suffix):
        format = Image.registered_extensions().get(suffix.lower(), "PPM")
        (folder / "owl").mkdir()
        Image.fromarray(gradient(6, 9)).save(folder / "owl" / f"1{suffix}", format)
        assert load_folder(folder)[1].tolist() == ["cat", "cat", "dog", "owl"]

    def test_links_are_followed(self, folder, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "owl").symlink_to(folder / "cat")
        (elsewhere / "fox").mkdir()
        (elsewhere / "fox" / "x.png").symlink_to(folder / "cat" / "b.PNG")
        X, y = load_folder(elsewhere)
        assert y.tolist() == ["fox", "owl", "owl"]
        np.testing.assert_array_equal(X[0], gradient(6, 9))

    def test_broken_links(self, folder):
        (folder / "dog" / "gone.png").symlink_to(folder / "gone.png")
        with pytest.raises(ValueError, match=r"gone\.png': it is a link to a file"):
            load_folder(folder)

    def test_a_named_pipe_does_not_wait(self, folder):
        os.mkfifo(folder / "dog" / "pipe.png")
        with pytest.raises(ValueError, match=r"pipe\.png': it is a named pipe, not a regular file"):
            load_folder(folder)

    def test_names_that_are_not_unicode(self, folder):
        label = os.fsdecode(b"ch\xe2t")
        (folder / "dog").rename(folder / label)
        assert label in load_folder(folder)[1]

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
        with pytest.raises(ValueError, match=r"deep\.png': it has 16-bit channels; expected 8"):
            load_folder(folder)

    def test_another_size_is_refused_before_pixels_are_decoded(self, tmp_path, monkeypatch):
        for label, side in (("a", 8), ("b", 2000)):
            (tmp_path / label).mkdir()
            Image.new("L", (side, side)).save(tmp_path / label / "x.png")
        load = ImageFile.load

        def load_small(self):
            assert self.size == (8, 8)
            return load(self)

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load_small)
        with pytest.raises(ValueError, match=r"differ in size: .*a.x.png' has 8×8 .* 2000×2000"):
            load_folder(tmp_path)

    def test_different_sizes(self, folder):
        Image.fromarray(gradient(5, 9)).save(folder / "dog" / "other.png")
        message = r"a\.bmp' has 6×9 pixels and .*other\.png' has 5×9 pixels\. Give size="
        with pytest.raises(ValueError, match=message):
            load_folder(folder)

    def test_first_grey_then_colour(self, folder):
        Image.fromarray(gradient(6, 9, colour=False)).save(folder / "cat" / "0.png")
        X, _ = load_folder(folder)
        assert X.shape == (4, 6, 9, 3)
        np.testing.assert_array_equal(X[0], np.stack([gradient(6, 9, colour=False)] * 3, axis=-1))
        np.testing.assert_array_equal(X[1], gradient(6, 9) + 1)

    @pytest.mark.parametrize(
        "size", [32, (32,), (32, 0), (32.0, 32.0), [32, 32], "ab", (True, True), (8, 8, 3)]
    )
    def test_wrong_size(self, folder, size):
        with pytest.raises(ValueError, match=r"expected a tuple \(height, width\)"):
            load_folder(folder, size=size)

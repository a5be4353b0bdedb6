import io
import os
import re
import socket
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from ricsk.codecs import IMAGE_SUFFIXES, MAX_PIXELS, read_image, read_size

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)


def encode(image, format, **settings):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format, **settings)
    return buffer.getvalue()


def chunk(kind, data):
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(width, height, rows, extra=b""):
    """Write a grey PNG, whatever its header claims."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


class TestContent:
    @pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
    def test_every_suffix_is_one_that_is_read(self, tmp_path, suffix):
        format = Image.registered_extensions().get(suffix, "PPM")
        settings = {"lossless": True, "quality": 100} if format in ("WEBP", "AVIF") else {}
        colour = Image.new("RGB", (20, 12), (200, 10, 10))
        (tmp_path / f"x{suffix}").write_bytes(encode(colour, format, **settings))
        pixels = read_image(tmp_path / f"x{suffix}")
        assert pixels.shape == (12, 20, 3)
        assert np.abs(pixels.astype(int) - (200, 10, 10)).max() < 10

    def test_the_docstring_lists_the_suffixes(self):
        listed = re.findall(r"\.[a-z0-9]+\b", read_image.__doc__.split("files end in")[1])
        assert tuple(listed[: len(IMAGE_SUFFIXES)]) == IMAGE_SUFFIXES
        assert f"{MAX_PIXELS:,} pixels" in read_image.__doc__

    def test_sources(self, tmp_path):
        file = encode(PIXELS, "PNG")
        (tmp_path / "x.png").write_bytes(file)
        (tmp_path / "link.png").symlink_to(tmp_path / "x.png")
        paths = tmp_path / "x.png", str(tmp_path / "x.png"), tmp_path / "link.png"
        for source in (*paths, file, bytearray(file), memoryview(file)):
            pixels = read_image(source)
            assert pixels.dtype == np.uint8
            assert pixels.flags.writeable
            np.testing.assert_array_equal(pixels, PIXELS)

    @pytest.mark.parametrize("mode", ["1", "L", "LA"])
    def test_grey(self, mode):
        grey = Image.fromarray(PIXELS).convert(mode)
        pixels = read_image(encode(grey, "PNG"))
        np.testing.assert_array_equal(pixels[..., 0], np.asarray(grey.convert("L")))
        assert pixels.shape == (12, 20, 1)

    @pytest.mark.parametrize(
        ("mode", "format"),
        [
            ("P", "PNG"),
            ("P", "GIF"),
            ("PA", "TIFF"),
            ("RGBA", "PNG"),
            ("CMYK", "JPEG"),
            ("CMYK", "TIFF"),
            ("YCbCr", "TIFF"),
            ("LAB", "TIFF"),
        ],
    )
    def test_other_colour_spaces_are_what_pillow_makes_of_them(self, mode, format):
        image = Image.fromarray(PIXELS).convert("P" if mode == "PA" else "RGB").convert(mode)
        file = encode(image, format)
        expected = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        np.testing.assert_array_equal(read_image(file), expected)
        assert np.abs(expected.astype(int) - PIXELS).mean() < 60

    def test_transparent_palettes(self):
        palette = Image.fromarray(PIXELS).convert("P")
        expected = np.asarray(palette.convert("RGB"))
        file = encode(palette, "PNG", transparency=bytes(range(256)))
        np.testing.assert_array_equal(read_image(file), expected)

    @pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
    def test_the_first_frame_is_taken(self, format):
        first = Image.new("RGB", (8, 8), "red")
        others = [Image.new("RGB", (8, 8), colour) for colour in ("blue", "lime")]
        settings = {"lossless": True} if format == "WEBP" else {}
        file = encode(first, format, save_all=True, append_images=others, **settings)
        assert (read_image(file) == (255, 0, 0)).all()

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "MPO"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation(self, format, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright = np.zeros((16, 24, 3), np.uint8)
        upright[:8, :16] = 255
        settings = {"save_all": True, "append_images": []} if format == "MPO" else {}
        turn = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_270,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90,
        }.get(orientation)
        image = Image.fromarray(upright)
        turned = np.asarray(image if turn is None else image.transpose(turn))
        pixels = read_image(encode(upright, format, exif=exif, **settings))
        assert pixels.shape == turned.shape
        assert np.abs(pixels.astype(int) - turned).max() < 40


class TestSize:
    def test_expected_size(self):
        file = encode(PIXELS, "PNG")
        np.testing.assert_array_equal(read_image(file, expected_size=(12, 20)), PIXELS)
        with pytest.raises(ValueError, match="it has 12×20 pixels; expected 20×12"):
            read_image(file, expected_size=(20, 12))

    def test_expected_size_is_that_of_the_turned_image(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        file = encode(PIXELS, "PNG", exif=exif)
        assert read_image(file, expected_size=(20, 12)).shape == (20, 12, 3)
        with pytest.raises(ValueError, match="it has 20×12 pixels; expected 12×20"):
            read_image(file, expected_size=(12, 20))

    @pytest.mark.parametrize("side", [10_000, 60_000])
    def test_too_many_pixels(self, side):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(ValueError, match=r"cannot read the image huge: .*pixels"):
                read_image(png(side, side, b""), name="huge")
        assert not caught

    def test_the_size_is_compared_before_pixels_are_decoded(self, monkeypatch):
        def decode(self):
            raise AssertionError("decoded")

        file = encode(PIXELS, "PNG")
        monkeypatch.setattr(Image.Image, "load", decode)
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
        with pytest.raises(ValueError, match="expected 8×8"):
            read_image(file, expected_size=(8, 8))
        monkeypatch.setattr("ricsk.codecs._read.MAX_PIXELS", 239)
        with pytest.raises(ValueError, match="it has 12×20 pixels; expected at most 239 in all"):
            read_image(file)

    def test_a_small_file_holds_no_large_image(self, monkeypatch):
        """Not beyond what is allowed to a file of any length, which pictures of one colour fill."""
        flat = Image.new("L", (4000, 4000))
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
        for format in ("PNG", "JPEG", "GIF", "WEBP"):
            file = encode(flat, format)
            n_most = max(2**22, 100 * len(file))
            if n_most < 4000**2:
                with pytest.raises(ValueError, match=rf"4,000×4,000 .* at most {n_most:,} in all"):
                    read_image(file)
        assert max(2**22, 100 * len(encode(flat, "PNG"))) < 4000**2
        monkeypatch.undo()
        assert read_image(encode(Image.new("L", (2048, 2048)), "PNG")).shape == (2048, 2048, 1)
        assert read_image(encode(flat, "PNG"), expected_size=(4000, 4000)).shape == (4000, 4000, 1)

    @pytest.mark.parametrize("block", [2**20, 1])
    def test_scans_are_counted_before_pixels_are_decoded(self, monkeypatch, block):
        file = encode(Image.fromarray(PIXELS), "JPEG", progressive=True)
        start = file.rindex(b"\xff\xda")
        scan, end = file[start:-2], file[-2:]
        n_scans = file.count(b"\xff\xda")
        read = io.BytesIO.read
        monkeypatch.setattr(
            "ricsk.codecs._read.io.BytesIO",
            type(
                "Slow",
                (io.BytesIO,),
                {"read": lambda self, n=-1: read(self, min(n, block) if n == 2**20 else n)},
            ),
        )
        assert read_image(file[:-2] + scan * (100 - n_scans) + end).shape == (12, 20, 3)
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
        for formats in (["JPEG"], ["JPEG", "MPO"]):
            with pytest.raises(ValueError, match="it has 101 scans; expected at most 100"):
                read_image(file[:-2] + scan * (101 - n_scans) + end, formats=formats)

    def test_read_size_decodes_nothing(self, monkeypatch):
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
        for format in ("PNG", "JPEG", "GIF", "BMP"):
            assert read_size(encode(PIXELS, format)) == (12, 20)
        with pytest.raises(ValueError, match="cannot read the image of 3 bytes"):
            read_size(b"abc")
        with pytest.raises(TypeError, match="source is a int"):
            read_size(3)

    def test_strips_make_the_whole_image(self, monkeypatch):
        monkeypatch.setattr("ricsk.codecs._read._STRIP_PIXELS", 7 * 20)
        for mode in ("RGB", "L", "1", "P", "RGBA", "LA", "CMYK"):
            image = Image.fromarray(PIXELS).convert(mode)
            format = "TIFF" if mode == "CMYK" else "PNG"
            expected = np.asarray(image.convert("L" if mode in ("1", "L", "LA") else "RGB"))
            pixels = read_image(encode(image, format))
            np.testing.assert_array_equal(pixels.squeeze(), expected)

    def test_an_expected_size_may_be_large(self, monkeypatch):
        monkeypatch.setattr("ricsk.codecs._read.MAX_PIXELS", 239)
        assert read_image(encode(PIXELS, "PNG"), expected_size=(12, 20)).shape == (12, 20, 3)

    def test_pillows_warning_does_not_leak(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_image(encode(PIXELS, "PNG")).shape == (12, 20, 3)


def short_bmp():
    header = struct.pack("<IiiHHIIiiII", 40, 64, 64, 1, 8, 1, 4, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + header + bytes(1024) + b"\x02\x01"


def overflowing_text():
    text = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(2_000_000)))
    return png(8, 8, bytes(72), text)


class TestFaults:
    @pytest.mark.parametrize(
        "file",
        [
            b"",
            b"no image",
            short_bmp(),
            overflowing_text(),
            b"P6 8 8x 255\n" + bytes(192),
            b"P5 4 4",
            png(8, 8, bytes(10)),
            encode(PIXELS, "JPEG")[:300],
            encode(PIXELS, "TIFF")[:40],
            encode(PIXELS, "TIFF", compression="tiff_lzw")[:300],
            encode(PIXELS, "GIF")[:30],
            encode(PIXELS, "WEBP")[:60],
            encode(PIXELS, "AVIF")[:-60],
            encode(PIXELS, "JPEG2000")[:100],
            b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a" + bytes(40),
        ],
    )
    def test_damaged_files_are_named(self, tmp_path, file):
        path = tmp_path / "broken.png"
        path.write_bytes(file)
        with pytest.raises(ValueError, match=r"cannot read the image '.*broken\.png': .+\. Repair"):
            read_image(path)
        message = rf"cannot read the image of {len(file)} bytes: .+\. Repair"
        with pytest.raises(ValueError, match=message) as caught:
            read_image(file)
        assert caught.value.__cause__ is not None
        assert "0x" not in str(caught.value)

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "AVIF", "JPEG2000"])
    def test_flipped_bytes_end_in_an_image_or_a_value_error(self, format):
        rng = np.random.default_rng(0)
        file = np.frombuffer(encode(PIXELS, format), np.uint8)
        refused = 0
        for _ in range(60):
            damaged = file.copy()
            damaged[rng.integers(0, min(len(file), 200), 4)] = rng.integers(0, 256, 4)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of some of what it forgives
                try:
                    read_image(damaged.tobytes())
                except ValueError:
                    refused += 1
        assert refused > 5

    @pytest.mark.parametrize("error", [MemoryError(), KeyError(57344), RuntimeError("no")])
    def test_errors_of_other_types(self, monkeypatch, error):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(Image, "open", fail)
        message = f"its decoder failed with {re.escape(repr(error))}"
        with pytest.raises(ValueError, match=message) as caught:
            read_image(b"")
        assert caught.value.__cause__ is error

    def test_postscript_starts_no_program(self, monkeypatch):
        monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args: pytest.fail("started"))
        page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
        with pytest.raises(ValueError, match="it is damaged, or not a file of the format PNG, "):
            read_image(page)

    def test_formats(self):
        assert read_image(encode(PIXELS, "PNG"), formats=["JPEG", "PNG"]).shape == (12, 20, 3)
        with pytest.raises(ValueError, match="not a file of the format JPEG or GIF"):
            read_image(encode(PIXELS, "PNG"), formats=["JPEG", "GIF"])

    def test_formats_that_this_pillow_does_not_know_are_left_out(self, monkeypatch):
        monkeypatch.delitem(Image.OPEN, "AVIF")
        assert read_image(encode(PIXELS, "PNG")).shape == (12, 20, 3)

    def test_only_regular_files_are_opened(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "folder.png").mkdir()
        (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
        kinds = {"pipe.png": "a named pipe", "folder.png": "a folder", "link.png": "a named pipe"}
        for name, kind in kinds.items():
            with pytest.raises(ValueError, match=rf"{name}': it is {kind}, not a regular file"):
                read_image(tmp_path / name)
        with pytest.raises(ValueError, match="it is a device, not a regular file"):
            read_image("/dev/null")

    def test_sockets_are_not_opened(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket.png")
            with pytest.raises(ValueError, match="it is a socket, not a regular file"):
                read_image("socket.png")

    def test_missing_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="missing"):
            read_image(tmp_path / "missing.png")
        (tmp_path / "link.png").symlink_to(tmp_path / "missing.png")
        with pytest.raises(ValueError, match="it is a link to a file that is not there"):
            read_image(tmp_path / "link.png")

    @pytest.mark.parametrize("source", [None, 3, PIXELS, [b""]])
    def test_wrong_types(self, source):
        with pytest.raises(TypeError, match="expected the path of an image file or its bytes"):
            read_image(source)

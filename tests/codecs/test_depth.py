import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from ricsk.codecs import read_image

GREY, GREY_ALPHA, RGB, RGBA, PALETTE = 0, 4, 2, 6, 3  # colour types of PNG


def png(depth, colour):
    """Write 8×8 pixels, all bits set."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    channels = {GREY: 1, GREY_ALPHA: 2, RGB: 3, RGBA: 4, PALETTE: 1}[colour]
    row = b"\0" + b"\xff" * (8 * channels * depth // 8)
    header = struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", b"\xff" * 3 * 2**depth) if colour == PALETTE else b""
    image = chunk(b"IDAT", zlib.compress(8 * row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + image + chunk(b"IEND", b"")


def tiff(bits, photometric=1, sample_format=1, extra=(), order="<", planar=1):
    """Write 8×8 uncompressed pixels, all bits set but the sign."""
    n = len(bits)
    data = b"\x7f" * (64 * sum(bits) // 8)
    fields = [
        (256, [8]),
        (257, [8]),
        (258, list(bits)),
        (259, [1]),
        (262, [photometric]),
        (277, [n]),
        (278, [8]),
        (284, [planar]),
        *([(338, list(extra))] if extra else []),
        (339, [sample_format] * n),
    ]
    fields += [(273, None), (279, [len(data)])]
    fields.sort(key=lambda field: field[0])
    after = 8 + 2 + 12 * len(fields) + 4
    tail, entries = b"", b""
    tails = sum(2 * len(v) for _, v in fields if v and len(v) > 2)
    for tag, values in fields:
        values = [after + tails] if values is None else values
        packed = struct.pack(f"{order}{len(values)}H", *values)
        if len(packed) > 4:
            packed, tail = struct.pack(f"{order}I", after + len(tail)), tail + packed
        entries += struct.pack(f"{order}HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    header = magic + struct.pack(f"{order}IH", 8, len(fields))
    return header + entries + bytes(4) + tail + data


def jpeg2000(bits, channels, container):
    pixels = np.full((8, 8, channels), 2**bits - 1, np.uint16 if bits > 8 else np.uint8)
    return imagecodecs.jpeg2k_encode(
        np.squeeze(pixels), bitspersample=bits, codecformat=container, reversible=True, level=0
    )


def avif(bits):
    pixels = np.full((8, 8, 3), 2**bits - 1, np.uint16 if bits > 8 else np.uint8)
    return imagecodecs.avif_encode(pixels, bitspersample=bits)


@pytest.mark.parametrize(
    ("depth", "colour"),
    [(1, GREY), (2, GREY), (4, GREY), (8, GREY), (1, PALETTE), (2, PALETTE), (4, PALETTE)],
)
def test_fewer_bits_are_scaled(depth, colour):
    assert (read_image(png(depth, colour)) == 255).all()


@pytest.mark.parametrize(
    "file",
    [
        png(8, RGB),
        png(8, RGBA),
        png(8, GREY_ALPHA),
        tiff([8]),
        tiff([8, 8, 8], 2),
        tiff([8, 8, 8, 8], 2, extra=[2]),
        tiff([8, 8], extra=[1]),
        b"P5 8 8 255\n" + bytes(64),
        b"P4 8 8\n" + bytes(8),
        jpeg2000(8, 1, "jp2"),
        jpeg2000(8, 3, "j2k"),
        avif(8),
    ],
)
def test_8_bits_are_read(file):
    assert read_image(file).shape[:2] == (8, 8)


@pytest.mark.parametrize("file", [b"P5 2 1 15\n\0\x0f", b"P2 2 1 15\n0 15\n"])
def test_levels_of_ppm_are_scaled(file):
    assert read_image(file).ravel().tolist() == [0, 255]


@pytest.mark.parametrize(
    "file",
    [
        *(png(16, colour) for colour in (GREY, GREY_ALPHA, RGB, RGBA)),
        *(tiff([16], order=order) for order in "<>"),
        *(tiff([16] * 3, 2, order=order) for order in "<>"),
        tiff([16] * 3, 2, planar=2),
        tiff([16] * 4, 2, extra=[1]),
        tiff([16] * 4, 2, extra=[2]),
        tiff([16] * 4, 5),
        b"P5 8 8 65535\n" + bytes(128),
        b"P5 8 8 4095\n" + bytes(128),
        b"P6 8 8 65535\n" + bytes(384),
        b"P6 8 8 1023\n" + bytes(384),
        b"P2 1 1 256\n256\n",
        b"P3 1 1 4095\n0 1 2\n",
        *(jpeg2000(bits, n, c) for bits in (10, 16) for n in (1, 3) for c in ("jp2", "j2k")),
    ],
)
def test_more_than_8_bits_are_refused(file):
    with pytest.raises(ValueError, match=r"it has (9|\d\d)-bit channels; expected 8") as caught:
        read_image(file, name="deep.png")
    assert "deep.png" in str(caught.value)


def test_compressed_tiff_is_no_way_round():
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 5000, np.uint16)).save(
        buffer, "TIFF", compression="tiff_deflate"
    )
    with pytest.raises(ValueError, match="it has 16-bit channels"):
        read_image(buffer.getvalue())


@pytest.mark.parametrize("bits", [1, 4])
def test_fewer_bits_of_jpeg_2000_are_refused(bits):
    """Pillow does not scale them: white would come out grey."""
    with pytest.raises(ValueError, match=f"it has {bits}-bit channels; expected 8 bits"):
        read_image(jpeg2000(bits, 1, "jp2"))


@pytest.mark.parametrize(
    "file", [tiff([8], sample_format=2), b"Pf 2 2 -1.0\n" + bytes(16)], ids=["signed", "float"]
)
def test_other_numbers_are_refused(file):
    with pytest.raises(ValueError, match="it has signed, floating-point or long values"):
        read_image(file)


@pytest.mark.parametrize("sample_format", [2, 3])
def test_32_bits_are_refused(sample_format):
    with pytest.raises(ValueError, match="it has 32-bit channels"):
        read_image(tiff([32], sample_format=sample_format))


@pytest.mark.parametrize("bits", [10, 12])
def test_bits_of_avif(bits):
    with pytest.raises(ValueError, match=f"it has {bits}-bit channels"):
        read_image(avif(bits))


def test_damaged_boxes_of_jpeg_2000_are_refused():
    file = jpeg2000(8, 1, "jp2")
    codestream = file.index(b"jp2c") - 4
    short = struct.pack(">I4sQ", 1, b"free", 8)
    with pytest.raises(ValueError, match="it has a box of impossible length"):
        read_image(file[:codestream] + short + file[codestream:])
    with pytest.raises(ValueError, match="it has no codestream"):
        read_image(file[:codestream])

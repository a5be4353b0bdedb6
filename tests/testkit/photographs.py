"""Sealed photographs of version 1, from the second implementation of the tests."""

import json
import struct
import zlib

import numpy as np

from ricsk import SecretKey
from tests.encryptors.sealed.reference import ramp
from tests.files import reference
from tests.files.reference import KEY, chunk, join_chunks, make_picture
from tests.testkit.kit import NEWER, OPENS, REFUSED, WRONG_KEY, Case, describe_image, digest

KEY_TEXT = KEY.reveal()
OTHER = SecretKey(bytes(32))
FILE = bytes(range(200))
# Two segments, the second of which begins with this many bytes less than the file is longer.
LONG = ramp((65_600,)).tobytes()


def make_photographs():
    yield from make_whole()
    yield from make_taken_out()
    yield from make_changed()
    yield from make_nonsense()


def make_whole():
    yield opens("small", FILE, comment="one segment in one chunk")
    yield opens("empty", b"", comment="an empty file")
    deep = {"name": "a.jpg", "more": nest(31)}
    yield opens("deep-details", FILE, details=deep, comment="as many levels as there may be")
    many = b'{"name":"a.jpg","more":' + b"9" * 5_000 + b"}"
    yield opens("long-number", FILE, details=many, comment="a number of 5,000 digits")
    yield opens("no-name", FILE, name=None, comment="the file had no name")
    yield opens("unicode-name", FILE, name="grün.png", comment="a name that is not ASCII")
    yield opens("longest-name", FILE, name="n" * 1024, comment="the longest name there is")
    yield opens(
        "more-details",
        FILE,
        details={"name": "a.jpg", "more": [1, {"a": None}]},
        comment="other names among the details are passed over",
    )
    yield opens("many-chunks", FILE, sizes=(1,), comment="each byte of riCS in a chunk of its own")
    yield opens("odd-chunks", FILE, sizes=(15, 33, 7, 100), comment="chunks cut anywhere")
    yield opens("two-segments", LONG, sizes=(70, 40_000), comment="more than one segment")
    prefix = 4 + len(json.dumps({"name": "a.jpg"}, separators=(",", ":")))
    exact = ramp((65_536 - prefix,)).tobytes()
    yield opens("full-segment", exact, comment="the last segment is as long as the others")
    pixels, _ = make_picture((8, 8, 3))
    yield opens("colour", FILE, pixels=pixels, shape=(4, 4, 3), comment="a picture in colour")
    chunks = reference.seal(FILE)
    text = (b"teXt", b"anything")
    between = [*chunks[:2], text, chunks[2], text, *chunks[3:-1], text, chunks[-1]]
    yield opens("other-chunks", FILE, chunks=between, comment="ancillary chunks of others")
    rows = zlib.decompress(chunks[2][1])
    parts = zlib.compress(rows, 0)
    idats = [(b"IDAT", parts[:20]), (b"IDAT", parts[20:21]), (b"IDAT", parts[21:])]
    yield opens(
        "many-idat", FILE, chunks=[*chunks[:2], *idats, *chunks[3:]], comment="several IDAT"
    )


def make_taken_out():
    """Make what a service leaves: the pixels, and perhaps not what is beside them."""
    ihdr, head, idat, _, end = reference.seal(FILE)
    for name, chunks in {
        "no-file": [ihdr, head, idat, end],
        "pixels-alone": [ihdr, idat, end],
    }.items():
        yield Case(
            f"photograph-{name}",
            KEY_TEXT,
            join_chunks(chunks),
            OPENS,
            "the file was taken out on the way; the thumbnail is left",
            {"found": "thumbnail", "thumbnail": describe_image(make_picture()[1])},
        )


def make_changed():
    chunks = reference.seal(FILE)
    ihdr, head, idat, file, end = chunks
    sealed = join_chunks(chunks)
    other = reference.seal(
        FILE, pixels=make_picture(nonce=bytes(range(1, 17)))[0], salt=bytes(range(16))
    )
    for place, what in ((0, "salt"), (16, "commitment"), (48, "segment"), (-1, "its tag")):
        content = bytearray(file[1])
        content[place] ^= 1
        yield refused(
            f"flip-{what.replace(' ', '-')}",
            [ihdr, head, idat, (b"riCS", bytes(content)), end],
            f"a bit of the {what} flipped",
        )
    yield refused("other-file", [ihdr, head, idat, other[3], end], "file and picture of two")
    yield refused("other-picture", [ihdr, head, other[2], file, end], "picture and file of two")
    head_of_more = (b"riCM", reference.make_header(parameters={"a": 1}))
    yield refused("other-header", [ihdr, head_of_more, idat, file, end], "another header")
    yield refused("no-header", [ihdr, idat, file, end], "a file without a header")
    for name, header in {
        "empty": b"",
        "no-object": b"[]",
        "spaces": head[1].replace(b":", b": "),
        "unsorted": reversed_names(head[1]),
        "more-names": head[1].replace(b'"ricsk"', b'"more":1,"ricsk"'),
        "real-version": head[1].replace(b'"version":1', b'"version":1.0'),
        "scheme": reference.make_header(scheme="etc"),
        "long": reference.make_header(parameters={"a": "b" * 16_384}),
    }.items():
        yield refused(f"header-{name}", [ihdr, (b"riCM", header), idat, file, end], "no header")
    start, first, second = cut_long()
    for name, parts in {
        "swapped": [start, second, first],
        "last-missing": [start, first],
        "all-missing": [start],
        "first-missing": [start, second],
        "extended": [start, first, second + b"\0"],
    }.items():
        content = [(b"riCS", part) for part in parts]
        yield refused(f"segments-{name}", [ihdr, head, idat, *content, end], "other segments")
    salt_alone = (b"riCS", file[1][:40])
    for name, parts in {
        "two-headers": [ihdr, head, head, idat, file, end],
        "header-late": [ihdr, idat, head, file, end],
        "header-last": [ihdr, head, idat, file, head, end],
        "two-ihdr": [ihdr, ihdr, head, idat, file, end],
        "header-first": [head, ihdr, idat, file, end],
        "idat-late": [ihdr, head, file, idat, end],
        "idat-twice": [ihdr, head, idat, file, idat, end],
        "between-idat": [ihdr, head, *cut_idat((b"teXt", b"")), file, end],
        "palette-between-idat": [ihdr, head, *cut_idat((b"PLTE", bytes(3))), file, end],
        "palette-late": [ihdr, head, idat, (b"PLTE", bytes(3)), file, end],
        "palette-before-header": [ihdr, (b"PLTE", bytes(3)), head, idat, file, end],
        "two-palettes": [ihdr, head, (b"PLTE", bytes(3)), (b"PLTE", bytes(3)), idat, file, end],
        "long-palette": [ihdr, head, (b"PLTE", bytes(771)), idat, file, end],
        "end-with-content": [ihdr, head, idat, file, (b"IEND", b"a")],
        "no-file-end-with-content": [ihdr, head, idat, (b"IEND", b"a")],
        "no-idat": [ihdr, head, file, end],
        "no-end": [ihdr, head, idat, file],
        "unknown-critical": [ihdr, head, (b"ABCD", b""), idat, file, end],
        "unknown-critical-late": [ihdr, head, idat, file, (b"ABCD", b""), end],
        "interrupted": [
            ihdr,
            head,
            idat,
            (b"riCS", file[1][:60]),
            (b"teXt", b""),
            (b"riCS", file[1][60:]),
            end,
        ],
        "too-short": [ihdr, head, idat, salt_alone, end],
    }.items():
        yield refused(f"chunks-{name}", parts, "chunks in an order or number that is none")
    for name, data in {
        "cut": sealed[:-1],
        "half": sealed[: len(sealed) // 2],
        "signature-alone": sealed[:8],
        "empty": b"",
        "extended": sealed + b"\0",
        "twice": sealed + sealed,
        "chunk-after-end": sealed + chunk(b"teXt", b""),
        "check-sum": sealed[:-5] + bytes([sealed[-5] ^ 1]) + sealed[-4:],
        "no-image": b"GIF89a" + bytes(60),
    }.items():
        yield Case(f"photograph-bytes-{name}", KEY_TEXT, data, REFUSED, "not the whole file")
    for name, ihdr_of in {
        "huge": struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0),
        "no-width": struct.pack(">2I5B", 0, 12, 8, 0, 0, 0, 0),
        "transposed": struct.pack(">2I5B", 12, 10, 8, 0, 0, 0, 0),
        "short": bytes(12),
    }.items():
        yield refused(f"ihdr-{name}", [(b"IHDR", ihdr_of), head, idat, file, end], "another size")
    bomb = (b"IDAT", zlib.compress(bytes(30_000_000), 9))
    yield refused("bomb", [ihdr, head, bomb, file, end], "more pixels than the size allows")
    yield Case(
        "photograph-other-key",
        OTHER.reveal(),
        sealed,
        WRONG_KEY,
        "the header has the id of another key",
    )
    lying = (b"riCM", reference.make_header(key_id=OTHER.key_id))
    yield refused("lying-key-id", [ihdr, lying, idat, file, end], "a false id", OTHER.reveal())
    for name, changes in {"version": {"version": 9}, "layout": {"ricsk": 2}}.items():
        newer = (b"riCM", reference.make_header(**changes))
        yield Case(
            f"photograph-newer-{name}",
            KEY_TEXT,
            join_chunks([ihdr, newer, idat, file, end]),
            NEWER,
            f"a later {name}",
        )


def make_nonsense():
    """Make what only somebody with the key can make."""
    for name, plaintext in {
        "empty": b"",
        "short-length": b"\0\0\0",
        "large-length": b"\xff\xff\xff\xff",
        "length-beyond": struct.pack("<I", 5) + b"{}",
        "no-name": struct.pack("<I", 2) + b"{}",
        "null": struct.pack("<I", 4) + b"null",
        "no-json": struct.pack("<I", 12) + b'{"name": nul',
        "slash": with_details({"name": "a/b"}),
        "empty-name": with_details({"name": ""}),
        "zero": with_details({"name": "a\0"}),
        "long-name": with_details({"name": "a" * 1025}),
        "number": with_details({"name": 1}),
        "long-details": with_details({"name": "a", "more": "b" * 16_384}),
        "surrogate": with_details({"name": "a\ud800"}),
        "levels": with_details({"name": "a", "more": nest(32)}),
        "many-levels": with_details(b'{"name":"a","more":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
        "byte-order-mark": with_details('\ufeff{"name":"a"}'.encode()),
        "utf-16": with_details('{"name":"a"}'.encode("utf-16")),
        "utf-32": with_details('{"name":"a"}'.encode("utf-32-be")),
        "no-utf-8": with_details(b'{"name":"\xff"}'),
        "no-number": with_details(b'{"name":"a","more":NaN}'),
        "infinity": with_details(b'{"name":"a","more":-Infinity}'),
        "list": with_details(b'["name"]'),
    }.items():
        pixels, _ = make_picture()
        ihdr, head, idat, _, end = reference.seal(FILE)
        file_key, commitment = reference.derive(KEY, head[1], bytes(16), pixels)
        content = bytes(16) + commitment + b"".join(reference.encrypt_stream(file_key, plaintext))
        parts = [ihdr, head, idat, (b"riCS", content), end]
        yield refused(f"details-{name}", parts, "authentic, but no details")


def with_details(details):
    content = details if isinstance(details, bytes) else json.dumps(details).encode()
    return struct.pack("<I", len(content)) + content + b"file"


def nest(levels):
    return [nest(levels - 1)] if levels else 0


def cut_idat(between):
    """Cut the picture into two chunks, with another one between them."""
    content = reference.seal(FILE)[2][1]
    return [(b"IDAT", content[:20]), between, (b"IDAT", content[20:])]


def reversed_names(header):
    content = json.loads(header)
    return json.dumps(dict(reversed(content.items())), separators=(",", ":")).encode()


def cut_long():
    """Cut the encrypted file of two segments into salt and commitment, and the segments."""
    content = reference.seal(LONG)[3][1]
    return content[:48], content[48 : 48 + 65_552], content[48 + 65_552 :]


def opens(case, original, *, comment, shape=(6, 5, 1), chunks=None, **options):
    chunks = reference.seal(original, **options) if chunks is None else chunks
    details = options.get("details", options)
    name = "a.jpg" if isinstance(details, bytes) else details.get("name", "a.jpg")
    result = {
        "found": "original",
        "original": {"name": name, "length": len(original), "sha256": digest(original)},
        "thumbnail": describe_image(np.full(shape, 7, np.uint8)),
    }
    return Case(f"photograph-{case}", KEY_TEXT, join_chunks(chunks), OPENS, comment, result)


def refused(case, chunks, comment, key=KEY_TEXT):
    return Case(f"photograph-{case}", key, join_chunks(chunks), REFUSED, comment)

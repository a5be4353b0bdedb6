"""A second implementation of the sealed photograph, after the user guide, whole in memory."""

import hashlib
import io
import json
import struct
import zlib

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from PIL import Image

from ricsk.keys import encode_context
from tests.encryptors.sealed import reference as sealed

KEY = sealed.KEY
SIGNATURE = b"\x89PNG\r\n\x1a\n"
SEGMENT = 65536


def chunk(name, data):
    check = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + check


def split_chunks(png):
    """List names and contents."""
    assert png[:8] == SIGNATURE
    chunks, place = [], 8
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        chunks.append((name, png[place + 8 : place + 8 + length]))
        assert chunk(*chunks[-1]) == png[place : place + 12 + length]
        place += 12 + length
    return chunks


def join_chunks(chunks):
    return SIGNATURE + b"".join(chunk(*each) for each in chunks)


def encrypt_stream(key, plaintext):
    starts = range(0, max(len(plaintext), 1), SEGMENT)
    segments = [plaintext[start : start + SEGMENT] for start in starts]
    return [
        ChaCha20Poly1305(key).encrypt(
            number.to_bytes(11, "big") + bytes([number == len(segments) - 1]), segment, b""
        )
        for number, segment in enumerate(segments)
    ]


def make_header(key=KEY, **changes):
    content = {
        "image_shape": None,
        "key_id": key.key_id[:16],
        "parameters": {},
        "ricsk": 1,
        "scheme": "photograph",
        "version": 1,
        **changes,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def digest_of(pixels):
    return hashlib.sha256(struct.pack("<3I", *pixels.shape) + pixels.tobytes()).digest()


def derive(key, header, salt, pixels, version=1):
    digest = digest_of(pixels)
    context = encode_context("photograph", version, header=header, pixels=digest, salt=salt)
    derived = key.derive("photograph/file", context, 64)
    return derived[:32], derived[32:]


def pack_picture(pixels):
    """Make IHDR and IDAT, without a compressor whose versions differ."""
    height, width, channels = pixels.shape
    colour_type = {1: 0, 3: 2}[channels]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    ihdr = struct.pack(">2I5B", width, height, 8, colour_type, 0, 0, 0)
    return (b"IHDR", ihdr), (b"IDAT", zlib.compress(rows, 0))


def read_picture(chunks):
    """Read the pixels with Pillow, which is another reader of PNG."""
    public = [chunk for chunk in chunks if chunk[0] in (b"IHDR", b"IDAT", b"IEND")]
    pixels = np.asarray(Image.open(io.BytesIO(join_chunks(public))))
    return pixels.reshape(*pixels.shape[:2], -1)


def make_picture(shape=(12, 10, 1), nonce=bytes(range(16))):
    """Seal an even thumbnail of half the size in 7 planes."""
    thumbnail = np.zeros((shape[0] // 2, shape[1] // 2, shape[2]), np.uint8) + 7
    message = sealed.header(scale=2, nonce=nonce) + thumbnail.tobytes()
    return sealed.seal(KEY, sealed.carrier_of(shape), 7, message), thumbnail


def seal(
    original,
    *,
    key=KEY,
    name="a.jpg",
    details=None,
    pixels=None,
    salt=bytes(16),
    header=None,
    sizes=(1 << 20,),
    version=1,
):
    """Make a photograph's chunks; what is encrypted is split into chunks of the sizes."""
    pixels = make_picture()[0] if pixels is None else pixels
    if header is None:
        header = make_header(key) if version == 1 else make_header(version=2, key_id=None)
    file_key, commitment = derive(key, header, salt, pixels, version)
    if not isinstance(details, bytes):
        details = json.dumps(details or {"name": name}, separators=(",", ":")).encode()
    plaintext = struct.pack("<I", len(details)) + details + original
    content = salt + commitment + b"".join(encrypt_stream(file_key, plaintext))
    ihdr, idat = pack_picture(pixels)
    chunks, place, sizes = [ihdr, (b"riCM", header), idat], 0, list(sizes)
    while place < len(content):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        chunks.append((b"riCS", content[place : place + size]))
        place += size
    return [*chunks, (b"IEND", b"")]


def open_chunks(chunks, key=KEY):
    """Open what the package wrote: its name and the original."""
    names = [name for name, _ in chunks]
    assert names[:3] == [b"IHDR", b"riCM", b"IDAT"]
    assert names[-1] == b"IEND"
    assert set(names[3:-1]) == {b"riCS"}
    content = b"".join(data for name, data in chunks if name == b"riCS")
    salt, commitment, content = content[:16], content[16:48], content[48:]
    header = dict(chunks)[b"riCM"]
    file_key, expected = derive(key, header, salt, read_picture(chunks))
    assert commitment == expected
    plaintext, size = b"", SEGMENT + 16
    n_segments = -(-len(content) // size)
    for number in range(n_segments):
        nonce = number.to_bytes(11, "big") + bytes([number == n_segments - 1])
        segment = content[number * size : (number + 1) * size]
        plaintext += ChaCha20Poly1305(file_key).decrypt(nonce, segment, b"")
    (length,) = struct.unpack("<I", plaintext[:4])
    return json.loads(plaintext[4 : 4 + length])["name"], plaintext[4 + length :]

"""What only somebody with a key can make, or who knows how a check sum is computed.

It is nonsense under the right key, or sealed properly with another one.
"""

import struct

import numpy as np

from ricsk import SecretKey
from ricsk.codecs import read_image
from ricsk.encryptors.sealed._format import Sealer, Subkeys, capacity
from ricsk.encryptors.sealed._message import CODEC_NUMBERS, NONCE_BYTES
from ricsk.keys._pair_text import format_pair_line
from ricsk.keys._text import format_line
from tests.files.reference import derive, encrypt_stream, join_chunks
from tests.fuzz.corpus import KEY, list_cases
from tests.fuzz.mutations import make_noise, replace_pixels, split_png

DETAILS = (b'{"name":1}', b"[" * 70, b"{}", b'{"name":"a/b"}', b'{"name":null,"x":NaN}')


def choose_key(chance):
    return KEY if chance.randrange(3) else SecretKey(make_noise(chance, 32))


def forge_sealed_image(chance):
    """Seal what is not an image, most often with a scale of 1; or one with another key."""
    shape = chance.randrange(12, 30), chance.randrange(12, 30), chance.choice((1, 3))
    bit_planes = chance.randrange(4, 8)
    key = choose_key(chance)
    sealer = Sealer(Subkeys(key), shape, bit_planes)
    room = capacity(int(np.prod(shape)), bit_planes)
    content = make_noise(chance, chance.randrange(room))
    codec = chance.choice(sorted(CODEC_NUMBERS))
    if codec == "webp" and chance.randrange(2):  # of the right size, or of an enormous one
        sides = (shape[1] - 1, shape[0] - 1) if chance.randrange(2) else (0x3FFF, 0x3FFF)
        start = b"\x2f" + (sides[0] | sides[1] << 14).to_bytes(4, "little")
        content = (start + content)[:room]
    scale = chance.choice((0, 1, 1, 1, 2, 5, 255))
    if key != KEY:
        codec, scale, content = "raw", 2, bytes(shape[0] // 2 * (shape[1] // 2) * shape[2])[:room]
    elif codec == "raw" and len(content) * scale**2 == np.prod(shape):
        content += b"\x01"  # any bytes of the right number are an image
    body = sealer.encrypt(codec, content, make_noise(chance, NONCE_BYTES), scale)
    carrier = np.frombuffer(make_noise(chance, int(np.prod(shape))), np.uint8).reshape(shape)
    pixels = sealer.sign(sealer.embed(body, carrier))
    return replace_pixels(b"", pixels[..., 0] if shape[2] == 1 else pixels)


def forge_photograph(chance):
    """Encrypt no original beside a picture: wrong lengths and details; or one with another key."""
    files = [data for data in list_cases("photograph", KEY.reveal()) if b"riCS" in data]
    chunks = split_png(chance.choice(files))
    public = [chunk for chunk in chunks if chunk[0] in (b"IHDR", b"IDAT", b"IEND")]
    salt = make_noise(chance, 16)
    pixels = read_image(join_chunks(public))
    key = choose_key(chance)
    file_key, commitment = derive(key, dict(chunks)[b"riCM"], salt, pixels)
    details = chance.choice((*DETAILS, make_noise(chance, 30)))
    if key != KEY:
        details = b'{"name":"a"}'
    length = (
        len(details)
        if key != KEY
        else chance.choice((len(details), 0, 5, 20, 300, 60_000, 2**32 - 1))
    )
    segments = encrypt_stream(file_key, struct.pack("<I", length) + details)
    content = salt + commitment + b"".join(segments)
    kept = [chunk for chunk in chunks if chunk[0] not in (b"riCS", b"IEND")]
    return join_chunks([*kept, (b"riCS", content), (b"IEND", b"")])


def forge_key(chance):
    """Write too many or too few bytes as a key, or a salt of another length."""
    raw = make_noise(chance, chance.choice((0, 16, 31, 33, 64)))
    return format_line(raw, make_noise(chance, chance.choice((0, 8, 16)))).encode()


def forge_pair_key(*marks):
    """Write as a key what is none: of another length, or no point and no number that is allowed."""

    def forge(chance):
        raw = make_noise(chance, chance.choice((0, 1, 31, 33, 1000, 1184, 1217, 2400)))
        return format_pair_line(chance.choice(marks), raw).encode()

    return forge

"""Ways to change a file: its bytes, and its parts with right lengths and check sums.

All take the file, another one of its kind, and a source of chance, and return what to read.
"""

import io
import json
import random
import struct
import warnings
import zipfile

import numpy as np
from PIL import Image

from tests.files.reference import SIGNATURE, join_chunks

CHUNKS = (b"IHDR", b"riCM", b"IDAT", b"riCS", b"IEND", b"PLTE", b"tEXt", b"tRNS", b"ABCD")
VALUES = (None, True, 0, -1, 1.5, 1e308, 2**31, 2**64, 10**40, "", "a/b", "é\0", [], {}, [[]], [0])


def make_noise(chance, n):
    """Make bytes of one number, so that hypothesis has one number to make smaller."""
    return random.Random(chance.getrandbits(32)).randbytes(n)


def mutate_bytes(data, other, chance):
    """Change, cut out, repeat, exchange or add bytes."""
    data = data or b"\0"
    place, n = chance.randrange(len(data)), chance.randrange(1, 300)
    changed = bytearray(data)
    match chance.randrange(9):
        case 0:
            changed[place] ^= 1 << chance.randrange(8)
        case 1:
            changed[place : place + n] = make_noise(chance, min(n, len(data) - place))
        case 2:
            del changed[place:]
        case 3:
            del changed[place : place + n]
        case 4:
            changed[place:place] = changed[place : place + n]
        case 5:
            changed[place:] = other[place:]
        case 6:
            changed += make_noise(chance, n)
        case 7:
            number = chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
            changed[place : place + 4] = struct.pack(chance.choice("<>") + "I", number)
        case _:
            changed[place : place + n] = bytes(min(n, len(data) - place))
    return bytes(changed)


def split_png(data):
    """List the chunks of a PNG file, as far as it goes; check sums are not compared."""
    chunks, place = [], len(SIGNATURE)
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        chunks.append((name, data[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks or [(b"IEND", b"")]


def mutate_chunks(data, other, chance):
    """Exchange, drop, repeat, rename, move, cut or change chunks of PNG."""
    chunks, others = split_png(data), split_png(other)
    place = chance.randrange(len(chunks))
    name, content = chunks[place]
    match chance.randrange(8):
        case 0:
            chunks[place] = name, mutate_bytes(content, other, chance)
        case 1:
            chunks[place] = others[min(place, len(others) - 1)]
        case 2:
            del chunks[place]
        case 3:
            chunks.insert(chance.randrange(len(chunks)), chunks[place])
        case 4:
            moved = chunks.pop(place)
            chunks.insert(chance.randrange(len(chunks) + 1), moved)
        case 5:
            chunks[place] = chance.choice(CHUNKS), content
        case 6:
            at = chance.randrange(len(content) + 1)
            chunks[place : place + 1] = [(name, content[at:]), (name, content[:at])]
        case _:
            sides = chance.randrange(40), 1 << chance.randrange(32)
            rest = [chance.choice((8, 1, 16)), *(chance.randrange(7) for _ in range(4))]
            chunks[0] = b"IHDR", struct.pack(">2I5B", *sides, *rest)
    return join_chunks(chunks)


def mutate_pixels(data, other, chance):
    """Change the pixels of an image file as services and adversaries do, and its chunks not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pixels, others = (np.asarray(Image.open(io.BytesIO(each))) for each in (data, other))
    except Exception:  # what was changed before may be no image any more
        return mutate_bytes(data, other, chance)
    flat = pixels.reshape(-1).copy()
    place = chance.randrange(flat.size)
    match chance.randrange(8):
        case 0:
            flat[place] ^= 1 << chance.randrange(8)
        case 1:
            flat[place : place + chance.randrange(1, 300)] ^= chance.randrange(1, 256)
        case 2:
            flat[place:] = np.frombuffer(make_noise(chance, flat.size - place), np.uint8)
        case 3:
            flat[place:] = np.resize(others.reshape(-1), flat.size - place)
        case 4:
            flat = np.roll(flat, place)
        case 5:
            flat &= 255 ^ (1 << chance.randrange(8))
        case 6:
            flat[:] = chance.randrange(256)
        case _:
            image = Image.fromarray(pixels)
            size = chance.randrange(1, 80), chance.randrange(1, 80)
            return replace_pixels(data, np.asarray(image.resize(size)))
    return replace_pixels(data, flat.reshape(pixels.shape))


def replace_pixels(data, pixels):
    """Write other pixels between the chunks of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    new = split_png(file.getvalue())
    kept = [chunk for chunk in split_png(data) if chunk[0] not in (b"IHDR", b"IDAT", b"IEND")]
    header = [chunk for chunk in kept if chunk[0] == b"riCM"]
    return join_chunks(
        [new[0], *header, *new[1:-1], *(c for c in kept if c not in header), new[-1]]
    )


def mutate_value(value, chance):
    """Change one value somewhere in what JSON can hold."""
    if isinstance(value, dict) and value and chance.randrange(4):
        name = chance.choice(sorted(value))
        rest = {key: inner for key, inner in value.items() if key != name}
        match chance.randrange(8):
            case 0:
                return rest
            case 1:
                return {**rest, f"{name}s": value[name]}
            case _:
                return {**value, name: mutate_value(value[name], chance)}
    if isinstance(value, list) and value and chance.randrange(4):
        place = chance.randrange(len(value))
        inner = {0: [], 1: [value[place]] * 2}.get(
            chance.randrange(8), [mutate_value(value[place], chance)]
        )
        return [*value[:place], *inner, *value[place + 1 :]]
    if isinstance(value, int) and chance.randrange(2):
        return value + chance.choice((-1, 1, 2**20, 2**40))
    return chance.choice(VALUES)


def mutate_json(data, other, chance):
    """Change a value of JSON, which stays canonical, or bytes where it is none any more."""
    try:
        value = json.loads(data)
    except ValueError:
        return mutate_bytes(data, other, chance)
    changed = mutate_value(value, chance)
    return json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()


def mutate_zip(data, other, chance):
    """Change a member of a zip archive, JSON by its values."""
    try:
        members = read_zip(data)
        others = read_zip(other)
    except Exception:  # nor an archive
        return mutate_bytes(data, other, chance)
    if not members:
        return data
    name = chance.choice(sorted(members))
    match chance.randrange(8):
        case 0:
            del members[name]
        case 1:
            members[name] = members[chance.choice(sorted(members))]
        case 2:
            members[name] = mutate_bytes(members[name], others.get(name, b""), chance)
        case _ if name.endswith(".json"):
            members[name] = mutate_json(members[name], others.get(name, b""), chance)
        case _:
            members[name] = mutate_bytes(members[name][:160], b"", chance) + members[name][160:]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return file.getvalue()


def read_zip(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}

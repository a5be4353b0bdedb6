"""Sealed images of format 2, from the second implementation of the tests."""

import json
from pathlib import Path

import numpy as np

from ricsk import SecretKey
from tests.encryptors.sealed.reference import KEY, carrier_of, header, ramp, seal
from tests.testkit.kit import NEWER, OPENS, REFUSED, Case, describe_image, to_png

VECTORS = Path(__file__).parents[1] / "vectors" / "sealed.json"
KEY_TEXT = KEY.reveal()

# Height, width and channels of the image; scale; bit planes.
RAW = [
    ((8, 8, 1), 2, 4),
    ((5, 7, 3), 2, 4),
    ((9, 9, 1), 2, 5),
    ((9, 11, 1), 4, 1),
    ((3, 2, 3), 4, 2),
    ((8, 8, 1), 2, 7),
    ((1, 3, 1), 9, 5),
    ((1, 1, 1), 20, 3),
    ((4, 30, 1), 2, 6),
]


def make_images():
    yield from make_whole()
    yield from make_changed()
    yield from make_nonsense()


def make_whole():
    for shape, scale, planes in RAW:
        pixels = seal_raw(shape, scale, planes)
        size = "x".join(map(str, shape))
        yield opens(f"raw-{size}-{planes}", pixels, ramp(shape), "codec 0")
    for vector in json.loads(VECTORS.read_text())["images"]:
        if vector["codec"] == "raw":
            continue
        shape = tuple(vector["shape"])
        pixels = np.frombuffer(bytes.fromhex(vector["ciphertext"]), np.uint8).reshape(shape)
        name = f"{vector['codec']}-{'x'.join(map(str, shape))}"
        comment = f"codec {vector['codec']}; grey images may be stored in colour"
        yield opens(name, pixels, ramp(shape), comment, vector["codec"])
    image = np.zeros((8, 8, 1), np.uint8)
    yield opens("zeros", seal_raw(image=image), image, "padding is told from zeros of the image")
    image[-1] = 0x80
    yield opens("ends-in-80", seal_raw(image=image), image, "padding is told from 0x80")
    full = ramp((61, 1, 1))  # 16 values for each of 61, less 53 bytes
    pixels = seal(KEY, carrier_of((16 * 61, 16, 1)), 1, header(scale=16) + full.tobytes())
    yield opens("tall", pixels, full, "scale 16")


def make_changed():
    pixels = seal_raw((8, 8, 1), 2, 4)
    for plane in range(8):
        for place, what in ((0, "tag"), (130, "SIV"), (255, "body")):
            changed = pixels.copy()
            changed.reshape(-1)[place] ^= 1 << plane
            where = what if plane == 0 else "value"
            yield refused(
                f"flip-{place}-{plane}", changed, f"bit {plane} of value {place} ({where}) flipped"
            )
    left_over = seal_raw((9, 9, 1), 2, 5)
    changed = left_over.copy()
    changed.reshape(-1)[-1] ^= 16
    yield refused("flip-left-over", changed, "a bit that no byte uses is covered by the tag")
    for name, other in {
        "cut": pixels[:-1],
        "narrower": pixels[:, 1:],
        "transposed": pixels.swapaxes(0, 1),
        "flipped": pixels[::-1],
        "other-shape": pixels.reshape(8, 32, 1),
        "repeated": np.concatenate([pixels, pixels]),
        "colour": pixels.repeat(3, axis=2),
        "black": np.zeros_like(pixels),
        "white": np.full_like(pixels, 255),
        "plain": ramp((16, 16, 1)),
        "tiny": ramp((2, 2, 1)),
    }.items():
        yield refused(name, other, "not the pixels that were sealed")
    tagged = seal_raw((8, 8, 1), 2, 4, nonce=bytes(16)).reshape(-1)
    changed = pixels.copy()
    changed.reshape(-1)[:128] = changed.reshape(-1)[:128] & 254 | tagged[:128] & 1
    yield refused("foreign-tag", changed, "the tag of another image")
    for bit in (0, 100, 255):
        raw = bytearray(range(32))
        raw[bit // 8] ^= 1 << bit % 8
        key = SecretKey(raw).reveal()
        yield refused(f"key-bit-{bit}", pixels, f"bit {bit} of the key is another", key)


def make_nonsense():
    """Make what only somebody with the key can make."""
    for version, codec in ((3, 0), (15, 0), (2, 3), (2, 15)):
        pixels = seal_message(header(version=version, codec=codec) + bytes(64))
        comment = f"authentic, of version {version} and codec {codec}"
        yield Case(f"image-version-{version}-{codec}", KEY_TEXT, to_png(pixels), NEWER, comment)
    image = bytes(64)
    for name, message in {
        "version-0": header(version=0) + image,
        "version-1": header(version=1) + image,
        "no-nonce": b"\x20\x02",
        "short-nonce": header(nonce=bytes(5)),
        "no-image": header(scale=2),
        "scale-0": header(scale=0) + image,
        "scale-3": header(scale=3) + bytes(25),
        "scale-17": header(scale=17),
        "raw-short": header(scale=2) + image[1:],
        "raw-long": header(scale=2) + image + b"\1",
        "webp-empty": header(codec=1, scale=2),
        "webp-noise": header(codec=1, scale=2) + bytes(range(60)),
        "webp-size": header(codec=1, scale=2) + b"\x2f\xff\xff\xff\x0f" + bytes(30),
    }.items():
        yield refused(name, seal_message(message), "authentic, but no image of this size")
    for name, padding in {"no-mark": b"\0" * 4, "wrong-mark": b"\1\0\0\0"}.items():
        pixels = seal_message(header(scale=2) + image, padding)
        yield refused(f"padding-{name}", pixels, "authentic, but not padded with 0x80 and zeros")


def seal_raw(shape=(8, 8, 1), scale=2, planes=4, nonce=bytes(range(16)), image=None):
    image = ramp(shape) if image is None else image
    height, width, channels = image.shape
    carrier = carrier_of((height * scale, width * scale, channels))
    return seal(KEY, carrier, planes, header(scale=scale, nonce=nonce) + image.tobytes())


def seal_message(message, mark=b"\x80"):
    return seal(KEY, carrier_of((16, 16, 1)), 4, message, mark)


def opens(name, pixels, image, comment, needs=None):
    result = describe_image(image)
    return Case(f"image-{name}", KEY_TEXT, to_png(pixels), OPENS, comment, result, needs)


def refused(name, pixels, comment, key=KEY_TEXT):
    return Case(f"image-{name}", key, to_png(pixels), REFUSED, comment)

"""The format, byte by byte, against a second implementation; and all that must not open."""

import io
import json
import traceback
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ricsk import SecretKey
from ricsk.codecs import compress
from ricsk.datasets import make_street_numbers
from ricsk.encryptors.sealed._format import (
    MIN_VALUES,
    OVERHEAD,
    Sealer,
    Subkeys,
    capacity,
    count_planes,
)
from ricsk.encryptors.sealed._message import CODEC_NUMBERS
from ricsk.encryptors.sealed._opener import SecretOpener
from ricsk.exceptions import NewerFormatError, NotSealedError, TooLargeError
from tests.encryptors.sealed.reference import KEY, RAW, carrier_of, header, ramp, seal

FILE = Path(__file__).parents[2] / "vectors" / "sealed.json"
rng = np.random.default_rng(0)


def sealer_for(shape, bit_planes, key=KEY):
    return Sealer(Subkeys(key), shape, bit_planes)


def open_image(pixels, key=KEY):
    return SecretOpener(key).open(pixels)


# Height, width and channels of the image; scale; bit planes.
CASES = [
    ((8, 8, 1), 2, 4),
    ((5, 7, 3), 2, 4),
    ((9, 9, 1), 2, 5),  # 202 bytes, and 4 bits that hold none of it
    ((9, 11, 1), 4, 1),
    ((3, 2, 3), 4, 2),
    ((8, 8, 1), 2, 7),
    ((1, 3, 1), 9, 5),
]


def make_vectors():
    """Compute the vectors; where the codec is not "raw", from what it made once."""
    vectors = []
    for shape, scale, bit_planes in CASES:
        nonce = bytes(range(100, 116))
        image = ramp(shape)
        carrier = carrier_of((shape[0] * scale, shape[1] * scale, shape[2]))
        message = header(scale=scale, nonce=nonce) + image.tobytes()
        vectors.append(
            {
                "codec": "raw",
                "shape": list(shape),
                "scale": scale,
                "bit_planes": bit_planes,
                "nonce": nonce.hex(),
                "compressed": image.tobytes().hex(),
                "ciphertext": seal(KEY, carrier, bit_planes, message).tobytes().hex(),
            }
        )
    known = json.loads(FILE.read_text()) if FILE.exists() else {"images": []}
    for codec in ("webp", "jpegxl"):
        for shape, bit_planes in (((16, 13, 3), 5), ((21, 16, 1), 6)):
            made = [
                vector["compressed"]
                for vector in known["images"]
                if vector["codec"] == codec and vector["shape"] == list(shape)
            ]
            compressed = bytes.fromhex(made[0]) if made else compress(ramp(shape), codec)[1]
            message = header(codec=CODEC_NUMBERS[codec]) + compressed
            vectors.append(
                {
                    "codec": codec,
                    "shape": list(shape),
                    "scale": 1,
                    "bit_planes": bit_planes,
                    "nonce": bytes(range(16)).hex(),
                    "compressed": compressed.hex(),
                    "ciphertext": seal(KEY, carrier_of(shape), bit_planes, message).tobytes().hex(),
                }
            )
    return {
        "key": RAW.hex(),
        "image": "values 0, 1, 2, ... in (row, column, channel) order, modulo 256",
        "carrier": "values 0, 37, 74, ... in that order, modulo 256; it gives the bits that the "
        "format leaves free",
        "images": vectors,
    }


VECTORS = make_vectors() if __name__ == "__main__" else json.loads(FILE.read_text())
every_vector = pytest.mark.parametrize(
    "vector",
    VECTORS["images"],
    ids=lambda v: f"{v['codec']}-{'x'.join(map(str, v['shape']))}-{v['bit_planes']}",
)


def ciphertext_of(vector):
    height, width, channels = vector["shape"]
    pixels = np.frombuffer(bytes.fromhex(vector["ciphertext"]), np.uint8)
    return pixels.reshape(height * vector["scale"], width * vector["scale"], channels)


def test_vectors_are_those_of_the_second_implementation():
    assert make_vectors() == VECTORS


@every_vector
def test_vectors_are_sealed(vector):
    expected = ciphertext_of(vector)
    sealer = sealer_for(expected.shape, vector["bit_planes"])
    body = sealer.encrypt(
        vector["codec"],
        bytes.fromhex(vector["compressed"]),
        bytes.fromhex(vector["nonce"]),
        vector["scale"],
    )
    pixels = sealer.sign(sealer.embed(body, carrier_of(expected.shape)))
    np.testing.assert_array_equal(pixels, expected)


@every_vector
def test_vectors_are_opened(vector):
    pixels, expected = ciphertext_of(vector), ramp(vector["shape"])
    np.testing.assert_array_equal(open_image(pixels), expected)
    sealer = sealer_for(pixels.shape, vector["bit_planes"])
    np.testing.assert_array_equal(sealer.open(pixels), expected)
    np.testing.assert_array_equal(sealer.decode(sealer.authenticate(pixels)), expected)


def test_the_body_lies_below_and_the_template_above():
    shape, bit_planes = (9, 11, 1), 7
    sealer, template = sealer_for(shape, bit_planes), carrier_of(shape)
    body = sealer.encrypt("raw", b"some bytes", bytes(16))
    pixels = sealer.embed(body, template)
    np.testing.assert_array_equal(pixels >> bit_planes, template >> bit_planes)
    bits = [
        int(pixels.reshape(-1)[i % 99]) >> (i // 99) & 1 for i in range(8 * (99 * bit_planes // 8))
    ]
    assert np.packbits(bits).tobytes() == bytes(16) + body
    left = slice(8 * (99 * bit_planes // 8) - 6 * 99, None)  # bits of the last plane that hold none
    np.testing.assert_array_equal(pixels.reshape(-1)[left] >> 6, template.reshape(-1)[left] >> 6)


@pytest.mark.parametrize("trailing", [b"", b"\x00", b"\x80", b"\x80\x00\x00", bytes(30)])
def test_padding_is_told_from_zeros_of_the_image(trailing):
    image = np.frombuffer(b"image".ljust(64 - len(trailing), b".") + trailing, np.uint8)
    sealer = sealer_for((16, 16, 1), 7)
    body = sealer.encrypt("raw", image.tobytes(), bytes(16), 2)
    pixels = sealer.sign(sealer.embed(body, carrier_of((16, 16, 1))))
    np.testing.assert_array_equal(sealer.open(pixels).ravel(), image)


@pytest.mark.parametrize(
    ("shape", "bit_planes"), [((12, 8, 1), 7), ((9, 11, 1), 5), ((6, 8, 3), 4)]
)
def test_an_image_may_fill_the_room_to_the_last_byte(shape, bit_planes):
    sealer, n_values = sealer_for(shape, bit_planes), int(np.prod(shape))
    room = capacity(n_values, bit_planes)
    assert room == n_values * bit_planes // 8 - OVERHEAD
    assert count_planes(n_values, room) == bit_planes
    assert count_planes(n_values, room + 1) == bit_planes + 1
    with pytest.raises(TooLargeError, match=r"\d+ bytes do not fit into the room for"):
        sealer.encrypt("raw", bytes(room + 1), bytes(16))
    body = sealer.encrypt("raw", bytes(room), bytes(16))
    assert len(body) + 16 == n_values * bit_planes // 8


# What does not open.

PLAIN = make_street_numbers(1, size=24, random_state=0)[0][0] & 0xF0
SHAPE = PLAIN.shape
CARRIER = rng.integers(0, 256, SHAPE, np.uint8)
SEALED = seal(KEY, CARRIER, 5, header(codec=1) + compress(PLAIN, "webp")[1])


def assert_refused(pixels, key=KEY, bit_planes=5):
    with pytest.raises(NotSealedError, match="wrong key, damaged, or not sealed with ricsk"):
        sealer_for(pixels.shape, bit_planes, key).open(pixels)
    with pytest.raises(NotSealedError, match="wrong key, damaged, or not sealed with ricsk"):
        open_image(pixels, key)


def test_what_is_whole_opens():
    np.testing.assert_array_equal(open_image(SEALED), PLAIN)


@pytest.mark.parametrize("plane", range(8))
def test_no_bit_may_be_another(plane):
    for place in (0, 1, 127, 128, 129, 800, SEALED.size - 1):
        changed = SEALED.copy()
        changed.reshape(-1)[place] ^= 1 << plane
        assert_refused(changed)


@pytest.mark.parametrize("bit", range(4, 8))
def test_bits_that_hold_nothing_may_be_no_others(bit):
    """9×9 at scale 2 and 5 planes: the last 4 bits of the fifth plane are left over."""
    pixels = seal(KEY, carrier_of((18, 18, 1)), 5, header(scale=2) + ramp((9, 9, 1)).tobytes())
    changed = pixels.copy()
    changed.reshape(-1)[-bit + 3] ^= 16
    np.testing.assert_array_equal(open_image(pixels), ramp((9, 9, 1)))
    assert_refused(changed, bit_planes=5)


def jpeg(image, quality=95):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


FOREIGN = {
    "noise": rng.integers(0, 256, SHAPE, np.uint8),
    "plain": PLAIN,
    "black": np.zeros(SHAPE, np.uint8),
    "white": np.full(SHAPE, 255, np.uint8),
    "JPEG": jpeg(SEALED),
    "smaller": np.asarray(Image.fromarray(SEALED).resize((12, 12))),
    "larger": np.asarray(Image.fromarray(SEALED).resize((48, 48), Image.Resampling.NEAREST)),
    "cut": SEALED[:-1],
    "narrower": SEALED[:, 1:],
    "corner": SEALED[:4, :4],
    "grey": SEALED[..., :1],
    "flipped": SEALED[::-1],
    "transposed": SEALED.swapaxes(0, 1),
    "of another shape": SEALED.reshape(12, 48, 3),
    "of as many grey values": SEALED.reshape(24, 72, 1),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_and_damaged_images_are_refused(name):
    assert_refused(FOREIGN[name])


def test_wrong_keys_are_refused():
    for i in range(32):
        assert_refused(SEALED, SecretKey(RAW[:i] + bytes([RAW[i] ^ 1]) + RAW[i + 1 :]))


@pytest.mark.parametrize("bit_planes", [1, 2, 3, 4, 6, 7])
def test_other_bit_planes_are_refused(bit_planes):
    with pytest.raises(NotSealedError):
        sealer_for(SHAPE, bit_planes).open(SEALED)


def test_a_tag_of_one_image_does_not_fit_another():
    other = seal(KEY, SEALED, 5, header() + b"other")
    flat = other.reshape(-1)
    flat[:128] = flat[:128] & 254 | SEALED.reshape(-1)[:128] & 1
    assert_refused(other)


def test_the_cipher_authenticates_by_itself():
    """Even somebody who could make tags could not change the image."""
    changed = SEALED.copy()
    changed.reshape(-1)[500] ^= 1
    assert_refused(sealer_for(SHAPE, 5).sign(changed))


@pytest.mark.parametrize("codec", [0, 1])
@pytest.mark.parametrize(
    ("version", "error", "said"),
    [
        (1, NotSealedError, "of format 1, .* reads format 2. Open it with the code that sealed it"),
        (3, NewerFormatError, "of format 3, .* reads format 2. Update"),
        (15, NewerFormatError, "of format 15, .* reads format 2. Update"),
    ],
)
def test_another_version_is_named_to_the_owner_alone(version, error, said, codec):
    pixels = seal(KEY, SEALED, 5, header(version=version, codec=codec) + b"of another time")
    with pytest.raises(error, match=said):
        open_image(pixels)
    assert_refused(pixels, SecretKey(bytes(32)))
    pixels[3, 3, 0] ^= 128
    assert_refused(pixels)


@pytest.mark.parametrize("codec", [3, 7, 8, 15])
def test_another_codec_is_of_a_newer_version(codec):
    with pytest.raises(NewerFormatError, match=f"codec {codec}"):
        open_image(seal(KEY, SEALED, 5, header(codec=codec) + b"x"))


def webp(shape):
    return compress(np.zeros(shape, np.uint8), "webp")[1]


# What only somebody with the key can make, or a defect.
AUTHENTIC = {
    "no scale": b"\x20",
    "no image": header(),
    "no nonce": header(nonce=b"short"),
    "scale 0": header(scale=0) + bytes(SEALED.size),
    "scale larger than the image": header(scale=200),
    "scale that does not divide": header(scale=5) + bytes(4 * 4 * 3),
    "raw too short": header() + bytes(100),
    "raw too long": header(scale=4) + bytes(6 * 6 * 3 + 1),
    "WebP of another size": header(codec=1) + webp((25, 24, 3)),
    "WebP of another shape": header(codec=1) + webp((12, 48, 3)),
    "WebP of enormous size": header(codec=1) + b"\x2f\xff\xff\xff\x0f" + webp(SHAPE)[5:],
    "WebP cut": header(codec=1) + webp(SHAPE)[:-4],
    "WebP with a head and no more": header(codec=1) + webp(SHAPE)[:5],
    "no WebP": header(codec=1) + rng.bytes(200),
    "no JPEG XL": header(codec=2) + rng.bytes(200),
    "garbage": b"\x21" + rng.bytes(300),
}


def sealed_message(message):
    shape = SHAPE if len(message) < 1000 else (48, 48, 3)
    return seal(KEY, carrier_of(shape), 5, message)


@pytest.mark.parametrize("name", AUTHENTIC)
def test_authentic_nonsense_is_refused(name):
    assert_refused(sealed_message(AUTHENTIC[name]))


def test_authentic_garbage_of_any_kind_is_refused():
    noise = np.random.default_rng(1)
    for codec in (0, 1):
        for length in noise.integers(0, 900, 60):
            assert_refused(sealed_message(header(codec=codec) + noise.bytes(length)))


@pytest.mark.parametrize("name", AUTHENTIC)
def test_exceptions_tell_neither_key_nor_image(name):
    message = AUTHENTIC[name]
    pixels = sealed_message(message)
    with pytest.raises(NotSealedError) as caught:
        sealer_for(pixels.shape, 5).open(pixels)
    said = "".join(traceback.format_exception(caught.value))
    secrets = [
        RAW,
        KEY.derive("sealed/siv", length=64),
        KEY.derive("sealed/tag"),
        *([message[2:]] if len(message) > 10 else []),
    ]
    for secret in secrets:
        assert secret[:8].hex() not in said
        assert repr(secret[:8])[2:-1] not in said


def mutated(images, generator):
    """Change an image in one of the ways that happen to files, or that an attacker may try."""
    image = images[generator.integers(len(images))]
    flat = image.reshape(-1).copy()
    kind, place = generator.integers(7), generator.integers(flat.size)
    if kind == 0:
        flat[place] ^= 1 << generator.integers(8)
    elif kind == 1:
        part = flat[place : place + generator.integers(1, 200)]
        part[:] = generator.integers(0, 256, part.size)
    elif kind == 2:
        return image[:, 1 + place % (image.shape[1] - 1) :]
    elif kind == 3:
        other = images[generator.integers(len(images))].reshape(-1)
        flat[place:] = np.resize(other, flat.size - place)
    elif kind == 4:
        flat = generator.integers(0, 256, flat.size, np.uint8)
    elif kind == 5:
        flat &= np.uint8(255 ^ (1 << generator.integers(8)))
    else:
        flat = np.roll(flat, place)
    if np.array_equal(flat, image.reshape(-1)):
        flat[place] ^= 1
    return flat.reshape(image.shape)


def test_mutated_images_never_open_nor_crash():
    generator = np.random.default_rng(2)
    images = [ciphertext_of(vector) for vector in VECTORS["images"]] + [SEALED]
    for _ in range(2000):
        with pytest.raises(NotSealedError):
            open_image(mutated(images, generator))


def test_fewer_values_than_the_minimum_hold_no_image():
    assert MIN_VALUES * 7 // 8 >= OVERHEAD > (MIN_VALUES - 1) * 7 // 8
    assert_refused(np.zeros((1, MIN_VALUES, 1), np.uint8), bit_planes=7)
    assert_refused(np.zeros((1, 1, 1), np.uint8), bit_planes=7)


if __name__ == "__main__":  # writes the vectors anew
    FILE.write_text(json.dumps(make_vectors(), indent=2) + "\n")

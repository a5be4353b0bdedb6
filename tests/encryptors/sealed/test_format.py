import hmac
import io
import json
import struct
import traceback
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from PIL import Image

from ricsk import SecretKey, unseal
from ricsk.datasets import make_street_numbers
from ricsk.encryptors.sealed import _format as _seal
from ricsk.encryptors.sealed._format import (
    CODECS,
    LEAST_VALUES,
    OVERHEAD,
    Sealer,
    compress,
    unseal_image,
)
from ricsk.exceptions import NewerFormatError, NotSealedError, TooLargeError

FILE = Path(__file__).parents[1] / "vectors" / "sealed.json"
RAW = bytes(range(32))
KEY = SecretKey(RAW)
rng = np.random.default_rng(0)

# A second implementation of the format, after the user guide, one bit at a time.


def seal(key, carrier, bit_planes, message):
    """Write a message into the low planes of a carrier, which gives the other bits, and sign."""
    shape, values = carrier.shape, [int(value) for value in carrier.reshape(-1)]
    n = len(values)
    context = struct.pack("<IIIIB", *shape, n, bit_planes)
    room = n * bit_planes // 8 - 32
    assert len(message) < room
    padded = message + b"\x80" + b"\x00" * (room - 1 - len(message))
    body = AESSIV(key.derive("sealed/siv", length=64)).encrypt(padded, [context])

    def write(data):
        for place in range(8 * len(data)):
            bit = data[place // 8] >> (7 - place % 8) & 1
            plane, value = divmod(place, n)
            values[value] = values[value] & ~(1 << plane) | bit << plane

    write(bytes(16) + body)
    tag = hmac.digest(key.derive("sealed/tag"), context + bytes(values), "sha256")
    write(tag[:16])
    return np.array(values, np.uint8).reshape(shape)


def header(*, version=1, codec=0, scale=1, nonce=b""):
    return bytes([16 * version + (8 if nonce else 0) + codec, scale]) + nonce


def ramp(shape, step=1):
    """Values 0, step, 2 step, ... modulo 256."""
    return (step * np.arange(np.prod(shape))).astype(np.uint8).reshape(shape)


def carrier_of(shape):
    return ramp(shape, 37)


# Height, width and channels of the image; scale; bit planes; whether it has a nonce.
CASES = [
    ((8, 8, 1), 2, 4, False),
    ((5, 7, 3), 2, 3, True),
    ((9, 11, 1), 2, 3, False),  # 148 bytes, and 4 bits that hold none of it
    ((9, 11, 1), 4, 1, True),
    ((3, 2, 3), 4, 2, False),
    ((8, 8, 1), 2, 7, True),
    ((1, 3, 1), 9, 5, False),
]


def make_vectors():
    """Compute the vectors; where the codec is not "raw", from what it made once."""
    vectors = []
    for shape, scale, bit_planes, fresh in CASES:
        nonce = bytes(range(100, 116)) if fresh else b""
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
    for codec, number in (("webp", 1), ("jpegxl", 2)):
        for shape, bit_planes in (((16, 13, 3), 5), ((21, 16, 1), 6)):
            made = [
                vector["compressed"]
                for vector in known["images"]
                if vector["codec"] == codec and vector["shape"] == list(shape)
            ]
            compressed = bytes.fromhex(made[0]) if made else CODECS[codec][1](ramp(shape))
            message = header(codec=number) + compressed
            vectors.append(
                {
                    "codec": codec,
                    "shape": list(shape),
                    "scale": 1,
                    "bit_planes": bit_planes,
                    "nonce": "",
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


VECTORS = json.loads(FILE.read_text()) if FILE.exists() else make_vectors()
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
def test_vectors_are_sealed(vector, monkeypatch):
    monkeypatch.setattr(_seal, "fresh_bytes", lambda n: bytes.fromhex(vector["nonce"])[:n])
    expected = ciphertext_of(vector)
    sealer = Sealer(KEY, expected.shape, vector["bit_planes"])
    body = sealer.encrypt(
        CODECS[vector["codec"]][0],
        bytes.fromhex(vector["compressed"]),
        vector["scale"],
        fresh=bool(vector["nonce"]),
    )
    bits = np.unpackbits(np.frombuffer(bytes(16) + body, np.uint8))
    pixels = sealer.sign(sealer._with_bits(carrier_of(expected.shape), bits))
    np.testing.assert_array_equal(pixels, expected)


@every_vector
def test_vectors_are_opened(vector):
    if vector["codec"] == "jpegxl":
        pytest.importorskip("imagecodecs", reason="JPEG XL is an extra")
    np.testing.assert_array_equal(unseal_image(ciphertext_of(vector), KEY), ramp(vector["shape"]))


def test_noise_holds_the_body_below_and_the_keystream_above():
    shape, bit_planes = (9, 11, 1), 7
    sealer = Sealer(KEY, shape, bit_planes)
    body = sealer.encrypt(0, b"some bytes", 1, fresh=False)
    noise = sealer.noise(body, 3)
    stream = KEY.keystream("sealed/noise", body[:16] + b"\x03").uint8(shape)
    np.testing.assert_array_equal(noise >> bit_planes, stream >> bit_planes)
    bits = [
        int(noise.reshape(-1)[i % 99]) >> (i // 99) & 1 for i in range(8 * (99 * bit_planes // 8))
    ]
    assert np.packbits(bits).tobytes() == bytes(16) + body
    left = slice(8 * (99 * bit_planes // 8) - 6 * 99, None)  # bits of the last plane that hold none
    np.testing.assert_array_equal(noise.reshape(-1)[left] >> 6, stream.reshape(-1)[left] >> 6)


def test_each_attempt_has_noise_of_its_own():
    sealer = Sealer(KEY, (16, 16, 3), 4)
    body = sealer.encrypt(0, b"", 1, fresh=False)
    high = [sealer.noise(body, attempt) >> 4 for attempt in range(2)]
    assert np.mean(high[0] == high[1]) < 0.1


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("shape", [(8, 8, 1), (17, 31, 1), (9, 13, 3), (40, 33, 3)])
@pytest.mark.parametrize("content", ["noise", "ramp", "black"])
def test_codecs_lose_nothing(codec, shape, content):
    if codec == "jpegxl":
        pytest.importorskip("imagecodecs", reason="JPEG XL is an extra")
    image = rng.integers(0, 256, shape, np.uint8) if content == "noise" else ramp(shape)
    image = image * (content != "black")
    number, compressed = compress(image, codec)
    assert len(compressed) <= image.size
    np.testing.assert_array_equal(_seal._DECODERS[number](compressed, shape), image)


def test_what_compression_enlarges_is_left_as_it_is():
    image = rng.integers(0, 256, (8, 8, 1), np.uint8)
    assert compress(image, "webp") == (0, image.tobytes())


@pytest.mark.parametrize("trailing", [b"", b"\x00", b"\x80", b"\x80\x00\x00", bytes(30)])
@pytest.mark.parametrize("fresh", [True, False])
def test_padding_is_told_from_zeros_of_the_image(trailing, fresh):
    image = np.frombuffer(b"image".ljust(64 - len(trailing), b".") + trailing, np.uint8)
    sealer = Sealer(KEY, (16, 16, 1), 7)
    pixels = sealer.sign(sealer.noise(sealer.encrypt(0, image.tobytes(), 2, fresh=fresh), 0))
    np.testing.assert_array_equal(sealer.decrypt(pixels).ravel(), image)


def test_an_image_may_fill_the_room_to_the_last_byte():
    sealer = Sealer(KEY, (12, 8, 1), 7)
    assert sealer.capacity == 12 * 8 * 7 // 8 - OVERHEAD
    with pytest.raises(TooLargeError, match="53 bytes do not fit into the room for 52"):
        sealer.encrypt(0, bytes(sealer.capacity + 1), 1, fresh=False)
    body = sealer.encrypt(0, bytes(sealer.capacity), 1, fresh=False)
    assert len(body) + 16 == 12 * 8 * 7 // 8


# What does not open.

PLAIN = make_street_numbers(1, size=24, random_state=0)[0][0] & 0xF0
SHAPE = PLAIN.shape
CARRIER = rng.integers(0, 256, SHAPE, np.uint8)
SEALED = seal(KEY, CARRIER, 5, header(codec=1) + compress(PLAIN, "webp")[1])


def assert_refused(pixels, key=KEY, bit_planes=5):
    with pytest.raises(NotSealedError, match="wrong key, damaged, or not sealed with ricsk"):
        Sealer(key, pixels.shape, bit_planes).decrypt(pixels)
    with pytest.raises(NotSealedError, match="wrong key, damaged, or not sealed with ricsk"):
        unseal_image(pixels, key)


def test_what_is_whole_opens():
    np.testing.assert_array_equal(unseal_image(SEALED, KEY), PLAIN)


@pytest.mark.parametrize("plane", range(8))
def test_no_bit_may_be_another(plane):
    for place in (0, 1, 127, 128, 129, 800, SEALED.size - 1):
        changed = SEALED.copy()
        changed.reshape(-1)[place] ^= 1 << plane
        assert_refused(changed)


@pytest.mark.parametrize("bit", range(4, 8))
def test_bits_that_hold_nothing_may_be_no_others(bit):
    """9×11 at scale 2 and 3 planes: the last 4 bits of the third plane are left over."""
    pixels = seal(KEY, carrier_of((18, 22, 1)), 3, header(scale=2) + ramp((9, 11, 1)).tobytes())
    changed = pixels.copy()
    changed.reshape(-1)[-bit + 3] ^= 4
    np.testing.assert_array_equal(unseal_image(pixels, KEY), ramp((9, 11, 1)))
    assert_refused(changed, bit_planes=3)


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
        Sealer(KEY, SHAPE, bit_planes).decrypt(SEALED)


def test_a_tag_of_one_image_does_not_fit_another():
    other = seal(KEY, SEALED, 5, header() + b"other")
    flat = other.reshape(-1)
    flat[:128] = flat[:128] & 254 | SEALED.reshape(-1)[:128] & 1
    assert_refused(other)


def test_the_cipher_authenticates_by_itself():
    """Even whoever could make tags could not change the image."""
    changed = SEALED.copy()
    changed.reshape(-1)[500] ^= 1
    assert_refused(Sealer(KEY, SHAPE, 5).sign(changed))


@pytest.mark.parametrize("codec", [0, 1])
@pytest.mark.parametrize("version", [0, 2, 15])
def test_another_version_is_named_to_the_owner_alone(version, codec):
    pixels = seal(KEY, SEALED, 5, header(version=version, codec=codec) + b"what is to come")
    with pytest.raises(NewerFormatError, match=f"format {version}, .* reads format 1. Update"):
        unseal_image(pixels, KEY)
    assert_refused(pixels, SecretKey(bytes(32)))
    pixels[3, 3, 0] ^= 128
    assert_refused(pixels)


@pytest.mark.parametrize("codec", [3, 7])
def test_another_codec_is_of_a_newer_version(codec):
    with pytest.raises(NewerFormatError, match=f"codec {codec}"):
        unseal_image(seal(KEY, SEALED, 5, header(codec=codec) + b"x"), KEY)


def webp(shape):
    return _seal._encode_webp(np.zeros(shape, np.uint8))


# What only somebody with the key can make, or a defect.
AUTHENTIC = {
    "no scale": b"\x10",
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
    "garbage": b"\x11" + rng.bytes(300),
}


def sealed_message(message):
    shape = SHAPE if len(message) < 1000 else (48, 48, 3)
    return seal(KEY, carrier_of(shape), 5, message)


@pytest.mark.parametrize("name", AUTHENTIC)
def test_authentic_nonsense_is_refused(name):
    if "JPEG XL" in name:
        pytest.importorskip("imagecodecs", reason="JPEG XL is an extra")
    assert_refused(sealed_message(AUTHENTIC[name]))


def test_authentic_garbage_of_any_kind_is_refused():
    noise = np.random.default_rng(1)
    for codec in (0, 1):
        for length in noise.integers(0, 900, 60):
            assert_refused(sealed_message(header(codec=codec) + noise.bytes(length)))


@pytest.mark.parametrize("shape", [(48, 12, 3), (25, 24, 3), (4000, 4000, 3), (24, 24, 1)])
def test_jpeg_xl_of_another_size_is_not_decoded(shape):
    imagecodecs = pytest.importorskip("imagecodecs", reason="JPEG XL is an extra")
    enormous = bytes(imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8), lossless=True, effort=1))
    with pytest.raises(ValueError, match="shape"):
        _seal._decode_jpegxl(enormous, SHAPE)


def test_webp_of_enormous_size_is_never_given_to_the_decoder(monkeypatch):
    def opened(*_):
        raise AssertionError("it was")

    monkeypatch.setattr(_seal.Image, "open", opened)
    with pytest.raises(ValueError, match="another size"):
        _seal._decode_webp(b"\x2f\xff\xff\xff\x0f" + bytes(20), SHAPE)


@pytest.mark.parametrize("name", AUTHENTIC)
def test_exceptions_tell_neither_key_nor_image(name):
    message = AUTHENTIC[name]
    pixels = sealed_message(message)
    with pytest.raises((NotSealedError, ImportError)) as caught:
        Sealer(KEY, pixels.shape, 5).decrypt(pixels)
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
            unseal_image(mutated(images, generator), KEY)


@pytest.mark.parametrize(
    ("C", "message"),
    [
        (np.zeros((1, 24, 24, 2), np.uint8), "2 channels; expected 1 or 3"),
        (np.zeros((1, 3, 24, 24), np.uint8), "channel-first"),
        (np.zeros((3, 1728), np.uint8), "have a height, a width"),
        (np.zeros((2, 3, 13), np.uint8), "40 values at least"),
        (np.zeros((1, 1, 13, 3), np.uint8), "40 values at least"),
        (np.zeros((0, 24, 24), np.uint8), "0 sample"),
        (SEALED.astype(int)[np.newaxis] + 300, "expected 8-bit values"),
        (np.zeros(24, np.uint8), "1 dimension;"),
        (np.zeros((1, 1, 24, 24, 3), np.uint8), "5 dimensions;"),
    ],
)
def test_what_no_sealed_image_can_be_is_refused_in_other_words(C, message):
    with pytest.raises(ValueError, match=message) as caught:
        unseal(C, KEY)
    assert not isinstance(caught.value, NotSealedError)


def test_floats_are_no_sealed_images():
    with pytest.raises(TypeError, match="sealed images are 8-bit, but C has dtype float64"):
        unseal(SEALED[np.newaxis] / 255, KEY)


def test_fewer_values_than_the_least_hold_no_image():
    assert LEAST_VALUES * 7 // 8 >= OVERHEAD > (LEAST_VALUES - 1) * 7 // 8
    assert_refused(np.zeros((1, LEAST_VALUES, 1), np.uint8), bit_planes=7)
    assert_refused(np.zeros((1, 1, 1), np.uint8), bit_planes=7)


def test_unseal_names_what_does_not_open():
    C = np.stack([SEALED, 255 - SEALED, SEALED, PLAIN])
    with pytest.raises(NotSealedError, match=r"2 of 4 images could not be opened, C\[1\], C\[3\]"):
        unseal(C, KEY)
    np.testing.assert_array_equal(unseal(C[[0, 2]], RAW), np.stack([PLAIN, PLAIN]))


def test_unseal_says_that_sizes_differ():
    small = seal(KEY, SEALED, 5, header(scale=4) + bytes(6 * 6 * 3))
    with pytest.raises(ValueError, match="different sizes"):
        unseal(np.stack([SEALED, small]), KEY)


def test_unseal_reads_a_key_file_and_grey_images(tmp_path):
    image = ramp((9, 11, 1))
    C = seal(KEY, carrier_of((18, 22, 1)), 3, header(scale=2) + image.tobytes())[np.newaxis]
    KEY.save(tmp_path / "key")
    for key in (KEY, RAW, tmp_path / "key", str(tmp_path / "key")):
        np.testing.assert_array_equal(unseal(C[..., 0], key), image[np.newaxis, ..., 0])
        np.testing.assert_array_equal(unseal(C, key), image[np.newaxis])


if __name__ == "__main__":  # writes the vectors anew
    FILE.write_text(json.dumps(make_vectors(), indent=2) + "\n")

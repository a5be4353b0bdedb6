"""The format for recipients, byte by byte, against a second implementation; what must not open."""

import json
import traceback

import numpy as np
import pytest

from ricsk import PrivateKey, PublicKey, SecretKey, unseal
from ricsk.encryptors import find_signers
from ricsk.encryptors.sealed import seal_noise
from ricsk.encryptors.sealed._layout import INFO, Layout
from ricsk.encryptors.sealed._recipients import Recipients, RecipientSealer
from ricsk.exceptions import NewerFormatError, NotSealedError
from ricsk.keys import SigningKey, VerifyingKey
from tests.encryptors.sealed import recipients as reference
from tests.encryptors.sealed.recipients_vectors import (
    CONTENT,
    FILE,
    SIGNER,
    ciphertext_of,
    make_vectors,
    private,
)
from tests.encryptors.sealed.reference import carrier_of, header, ramp
from tests.keys.leaks import PACKAGE

VECTORS = json.loads(FILE.read_text())
REFUSED = "wrong key, damaged, or not sealed with ricsk"
rng = np.random.default_rng(0)
every_vector = pytest.mark.parametrize(
    "vector",
    VECTORS["images"],
    ids=lambda v: f"{v['kind']}-{len(v['private'])}-{'x'.join(map(str, v['shape']))}",
)


def load(raw, kind="X25519"):
    return PrivateKey.from_text(reference.text(f"RICSK-PRIVATE-{kind}-", raw))


KEYS = [load(private(i)) for i in range(3)]
CAMERA = SigningKey.from_text(reference.text("RICSK-SIGNING-ED25519-", SIGNER))
PUBLICS = [reference.public_of("X25519", private(i)) for i in range(2)]
SHAPE = (20, 18, 3)
CARRIER = rng.integers(0, 256, SHAPE, np.uint8)
MESSAGE = header(version=3, scale=2) + ramp((10, 9, 3)).tobytes()
SEALED = reference.seal(CARRIER, 7, MESSAGE, PUBLICS)
SIGNED = reference.seal(CARRIER, 7, MESSAGE, PUBLICS, signer=SIGNER)


def open_image(pixels, key=KEYS[0], **options):
    (image,) = unseal(pixels[np.newaxis], key, **options)
    return image


def assert_refused(pixels, *keys):
    for key in keys or KEYS[:2]:
        with pytest.raises(NotSealedError, match=REFUSED):
            open_image(pixels, key)


# Known answers.


def test_vectors_are_those_of_the_second_implementation():
    assert make_vectors() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["key_pairs"], ids=lambda v: v["fingerprint"][:4])
def test_vectors_of_key_pairs(vector):
    secret, public = (
        (SigningKey, VerifyingKey) if vector["kind"] == "ED25519" else (PrivateKey, PublicKey)
    )
    key = secret.from_text(vector["private_text"])
    assert key.reveal() == vector["private_text"]
    assert key.fingerprint == vector["fingerprint"]
    half = key.verifying_key if secret is SigningKey else key.public_key
    assert half.text == vector["public_text"]
    assert half == public.from_text(vector["public_text"])
    assert half.fingerprint == vector["fingerprint"]


@every_vector
def test_vectors_are_opened(vector):
    pixels, expected = ciphertext_of(vector), ramp(vector["shape"])
    for raw in vector["private"]:
        key = load(bytes.fromhex(raw), vector["kind"])
        np.testing.assert_array_equal(open_image(pixels, key), expected)
        (signer,) = find_signers(pixels[np.newaxis], key)
        assert (signer and signer.raw.hex()) == vector["signer"]
    assert_refused(pixels, load(private(99), vector["kind"]))


@every_vector
def test_vectors_are_sealed(vector):
    expected = ciphertext_of(vector)
    signed, n = vector["signer"] is not None, len(vector["private"])
    publics = [load(bytes.fromhex(raw), vector["kind"]).public_key for raw in vector["private"]]
    layout = Layout(
        expected.shape, vector["bit_planes"], n, signed, publics[0].overhead + len(CONTENT) + 3
    )
    slots = vector["slots"]
    if slots is None:  # they lie behind the tag
        stored = layout.planes.read(expected)
        slots = [stored[32:][83 * i : 83 * i + 83].hex() for i in range(n)]
    sealer = RecipientSealer(
        layout,
        SecretKey(CONTENT),
        b"".join(map(bytes.fromhex, slots)),
        CAMERA if signed else None,
    )
    body = sealer.encrypt(
        vector["codec"],
        bytes.fromhex(vector["compressed"]),
        bytes.fromhex(vector["nonce"]),
        vector["scale"],
    )
    pixels = sealer.sign(sealer.embed(body, carrier_of(expected.shape)))
    np.testing.assert_array_equal(pixels, expected)


def test_hybrid_slots_are_those_of_the_components():
    """X-Wing's combiner over ML-KEM and X25519, and HPKE's key schedule, by hand."""
    vector = next(v for v in VECTORS["images"] if v["kind"] == "MLKEM768-X25519")
    raw, slot = bytes.fromhex(vector["private"][0]), bytes.fromhex(vector["slots"][0])
    opened = reference.unwrap_hybrid(raw, slot)
    assert opened == CONTENT + bytes([vector["bit_planes"], 1, 0])
    assert load(raw, vector["kind"]).unwrap(slot, INFO) == opened


@pytest.mark.parametrize("n", [1, 2, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_the_overhead_is_all_but_the_image(n, signed):
    keys = tuple(PrivateKey.generate().public_key for _ in range(n))
    overhead = Recipients(keys, CAMERA if signed else None).overhead
    assert overhead == 32 + 83 * n + 112 * signed + 16 + 19
    layout = Layout((40, 40, 3), 7, n, signed, 83)
    assert layout.room == 40 * 40 * 3 * 7 // 8 - overhead + 19


# What does not open.


def test_what_is_whole_opens():
    for pixels in (SEALED, SIGNED):
        for key in KEYS[:2]:
            np.testing.assert_array_equal(open_image(pixels, key), ramp((10, 9, 3)))
        assert_refused(pixels, KEYS[2], SecretKey(CONTENT), SecretKey(private(0)))


@pytest.mark.parametrize("pixels", [SEALED, SIGNED], ids=["unsigned", "signed"])
def test_flips(pixels):
    """Of each plane some bits: in the tag, each slot, the signature, the body and above."""
    places = [0, 255, 256, 900, 919, 920, 1079, *rng.integers(0, pixels.size, 12)]
    for plane in range(8):
        for place in places:
            changed = pixels.copy()
            changed.reshape(-1)[place] ^= 1 << plane
            assert_refused(changed)


def test_recipients_cannot_change_what_was_signed():
    """They have the content key, and so can make the tag; but not the signature."""
    layout = Layout(SHAPE, 7, 2, True, 83)
    stored = layout.planes.read(SIGNED)
    slots = stored[32 : layout.signature_start]
    sealer = RecipientSealer(layout, SecretKey(bytes(range(32))), slots, None)
    np.testing.assert_array_equal(sealer.sign(SIGNED), SIGNED)
    for place, plane in ((5, 7), (1000, 3), (400, 0)):
        changed = SIGNED.copy()
        changed.reshape(-1)[place] ^= 1 << plane
        assert_refused(sealer.sign(changed), KEYS[1])


def test_a_signature_of_one_image_does_not_fit_another():
    other = reference.seal(CARRIER ^ 128, 7, MESSAGE, PUBLICS, signer=SIGNER)
    layout = Layout(SHAPE, 7, 2, True, 83)
    block = layout.planes.read(other)[layout.signature_start : layout.body_start]
    sealer = RecipientSealer(layout, SecretKey(bytes(range(32))), b"", None)
    swapped = sealer.sign(layout.planes.write(SIGNED, block, layout.signature_start))
    assert_refused(swapped)
    np.testing.assert_array_equal(
        open_image(sealer.sign(layout.planes.write(swapped, layout.planes.read(SIGNED)[32:], 32))),
        ramp((10, 9, 3)),
    )


HEADS = [(0, 2, 0), (8, 2, 0), (6, 2, 0), (7, 1, 0), (7, 3, 0), (7, 0, 0), (7, 17, 0), (7, 2, 2)]


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_says_something_else_is_refused(head):
    """One recipient could be told another one than the others."""
    slots = [reference.wrap(PUBLICS[i], bytes(range(32)) + bytes(head), private(9)) for i in (0, 1)]
    assert_refused(reference.seal(CARRIER, 7, MESSAGE, PUBLICS, slots=slots))


def test_one_ciphertext_does_not_open_to_two_pictures():
    """The second recipient is given another content key, under which the tag would have to fit."""
    first = reference.wrap(PUBLICS[0], bytes(range(32)) + bytes([7, 2, 0]), private(9))
    second = reference.wrap(PUBLICS[1], bytes(32) + bytes([7, 2, 0]), private(9))
    pixels = reference.seal(CARRIER, 7, MESSAGE, PUBLICS, slots=[first, second])
    np.testing.assert_array_equal(open_image(pixels, KEYS[0]), ramp((10, 9, 3)))
    assert_refused(pixels, KEYS[1])


def test_the_first_slot_that_opens_decides():
    false = reference.wrap(PUBLICS[0], bytes(32) + bytes([7, 2, 0]), private(9))
    true = reference.wrap(PUBLICS[0], bytes(range(32)) + bytes([7, 2, 0]), private(9))
    for slots in ([false, true], [true, false]):
        pixels = reference.seal(CARRIER, 7, MESSAGE, PUBLICS, slots=slots)
        if slots[0] is true:
            np.testing.assert_array_equal(open_image(pixels), ramp((10, 9, 3)))
        else:
            assert_refused(pixels)


@pytest.mark.parametrize("length", [31, 34, 36])
def test_slots_of_another_length_are_refused(length):
    slots = [reference.wrap(public, bytes(length), private(9)) for public in PUBLICS]
    assert_refused(reference.seal(CARRIER, 7, MESSAGE, PUBLICS, slots=slots))


def test_the_cipher_authenticates_by_itself():
    layout = Layout(SHAPE, 7, 2, False, 83)
    sealer = RecipientSealer(layout, SecretKey(bytes(range(32))), b"", None)
    changed = SEALED.copy()
    changed.reshape(-1)[-1] ^= 64
    assert_refused(sealer.sign(changed))


@pytest.mark.parametrize(
    ("version", "codec", "error"),
    [
        (2, 0, NotSealedError),
        (0, 0, NotSealedError),
        (4, 0, NewerFormatError),
        (3, 9, NewerFormatError),
    ],
)
def test_another_version_is_named(version, codec, error):
    message = header(version=version, codec=codec, scale=2) + ramp((10, 9, 3)).tobytes()
    pixels = reference.seal(CARRIER, 7, message, PUBLICS)
    with pytest.raises(error, match=f"of format {version}"):
        open_image(pixels)


def test_a_secret_key_does_not_open_what_recipients_do_and_the_other_way_round():
    """Not even if the content key is the secret one."""
    for pixels in (SEALED, SIGNED):
        assert_refused(pixels, SecretKey(bytes(range(32))))
    key = SecretKey.generate()
    assert_refused(seal_noise(ramp((24, 24, 3)) & 0xF0, key), *KEYS)


def test_tiny_and_foreign_images_are_refused():
    for shape in ((10, 10, 1), (61, 1, 1), (33, 3, 3), (9, 9, 3)):
        for pixels in (np.zeros(shape, np.uint8), rng.integers(0, 256, shape, np.uint8)):
            assert_refused(pixels)


def test_errors_tell_no_content_key():
    content = bytes(range(100, 132))
    slots = [reference.wrap(p, content + bytes([7, 2, 0]), private(9)) for p in PUBLICS]
    changed = reference.seal(CARRIER, 7, MESSAGE, PUBLICS, content=content, slots=slots)
    changed.reshape(-1)[-1] ^= 128
    with pytest.raises(NotSealedError) as caught:
        open_image(changed)
    derived = SecretKey(content).derive("recipients/tag")
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            continue
        for value in frame.f_locals.values():
            shown = repr(value)
            for secret in (content, derived, private(0)):
                assert repr(secret[:16])[2:-1] not in shown
                assert secret[:16].hex() not in shown


# Who sealed.


def test_signers_that_are_asked_for():
    other = SigningKey.generate().verifying_key
    signers = [other, CAMERA.verifying_key]
    np.testing.assert_array_equal(open_image(SIGNED, signers=signers), ramp((10, 9, 3)))
    for pixels, said in ((SIGNED, CAMERA.fingerprint), (SEALED, "not signed")):
        with pytest.raises(NotSealedError, match=f"{said}.*none of the signers"):
            open_image(pixels, signers=[other])
    with pytest.raises(NotSealedError, match="none of the signers"):
        open_image(SIGNED, signers=[])
    with pytest.raises(ValueError, match="leave signers out"):
        open_image(SIGNED, SecretKey.generate(), signers=signers)
    with pytest.raises(TypeError, match=r"type SigningKey; expected VerifyingKey"):
        open_image(SIGNED, signers=[CAMERA])


def test_who_signed_is_known_before_anything_is_decoded():
    """The message is nonsense, for which the decoder is not asked."""
    pixels = reference.seal(CARRIER, 7, header(version=3, codec=1), PUBLICS, signer=SIGNER)
    assert find_signers(pixels[np.newaxis], KEYS[1]) == [CAMERA.verifying_key]
    with pytest.raises(NotSealedError, match="none of the signers"):
        open_image(pixels, signers=[])
    assert_refused(pixels)


def test_what_a_stranger_sees_of_a_signature_is_random():
    """The same signer and image, twice: no bytes of the block are those of the signer."""
    sealed = seal_noise(
        ramp((24, 24, 3)) & 0xF0, recipients=[KEYS[0].public_key], signing_key=CAMERA
    )
    stored = Layout(sealed.shape, 7, 1, True, 83).planes.read(sealed)
    assert CAMERA.verifying_key.raw not in stored
    assert CAMERA.verifying_key.raw[:8] not in stored


def test_several_sizes_at_once():
    shape = (30, 20, 1)
    tall = reference.seal(carrier_of(shape), 7, header(version=3, scale=2), PUBLICS)
    images = [SEALED, SIGNED, tall, SIGNED]
    camera = CAMERA.verifying_key
    assert find_signers(images, KEYS[0]) == [None, camera, None, camera]

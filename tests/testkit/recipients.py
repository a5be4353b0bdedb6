"""Sealed images for recipients, from the second implementation of the tests."""

import hashlib
import json

import numpy as np

from ricsk import SecretKey
from tests.encryptors.sealed.recipients import public_of, seal, text, wrap
from tests.encryptors.sealed.recipients_vectors import (
    CONTENT,
    FILE,
    SIGNER,
    ciphertext_of,
    private,
    public_of_signer,
)
from tests.encryptors.sealed.reference import carrier_of, header, ramp
from tests.testkit.kit import (
    NEWER,
    OPENS,
    REFUSED,
    Case,
    describe_image,
    to_png,
)

SHAPE, IMAGE_SHAPE, PLANES = (20, 20, 1), (5, 5, 1), 7
LARGE = (24, 24, 1)
IMAGE = ramp(IMAGE_SHAPE)
MESSAGE = header(version=3, scale=4) + IMAGE.tobytes()
HEAD = bytes([PLANES, 2, 0])
PUBLICS = [public_of("X25519", private(i)) for i in range(2)]


def private_text(i, kind="X25519"):
    return text(f"RICSK-PRIVATE-{kind}-", private(i))


def verifying_text(raw):
    return text("RICSK-VERIFYING-ED25519-", public_of_signer(raw))


CAMERA = verifying_text(SIGNER)
OTHER_SIGNER = hashlib.sha256(b"another signer").digest()


def make_recipients():
    yield from make_whole()
    yield from make_changed()
    yield from make_slots()
    yield from make_signed()
    yield from make_nonsense()


def make_whole():
    for vector in json.loads(FILE.read_text())["images"]:
        shape, kind, n = vector["shape"], vector["kind"], len(vector["private"])
        signer = CAMERA if vector["signer"] else None
        name = f"{kind.lower()}-{n}-{'x'.join(map(str, shape))}" + "-signed" * bool(signer)
        needs = None if vector["codec"] == "raw" else vector["codec"]
        for i in sorted({0, n - 1}):
            yield opens(
                f"{name}-{i}",
                ciphertext_of(vector),
                ramp(shape),
                f"recipient {i + 1} of {n}",
                private_text(i, kind),
                signer=signer,
                needs=needs,
            )
        yield refused(
            f"{name}-stranger", ciphertext_of(vector), "no recipient", private_text(99, kind)
        )


def make_changed():
    pixels = seal_image()
    yield opens("plain", pixels, IMAGE, "what the next cases change")
    n_values = pixels.size
    for place, what in (
        (0, "tag"),
        (255, "tag"),
        (256, "slot 1"),
        (256 + 83 * 8 - 1, "slot 1"),
        (256 + 83 * 8, "slot 2"),
        (256 + 166 * 8, "SIV"),
        (256 + 166 * 8 + 128, "message"),
        (7 * n_values - 1, "padding"),
        (7 * n_values, "highest plane"),
    ):
        changed = pixels.copy()
        changed.reshape(-1)[place % n_values] ^= 1 << place // n_values
        yield refused(f"flip-{place}", changed, f"a bit of the {what} flipped")
    for name, other in {
        "cut": pixels[:-1],
        "transposed": pixels.swapaxes(0, 1),
        "flipped": pixels[::-1],
        "other-shape": pixels.reshape(10, 40, 1),
        "colour": pixels.repeat(3, axis=2),
        "black": np.zeros_like(pixels),
        "white": np.full_like(pixels, 255),
        "small": ramp((11, 11, 1)),
    }.items():
        yield refused(name, other, "not the pixels that were sealed")
    yield refused("secret-key", pixels, "no private key", SecretKey(CONTENT).reveal())
    hybrid = private_text(0, "MLKEM768-X25519")
    yield refused("other-kind", pixels, "a private key of another kind", hybrid)


def make_slots():
    """Make what a sender can make who wants recipients to see different things."""
    wrapped = [wrap_for(i, CONTENT + HEAD) for i in range(2)]
    other = [wrap_for(i, bytes(32) + HEAD) for i in range(2)]
    two = seal_image(slots=[wrapped[0], other[1]])
    yield opens("two-keys-0", two, IMAGE, "the second recipient was given another content key")
    yield refused("two-keys-1", two, "another content key: two pictures", private_text(1))
    twice = seal_image(slots=[other[0], wrap_for(0, CONTENT + HEAD)])
    yield refused("false-slot-first", twice, "the first slot that opens decides")
    twice = seal_image(slots=[wrapped[0], wrap_for(0, bytes(32) + HEAD)])
    yield opens("false-slot-second", twice, IMAGE, "the first slot that opens decides")
    swapped = seal_image(slots=wrapped[::-1])
    yield opens("swapped-slots", swapped, IMAGE, "the order of slots is free")
    for head in ((0, 2, 0), (8, 2, 0), (6, 2, 0), (7, 1, 0), (7, 3, 0), (7, 0, 0), (7, 17, 0)):
        slots = [wrap_for(i, CONTENT + bytes(head)) for i in range(2)]
        name = f"head-{'-'.join(map(str, head))}"
        yield refused(name, seal_image(slots=slots), "a slot that tells another k, n or s")
    for last in (1, 2, 255):
        slots = [wrap_for(i, CONTENT + bytes([PLANES, 2, last])) for i in range(2)]
        yield refused(f"says-signed-{last}", seal_image(slots=slots), "a slot that tells another s")
    outside = [wrap_for(i, CONTENT + bytes([PLANES, 1, 0])) for i in (1, 0)]
    yield refused("slot-outside", seal_image(slots=outside), "the slot is not among the n")
    for length in (34, 36):
        plaintext = (CONTENT + HEAD + bytes(1))[:length]
        slot = wrap_for(0, plaintext)[:83].ljust(83, b"\0")
        yield refused(f"slot-of-{length}", seal_image(slots=[slot, wrapped[1]]), "no whole slot")
    low_order = bytes(32) + wrapped[0][32:]
    yield refused("low-order", seal_image(slots=[low_order, wrapped[1]]), "a point of low order")
    skipped = seal_image(slots=[low_order, wrapped[1]])
    yield opens("after-low-order", skipped, IMAGE, "the slot of another is none", private_text(1))
    for version, info in ((2, b"ricsk/sealed/2"), (4, b"")):
        slots = [wrap_for(i, CONTENT + HEAD, info) for i in range(2)]
        yield refused(f"info-{version}", seal_image(slots=slots), "a slot for another purpose")


def make_signed():
    signed = seal_image(shape=LARGE, signer=SIGNER)
    image = ramp((6, 6, 1))
    yield opens("signed", signed, image, "signed", signer=CAMERA)
    yield opens("signed-1", signed, image, "signed", private_text(1), signer=CAMERA)
    asked = {"signers": [verifying_text(OTHER_SIGNER), CAMERA]}
    yield opens("signed-asked", signed, image, "by one who was asked for", signer=CAMERA, **asked)
    asked = {"signers": [verifying_text(OTHER_SIGNER)]}
    yield refused("signed-by-another", signed, "by none who was asked for", **asked)
    yield refused("unsigned", seal_image(), "not signed, as was asked for", **asked)
    n_values = signed.size
    for place, what in (
        (256 + 166 * 8, "SIV of the signature"),
        (256 + 166 * 8 + 128, "key"),
        (256 + 166 * 8 + 128 + 256, "signature"),
        (7 * n_values, "highest plane"),
    ):
        changed = signed.copy()
        changed.reshape(-1)[place % n_values] ^= 1 << place // n_values
        yield refused(f"signed-flip-{place}", changed, f"a bit of the {what} flipped")
    for name, parts in {
        "planes": {"carrier": carrier_of(LARGE) ^ 128},
        "message": {"message": header(version=3, scale=4) + bytes(36)},
        "key": {"claimed": OTHER_SIGNER},
    }.items():
        forged = seal_image(shape=LARGE, signer=SIGNER, forged=parts)
        yield refused(f"forged-{name}", forged, "made by a recipient, who has not signed it")


def make_nonsense():
    for version, codec in ((4, 0), (15, 0), (3, 3), (3, 15)):
        message = header(version=version, codec=codec, scale=4) + IMAGE.tobytes()
        pixels, comment = seal_image(message=message), f"of version {version}, codec {codec}"
        name = f"image-recipients-version-{version}-{codec}"
        yield Case(name, private_text(0), to_png(pixels), NEWER, comment)
    body = IMAGE.tobytes()
    for name, message in {
        "version-0": header(version=0, scale=4) + body,
        "version-2": header(version=2, scale=4) + body,
        "no-image": header(version=3, scale=4),
        "scale-0": header(version=3, scale=0) + body,
        "scale-3": header(version=3, scale=3) + body,
        "raw-short": header(version=3, scale=4) + body[1:],
        "raw-long": header(version=3, scale=4) + body + b"\1",
        "webp-noise": header(version=3, codec=1, scale=4) + bytes(range(60)),
    }.items():
        yield refused(name, seal_image(message=message), "authentic, but no image of this size")
    yield refused("wrong-mark", seal_image(mark=b"\1"), "authentic, but not padded with 0x80")
    short = seal_short()
    yield refused("no-room", short, "authentic, but too small for a message")


def seal_image(*, shape=SHAPE, message=None, carrier=None, **options):
    if message is None and shape == LARGE:
        message = header(version=3, scale=4) + ramp((6, 6, 1)).tobytes()
    message = MESSAGE if message is None else message
    carrier = carrier_of(shape) if carrier is None else carrier
    return seal(carrier, PLANES, message, PUBLICS, content=CONTENT, **options)


def seal_short():
    """Leave 25 bytes, which are less than the least message and its SIV take."""
    pixels = carrier_of((17, 15, 1))
    slots = [wrap_for(i, CONTENT + HEAD) for i in range(2)]
    stored = bytes(32) + b"".join(slots)
    bits = np.unpackbits(np.frombuffer(stored, np.uint8))
    flat = pixels.reshape(-1)
    for place, bit in enumerate(bits):
        plane, value = divmod(place, flat.size)
        flat[value] = flat[value] & ~np.uint8(1 << plane) | bit << plane
    return pixels


def wrap_for(i, plaintext, info=None):
    ephemeral = hashlib.sha256(b"testkit" + plaintext + bytes([i])).digest()
    options = {} if info is None else {"info": info}
    return wrap(PUBLICS[i], plaintext, ephemeral, **options)


def opens(name, pixels, image, comment, key=None, *, signer=None, needs=None, signers=None):
    result = {**describe_image(image), "signer": signer}
    key = private_text(0) if key is None else key
    data = to_png(pixels)
    return Case(f"image-recipients-{name}", key, data, OPENS, comment, result, needs, signers)


def refused(name, pixels, comment, key=None, *, signers=None):
    key = private_text(0) if key is None else key
    data = to_png(pixels)
    return Case(f"image-recipients-{name}", key, data, REFUSED, comment, signers=signers)

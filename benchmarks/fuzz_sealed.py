"""Attacks the decoder of sealed images with what it must refuse, and counts what it does.

Mutated inputs (changed and exchanged bytes, cuts, rolls, foreign and re-compressed images, images
of other sizes), single-bit flips anywhere in 100 ciphertexts, wrong keys, and nonsense that is
authentic, as only somebody with the key can make it. A crash is any exception but the two that say
that an image does not open, a picture anything that is returned. The longest time is that of one
input.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import SealedEncryptor, SecretKey
from ricsk.datasets import load_digits, make_street_numbers
from ricsk.encryptors.sealed._format import Sealer, Subkeys, capacity
from ricsk.encryptors.sealed._message import CODEC_NUMBERS, NONCE_BYTES
from ricsk.encryptors.sealed._opener import SecretOpener
from ricsk.exceptions import NewerFormatError, NotSealedError

Pixels = NDArray[np.uint8]
rng = np.random.default_rng(0)


def ciphertexts(key: SecretKey, n: int) -> list[Pixels]:
    """Seal grey and colour images, half of each."""
    sealed: list[Pixels] = []
    digits, digit_labels = load_digits(size=32)
    numbers, number_labels = make_street_numbers(400, size=24, random_state=0)
    for X, y in ((digits[:400], digit_labels[:400]), (numbers & 0xE0, number_labels)):
        flat = X.reshape(len(X), -1)
        classifier = FrozenEstimator(LogisticRegression(max_iter=2000, C=0.01).fit(flat / 255, y))
        shape = (*X.shape[1:], 1) if X.ndim == 3 else X.shape[1:]
        encryptor = SealedEncryptor(key, classifier, image_shape=shape, kappa=0)
        C = encryptor.fit(flat / 255).transform(flat[: n // 2] / 255)
        sealed += list(encryptor.value_range_.to_uint8(C).reshape(-1, *shape))
    return sealed


def mutate(images: list[Pixels]) -> Pixels:
    """Change an image in one of many ways, never into itself."""
    image = images[rng.integers(len(images))]
    other = images[rng.integers(len(images))]
    flat = image.reshape(-1).copy()
    place = int(rng.integers(flat.size))
    kind = rng.integers(11)
    if kind == 0:
        flat[place : place + rng.integers(1, 300)] ^= np.uint8(rng.integers(1, 256))
    elif kind == 1:
        part = flat[place:]
        part[:] = rng.integers(0, 256, part.size)
    elif kind == 2:
        place = max(place, 1)  # or it would be the other image, which opens
        flat[place:] = np.resize(other.reshape(-1), flat.size - place)
    elif kind == 3:
        flat = np.roll(flat, place)
    elif kind == 4:
        flat &= np.uint8(255 ^ (1 << rng.integers(8)))
    elif kind == 5:
        flat = rng.integers(0, 256, flat.size, np.uint8)
    elif kind == 6:
        flat[:] = rng.integers(256)
    elif kind == 7:
        return image[1 + place % (len(image) - 1) :]
    elif kind == 8:
        size = tuple(int(side) for side in rng.integers(1, 80, 2))
        resized = np.asarray(_to_pillow(image).resize(size, int(rng.integers(6))))
        resized = resized.reshape(size[1], size[0], image.shape[2])
        if not np.array_equal(resized, image):
            return resized
    elif kind == 9:
        buffer = io.BytesIO()
        _to_pillow(image).save(buffer, "JPEG", quality=int(rng.integers(20, 101)))
        flat = np.asarray(Image.open(buffer)).reshape(-1).copy()
    else:
        shape = tuple(int(side) for side in rng.integers(1, 60, 2))
        return rng.integers(0, 256, (*shape, int(rng.choice([1, 3]))), np.uint8)
    if np.array_equal(flat, image.reshape(-1)):
        flat[place] ^= np.uint8(1)
    return flat.reshape(image.shape)


def nonsense(shape: tuple[int, int, int], key: SecretKey) -> Pixels:
    """Seal what is not an image, most often with a scale of 1."""
    bit_planes = int(rng.integers(4, 8))
    sealer = Sealer(Subkeys(key), shape, bit_planes)
    room = capacity(int(np.prod(shape)), bit_planes)
    content = rng.bytes(int(rng.integers(room)))
    codec = str(rng.choice(list(CODEC_NUMBERS)))
    if codec == "webp" and rng.integers(
        2
    ):  # looks like WebP of the right size, or of an enormous one
        sides = (shape[1] - 1, shape[0] - 1) if rng.integers(2) else (0x3FFF, 0x3FFF)
        content = b"\x2f" + (sides[0] | sides[1] << 14).to_bytes(4, "little") + content
        content = content[:room]
    scale = int(rng.choice([0, 1, 1, 1, 2, 5, 255]))
    if codec == "raw" and len(content) * scale**2 == np.prod(shape):
        content += b"\x01"  # any bytes of the right number are an image
    body = sealer.encrypt(codec, content, rng.bytes(NONCE_BYTES), scale)
    return sealer.sign(sealer.embed(body, rng.integers(0, 256, shape, np.uint8)))


def flip(images: list[Pixels]) -> Pixels:
    """Flip one bit."""
    image = images[rng.integers(len(images))].copy()
    image.reshape(-1)[rng.integers(image.size)] ^= np.uint8(1 << rng.integers(8))
    return image


def count(name: str, inputs: Iterable[tuple[Pixels, SecretKey]]) -> None:
    """Try to open every input, and print what happened."""
    found: Counter[str] = Counter()
    longest, start = 0.0, time.perf_counter()
    for pixels, key in inputs:
        before = time.perf_counter()
        try:
            SecretOpener(key).open(pixels)
            found["pictures"] += 1
        except (NotSealedError, NewerFormatError):
            found["refusals"] += 1
        except Exception as error:
            found["crashes"] += 1
            found[repr(error)[:100]] += 1
        longest = max(longest, time.perf_counter() - before)
    total = sum(found[kind] for kind in ("refusals", "crashes", "pictures"))
    print(
        f"{name:16} {total:8,} inputs, {found['refusals']:8,} refusals, {found['crashes']} "
        f"crashes, {found['pictures']} pictures, longest {1000 * longest:.1f} ms, "
        f"{time.perf_counter() - start:.0f} s in all",
        flush=True,
    )
    for kind, n in found.items():
        if kind not in ("refusals", "crashes", "pictures"):
            print(f"    {n} × {kind}")


def _to_pillow(image: Pixels) -> Image.Image:
    return Image.fromarray(image if image.shape[2] == 3 else image[..., 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutated", type=int, default=100_000)
    parser.add_argument("--flipped", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--nonsense", type=int, default=10_000)
    args = parser.parse_args()
    key = SecretKey.generate()
    images = ciphertexts(key, 100)
    for image in images:
        SecretOpener(key).open(image)  # or the rest would show nothing
    print(f"{len(images)} ciphertexts open with their key")
    count("mutated", ((mutate(images), key) for _ in range(args.mutated)))
    count("single-bit flips", ((flip(images), key) for _ in range(args.flipped)))
    count(
        "wrong keys",
        ((images[i % len(images)], SecretKey.generate()) for i in range(args.keys)),
    )
    shapes = [image.shape for image in images]
    count(
        "nonsense",
        ((nonsense(shapes[i % len(shapes)], key), key) for i in range(args.nonsense)),
    )


if __name__ == "__main__":
    main()

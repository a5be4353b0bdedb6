"""Padded and masked images byte by byte, without encoder and decoder, which compute in floats."""

import json
from pathlib import Path

import numpy as np
import pytest

from ricsk import SecretKey
from ricsk.encryptors.ric._header import NONCE_BYTES, Header
from ricsk.encryptors.ric._mixing import Mixing, guard_band
from ricsk.keys import encode_context

FILE = Path(__file__).parents[2] / "vectors" / "ric.json"
RAW = bytes(range(32))
GREY, COLOUR = (12, 12, 1), (8, 8, 3)
LABELS, CODED = np.array([3, 700]), np.array([False, True])
CASES = {
    "grey": (GREY, 0.8),
    "colour": (COLOUR, 0.5),
    "colour, much mask": (COLOUR, 0.9),
    "colour, hardly any image": (COLOUR, 0.98),
}


def images(shape, n=2):
    """Values 0, 37, 74, ... in (image, row, column, channel) order, modulo 251."""
    return (37 * np.arange(n * np.prod(shape)) % 251).astype(np.uint8).reshape(n, *shape)


def templates(shape, n=2):
    """Values 0, 101, 202, ... in (image, row, column, channel) order, modulo 256."""
    return (101 * np.arange(n * np.prod(shape)) % 256).astype(np.uint8).reshape(n, *shape)


def settings(shape, alpha):
    """Encode the context, with digests of zeros in the place of classifier and networks."""
    return encode_context(
        "ric",
        2,
        image_shape=shape,
        classifier=bytes(32),
        alpha=alpha,
        kappa=1.5,
        nonce="content",
        network=bytes(32),
    )


def parts(name):
    shape, alpha = CASES[name]
    key, context = SecretKey(RAW), settings(shape, alpha)
    return Mixing(key, context, None, alpha), Header(key, context, shape, 1000)


def encrypt(name):
    """Encrypt two images of the classes 3 and 700, and return the nonces too."""
    shape, _ = CASES[name]
    mixing, header = parts(name)
    prepared, masks = 16 * images(shape).astype(int), templates(shape)
    nonces = [header.derive_nonce(*one, 0) for one in zip(prepared, masks, LABELS, strict=True)]
    exact = mixing.hide(prepared, masks, nonces)
    return header.write(exact, nonces, LABELS, masks, CODED), nonces


def make_vectors():
    cases = {}
    for name, (shape, alpha) in CASES.items():
        mixing, _ = parts(name)
        C, nonces = encrypt(name)
        cases[name] = {
            "image_shape": shape,
            "alpha": alpha,
            "guard": mixing.guard,
            "context": settings(shape, alpha).hex(),
            "nonces": [nonce.hex() for nonce in nonces],
            "labels": LABELS.tolist(),
            "coded": CODED.tolist(),
            "ciphertexts": C.tobytes().hex(),
        }
    return {
        "key": RAW.hex(),
        "images": images.__doc__,
        "templates": templates.__doc__,
        "encoder": "None: images themselves are hidden, also where the header says otherwise.",
        "cases": cases,
    }


VECTORS = json.loads(FILE.read_text())["cases"]


def test_all_cases_are_there():
    assert VECTORS.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_vectors(name):
    (shape, alpha), vector = CASES[name], VECTORS[name]
    assert guard_band(alpha) == vector["guard"]
    assert settings(shape, alpha).hex() == vector["context"]
    C, nonces = encrypt(name)
    assert [nonce.hex() for nonce in nonces] == vector["nonces"]
    assert C.tobytes().hex() == vector["ciphertexts"]


@pytest.mark.parametrize("name", CASES)
def test_decryption_of_vectors(name):
    (shape, _), vector = CASES[name], VECTORS[name]
    C = np.frombuffer(bytes.fromhex(vector["ciphertexts"]), np.uint8).reshape(2, *shape)
    mixing, header = parts(name)
    recipe = header.read(C)
    assert [nonce.hex() for nonce in recipe.nonces] == vector["nonces"]
    assert recipe.labels.tolist() == vector["labels"]
    assert recipe.coded.tolist() == vector["coded"]
    assert recipe.known.all()
    found = mixing.reveal(C, templates(shape), recipe.nonces, np.zeros(2, bool))
    assert np.abs(found - images(shape)).max() <= mixing.guard


@pytest.mark.parametrize("name", CASES)
def test_another_program_makes_the_same(name):
    """By the written format, in Python's own whole numbers."""
    (shape, alpha), vector = CASES[name], VECTORS[name]
    key, context = SecretKey(RAW), bytes.fromhex(vector["context"])
    g, a = vector["guard"], round(alpha * 65536)
    n_values = 16 * (256 + 2 * g)
    C = np.frombuffer(bytes.fromhex(vector["ciphertexts"]), np.uint8).reshape(2, -1)
    for i in range(2):
        nonce = bytes.fromhex(vector["nonces"][i])
        assert len(nonce) == NONCE_BYTES
        pad = key.keystream("ric/pad", context + nonce).integers(n_values, int(np.prod(shape)))
        x, z = images(shape)[i].ravel().tolist(), templates(shape)[i].ravel().tolist()
        changed = 0
        for value, mask, k, found in zip(x, z, pad.tolist(), C[i].tolist(), strict=True):
            u = (16 * (value + g) + k) % n_values
            mixed = (65536 - a) * 255 * u + a * n_values * mask
            below, rest = divmod(mixed, 65536 * n_values)
            nearest = below + (2 * rest > 65536 * n_values)
            changed += found != nearest
            assert abs(found - mixed / (65536 * n_values)) <= 1
        assert changed <= 128  # by the header

"""No two settings of any schemes share a stream: what one gives away says nothing of the other.

`SETTINGS` lists them in one place. Two of them differ in a single parameter at least, so that all
parameters that change a scheme are seen to enter the contexts of its streams.
"""

import itertools
from inspect import signature
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier

from ricsk import (
    CNNClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
)
from ricsk.baselines import CloakEncryptor, InstaHideEncryptor, NeuraCryptEncoder
from ricsk.datasets import make_street_numbers
from ricsk.encryptors import PublishedRICEncryptor
from ricsk.keys import Keystream

KEY = SecretKey(bytes(range(32)))

IMAGES, LABELS = make_street_numbers(60, size=32, random_state=0)
IMAGES &= 0xC0  # so that they compress well
LABELS %= 2  # so that templates are found soon
ROWS = IMAGES.reshape(len(IMAGES), -1) / 255

LINEAR, OTHER = (FrozenEstimator(RidgeClassifier(a).fit(ROWS, LABELS)) for a in (100.0, 200.0))
NETWORK = FrozenEstimator(
    CNNClassifier(width=8, depth=2, epochs=1, batch_size=16, random_state=0).fit(IMAGES, LABELS)
)

# How images and keys are given, when templates are made, where all is computed, and what is shown:
# none of it changes a ciphertext. (For recipients, every image has a key of its own.)
NO_SETTINGS = {"key", "value_range", "flatten", "templates", "device", "n_jobs", "verbose"}
NO_SETTINGS |= {"recipients", "signing_key"}


class Setting(NamedTuple):
    """An encryptor, and whether it is given rows."""

    encryptor: object
    rows: bool = False


def vary(make, base, *changes, rows=False):
    """List a base and what differs from it."""
    return [Setting(make(**{**base, **change}), rows) for change in ({}, *changes)]


def etc(**parameters):
    return EtCEncryptor(KEY, **parameters)


def le(**parameters):
    return LearnableEncryptor(KEY, **parameters)


def pe(**parameters):
    return PixelEncryptor(KEY, **parameters)


def ric(**parameters):
    return RICEncryptor(KEY, **parameters)


def published(**parameters):
    return PublishedRICEncryptor(KEY, **parameters)


def sealed(**parameters):
    return SealedEncryptor(KEY, **parameters)


def cloak(**parameters):
    return CloakEncryptor(KEY, **parameters)


def neuracrypt(**parameters):
    return NeuraCryptEncoder(KEY, **parameters)


def instahide(**parameters):
    return InstaHideEncryptor(KEY, **parameters)


TRAINING = {"epochs": 1, "batch_size": 60, "random_state": 0}
SHAPES = [{"image_shape": shape} for shape in ((16, 64, 3), (64, 16, 3), (32, 96), (96, 32))]

SETTINGS = [
    *vary(
        etc,
        {"block_size": 4},
        *({"block_size": 2}, {"block_size": 8}, {"per_block_keys": False}, {"rotate": False}),
        *({"permute": False}, {"negate": False}, {"shuffle_channels": False}, {"pad": True}),
        *({"grayscale": True}, {"grayscale": "ycbcr"}, {"per_image_keys": True}),
        *({"variant": "fugokidi2023"}, {"variant": "madono2020"}),
        *({"per_block_keys": False, "sub_block_size": side} for side in (1, 2)),
    ),
    *vary(etc, {"block_size": 8, **SHAPES[0]}, *SHAPES[1:], rows=True),
    *vary(pe, {}, {"shuffle_channels": False}, {"per_image_keys": True}),
    *vary(pe, {"per_image_keys": True, "shuffle_channels": False}),
    *vary(pe, SHAPES[0], *SHAPES[1:], rows=True),
    *vary(
        le,
        {},
        *({"block_size": 8}, {"block_size": 16}, {"per_block_keys": True}, {"pad": True}),
        *({"scramble_blocks": True}, {"reversal": "independent"}, {"per_image_keys": True}),
        *({"per_block_keys": True, "scramble_blocks": True},),
        *({"per_block_keys": True, "scramble_blocks": True, "reversal": "independent"},),
    ),
    *vary(le, SHAPES[0], *SHAPES[1:], rows=True),
    *vary(
        neuracrypt,
        {"width": 16, "depth": 1},
        *({"patch_size": 8}, {"width": 8}, {"depth": 2}, {"shuffle": False}),
    ),
    *vary(neuracrypt, {"width": 16, **SHAPES[0]}, *SHAPES[1:], rows=True),
    *vary(
        instahide,
        {},
        *({"k": 3}, {"largest_weight": 0.7}, {"private_weight": 0.4}),
    ),
    *vary(instahide, SHAPES[0], *SHAPES[1:], rows=True),
    *vary(
        cloak,
        {"classifier": LINEAR, "image_shape": (32, 32, 3), **TRAINING},
        *({"classifier": OTHER}, {"weight": 1.0}, {"largest": 2.0}, {"suppress": 0.5}),
        *({"epochs": 2}, {"batch_size": 30}, {"learning_rate": 0.02}, {"random_state": 1}),
        *SHAPES[:2],
        rows=True,
    ),
    *vary(
        ric,
        {"classifier": LINEAR, "image_shape": (32, 32, 3), "kappa": 0.0},
        *({"classifier": OTHER}, {"alpha": 0.5}, {"kappa": 0.01}, {"nonce": "random"}),
        *SHAPES[:2],
        rows=True,
    ),
    *vary(
        ric,
        {"classifier": LINEAR, "image_shape": (32, 32, 3), "weights": None, **TRAINING},
        *({"epochs": 2}, {"batch_size": 30}, {"learning_rate": 1e-3}, {"random_state": 1}),
        rows=True,
    ),
    *vary(
        published,
        {"classifier": LINEAR, "image_shape": (32, 32, 3), "alpha": 0.95, **TRAINING},
        *({"classifier": OTHER}, {"alpha": 0.96}, {"kappa": 4.0}, {"beta": 1.0}),
        *({"epochs": 2}, {"batch_size": 30}, {"learning_rate": 1e-3}, {"random_state": 1}),
        *SHAPES[:2],
        rows=True,
    ),
    *vary(
        sealed,
        {"classifier": LINEAR, "image_shape": (32, 32, 3), "kappa": 0.0, "bit_planes": 4},
        *({"classifier": OTHER}, {"kappa": 0.01}, {"bit_planes": 5}, {"codec": "jpegxl"}),
        *({"appearance": "compact"}, {"nonce": "random"}, *SHAPES[:2]),
        rows=True,
    ),
    *vary(
        sealed,
        {"classifier": NETWORK, "match": "proba", "tolerance": 0.9, "bit_planes": 4},
        *({"tolerance": 0.8}, {"match": "features"}),
        *({"match": "features", "feature_layer": "network.head"},),
    ),
]

# `unseal` opens with the key alone, so all sealed images have the keys of two ciphers in common.
# AES-SIV is deterministic: what comes out differs where the messages do, which is tested below.
CIPHER_KEYS = {("sealed/siv", b""), ("sealed/tag", b"")}


class Seen(NamedTuple):
    """What was derived from the key under a setting, and what was drawn of that."""

    contexts: set
    beginnings: set
    ciphertexts: np.ndarray


def run(setting, monkeypatch):
    """Fit and transform, and record every purpose and context."""
    contexts, X = set(), ROWS if setting.rows else IMAGES
    derive = SecretKey.derive

    def record(key, purpose, context=b"", length=32):
        contexts.add((purpose, bytes(context)))
        return derive(key, purpose, context, length)

    with monkeypatch.context() as patch:
        patch.setattr(SecretKey, "derive", record)
        # It takes long, and draws nothing secret.
        patch.setattr("ricsk.encryptors.ric._published.train", lambda *_, **__: [0.0])
        C = clone(setting.encryptor).fit(X).transform(X[:2])
    assert contexts
    contexts -= CIPHER_KEYS
    beginnings = {
        Keystream(derive(KEY, purpose, context), purpose).bytes(32) for purpose, context in contexts
    }
    return Seen(contexts, beginnings, np.asarray(C))


@pytest.fixture(scope="module")
def seen():
    with pytest.MonkeyPatch.context() as monkeypatch:
        return [run(setting, monkeypatch) for setting in SETTINGS]


def find_common(parts):
    """Name the pairs of settings that have something in common."""
    return [
        (i, j, SETTINGS[i].encryptor, SETTINGS[j].encryptor)
        for (i, first), (j, second) in itertools.combinations(enumerate(parts), 2)
        if first & second
    ]


def test_no_two_settings_share_a_stream(seen):
    assert find_common([found.contexts for found in seen]) == []


def test_no_stream_of_a_setting_begins_as_one_of_another(seen):
    assert find_common([found.beginnings for found in seen]) == []


def test_no_two_settings_of_sealed_images_encrypt_to_the_same(seen):
    """Neither the synthetic initialization vectors nor any block of AES are equal."""
    blocks = []
    for setting, found in zip(SETTINGS, seen, strict=True):
        stored = set()
        if isinstance(setting.encryptor, SealedEncryptor):
            levels = np.rint(found.ciphertexts * (255 if setting.rows else 1)).astype(np.uint8)
            for image in levels.reshape(2, -1):
                lowest = np.packbits(image & 1).tobytes()[16:]
                stored |= {lowest[i : i + 16] for i in range(0, len(lowest), 16)}
        blocks.append(stored)
    assert find_common(blocks) == []


@pytest.mark.parametrize(
    "kind", sorted({type(s.encryptor) for s in SETTINGS}, key=lambda kind: kind.__name__)
)
def test_every_parameter_is_varied(kind):
    given = [s.encryptor.get_params(deep=False) for s in SETTINGS if type(s.encryptor) is kind]
    for name in signature(kind).parameters.keys() - NO_SETTINGS:
        assert len({str(parameters[name]) for parameters in given}) > 1, name

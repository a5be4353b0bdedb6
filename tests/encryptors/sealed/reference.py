"""A second implementation of the format, after the user guide, one bit at a time."""

import hmac
import struct

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ricsk import SecretKey

RAW = bytes(range(32))
KEY = SecretKey(RAW)


def seal(key, carrier, bit_planes, message, mark=b"\x80"):
    """Write a message into the low planes of a carrier, which gives the other bits, and sign."""
    shape, values = carrier.shape, [int(value) for value in carrier.reshape(-1)]
    n = len(values)
    context = struct.pack("<IIIIB", *shape, n, bit_planes)
    room = n * bit_planes // 8 - 32
    assert len(message) < room
    padded = (message + mark).ljust(room, b"\x00")
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


def header(*, version=2, codec=0, scale=1, nonce=bytes(range(16))):
    return bytes([16 * version + codec, scale]) + nonce


def ramp(shape, step=1):
    """Values 0, step, 2 step, ... modulo 256."""
    return (step * np.arange(np.prod(shape))).astype(np.uint8).reshape(shape)


def carrier_of(shape):
    return ramp(shape, 37)

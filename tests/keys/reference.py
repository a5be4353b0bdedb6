"""A second implementation of keys, after the RFCs and the "Format" section of the user guide."""

import base64
import hashlib
import hmac
import itertools
import json
from pathlib import Path

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "keys.json").read_text("utf-8"))
RAW = bytes(range(32))


def hkdf(key, info, length, salt=b""):
    pseudorandom = hmac.digest(salt or bytes(32), key, "sha256")
    out, block = b"", b""
    while len(out) < length:
        counter = bytes([len(out) // 32 + 1])
        block = hmac.digest(pseudorandom, block + info + counter, "sha256")
        out += block
    return out[:length]


def chacha20_block(key, counter, nonce):
    words = b"expand 32-byte k" + key + counter.to_bytes(4, "little") + nonce
    start = [int.from_bytes(words[i : i + 4], "little") for i in range(0, 64, 4)]
    state = list(start)

    def rotate_xor(x, y, z, bits):  # x += y; z = (z ^ x) <<< bits
        state[x] = (state[x] + state[y]) % 2**32
        state[z] ^= state[x]
        state[z] = (state[z] << bits | state[z] >> (32 - bits)) % 2**32

    def quarter_round(a, b, c, d):
        rotate_xor(a, b, d, 16)
        rotate_xor(c, d, b, 12)
        rotate_xor(a, b, d, 8)
        rotate_xor(c, d, b, 7)

    for _ in range(10):
        for i in range(4):
            quarter_round(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter_round(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    out = ((x + y) % 2**32 for x, y in zip(state, start, strict=True))
    return b"".join(x.to_bytes(4, "little") for x in out)


class SlowStream:
    """One word at a time."""

    def __init__(self, raw, purpose, context):
        key = hkdf(raw, b"ricsk/1/" + purpose.encode() + b"\0" + context, 32)
        blocks = (chacha20_block(key, i, bytes(12)) for i in itertools.count())
        self._bytes = itertools.chain.from_iterable(blocks)

    def bytes(self, n):
        return bytes(itertools.islice(self._bytes, n))

    def word(self, width):
        return int.from_bytes(self.bytes(width), "little")

    def random(self, size):
        return [(self.word(8) >> 11) / 2**53 for _ in range(size)]

    def integers(self, high, size):
        width = next(b for b in (1, 2, 4, 8) if 256**b >= high)
        out = []
        while len(out) < size:
            word = self.word(width)
            if word < 256**width // high * high:
                out.append(word % high)
        return out

    def permutation(self, n):
        while True:
            words = [self.word(8) for _ in range(n)]
            if len(set(words)) == n:
                return sorted(range(n), key=words.__getitem__)

    def permutations(self, n, size):
        return [self.permutation(n) for _ in range(size)]


def slow_id(raw, salt):
    return hkdf(raw, b"ricsk/1 key id", 8).hex() + ("." + salt.hex() if salt else "")


def slow_text(raw, salt):
    checksum = hashlib.sha256(b"ricsk/1 checksum" + raw + salt).digest()[:4]
    text = "RICSK-KEY-1-" + base64.urlsafe_b64encode(raw + checksum).decode()
    return text + ("." + salt.hex() if salt else "")


def draw(source, method, *args):
    """What one draw gives, in the form that the vectors have."""
    out = getattr(source, method)(*args)
    if method == "bytes":
        return out.hex()
    out = out if isinstance(out, list) else out.tolist()
    return [x.hex() for x in out] if method == "random" else out

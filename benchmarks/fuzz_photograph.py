"""Attacks the reader of sealed photographs with what it must refuse, and counts what it does.

Single-bit flips; mutations of bytes (changed, cut out, repeated, spliced from another photograph)
and of chunks, with right check sums (exchanged, dropped, repeated, renamed, in another order, with
other content, cut into pieces that are exchanged); wrong keys; and nonsense that is authentic, as
only somebody with the key can make it. A crash is any exception but those by which a photograph is
refused, an opening anything that is returned. "Other words" are refusals in another message than
the one for all: the key id and the version, which stand in the file for everybody.
"""

from __future__ import annotations

import argparse
import io
import struct
import time
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from ricsk import SecretKey
from ricsk.codecs import read_image
from ricsk.exceptions import NewerFormatError, NotSealedError, WrongKeyError
from ricsk.files import open_photograph, seal_photograph
from ricsk.files._envelope import derive
from ricsk.files._png import SIGNATURE, ChunkReader, pack_chunk
from ricsk.files._stream import REFUSED, encrypt_segments

Chunks = list[tuple[bytes, bytes]]
rng = np.random.default_rng(0)


def make_photographs(key: SecretKey, n: int) -> list[bytes]:
    photographs = []
    for i in range(n):
        shape = (int(rng.integers(12, 24)), int(rng.integers(12, 24)), (1, 3)[i % 2])
        sealed = io.BytesIO()
        data = rng.bytes(int(rng.integers(2000)) if i % 4 else 70_000)
        image = rng.integers(0, 256, shape, np.uint8)
        seal_photograph(io.BytesIO(data), sealed, key=key, image=image)
        photographs.append(sealed.getvalue())
    return photographs


def split(data: bytes) -> Chunks:
    reader = ChunkReader(io.BytesIO(data[len(SIGNATURE) :]))
    return [(name, reader.read_all()) for name in reader]


def join(chunks: Chunks) -> bytes:
    return SIGNATURE + b"".join(pack_chunk(*chunk) for chunk in chunks)


def flip(photographs: list[bytes]) -> bytes:
    data = bytearray(photographs[rng.integers(len(photographs))])
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return bytes(data)


def mutate_bytes(data: bytes, other: bytes) -> bytes:
    place, n = int(rng.integers(len(data))), int(rng.integers(1, 300))
    changed = bytearray(data)
    match rng.integers(7):
        case 0:
            changed[place : place + n] = rng.bytes(min(n, len(data) - place))
        case 1:
            del changed[place:]
        case 2:
            del changed[place : place + n]
        case 3:
            changed[place:place] = changed[place : place + n]
        case 4:
            changed[place:] = other[place:]
        case 5:
            changed += rng.bytes(n)
        case _:
            changed[place : place + 4] = struct.pack(">I", int(rng.integers(2**32)))
    return bytes(changed)


def mutate_chunks(data: bytes, other: bytes) -> bytes:
    chunks, others = split(data), split(other)
    place = int(rng.integers(len(chunks)))
    name, content = chunks[place]
    match rng.integers(8):
        case 0:
            chunks[place] = name, mutate_bytes(content or b"\0", other)
        case 1:
            chunks[place] = others[min(place, len(others) - 1)]
        case 2:
            del chunks[place]
        case 3:
            chunks.insert(int(rng.integers(len(chunks))), chunks[place])
        case 4:
            chunks = [chunks[i] for i in rng.permutation(len(chunks))]
        case 5:
            known = (b"IHDR", b"riCM", b"IDAT", b"riCS", b"IEND", b"PLTE", b"tEXt", b"ABCD")
            chunks[place] = known[rng.integers(len(known))], content
        case 6:
            at = int(rng.integers(len(content) + 1))
            chunks[place : place + 1] = [(name, content[at:]), (name, content[:at])]
        case _:
            sides = (int(rng.integers(40)), 1 << int(rng.integers(32)))
            chunks[0] = b"IHDR", struct.pack(">2I5B", *sides, *rng.integers(0, 4, 5).tolist())
    return join(chunks)


def mutate(photographs: list[bytes]) -> bytes:
    """Change a photograph in one of many ways, into none that is to open.

    Without its original a photograph opens as a thumbnail, by design; and what does not change
    pixels, such as bytes behind the end of a compressed stream, changes nothing.
    """
    while True:
        first, second = (photographs[i] for i in rng.integers(len(photographs), size=2))
        kind = mutate_bytes if rng.integers(2) else mutate_chunks
        changed = kind(first, second)
        if changed not in photographs and not is_harmless(changed, photographs):
            return changed


def is_harmless(data: bytes, photographs: list[bytes]) -> bool:
    try:
        chunks = split(data)
    except (ValueError, struct.error):
        return False
    if data != join(chunks):
        return False
    names = [name for name, _ in chunks]
    if b"riCS" not in names:
        return True
    return any(_is_same(chunks, split(photograph)) for photograph in photographs)


def _is_same(chunks: Chunks, others: Chunks) -> bool:
    """Tell whether pixels, header and original are those of a photograph, however cut."""

    def gather(parts: Chunks, wanted: bytes) -> bytes:
        return b"".join(content for name, content in parts if name == wanted)

    if any(gather(chunks, name) != gather(others, name) for name in (b"riCM", b"riCS")):
        return False
    try:
        return np.array_equal(_read_pixels(chunks), _read_pixels(others))
    except ValueError:
        return False


def make_nonsense(key: SecretKey, photographs: list[bytes]) -> bytes:
    chunks = split(photographs[rng.integers(len(photographs))])
    pixels = _read_pixels(chunks)
    header = dict(chunks)[b"riCM"]
    salt = rng.bytes(16)
    file_key, commitment = derive(key, header, salt, pixels)
    length = int(rng.choice([0, 5, 20, 300, 60_000, 2**32 - 1]))
    known = (b'{"name":1}', b"[" * 70, b"{}", rng.bytes(30), b'{"name":"a/b"}')
    details = known[rng.integers(len(known))]
    plaintext = io.BytesIO(struct.pack("<I", length if rng.integers(2) else len(details)) + details)
    content = salt + commitment + b"".join(encrypt_segments(file_key, plaintext.read))
    kept = [chunk for chunk in chunks if chunk[0] not in (b"riCS", b"IEND")]
    return join([*kept, (b"riCS", content), (b"IEND", b"")])


def _read_pixels(chunks: Chunks) -> np.ndarray:
    public = [chunk for chunk in chunks if chunk[0] in (b"IHDR", b"IDAT", b"IEND")]
    return read_image(join(public))


def count(name: str, inputs: Iterable[tuple[bytes, SecretKey]]) -> None:
    """Try to open every input, and print what happened."""
    found: Counter[str] = Counter()
    longest, start, n = 0.0, time.perf_counter(), 0
    for data, key in inputs:
        n += 1
        before = time.perf_counter()
        try:
            open_photograph(io.BytesIO(data), key)
            found["openings"] += 1
        except NotSealedError as error:
            found["refusals" if str(error) == REFUSED else "other words"] += 1
        except (NewerFormatError, WrongKeyError):
            found["other words"] += 1
        except Exception as error:
            found["crashes"] += 1
            print("   ", repr(error)[:200])
        longest = max(longest, time.perf_counter() - before)
    print(
        f"{name:16} {n:8,} inputs, {found['refusals']:8,} refusals, {found['other words']} in "
        f"other words, {found['crashes']} crashes, {found['openings']} openings, longest "
        f"{1000 * longest:.1f} ms, {time.perf_counter() - start:.0f} s in all",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutated", type=int, default=100_000)
    parser.add_argument("--flipped", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--nonsense", type=int, default=10_000)
    args = parser.parse_args()
    key = SecretKey.generate()
    photographs = make_photographs(key, 16)
    for data in photographs:
        open_photograph(io.BytesIO(data), key)  # or the rest would show nothing
    print(f"{len(photographs)} photographs open with their key")
    count("single-bit flips", ((flip(photographs), key) for _ in range(args.flipped)))
    count("mutated", ((mutate(photographs), key) for _ in range(args.mutated)))
    count("wrong keys", use_wrong_keys(photographs, args.keys))
    count("nonsense", ((make_nonsense(key, photographs), key) for _ in range(args.nonsense)))


def use_wrong_keys(photographs: list[bytes], n: int) -> Iterator[tuple[bytes, SecretKey]]:
    """Give other keys, to files that say that they are theirs."""
    for i in range(n):
        other = SecretKey.generate()
        chunks = split(photographs[i % len(photographs)])
        theirs = dict(chunks)[b"riCM"].replace(
            dict(chunks)[b"riCM"].split(b'"key_id":"')[1][:16], other.key_id.encode()
        )
        lying = [(name, theirs if name == b"riCM" else data) for name, data in chunks]
        yield join(lying), other


if __name__ == "__main__":
    main()

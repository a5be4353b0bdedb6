"""What a case of the kit is, and how the cases are kept as files."""

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "cases"
INDEX = FOLDER / "cases.json"

OPENS, REFUSED, NEWER, WRONG_KEY = "opens", "refused", "newer", "wrong key"


@dataclass
class Case:
    """A file, a key, and what a reader has to make of them.

    Parameters
    ----------
    name : str
        Of the case, and of its file.
    key : str
        The text form of a key.
    data : bytes
        The file.
    expect : {"opens", "refused", "newer", "wrong key"}
        The outcome.
    comment : str
        Why.
    result : dict
        If it opens, what comes out.
    needs : str, optional
        The codec without which a reader cannot run it.
    signers : list of str, optional
        The text forms of the keys that a reader is to ask for.
    """

    name: str
    key: str
    data: bytes
    expect: str
    comment: str
    result: dict = field(default_factory=dict)
    needs: str | None = None
    signers: list | None = None

    @property
    def kind(self):
        return self.name.partition("-")[0]

    def describe(self):
        described = {
            "name": self.name,
            "kind": self.kind,
            "file": f"{self.name}.png",
            "key": self.key,
            "expect": self.expect,
            "comment": self.comment,
        }
        if self.needs is not None:
            described["needs"] = self.needs
        if self.signers is not None:
            described["signers"] = self.signers
        return {**described, **self.result}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def describe_image(image):
    return {"shape": list(image.shape), "sha256": digest(image.tobytes())}


def pack_chunk(name, content):
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def to_png(pixels):
    """Make a PNG file without a compressor whose versions differ."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    ihdr = struct.pack(">2I5B", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    chunks = [(b"IHDR", ihdr), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pack_chunk(*each) for each in chunks)


def write_all(cases, folder=FOLDER):
    """Write the files and the index; remove what is no case any more."""
    assert len({case.name for case in cases}) == len(cases)
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for case in cases:
        (folder / f"{case.name}.png").write_bytes(case.data)
    index = [case.describe() for case in cases]
    (folder / INDEX.name).write_text(json.dumps(index, indent=1) + "\n")

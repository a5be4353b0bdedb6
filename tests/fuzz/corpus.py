"""Files that the readers read, small ones of every kind."""

import base64
import io
import json
import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import skops.io
from PIL import Image
from sklearn.linear_model import LogisticRegression

from ricsk import (
    CNNClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SecretKey,
    export_onnx,
)
from ricsk.cloud import CloudHalf
from ricsk.cloud._protocol import Tensor, encode_message
from ricsk.files import encode_ciphertexts
from ricsk.keys import PrivateKey, SigningKey
from ricsk.keys._hpke import KEMS
from ricsk.keys._text import format_file, format_line
from ricsk.search import ImageIndex
from tests.pretrained.networks import write_onnx
from tests.search.readers import Reader
from tests.testkit.kit import FOLDER, INDEX, OPENS

KEY = SecretKey(bytes(range(32)))
rng = np.random.default_rng(0)
GREY, COLOUR = (rng.integers(0, 256, (4, 16, 16, n), np.uint8) for n in (1, 3))
LARGE = rng.integers(0, 256, (1, 48, 48, 3), np.uint8)  # so that there are many keys


@cache
def list_cases(kind, key):
    """List the files of the kit that open with a key."""
    return [
        (FOLDER / case["file"]).read_bytes()
        for case in json.loads(INDEX.read_text())
        if (case["kind"], case["key"], case["expect"]) == (kind, key, OPENS)
        and case.get("needs") != "jpegxl"
    ]


def find_private_key(kind):
    """Find the private key for which the kit has most files of a kind."""
    keys = [
        case["key"]
        for case in json.loads(INDEX.read_text())
        if case["kind"] == kind and case["key"].startswith("RICSK-PRIVATE-")
    ]
    return PrivateKey.from_text(max(set(keys), key=keys.count))


def make_images():
    files = []
    for format, options in (
        ("PNG", {}),
        ("JPEG", {"quality": 90}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("JPEG2000", {}),
        ("AVIF", {}),
    ):
        file = io.BytesIO()
        Image.fromarray(COLOUR[0]).save(file, format, **options)
        files.append(file.getvalue())
    return files


def make_etc():
    return EtCEncryptor(KEY, block_size=8).fit(LARGE)


def make_ciphertexts():
    encryptor = make_etc()
    C = encryptor.transform(LARGE)
    options = {"format": "jpeg", "quality": 90, "subsampling": "4:4:4"}
    return [
        *encode_ciphertexts(C, encryptor),
        *encode_ciphertexts(C, encryptor, format="webp"),
        *encode_ciphertexts(C, encryptor, **options),
    ]


def make_pictures():
    encryptors = [PixelEncryptor(KEY), LearnableEncryptor(KEY), EtCEncryptor(KEY, block_size=4)]
    fitted = [encryptor.fit(LARGE) for encryptor in encryptors]
    return [file for each in fitted for file in encode_ciphertexts(each.transform(LARGE), each)]


def make_ric():
    labels = [0, 1, 0, 1]
    classifier = LogisticRegression().fit(GREY.reshape(4, -1) / 255, labels)
    encryptor = RICEncryptor(KEY, classifier, flatten=True, image_shape=(16, 16, 1))
    return encryptor.fit(GREY.reshape(4, -1) / 255, labels)


def make_key_texts():
    salted = format_line(bytes(range(32)), bytes(range(16)))
    return [KEY.reveal().encode(), salted.encode()]


def make_key_files():
    text = format_file(KEY.key_id, KEY.reveal())
    return [text.encode(encoding) for encoding in ("utf-8", "utf-16", "utf-16-be", "utf-32-le")]


def make_private_keys():
    return [PrivateKey.generate(kind).reveal().encode() for kind in KEMS]


def make_public_keys():
    return [PrivateKey.generate(kind).public_key.text.encode() for kind in KEMS]


def make_signing_keys():
    return [SigningKey.generate().reveal().encode()]


def make_verifying_keys():
    return [SigningKey.generate().verifying_key.text.encode()]


def make_model_files():
    X, y = COLOUR[..., :8, :], [0, 1, 0, 1]
    network = CNNClassifier(width=2, depth=1, epochs=1, random_state=0).fit(X[:, :8], y)
    return [skops.io.dumps(network), skops.io.dumps(CloudHalf(network))]


def make_onnx_files():
    X, y = COLOUR[:, :8, :8], [0, 1, 0, 1]
    network = CNNClassifier(width=2, depth=1, epochs=1, random_state=0).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(network, path := Path(folder, "model.onnx"))
        return [path.read_bytes()]


def make_onnx_networks():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        return [
            write_onnx(path, softmax=softmax, channels_last=softmax).read_bytes()
            for softmax in (False, True)
        ]


def make_messages():
    """Make requests and answers, each behind the number of its bytes of JSON."""
    file = make_images()[0]
    messages = []
    for content, sent_as_bytes in (
        (base64.b64encode(file), ()),
        (file, ("images", "files")),
        (file, ("ids", "p", "images", "files")),
    ):
        tensors = [
            Tensor("images", "UINT8", COLOUR[:1]),
            Tensor("ids", "INT64", np.arange(3)),
            Tensor("p", "FP32", np.array([[0.5, 1.0]], np.float32)),
            Tensor("files", "BYTES", np.array([content, content], object)),
        ]
        body, length = encode_message({"id": "1"}, "inputs", tensors, sent_as_bytes.__contains__)
        messages.append(pack_message(body, length))
    return messages


def pack_message(body, length):
    return struct.pack("<i", -1 if length is None else int(length)) + body


def unpack_message(data):
    (length,) = struct.unpack("<i", data[:4].ljust(4, b"\0"))
    return data[4:], None if length == -1 else str(length)


def make_index_files():
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("numbers", "texts")]
        for path, ids in zip(paths, ([7, 1, 4, 2], list("abcd")), strict=True):
            with ImageIndex(Reader(), path) as index:
                index.add(COLOUR, ids)
        return [path.read_bytes() for path in paths]


def make_packs():
    files = []
    for image in COLOUR:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG")
        files.append(file.getvalue())
    pack = io.BytesIO()
    np.savez(
        pack,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        labels=[0, 1, 1, 0],
        classes=["night", "day"],
    )
    return [pack.getvalue()]

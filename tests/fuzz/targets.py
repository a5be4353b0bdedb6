"""All readers of what anybody may have written, one target each."""

import io
import tempfile
import warnings
from functools import cache, partial
from pathlib import Path

import numpy as np
from sklearn.exceptions import NotFittedError

from ricsk import PretrainedClassifier, SecretKey, unseal
from ricsk.cloud._images import ImageReader
from ricsk.cloud._limits import Limits
from ricsk.cloud._protocol import decode_message
from ricsk.cloud.serve import load_model
from ricsk.codecs import read_image
from ricsk.datasets import load_packed
from ricsk.files import (
    CiphertextHeader,
    decrypt_picture,
    open_photograph,
    read_ciphertexts,
    read_header,
)
from ricsk.keys import PrivateKey, PublicKey, SigningKey, VerifyingKey
from ricsk.search import ImageIndex
from tests.files.reference import join_chunks
from tests.fuzz import corpus, forgeries
from tests.fuzz.corpus import KEY
from tests.fuzz.mutations import (
    mutate_bytes,
    mutate_chunks,
    mutate_json,
    mutate_pixels,
    mutate_zip,
    replace_pixels,
    split_png,
)
from tests.fuzz.target import Target
from tests.search.readers import Reader

PNG = mutate_bytes, mutate_chunks, mutate_pixels


def describe(array):
    return array.shape, str(array.dtype), array.tobytes()


def read_sealed(key, data):
    """Unseal an image; to pixels that were changed belongs no image, whatever it is."""
    C = read_image(data)
    return describe(unseal(C[None], key)[0]), describe(C)


def open_file(key, data):
    opened = open_photograph(io.BytesIO(data), key)
    original = (opened.data, opened.name) if opened.found == "original" else None
    return original, describe(opened.thumbnail), describe(read_image(data))


def list_photographs(key):
    """List photographs, and what is left of them without their originals: it opens, too."""
    files = corpus.list_cases("photograph", key.reveal())
    left = [[chunk for chunk in split_png(file) if chunk[0] != b"riCS"] for file in files]
    return [*files, *map(join_chunks, left)]


def mutate_message(data, other, chance):
    """Change the JSON of a message by its values, and tell its length."""
    body, length = corpus.unpack_message(data)
    n = len(body) if length is None else int(length)
    text = mutate_json(body[:n], other, chance)
    return corpus.pack_message(text + body[n:], length and len(text))


def read_message(data):
    body, length = corpus.unpack_message(data)
    _, tensors = decode_message(body, length, "inputs")
    for tensor in tensors:
        if tensor.name == "files":
            ImageReader("a", (-1, -1, 3), Limits(max_values=10**6)).read(tensor)
    return tuple((tensor.name, tensor.datatype, repr(tensor.values)) for tensor in tensors)


def read_ric(data):
    """Decrypt what nothing authenticates: a warning is all that tells of other keys and changes."""
    pixels = read_image(data).reshape(1, -1) / 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the answer that nothing authenticates
        return describe(find_ric().inverse_transform(pixels))


@cache
def find_ric():
    return corpus.make_ric()


@cache
def find_etc():
    return corpus.make_etc()


def make_ric_files():
    encryptor = find_ric()
    C = encryptor.transform(corpus.GREY.reshape(4, -1) / 255)
    levels = encryptor.value_range_.to_uint8(C).reshape(4, 16, 16)
    return [replace_pixels(b"", pixels) for pixels in levels]


def read_ciphertext(data):
    """Read it as the cloud does and as its owner does, who has an encryptor to compare with."""
    header = read_header(data)
    found = [describe(read_ciphertexts(data, encryptor)) for encryptor in (None, find_etc())]
    return repr(header), *found


def decrypt_by_header(data):
    """Decrypt by what anybody has written: few keys are all that a small picture leaves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return describe(decrypt_picture(io.BytesIO(data), KEY))


def make_headers():
    files = [*corpus.make_ciphertexts(), *corpus.list_cases("photograph", KEY.reveal())]
    return sorted({read_header(file).to_bytes() for file in files if b"riCM" in file})


def read_plain_header(data):
    return CiphertextHeader.from_bytes(data).to_bytes()


def read_key_text(cls, data):
    key = cls.from_text(data.decode("utf-8", "surrogateescape"))
    return key.reveal() if hasattr(key, "reveal") else key.text


def read_stored(data, name, read):
    """Write bytes to a file, and read that."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        path.chmod(0o600)
        return read(path)


def read_index(path):
    with ImageIndex(Reader(), path) as index:
        ids = index.ids.tolist()
        found = index.query_features(np.ones((1, 4)), k=2) if ids else None
        return tuple(ids), found and tuple(describe(image) for image in found.images[0])


def ask_model(path):
    model = load_model(path)
    try:
        return describe(model.predict(corpus.COLOUR[:, :8, :8]))
    except NotFittedError:  # a model of which what it has learnt was left out
        return None


def ask_network(path):
    network = PretrainedClassifier.from_onnx(path, gradients=False)
    return describe(network.decision_function(corpus.COLOUR[:, :8, :8]))


def read_pack(path):
    X, y, classes = load_packed(path.parent, "a", "test")
    return describe(X), describe(y), tuple(classes)


def stored(name, read):
    return partial(read_stored, name=name, read=read)


PRIVATE_IMAGES, PRIVATE_PHOTOGRAPHS = map(corpus.find_private_key, ("image", "photograph"))

TARGETS = [
    Target("images", lambda data: describe(read_image(data)), corpus.make_images, (mutate_bytes,)),
    Target(
        "sealed images",
        partial(read_sealed, KEY),
        partial(corpus.list_cases, "image", KEY.reveal()),
        PNG,
        forgeries.forge_sealed_image,
        authentic=True,
    ),
    Target(
        "sealed images for recipients",
        partial(read_sealed, PRIVATE_IMAGES),
        partial(corpus.list_cases, "image", PRIVATE_IMAGES.reveal()),
        PNG,
        authentic=True,
    ),
    Target(
        "sealed photographs",
        partial(open_file, KEY),
        partial(list_photographs, KEY),
        PNG,
        forgeries.forge_photograph,
        authentic=True,
    ),
    Target(
        "sealed photographs for recipients",
        partial(open_file, PRIVATE_PHOTOGRAPHS),
        partial(list_photographs, PRIVATE_PHOTOGRAPHS),
        PNG,
        authentic=True,
    ),
    Target("headers", read_plain_header, make_headers, (mutate_bytes, mutate_json)),
    Target("ciphertext files", read_ciphertext, corpus.make_ciphertexts, PNG),
    Target("encrypted pictures", decrypt_by_header, corpus.make_pictures, PNG),
    Target("RIC ciphertexts", read_ric, make_ric_files, PNG),
    Target(
        "keys as text",
        partial(read_key_text, SecretKey),
        corpus.make_key_texts,
        (mutate_bytes,),
        forgeries.forge_key,
        authentic=True,
    ),
    Target(
        "key files",
        stored("a.key", lambda path: SecretKey.from_file(path).reveal()),
        corpus.make_key_files,
        (mutate_bytes,),
        authentic=True,
    ),
    *(
        Target(
            name,
            partial(read_key_text, cls),
            make,
            (mutate_bytes,),
            forgeries.forge_pair_key(*cls._MARKS.values()),
            authentic=True,
        )
        for name, cls, make in (
            ("private keys", PrivateKey, corpus.make_private_keys),
            ("public keys", PublicKey, corpus.make_public_keys),
            ("signing keys", SigningKey, corpus.make_signing_keys),
            ("verifying keys", VerifyingKey, corpus.make_verifying_keys),
        )
    ),
    Target("requests", read_message, corpus.make_messages, (mutate_bytes, mutate_message)),
    Target("index files", stored("a.index", read_index), corpus.make_index_files, (mutate_bytes,)),
    Target(
        "packs",
        stored("a_jpeg_test.npz", read_pack),
        corpus.make_packs,
        (mutate_bytes, mutate_zip),
    ),
    Target(
        "models of skops",
        stored("a.skops", ask_model),
        corpus.make_model_files,
        (mutate_bytes, mutate_zip),
    ),
    Target("models of ONNX", stored("a.onnx", ask_model), corpus.make_onnx_files, (mutate_bytes,)),
    Target(
        "networks of ONNX",
        stored("a.onnx", ask_network),
        corpus.make_onnx_networks,
        (mutate_bytes,),
    ),
]

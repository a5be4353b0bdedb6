"""What is left of ciphertexts after what services do to files."""

import csv
from functools import partial
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from ricsk import (
    EtCEncryptor,
    JPEGCodec,
    LearnableEncryptor,
    PixelEncryptor,
    PrivateKey,
    SealedEncryptor,
    SecretKey,
)
from ricsk.datasets import load_photos
from ricsk.files import survives
from ricsk.metrics import (
    ByteLimit,
    FileTransport,
    LeastSide,
    StripChunks,
    StripMetadata,
    Transcode,
    cast_to_bfloat16,
    convert_colours,
    resize_and_back,
)
from tests.files.test_ciphertexts import CLASSIFIER, NUMBERS, ROWS

ROOT = Path(__file__).parents[2]
KEY = SecretKey(bytes(range(32)))
PHOTOS = load_photos(size=(64, 80))
SEALED = SealedEncryptor(KEY, CLASSIFIER, kappa=0).fit(ROWS[:5])
ETC = EtCEncryptor(KEY, block_size=16).fit(PHOTOS)
LOSSLESS = [Transcode(format) for format in ("png", "webp", "jpeg2000", "htj2k")]


def name(transport):
    """Name a transport alike in all processes."""
    function = getattr(transport, "func", transport)
    return getattr(function, "__name__", repr(transport))


class Zero:
    """Reads everything as the same."""

    def predict(self, X):
        return np.zeros(len(X), int)


class Brightest:
    """Reads an image by the place of its brightest value, which any change moves."""

    def predict(self, X):
        return np.reshape(X, (len(X), -1)).argmax(axis=1)


@pytest.mark.parametrize("transport", [StripMetadata(), ByteLimit(10**6), LeastSide(32)], ids=name)
def test_a_file_that_passes_whole_is_bit_exact(transport):
    found = survives(SEALED, ROWS[:2], transport, classifier=CLASSIFIER)
    assert found.images == ("bit-exact",) * 2
    assert found.psnr == np.inf
    assert found.agreement == 1


@pytest.mark.parametrize("transport", [*LOSSLESS, StripChunks(), cast_to_bfloat16], ids=name)
def test_pixels_alone_leave_the_thumbnail_of_a_photograph_and_all_of_others(transport):
    found = survives(SEALED, ROWS[:2], transport, classifier=CLASSIFIER)
    assert (found.left, found.psnr, found.agreement) == ("thumbnail", None, 1)
    grey = PHOTOS[..., :1]
    for encryptor, X in ((ETC, PHOTOS), (PixelEncryptor(KEY).fit(grey), grey)):
        found = survives(encryptor, X, transport)
        assert (found.left, found.psnr, found.agreement) == ("bit-exact", np.inf, None)


@pytest.mark.parametrize("transport", [ByteLimit(2000), LeastSide(33)], ids=name)
def test_a_refused_file_leaves_nothing(transport):
    found = survives(SEALED, ROWS[:2], transport, classifier=Zero())
    assert (found.images, found.psnr, found.agreement) == (("nothing",) * 2, None, 0)


CHANGES = [
    JPEGCodec(90),
    partial(resize_and_back, scale=0.5),
    partial(convert_colours, to="L"),
]


@pytest.mark.parametrize("transport", CHANGES, ids=name)
def test_changed_pixels_leave_a_prediction_at_most(transport):
    assert survives(SEALED, ROWS[:2], transport).left == "nothing"
    found = survives(SEALED, ROWS[:2], transport, classifier=Zero())
    assert (found.images, found.agreement) == (("prediction",) * 2, 1)
    found = survives(SEALED, ROWS[:2], transport, classifier=Brightest())
    assert found.left == "nothing"
    assert found.agreement < 1


def test_etc_bears_jpeg_and_other_schemes_do_not():
    found = survives(ETC, PHOTOS, JPEGCodec(90))
    assert found.left == "close"
    arrived = JPEGCodec(90).fit_transform(ETC.transform(PHOTOS))
    difference = ETC.inverse_transform(arrived).astype(float) - PHOTOS
    by_hand = 10 * np.log10(255**2 / np.square(difference).mean(axis=(1, 2, 3))).mean()
    np.testing.assert_allclose(found.psnr, by_hand)
    assert survives(LearnableEncryptor(KEY).fit(PHOTOS), PHOTOS, JPEGCodec(90)).left == "nothing"
    assert survives(ETC, PHOTOS, JPEGCodec(1)).left == "nothing"


class DamageFirst(FileTransport):
    """Makes another image of the first file."""

    def __init__(self):
        self.n_files = 0

    def carry(self, file):
        self.n_files += 1
        return Transcode().carry(file) if self.n_files == 1 else file


def test_the_least_of_all_images_counts():
    found = survives(SEALED, ROWS[:3], DamageFirst())
    assert found.images == ("thumbnail", "bit-exact", "bit-exact")
    assert found.left == "thumbnail"


def test_rows_and_padding_and_schemes_without_a_way_back():
    rows = NUMBERS.reshape(60, -1) / np.float32(255)
    of_rows = PixelEncryptor(KEY, image_shape=(32, 32, 3)).fit(rows)
    to_rows = PixelEncryptor(KEY, flatten=True).fit(NUMBERS)
    for encryptor, X in ((of_rows, rows), (to_rows, NUMBERS)):
        found = survives(encryptor, X[:2], StripChunks(), classifier=CLASSIFIER)
        assert (found.left, found.psnr, found.agreement) == ("bit-exact", np.inf, 1)
    padded = EtCEncryptor(KEY, pad=True).fit(PHOTOS[:, :57, :70])
    assert survives(padded, PHOTOS[:, :57, :70], JPEGCodec(95)).left == "close"
    lost = EtCEncryptor(KEY, block_size=8, variant="madono2020", shuffle_channels=True).fit(NUMBERS)
    assert survives(lost, NUMBERS[:2], Transcode()).psnr is None
    found = survives(lost, NUMBERS[:2], JPEGCodec(95), classifier=Zero())
    assert (found.left, found.psnr) == ("prediction", None)


def test_the_table_of_the_guide_is_what_was_measured():
    guide = (ROOT / "docs/guide/survives.rst").read_text(encoding="utf-8")
    _, _, table = guide.partition(":name: survives-table\n\n")
    rows = list(csv.reader(dedent(table.partition("\n\n")[0]).splitlines(), delimiter=";"))
    with (ROOT / "benchmarks/results/survives.csv").open(encoding="utf-8") as file:
        measured = {(row["transport"], row["scheme"]): row for row in csv.DictReader(file)}
    (_, *schemes), *lines = rows
    assert len(measured) == len(schemes) * len(lines) > 100
    for transport, *cells in lines:
        for scheme, cell in zip(schemes, cells, strict=True):
            row = measured[transport, scheme]
            agreement = float(row["agreement"])
            if row["left"] == "close":
                assert cell == f"close, {float(row['psnr']):.0f} dB"
            elif row["left"] == "nothing" and agreement > 0:
                assert cell == f"{100 * agreement:.0f} %"
            else:
                assert cell == row["left"]


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(NotFittedError):
        survives(PixelEncryptor(KEY), PHOTOS, Transcode())
    with pytest.raises(TypeError, match="not an encryptor whose files are known"):
        survives(FrozenEstimator(CLASSIFIER), PHOTOS, Transcode())
    with pytest.raises(TypeError, match="neither callable nor a transformer nor a FileTransport"):
        survives(ETC, PHOTOS, "jpeg")
    with pytest.raises(ValueError, match=r"holds images of 32×32.*fitted on those of 64×80"):
        survives(ETC, NUMBERS, Transcode())
    public = PrivateKey.generate().public_key
    sealed = SealedEncryptor(None, CLASSIFIER, kappa=0, recipients=[public]).fit(ROWS[:5])
    with pytest.raises(ValueError, match="seals for recipients, and cannot open"):
        survives(sealed, ROWS[:2], Transcode())

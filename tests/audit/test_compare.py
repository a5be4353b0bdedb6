from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import EtCEncryptor, PixelEncryptor, RICEncryptor, SecretKey
from ricsk.audit import compare
from ricsk.datasets import load_digits
from tests.audit.noise import NoiseEncryptor

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=16)
X, Y = X[:600], Y[:600]
FLAT = X.reshape(600, -1) / 255
LINEAR = LogisticRegression(max_iter=300)


class Discloses(NoiseEncryptor):
    """Says of itself that its ciphertexts tell probabilities."""

    @property
    def _encryptor_tags(self):
        return replace(super()._encryptor_tags, discloses="proba")


@pytest.fixture(scope="module")
def table():
    schemes = {
        "PE": PixelEncryptor(KEY),
        "noise": NoiseEncryptor(KEY),
        "RIC": RICEncryptor(KEY),
    }
    return compare(schemes, X / 255.0, Y, classifier=LINEAR, random_state=0).set_index("scheme")


def test_accuracy(table):
    # A linear classifier is indifferent to negation, and reads nothing in noise.
    assert table["accuracy"]["PE"] > 0.85
    assert abs(table["accuracy_drop"]["PE"]) < 0.05
    assert table["accuracy"]["noise"] < 0.25
    assert table["accuracy_drop"]["noise"] > 0.7
    assert table["accuracy_drop"]["RIC"] == 0
    assert table["learns_on"].tolist() == ["ciphertexts", "ciphertexts", "plain"]


def test_what_comes_back(table):
    assert table["recoverable"]["PE"] == "exactly"
    assert table["recoverable"]["noise"] == "no"
    assert float(table["recoverable"]["RIC"].removesuffix(" dB")) > 40
    assert np.isnan(table["decrypt_ms"]["noise"])
    assert (table["encrypt_ms"] > 0).all()


def test_what_is_told_apart(table):
    assert table["told_apart"][["PE", "noise"]].tolist() == ["yes", "not found"]
    mixed = compare([Discloses(KEY)], X, Y, classifier=LINEAR, random_state=0)
    assert mixed["told_apart"].tolist() == ["not tried"]


def test_sizes(table):
    assert table["plain_png_bytes"].nunique() == 1
    assert table["png_bytes"]["noise"] > 256
    assert table["png_bytes"]["noise"] > table["png_bytes"]["PE"] > table["plain_png_bytes"]["PE"]
    assert table["jpeg_bytes"]["noise"] > table["plain_jpeg_bytes"]["noise"]


def test_key_bits(table):
    assert table["key_bits"]["PE"] == 256
    assert np.isnan(table["key_bits"]["RIC"])
    few = compare([EtCEncryptor(KEY, block_size=8)], X, Y, classifier=LINEAR, random_state=0)
    assert few["key_bits"].tolist() == [
        pytest.approx(EtCEncryptor(KEY, block_size=8).fit(X).key_space_bits())
    ]


def test_an_encryptor_keeps_its_own_classifier():
    own = FrozenEstimator(LINEAR.fit(FLAT, Y))
    schemes = {"RIC": RICEncryptor(KEY, own, image_shape=(16, 16))}
    other = LogisticRegression(C=1e-12)
    table = compare(schemes, FLAT, Y, classifier=other, random_state=0)
    assert table["accuracy"][0] > 0.95


def test_a_seed_gives_the_same_accuracy():
    schemes = [PixelEncryptor(KEY)]
    first, second = (
        compare(schemes, X, Y, classifier=LINEAR, random_state=1)["accuracy"] for _ in range(2)
    )
    assert first.equals(second)


def test_flat_ciphertexts_and_a_data_frame():
    schemes = {
        flatten: PixelEncryptor(KEY, flatten=flatten, image_shape=(16, 16))
        for flatten in (False, True)
    }
    columns = ["accuracy", "png_bytes", "recoverable", "key_bits"]
    for images in (X / 255, pd.DataFrame(FLAT)):
        table = compare(schemes, images, Y, classifier=LINEAR, random_state=0)[columns]
        assert table.iloc[0].equals(table.iloc[1].rename(0))


def test_refuses_what_is_not_an_encryptor():
    with pytest.raises(TypeError, match="is not a ricsk encryptor"):
        compare([LINEAR], X, Y)

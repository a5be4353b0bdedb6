"""`PrivateIndex`: images are sealed here, found elsewhere, and opened here."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from ricsk import CNNClassifier, EtCEncryptor, SealedEncryptor, SecretKey
from ricsk.cloud import CloudHalf
from ricsk.datasets import make_street_numbers
from ricsk.exceptions import NotSealedError
from ricsk.search import ImageIndex, PrivateIndex

KEY = SecretKey(bytes(range(32)))
X, y = make_street_numbers(140, size=32, random_state=0)
CLASSIFIER = CNNClassifier(width=8, epochs=2, random_state=0).fit(X, y)
# This network finds all of these images alike.
ENCRYPTOR = SealedEncryptor(KEY, FrozenEstimator(CLASSIFIER), match="features", tolerance=1e-4).fit(
    X[:60]
)


@pytest.fixture(scope="module")
def private():
    with ImageIndex(CloudHalf(CLASSIFIER)) as index:
        private = PrivateIndex(ENCRYPTOR, index)
        private.add(X[:20])
        yield private


def test_the_index_has_ciphertexts_alone(private):
    found = private.index.query_features(CLASSIFIER.features(X[:20]), k=1)
    assert (found.ids[:, 0] == np.arange(20)).mean() > 0.8
    for row, id_ in zip(found.images, found.ids[:, 0], strict=True):
        assert abs(row[0].astype(int) - X[id_]).mean() > 40
    assert "PrivateIndex" not in repr(vars(private.index))


@pytest.mark.parametrize("sealed", [False, True])
def test_images_are_found_and_opened(private, sealed):
    C = ENCRYPTOR.transform(X[3:6]) if sealed else X[3:6]
    found = private.query(C, k=4, sealed=sealed)
    assert found.ids[:, 0].tolist() == [3, 4, 5]
    for ids, images in zip(found.ids, found.images, strict=True):
        np.testing.assert_array_equal(np.stack(images), X[ids])


def test_plain_images_do_not_leave(private, monkeypatch):
    monkeypatch.setattr(ImageIndex, "query", None)
    assert private.query(X[3:4], k=1).ids.tolist() == [[3]]


def test_an_empty_index_is_asked():
    with ImageIndex(CLASSIFIER) as index:
        assert PrivateIndex(ENCRYPTOR, index).query(X[:1]).images == [[]]


def test_another_key_opens_nothing(private):
    other = PrivateIndex(ENCRYPTOR.with_key(SecretKey.generate()), private.index)
    with pytest.raises(NotSealedError):
        other.query(X[:1])


def test_images_are_sorted_by_their_own_features(private):
    """The index sorts by features of ciphertexts, which are a little off."""
    vectors = CLASSIFIER.features(X[:60])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = 1 - vectors[30:] @ vectors[:20].T
    found = PrivateIndex(ENCRYPTOR, private.index, oversampling=4).query(X[30:60], k=5)
    np.testing.assert_array_equal(found.ids, np.argsort(distances, axis=1)[:, :5])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :5], atol=1e-5)
    for ids, images in zip(found.ids, found.images, strict=True):
        np.testing.assert_array_equal(np.stack(images), X[ids])
    unsorted = PrivateIndex(ENCRYPTOR, private.index, oversampling=1).query(X[30:60], k=5)
    assert not np.array_equal(unsorted.ids, found.ids)


@pytest.mark.parametrize("oversampling", [0, 1.5])
def test_oversampling_is_a_number(private, oversampling):
    with pytest.raises(ValueError, match="expected a whole number"):
        PrivateIndex(ENCRYPTOR, private.index, oversampling=oversampling)


def test_images_that_are_too_small_are_refused():
    small = X[:40, :8, :8]
    network = CNNClassifier(width=4, depth=1, epochs=1, random_state=0)
    encryptor = SealedEncryptor(KEY, network, match="features").fit(small, y[:40])
    with pytest.raises(ValueError, match="ciphertexts are larger than images"):
        PrivateIndex(encryptor, None)


def test_other_encryptors_are_refused():
    with pytest.raises(ValueError, match=r"this SealedEncryptor .*match='features'"):
        PrivateIndex(SealedEncryptor(KEY), None)
    with pytest.raises(ValueError, match="this EtCEncryptor"):
        PrivateIndex(EtCEncryptor(KEY), None)
    with pytest.raises(TypeError, match="str is not an encryptor"):
        PrivateIndex("encryptor", None)
    with pytest.raises(NotFittedError):
        PrivateIndex(SealedEncryptor(KEY, match="features"), None)

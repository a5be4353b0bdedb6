import numpy as np
import pytest

from ricsk import SecretKey
from ricsk.encryptors.ric._header import HEADER_BYTES, Header, NoHeader, Recipe, has_room

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
SHAPE = (12, 12, 1)
rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (20, *SHAPE), dtype=np.uint8)
LABELS = np.arange(20) % 7
RECIPE = Recipe([bytes([i]) * 12 for i in range(20)], LABELS, 8 * np.arange(20))


def header(key=KEY, alpha=0.8, n_classes=7, max_passes=150):
    return Header(key, SHAPE, alpha, n_classes, max_passes)


def test_what_was_written_is_read():
    exact = rng.uniform(0, 255, IMAGES.shape)
    marked = header().write(exact, RECIPE)
    assert marked.dtype == np.uint8
    assert np.abs(marked - exact).max() <= 1
    found = header().read(marked)
    assert found.nonces == RECIPE.nonces
    np.testing.assert_array_equal(found.labels, RECIPE.labels)
    np.testing.assert_array_equal(found.passes, [p if p <= 150 else 0 for p in RECIPE.passes])


def test_another_key_reads_something_that_can_be_worked_with():
    found = header(OTHER).read(header().write(IMAGES.astype(float), RECIPE))
    assert not set(found.nonces) & set(RECIPE.nonces)
    assert found.labels.min() >= 0
    assert found.labels.max() < 7
    assert found.passes.max() <= 150


@pytest.mark.parametrize(
    "changed",
    [
        lambda nonces: header(OTHER).make_nonces(IMAGES, LABELS, 0),
        lambda nonces: header(alpha=0.81).make_nonces(IMAGES, LABELS, 0),
        lambda nonces: header().make_nonces(IMAGES ^ 1, LABELS, 0),
        lambda nonces: header().make_nonces(IMAGES, LABELS + 1, 0),
        lambda nonces: header().make_nonces(IMAGES, LABELS, 1),
        lambda nonces: header().make_nonces(IMAGES.reshape(20, 9, 16, 1), LABELS, 0),
    ],
    ids=["key", "alpha", "image", "label", "attempt", "shape"],
)
def test_a_nonce_depends_on_everything_that_a_mask_must_not_be_shared_between(changed):
    nonces = header().make_nonces(IMAGES, LABELS, 0)
    assert len(set(nonces)) == 20
    assert nonces == header().make_nonces(np.asfortranarray(IMAGES), LABELS, 0)
    assert not set(nonces) & set(changed(nonces))


def test_without_a_header_the_classifier_says_the_label():
    fixed = NoHeader(np.array([0, 5, 7]), lambda levels: levels[:, 0, 0, 0].astype(np.int64) % 3)
    nonces = fixed.make_nonces(IMAGES, LABELS, 0)
    assert set(nonces) == {bytes(12)}
    written = fixed.write(IMAGES + 0.3, Recipe(nonces, LABELS, LABELS))
    np.testing.assert_array_equal(written, IMAGES)
    found = fixed.read(IMAGES)
    assert found.nonces == nonces
    np.testing.assert_array_equal(found.labels, IMAGES[:, 0, 0, 0] % 3)
    np.testing.assert_array_equal(found.passes, np.array([0, 5, 7])[found.labels])


def test_room():
    assert 8 * HEADER_BYTES == 128
    assert has_room((8, 16, 1))
    assert not has_room((1, 127, 1))


def test_more_classes_than_two_bytes_number_are_refused():
    header(n_classes=65536)
    with pytest.raises(ValueError, match=r"65537 classes, .* at most 65536.*nonce='fixed'"):
        header(n_classes=65537)

import numpy as np
import pytest

from ricsk import SecretKey
from ricsk.encryptors.ric._header import (
    HEADER_BYTES,
    NONCE_BYTES,
    VERSION,
    Header,
    find_scale,
    fingerprint,
)

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
SHAPE = (12, 12, 1)
rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (20, *SHAPE), dtype=np.uint8)
TEMPLATES = rng.integers(0, 256, (20, *SHAPE), dtype=np.uint8)
LABELS = np.array([0, 1, 255, 256, 299] * 4)
NONCES = [bytes([i]) * NONCE_BYTES for i in range(20)]


def header(key=KEY, settings=b"settings", n_classes=300):
    return Header(key, settings, SHAPE, n_classes)


CODED = np.arange(20) % 3 == 0


def write(exact, **kwargs):
    return header(**kwargs).write(exact, NONCES, LABELS, TEMPLATES, CODED)


def test_what_was_written_is_read():
    exact = rng.uniform(0, 255, IMAGES.shape)
    marked = write(exact)
    assert marked.dtype == np.uint8
    assert np.abs(marked - exact).max() <= 1
    found = header().read(marked)
    assert found.nonces == NONCES
    assert found.known.all()
    np.testing.assert_array_equal(found.labels, LABELS)
    np.testing.assert_array_equal(found.coded, CODED)
    np.testing.assert_array_equal(found.fingerprints, fingerprint(TEMPLATES))


def test_fingerprints_tell_templates_apart():
    found = fingerprint(rng.integers(0, 256, (500, *SHAPE), dtype=np.uint8))
    assert len(np.unique(found)) > 200
    assert (found >= 0).all()
    assert (found < 256).all()
    np.testing.assert_array_equal(fingerprint(IMAGES[:3]), fingerprint(IMAGES[:3].copy()))


@pytest.mark.parametrize("other", [{"key": OTHER}, {"settings": b"others"}], ids=str)
def test_under_another_key_or_other_settings_there_is_no_header(other):
    many = np.repeat(IMAGES, 50, axis=0).astype(float)
    nonces = [i.to_bytes(NONCE_BYTES) for i in range(1000)]
    labels, templates = np.tile(LABELS, 50), np.tile(TEMPLATES, (50, 1, 1, 1))
    found = header(**other).read(header().write(many, nonces, labels, templates, labels > 0))
    assert not set(found.nonces) & set(nonces)
    # by chance, one version in 128 is right, and one label in 218 is a class
    assert found.known.mean() < 0.01


def test_a_header_of_another_format_is_not_known(monkeypatch):
    monkeypatch.setattr("ricsk.encryptors.ric._header.VERSION", VERSION + 1)
    marked = write(IMAGES.astype(float))
    monkeypatch.undo()
    found = header().read(marked)
    assert found.nonces == NONCES
    assert not found.known.any()


def test_a_class_that_there_is_not_is_not_known():
    marked = write(IMAGES.astype(float))
    np.testing.assert_array_equal(header(n_classes=256).read(marked).known, LABELS < 256)


def test_label_and_template_are_covered():
    """Who reads the bits in their places without the key's cover sees a uniform byte."""
    cover = header()._draw_covers([i.to_bytes(NONCE_BYTES) for i in range(2000)])
    for byte in cover.T:
        assert np.bincount(byte, minlength=256).max() < 30
    assert len({row.tobytes() for row in cover}) == 2000


@pytest.mark.parametrize(
    "changed",
    [
        lambda: derive(header(OTHER)),
        lambda: derive(header(settings=b"others")),
        lambda: derive(header(), image=IMAGES[0] ^ 1),
        lambda: derive(header(), template=TEMPLATES[0] ^ 1),
        lambda: derive(header(), image=TEMPLATES[0], template=IMAGES[0]),
        lambda: derive(header(), label=4),
        lambda: derive(header(), attempt=1),
        lambda: derive(header(), label=2, attempt=3),
    ],
    ids=["key", "settings", "image", "template", "exchanged", "label", "attempt", "both"],
)
def test_a_nonce_depends_on_all_that_a_pad_must_not_be_shared_between(changed):
    nonce = derive(header())
    assert len(nonce) == NONCE_BYTES
    assert nonce == derive(header(), image=np.asfortranarray(IMAGES[0]))
    assert nonce != changed()


def derive(made, image=IMAGES[0], template=TEMPLATES[0], label=3, attempt=0):
    return made.derive_nonce(image, template, label, attempt)


def test_room():
    assert 8 * HEADER_BYTES == 128
    assert find_scale((8, 16, 1)) == find_scale((224, 224, 3)) == 1
    assert find_scale((1, 127, 1)) == 2
    assert find_scale((1, 1, 1)) == 12


def test_more_classes_than_two_bytes_number_are_refused():
    header(n_classes=65536)
    with pytest.raises(ValueError, match=r"65537 classes, .* at most 65536"):
        header(n_classes=65537)

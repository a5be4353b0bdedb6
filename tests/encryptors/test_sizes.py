"""Lists of images of different sizes, for every encryptor of images."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from torch import nn

from ricsk import (
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    PretrainedClassifier,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
    unseal,
)
from ricsk import base as base_module
from ricsk.exceptions import NotSealedError, SmallKeySpaceWarning, TooLargeError

# Small images have few blocks, and so few keys: what is warned of is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::ricsk.exceptions.SmallKeySpaceWarning")

KEY, OTHER = SecretKey(bytes(32)), SecretKey(bytes(range(32)))
rng = np.random.default_rng(0)


def make_image(height, width, channels=3):
    """Flat patches with a little noise, which compress."""
    patches = rng.integers(0, 120, (-(-height // 8), -(-width // 8), channels))
    smooth = patches.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    return (smooth + rng.integers(0, 4, smooth.shape)).astype(np.uint8)


# The second size is the commonest, but not the first.
IMAGES = [
    make_image(40, 24),
    make_image(24, 32),
    make_image(24, 32),
    make_image(32, 24),
    make_image(24, 24, 1),
    make_image(24, 40, 1)[..., 0],
]


def make_classifier(size=16, n_classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 4, stride=4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 16, n_classes),
        )
    network[-1].weight.data *= 20
    return PretrainedClassifier(network, size=size, classes=list("abcdefgh")[:n_classes])


CLASSIFIER = make_classifier()
EXACT = [
    EtCEncryptor(KEY, block_size=8),
    EtCEncryptor(KEY, block_size=4, grayscale=True, pad=True),
    EtCEncryptor(KEY, grayscale=True),
    PixelEncryptor(KEY),
    LearnableEncryptor(KEY, block_size=4),
    SealedEncryptor(KEY, CLASSIFIER, kappa=0, bit_planes=5),
]
every_encryptor = pytest.mark.parametrize(
    "encryptor",
    [*EXACT, RICEncryptor(KEY, CLASSIFIER, kappa=0)],
    ids=lambda encryptor: " ".join(str(encryptor).split())[:60],
)


def same(images, others):
    assert isinstance(images, list)
    assert [image.shape for image in images] == [other.shape for other in others]
    assert [image.dtype for image in images] == [other.dtype for other in others]
    return all(np.array_equal(*pair) for pair in zip(images, others, strict=True))


@every_encryptor
def test_every_image_comes_back_in_its_place_and_shape(encryptor):
    C = encryptor.fit(IMAGES).transform(IMAGES)
    assert encryptor.image_shape_in_ == (24, 32, 3)
    assert len(encryptor.other_shapes_) == 4
    found = encryptor.inverse_transform(C)
    if isinstance(encryptor, RICEncryptor):
        assert [image.shape for image in found] == [image.shape for image in IMAGES]
        errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(found, IMAGES, strict=True)]
        assert max(errors) < 4
    else:
        assert same(found, IMAGES)
    assert not any(np.array_equal(c, x) for c, x in zip(C, IMAGES, strict=True))


@every_encryptor
def test_an_image_has_the_same_ciphertext_alone_and_among_others(encryptor):
    C = encryptor.fit(IMAGES).transform(IMAGES)
    for image, ciphertext in zip(IMAGES, C, strict=True):
        np.testing.assert_array_equal(encryptor.transform([image])[0], ciphertext)
        found = encryptor.inverse_transform([ciphertext])[0]
        assert found.shape[:2] == image.shape[:2]
    objects = np.empty(len(IMAGES), object)
    objects[:] = IMAGES
    assert same(encryptor.transform(objects), C)
    assert same(encryptor.transform(tuple(reversed(IMAGES))), C[::-1])


@every_encryptor
def test_images_of_the_fitted_size_are_encrypted_as_a_batch(encryptor):
    mixed = encryptor.fit(IMAGES).transform(IMAGES)
    batch = encryptor.transform(np.stack(IMAGES[1:3]))
    assert isinstance(batch, np.ndarray)
    np.testing.assert_array_equal(batch, np.stack(mixed[1:3]))
    np.testing.assert_array_equal(encryptor.transform(IMAGES[1:3]), batch)
    with pytest.raises(ValueError, match="was fitted on images of 24×32 pixels"):
        encryptor.transform(IMAGES[0][np.newaxis])


@every_encryptor
def test_a_stored_encryptor_and_another_key_do_the_same(encryptor):
    C = encryptor.fit(IMAGES).transform(IMAGES)
    state = pickle.dumps(encryptor)
    assert b"_resized" not in state
    assert same(pickle.loads(state).transform(IMAGES), C)
    other = encryptor.with_key(OTHER)
    D = other.transform(IMAGES)
    assert not any(np.array_equal(c, d) for c, d in zip(C, D, strict=True))
    assert same(encryptor.with_key(OTHER).with_key(KEY).transform(IMAGES), C)


def test_templates_of_all_sizes_are_stored():
    encryptor = RICEncryptor(KEY, CLASSIFIER, kappa=0).fit(IMAGES)
    C = encryptor.transform(IMAGES)
    plain = encryptor.inverse_transform(C)
    stored = pickle.loads(pickle.dumps(encryptor))
    shapes = {tuple(shape) for _, *shape in stored.templates_.levels}
    assert shapes == {(24, 32, 3), (40, 24, 3), (32, 24, 3), (24, 24, 1), (24, 40, 1)}
    stored.classifier_.model[0].weight.data.zero_()  # which templates can no longer be made of
    assert same(stored.inverse_transform(C), plain)


def test_few_copies_are_kept(monkeypatch):
    monkeypatch.setattr(base_module, "_MAX_RESIZED_VALUES", 2 * 40 * 24 * 3)
    encryptor = PixelEncryptor(KEY).fit(IMAGES)
    C = encryptor.transform(IMAGES)
    assert sum(map(np.prod, encryptor._resized)) <= 2 * 40 * 24 * 3
    assert same(encryptor.inverse_transform(C), IMAGES)
    encryptor.fit(np.stack(IMAGES[1:3]))
    assert not hasattr(encryptor, "_resized")
    assert encryptor.other_shapes_ == ()


def test_sizes_that_were_not_in_fit():
    encryptor = SealedEncryptor(KEY, CLASSIFIER, kappa=0, bit_planes=5).fit(np.stack(IMAGES[1:3]))
    assert same(encryptor.inverse_transform(encryptor.transform(IMAGES)), IMAGES)
    gray = EtCEncryptor(KEY, grayscale=True).fit(np.stack(IMAGES[1:3]))
    assert same(gray.inverse_transform(gray.transform(IMAGES[:4])), IMAGES[:4])


def test_sizes_that_could_not_be_told_apart_are_refused():
    odd, even = make_image(30, 20), make_image(32, 32)
    wide = make_image(48, 30)
    encryptor = EtCEncryptor(KEY, pad=True).fit(np.stack([wide, wide]))
    with pytest.raises(ValueError, match=r"X\[1\]: ciphertexts of 30×20 pixels.*not tell them"):
        encryptor.transform([wide, odd])
    known = EtCEncryptor(KEY, pad=True).fit([odd, odd, wide])
    assert same(known.inverse_transform(known.transform([odd, wide])), [odd, wide])
    with pytest.raises(ValueError, match=r"X\[2\]: .*32×32 pixels.*those of 30×20 pixels"):
        EtCEncryptor(KEY, pad=True).fit([odd, odd, even])
    gray = EtCEncryptor(KEY, grayscale=True).fit(np.stack(IMAGES[1:3]))
    with pytest.raises(ValueError, match=r"X\[0\]: ciphertexts of 24×24 pixels with 1 channel"):
        gray.transform([IMAGES[4]])
    with pytest.raises(ValueError, match=r"X\[0\]: no ciphertext.*20×20"):
        encryptor.inverse_transform([make_image(20, 20)])


def test_images_that_cannot_be_encrypted_are_named():
    small = make_image(20, 24)
    with pytest.raises(ValueError, match=r"X\[3\]: .*20×24"):
        EtCEncryptor(KEY, block_size=8).fit([*IMAGES[:3], small])
    fitted = EtCEncryptor(KEY, block_size=8).fit(IMAGES)
    with pytest.raises(ValueError, match=r"X\[1\]: .*20×24"):
        fitted.transform([IMAGES[0], small])
    with pytest.raises(ValueError, match=r"X\[1\]: .*4 channels"):
        fitted.transform([IMAGES[0], np.zeros((24, 24, 4), np.uint8)])
    with pytest.raises(ValueError, match=r"X\[1\]: .*NaN"):
        fitted.transform([IMAGES[0] / 255, np.full((24, 24, 3), np.nan)])
    with pytest.raises(ValueError, match=r"X\[2\]: .*too small to carry a nonce"):
        RICEncryptor(KEY, CLASSIFIER, kappa=0).fit([*IMAGES[1:3], make_image(4, 4)])
    noise = rng.integers(0, 256, (40, 40, 3), np.uint8)
    sealed = SealedEncryptor(KEY, CLASSIFIER, kappa=0).fit(IMAGES)
    with pytest.raises(TooLargeError, match=r"do not fit.*: X\[2\], "):
        sealed.transform([IMAGES[0], IMAGES[1], noise])


def test_bit_planes_are_chosen_over_all_sizes():
    plain = [np.full((32, 40, 3), 9 * i, np.uint8) for i in range(2)]
    few = SealedEncryptor(KEY, CLASSIFIER, kappa=0).fit(np.stack(plain))
    noisy = make_image(40, 40)
    noisy[:10] = rng.integers(0, 256, (10, 40, 3))
    more = SealedEncryptor(KEY, CLASSIFIER, kappa=0).fit([*plain, noisy])
    assert more.bit_planes_ > few.bit_planes_
    assert same(more.inverse_transform(more.transform([noisy])), [noisy])


def test_floats_have_one_range_over_all_sizes():
    X = [image.astype(np.float64) - 20 for image in IMAGES]
    X[0][0, 0, 0] = 235
    encryptor = PixelEncryptor(KEY).fit(X)
    assert (encryptor.value_range_.low, encryptor.value_range_.high) == (-20, 235)
    assert same(encryptor.inverse_transform(encryptor.transform(X)), X)


def test_a_classifier_must_read_all_sizes():
    with pytest.raises(ValueError, match=r"images of 5 sizes, and a classifier is fitted on one"):
        SealedEncryptor(KEY).fit(IMAGES, list("abcabc"))
    own_size = make_classifier(size=None)
    with pytest.raises(ValueError, match=r"X\[1\]: .*cannot classify images of 20×16.*size="):
        SealedEncryptor(KEY, own_size).fit([make_image(16, 16), make_image(20, 16)])
    flat = rng.integers(0, 256, (20, 16 * 16 * 3), np.uint8)
    linear = LogisticRegression(max_iter=500).fit(flat, np.arange(20) % 2)
    for encryptor in (RICEncryptor, SealedEncryptor):
        fitted = encryptor(KEY, FrozenEstimator(linear)).fit(
            np.stack([make_image(16, 16), make_image(16, 16)])
        )
        with pytest.raises(ValueError, match=r"X\[0\]: .*cannot classify images of 20×16"):
            fitted.transform([make_image(20, 16)])


def test_tables_have_one_size():
    encryptor = PixelEncryptor(KEY, flatten=True)
    with pytest.raises(ValueError, match=r"flatten=True.*one size"):
        encryptor.fit(IMAGES)
    with pytest.raises(ValueError, match=r"flatten=True.*one size"):
        encryptor.fit(np.stack(IMAGES[1:3])).transform(IMAGES)


def test_few_keys_are_warned_of_for_every_size():
    encryptor = EtCEncryptor(KEY, block_size=8).fit(np.stack([make_image(160, 160)]))
    with pytest.warns(SmallKeySpaceWarning, match="16×16"):
        encryptor.transform([make_image(16, 16)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encryptor.transform([make_image(160, 168)])


def test_sealed_images_of_different_sizes_open_and_get_another_key():
    encryptor = SealedEncryptor(KEY, CLASSIFIER, kappa=0).fit(IMAGES)
    C = encryptor.transform(IMAGES)
    assert same(unseal(C, KEY), IMAGES)
    D = encryptor.rekey(C, OTHER)
    assert same(unseal(D, OTHER), IMAGES)
    labels = [CLASSIFIER.predict(image[np.newaxis])[0] for image in IMAGES]
    assert labels == [CLASSIFIER.predict(image[np.newaxis])[0] for image in D]
    D[3] = D[3] ^ 1
    for open_images in (
        lambda: unseal(D, OTHER),
        lambda: encryptor.with_key(OTHER).inverse_transform(D),
    ):
        with pytest.raises(NotSealedError, match=r"could not be opened, C\[3\]"):
            open_images()


def test_a_wrong_key_is_warned_of_by_the_place_in_the_list():
    encryptor = RICEncryptor(KEY, CLASSIFIER, kappa=0).fit(IMAGES)
    C = encryptor.transform(IMAGES[:2])
    with pytest.warns(UserWarning, match=r"X\[0\] was not encrypted") as caught:
        encryptor.with_key(OTHER).inverse_transform([C[0]])
    assert caught[0].filename == __file__


def test_transformation_networks_take_other_sizes():
    X = [image for image in IMAGES if image.shape[-1] == 3]
    encryptor = TransformationNetworkEncryptor(CLASSIFIER, width=1, epochs=1, random_state=0)
    C = encryptor.fit(X, list("abca")).transform(X)
    assert [c.shape for c in C] == [x.shape for x in X]
    assert same(pickle.loads(pickle.dumps(encryptor)).transform(X), C)
    with pytest.raises(ValueError, match=r"X\[1\]: the network was trained on images with 3 chan"):
        encryptor.transform([X[0], IMAGES[4]])


def test_labels_are_as_many_as_images():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PixelEncryptor(KEY).fit(IMAGES, [1, 2])

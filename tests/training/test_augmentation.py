import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import CNNClassifier, EtCEncryptor, LearnableEncryptor, PrivateClassifier, SecretKey
from ricsk.nn import CNN
from ricsk.training._augmentation import Augmentation
from tests.classifiers.test_classifiers import X_TEST, X, y

KEY = SecretKey(bytes(32))
CNN_TINY = CNNClassifier(width=8, depth=2, epochs=2, batch_size=16, random_state=0)
RECIPES = ["crop", "plain", "encrypted"]


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def seen(monkeypatch):
    """What the network gets: whether it trains, and the images."""
    images = []
    forward = CNN.forward_features

    def keep(network, x):
        images.append((network.training, x.detach().clone()))
        return forward(network, x)

    monkeypatch.setattr(CNN, "forward_features", keep)
    return images


def of_one_colour(n, n_classes, side=16):
    """Images that are 1 in the channel of their class (of three) and 0 elsewhere."""
    targets = torch.arange(n) % n_classes
    pixels = torch.zeros(n, side, side, 3, dtype=torch.uint8)
    for image, target in zip(pixels, targets, strict=True):
        image[..., target] = 255
    return pixels, targets


# Images and labels


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 12, 3), (32, 32, 3)])
def test_images_keep_their_shape_and_range(recipe, shape):
    pixels = 255 * torch.randint(2, (6, *shape), dtype=torch.uint8)
    augmentation = Augmentation(recipe, shape, 3)
    for images in (pixels, pixels.float() / 255):
        for _ in range(20):
            x, shares = augmentation(images, torch.arange(6) % 3)
            assert x.shape == images.shape
            assert x.dtype == torch.float32
            assert 0 <= x.min() <= x.max() <= 1
            assert shares.shape == (6, 3)
            torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))


def test_labels_are_mixed_as_the_images_are():
    """Each channel's mean is the share of its class, in mixup and in CutMix."""
    pixels, targets = of_one_colour(12, 3)
    augmentation = Augmentation("encrypted", (16, 16, 3), 3)
    mixed = cut = 0
    for _ in range(20):
        x, shares = augmentation(pixels, targets)
        torch.testing.assert_close(x.mean(dim=(1, 2)), shares, rtol=1e-4, atol=1e-4)
        values = ((x > 0) & (x < 1)).any()
        mixed, cut = mixed + bool(values), cut + (not values)
        assert (shares.amax(dim=1) < 0.99).any()
    assert min(mixed, cut) >= 4


def test_encrypted_is_mixing_alone_and_crop_mixes_nothing():
    pixels, targets = of_one_colour(12, 3)
    border = torch.zeros_like(pixels)
    border[:, :, :8] = pixels[:, :, :8]
    _, shares = Augmentation("crop", (16, 16, 3), 3)(border, targets)
    assert_array_equal(shares.argmax(dim=1), targets)
    assert_array_equal(shares.amax(dim=1), 1)
    # Mixing leaves the right halves black; shifts and mirrors do not.
    x, _ = Augmentation("encrypted", (16, 16, 3), 3)(border, targets)
    assert not x[:, :, 8:].any()
    x, _ = Augmentation("crop", (16, 16, 3), 3)(border, targets)
    assert x[:, :, 8:].any()


def test_crop_shifts_by_an_eighth_and_mirrors():
    pixels = torch.zeros(64, 16, 16, 1, dtype=torch.uint8)
    pixels[:, 8, 4] = 255
    x, _ = Augmentation("crop", (16, 16, 1), 2)(pixels, torch.zeros(64, dtype=torch.long))
    places = {tuple(map(int, place)) for place in x[..., 0].nonzero()[:, 1:]}
    assert {row for row, _ in places} == {6, 7, 8, 9, 10}
    assert {column for _, column in places} == {2, 3, 4, 5, 6, 9, 10, 11, 12, 13}


def test_plain_erases_and_recolours():
    pixels = torch.full((64, 16, 16, 3), 200, dtype=torch.uint8)
    augmentation = Augmentation("plain", (16, 16, 3), 2)
    augmentation.moving = augmentation.mixing = []
    x, _ = augmentation(pixels, torch.zeros(64, dtype=torch.long))
    erased = (x == 0.5).any(dim=(1, 2, 3))
    assert 4 <= erased.sum() <= 28
    augmentation.erasing = []
    results = [augmentation(pixels, torch.zeros(64, dtype=torch.long))[0] for _ in range(4)]
    assert any((x - 200 / 255).abs().max() > 0.05 for x in results)


# In training


@pytest.mark.parametrize("recipe", RECIPES)
def test_images_change_in_training_alone(seen, recipe):
    classifier = clone(CNN_TINY).set_params(
        augmentation=recipe, early_stopping=True, validation_fraction=0.25, epochs=1
    )
    classifier.fit(X, y).predict(X_TEST)
    originals = {image.tobytes() for image in np.concatenate([X, X_TEST])}

    def are_originals(images):
        pixels = np.rint((images.permute(0, 2, 3, 1).numpy() + 1) / 2 * 255).astype(np.uint8)
        return [pixel.tobytes() in originals for pixel in pixels]

    trained = [is_one for training, x in seen if training for is_one in are_originals(x)]
    others = [is_one for training, x in seen if not training for is_one in are_originals(x)]
    assert len(trained) == 120
    assert np.mean(trained) < 0.5
    assert len(others) == 80
    assert all(others)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_seed_decides_on_augmentation_too(recipe):
    classifier = clone(CNN_TINY).set_params(augmentation=recipe)
    state = torch.get_rng_state()
    first = clone(classifier).fit(X, y)
    assert_array_equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert first.history_ == clone(classifier).fit(X, y).history_
    assert first.history_ != clone(CNN_TINY).fit(X, y).history_


def test_it_learns_with_augmentation():
    classifier = clone(CNN_TINY).set_params(augmentation="encrypted", epochs=10)
    assert classifier.fit(X, y).score(X, y) > 0.9


# Before and after encryption


def test_without_augmentation_the_order_makes_no_difference():
    encryptor = EtCEncryptor(KEY, block_size=4)
    once = PrivateClassifier(encryptor, CNN_TINY).fit(X, y)
    anew = PrivateClassifier(encryptor, CNN_TINY, augment_first=True).fit(X, y)
    assert_array_equal(anew.predict_proba(X_TEST), once.predict_proba(X_TEST))


@pytest.mark.parametrize("floats", [False, True])
def test_augment_first_trains_on_ciphertexts_of_augmented_images(seen, floats):
    images = X / np.float32(255) if floats else X
    encryptor = EtCEncryptor(KEY, block_size=4)
    classifier = clone(CNN_TINY).set_params(augmentation="crop", epochs=1)
    PrivateClassifier(encryptor, classifier, augment_first=True).fit(images, y)
    originals = X.astype(float)
    encryptor.fit(X)
    for training, x in seen:
        assert training
        C = np.rint((x.permute(0, 2, 3, 1).numpy() + 1) / 2 * 255).astype(np.uint8)
        decrypted = encryptor.inverse_transform(C).astype(float)
        # Decrypted they are originals, shifted by up to one pixel and mirrored: the inner pixels
        # agree with one of them.
        inner = decrypted[0, 2:-2, 2:-2]
        least = min(
            np.abs(inner - mirrored[:, row : row + 4, column : column + 4])
            .mean(axis=(1, 2, 3))
            .min()
            for mirrored in (originals, originals[:, :, ::-1])
            for row in (1, 2, 3)
            for column in (1, 2, 3)
        )
        assert least < 1


def test_fit_encrypted_trains_alone_what_augment_first_trains():
    encryptor = EtCEncryptor(KEY, block_size=4).fit(X)
    classifier = clone(CNN_TINY).set_params(augmentation="crop", epochs=1)
    alone = clone(classifier).fit_encrypted(X, y, encryptor)
    private = PrivateClassifier(encryptor, classifier, augment_first=True).fit(X, y)
    C = encryptor.transform(X_TEST)
    assert_array_equal(alone.predict_proba(C), private.predict_proba(X_TEST))
    assert repr(KEY) not in repr(alone.__getstate__())


def test_fit_encrypted_takes_flattened_ciphertexts():
    square, flat = (
        EtCEncryptor(KEY, block_size=4, flatten=flatten).fit(X) for flatten in (False, True)
    )
    fitted, expected = (
        clone(CNN_TINY).set_params(augmentation="crop").fit_encrypted(X, y, encryptor)
        for encryptor in (flat, square)
    )
    C = flat.transform(X_TEST)
    assert C.ndim == 2
    assert_array_equal(fitted.predict_proba(C), expected.predict_proba(C))


def test_fit_encrypted_refuses_what_fit_does_and_keeps_what_was_fitted():
    encryptor = EtCEncryptor(KEY, block_size=4).fit(X)
    classifier = clone(CNN_TINY).set_params(epochs=1).fit(X, y)
    expected = classifier.predict_proba(X_TEST)
    with pytest.raises(NotFittedError):
        classifier.fit_encrypted(X, y, clone(encryptor))
    with pytest.raises(ValueError, match="one class only"):
        classifier.fit_encrypted(X, 0 * y, encryptor)
    with pytest.raises(ValueError, match="8×4 pixels"):
        classifier.fit_encrypted(X[:, :, :4], y, encryptor)
    with pytest.raises(ValueError, match="'augmentation' parameter of CNNClassifier"):
        clone(classifier).set_params(augmentation="strong").fit_encrypted(X, y, encryptor)
    assert_array_equal(classifier.predict_proba(X_TEST), expected)


def test_augment_first_encrypts_what_is_held_out(seen):
    encryptor = EtCEncryptor(KEY, block_size=4).fit(X)
    classifier = clone(CNN_TINY).set_params(augmentation="crop", early_stopping=True, epochs=1)
    PrivateClassifier(encryptor, classifier, augment_first=True).fit(X, y)
    ciphertexts = {C.tobytes() for C in encryptor.transform(X)}
    held = np.concatenate([x.permute(0, 2, 3, 1).numpy() for training, x in seen if not training])
    held = np.rint((held + 1) / 2 * 255).astype(np.uint8)
    assert len(held) == 16
    assert all(C.tobytes() in ciphertexts for C in held)


@pytest.mark.parametrize(
    ("encryptor", "shape"),
    [
        (EtCEncryptor(KEY, block_size=4, grayscale=True), (24, 8, 1)),
        (EtCEncryptor(KEY, block_size=3, pad=True), (9, 9, 3)),
        (LearnableEncryptor(KEY), (8, 8, 3)),
    ],
)
def test_augment_first_with_ciphertexts_of_another_shape(encryptor, shape):
    classifier = clone(CNN_TINY).set_params(augmentation="encrypted", epochs=1)
    private = PrivateClassifier(encryptor, classifier, augment_first=True).fit(X, y)
    assert private.classifier_.image_shape_in_ == shape
    assert private.predict(X_TEST).shape == (40,)
    cloud, client = private.cloud_half(), private.client_half()
    assert_array_equal(cloud.predict(client.transform(X_TEST)), private.predict(X_TEST))
    flat = clone(private).set_params(encryptor__image_shape=(8, 8, 3))
    flat.fit(X.reshape(len(X), -1), y)
    assert_array_equal(flat.predict(X_TEST.reshape(40, -1)), private.predict(X_TEST))


def test_the_range_is_that_of_the_encryptor():
    encryptor = EtCEncryptor(KEY, block_size=4, value_range=(0, 255))
    private = PrivateClassifier(encryptor, clone(CNN_TINY), augment_first=True)
    private.fit(X[:, :, :, :1].astype(float), y)
    assert private.classifier_.value_range_ == private.encryptor_.value_range_
    assert (private.classifier_.value_range_.low, private.classifier_.value_range_.high) == (0, 255)


@pytest.mark.parametrize(("dtype", "offset"), [(np.float64, 1000), (np.float32, 1e6)])
def test_augment_first_takes_other_ranges(dtype, offset):
    images = X.astype(dtype) - dtype(offset)
    classifier = clone(CNN_TINY).set_params(augmentation="plain", epochs=1)
    private = PrivateClassifier(EtCEncryptor(KEY, block_size=4), classifier, augment_first=True)
    assert private.fit(images, y).predict(images[:5]).shape == (5,)


def test_the_classifier_keeps_no_key():
    classifier = clone(CNN_TINY).set_params(augmentation="crop", epochs=1)
    key = SecretKey.generate()
    private = PrivateClassifier(EtCEncryptor(key, block_size=4), classifier, augment_first=True)
    state = repr(private.fit(X, y).cloud_half().classifier.__getstate__())
    assert "Encryptor" not in state
    assert "SecretKey" not in state


def test_augment_first_needs_a_classifier_with_augmentation():
    private = PrivateClassifier(
        EtCEncryptor(KEY, block_size=4), LogisticRegression(), augment_first=True
    )
    with pytest.raises(ValueError, match=r"augment_first=True.*is a LogisticRegression"):
        private.fit(X, y)
    frozen = FrozenEstimator(LogisticRegression().fit(X.reshape(len(X), -1), y))
    assert private.set_params(classifier=frozen).fit(X, y).predict(X).shape == (160,)


def test_other_recipes_are_refused():
    with pytest.raises(ValueError, match="'augmentation' parameter of CNNClassifier"):
        clone(CNN_TINY).set_params(augmentation="strong").fit(X, y)
    private = PrivateClassifier(
        EtCEncryptor(KEY, block_size=4), CNNClassifier(augmentation="strong"), augment_first=True
    )
    with pytest.raises(ValueError, match="'augmentation' parameter of CNNClassifier"):
        private.fit(X, y)

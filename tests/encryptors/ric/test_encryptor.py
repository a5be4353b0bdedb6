import pickle
import subprocess
import sys
import textwrap

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from ricsk import CNNClassifier, PrivateClassifier, RICEncryptor, SecretKey
from ricsk.datasets import load_digits
from ricsk.metrics import psnr

KEY = SecretKey(bytes(range(32)))
X, Y = load_digits(size=16)
X_TRAIN, Y_TRAIN, X, Y = X[:600], Y[:600], X[600:630], Y[600:630]
LINEAR = FrozenEstimator(
    LogisticRegression(max_iter=2000, C=0.01).fit(X_TRAIN.reshape(600, -1) / 16, Y_TRAIN)
)


def flat(images):
    """As the classifier wants them: rows of floats from 0 to 16, in steps of 16/255."""
    return images.reshape(len(images), -1) / 255 * 15.9375


def encryptor(**parameters):
    parameters = {"image_shape": (16, 16), "value_range": (0, 15.9375), **parameters}
    return RICEncryptor(
        parameters.pop("key", KEY), parameters.pop("classifier", LINEAR), **parameters
    )


@pytest.fixture(scope="module")
def fitted():
    return encryptor().fit(flat(X_TRAIN))


@pytest.fixture(scope="module")
def ciphertexts(fitted):
    return fitted.transform(flat(X))


@pytest.mark.parametrize("solver", ["pattern", "search", "cw"])
@pytest.mark.parametrize("scramble", [True, False])
@pytest.mark.parametrize("nonce", ["content", "fixed"])
def test_predictions_are_kept_and_images_come_back(solver, scramble, nonce):
    ric = encryptor(solver=solver, scramble=scramble, nonce=nonce).fit(flat(X_TRAIN))
    C = ric.transform(flat(X))
    np.testing.assert_array_equal(LINEAR.predict(C), LINEAR.predict(flat(X)))
    assert psnr(flat(X) / 15.9375, ric.inverse_transform(C) / 15.9375).mean() > 39.5


def test_less_mask_recovers_more():
    recovered = []
    for alpha in (0.5, 0.8, 0.9):
        ric = encryptor(alpha=alpha).fit(flat(X_TRAIN))
        X_back = ric.inverse_transform(ric.transform(flat(X)))
        recovered.append(psnr(flat(X) / 15.9375, X_back / 15.9375).mean())
    assert recovered[0] > recovered[1] + 4 > recovered[2] + 8


def test_a_wrong_key_recovers_nothing(fitted, ciphertexts):
    wrong = encryptor(key=SecretKey(bytes(32))).fit(flat(X_TRAIN))
    X_wrong = wrong.inverse_transform(ciphertexts)
    assert psnr(flat(X) / 15.9375, X_wrong / 15.9375).mean() < 7


def test_ciphertexts_have_256_levels_of_the_range(ciphertexts):
    levels = ciphertexts * (255 / 15.9375)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
    assert levels.min() >= 0
    assert levels.max() <= 255


def test_other_images_of_the_batch_change_nothing(fitted, ciphertexts):
    for i in (0, 7, 29):
        np.testing.assert_array_equal(fitted.transform(flat(X[[i]])), ciphertexts[[i]])
    np.testing.assert_array_equal(fitted.transform(flat(X[::-1])), ciphertexts[::-1])
    X_back = fitted.inverse_transform(ciphertexts)
    np.testing.assert_array_equal(fitted.inverse_transform(ciphertexts[::-1]), X_back[::-1])
    np.testing.assert_array_equal(fitted.inverse_transform(ciphertexts[3:4]), X_back[3:4])


def test_equal_images_have_equal_ciphertexts_and_others_share_no_mask(fitted):
    images = np.repeat(X[:1], 3, axis=0)
    images[2, 8, 8] ^= 1
    C = fitted.transform(flat(images))
    np.testing.assert_array_equal(C[0], C[1])
    pattern = fitted.patterns_.patterns[LINEAR.predict(flat(X[:1]))[0]].ravel()
    free = np.abs(pattern) < 20  # where the pattern decides little
    assert abs(np.corrcoef(C[0][free], C[2][free])[0, 1]) < 5 / np.sqrt(free.sum())


def test_one_fixed_mask_gives_away_differences():
    """The weakness of the published scheme that a nonce mends."""
    ric = encryptor(nonce="fixed", scramble=False, alpha=0.5).fit(flat(X_TRAIN))
    labels = LINEAR.predict(flat(X))
    first, second = np.flatnonzero(labels == labels[0])[:2]
    C = ric.transform(flat(X))
    difference, true = C[first] - C[second], flat(X)[first] - flat(X)[second]
    assert np.corrcoef(difference, true)[0, 1] > 0.95


def test_the_mask_changes_with_alpha(fitted, ciphertexts):
    """Two mixtures of one image and one mask could be solved for both."""
    other = encryptor(alpha=0.81).fit(flat(X_TRAIN))
    C = other.transform(flat(X))
    nonces = [set(ric.read_recipe(c).nonces) for ric, c in ((other, C), (fitted, ciphertexts))]
    assert not nonces[0] & nonces[1]


def test_decrypts_in_another_process_with_other_threads_and_batches(tmp_path):
    ric = encryptor(solver="search", key=KEY.save(tmp_path / "key")).fit(flat(X_TRAIN))
    C = ric.transform(flat(X))
    joblib.dump((ric, C), tmp_path / "sent")
    script = f"""
        import joblib, numpy as np, torch
        torch.set_num_threads(3)
        ric, C = joblib.load({str(tmp_path / "sent")!r})
        parts = [ric.inverse_transform(C[i : i + 7]) for i in range(0, len(C), 7)]
        np.save({str(tmp_path / "back.npy")!r}, np.concatenate(parts))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), ric.inverse_transform(C))


@pytest.mark.parametrize("copy", ["pickle", "skops"])
@pytest.mark.parametrize("nonce", ["content", "fixed"])
def test_copies_encrypt_and_decrypt_alike(copy, nonce):
    ric = encryptor(nonce=nonce).fit(flat(X_TRAIN))
    C = ric.transform(flat(X))
    if copy == "pickle":
        other = pickle.loads(pickle.dumps(ric))
    else:
        dumped = skops.io.dumps(ric)
        untrusted = skops.io.get_untrusted_types(data=dumped)
        assert all(name.startswith("ricsk.") for name in untrusted)
        other = skops.io.loads(dumped, trusted=untrusted)
    np.testing.assert_array_equal(other.transform(flat(X)), C)
    np.testing.assert_array_equal(other.inverse_transform(C), ric.inverse_transform(C))


@pytest.mark.parametrize("nonce", ["content", "fixed"])
def test_a_key_by_reference_leaves_no_secret_in_the_pickle(nonce, tmp_path):
    ric = encryptor(nonce=nonce, key=KEY.save(tmp_path / "key")).fit(flat(X_TRAIN))
    masks = ric.masks_.make(ric.read_recipe(ric.transform(flat(X))))
    dumped = pickle.dumps(ric)
    assert bytes(range(32)) not in dumped
    assert not any(mask.tobytes()[:32] in dumped for mask in masks)


def test_with_patterns_decryption_asks_no_classifier(ciphertexts):
    class Silent(LogisticRegression):
        silent = False

        def predict(self, X):
            assert not Silent.silent
            return super().predict(X)

    classifier = Silent(max_iter=2000, C=0.01).fit(flat(X_TRAIN), Y_TRAIN)
    ric = encryptor(classifier=FrozenEstimator(classifier)).fit(flat(X_TRAIN))
    C = ric.transform(flat(X))
    Silent.silent = True
    assert psnr(flat(X) / 15.9375, ric.inverse_transform(C) / 15.9375).mean() > 39.5


@pytest.mark.parametrize(
    "classifier",
    [RandomForestClassifier(10, random_state=0), SVC(C=10)],
    ids=["black box", "kernel machine"],
)
def test_other_classifiers(classifier):
    frozen = FrozenEstimator(classifier.fit(flat(X_TRAIN), Y_TRAIN))
    ric = encryptor(classifier=frozen, kappa=0.1).fit(flat(X_TRAIN))
    C = ric.transform(flat(X[:5]))
    np.testing.assert_array_equal(frozen.predict(C), frozen.predict(flat(X[:5])))
    assert psnr(flat(X[:5]) / 15.9375, ric.inverse_transform(C) / 15.9375).mean() > 39.5


def test_a_cnn_reads_colour_images_as_it_did():
    colour = np.stack([X_TRAIN, X_TRAIN // 2, 255 - X_TRAIN], axis=-1)[..., 0, :]
    cnn = CNNClassifier(width=8, depth=2, epochs=3, random_state=0)
    ric = RICEncryptor(KEY, cnn).fit(colour, Y_TRAIN)
    C = ric.transform(colour[:50])
    assert C.shape == (50, 16, 16, 3)
    assert C.dtype == np.uint8
    np.testing.assert_array_equal(ric.classifier_.predict(C), ric.classifier_.predict(colour[:50]))
    assert psnr(colour[:50], ric.inverse_transform(C)).mean() > 39.5


def test_the_classifier_is_fitted_if_it_is_not_frozen():
    ric = encryptor(classifier=LogisticRegression(max_iter=2000, C=0.01))
    assert ric.fit(flat(X_TRAIN), Y_TRAIN).classifier_.score(flat(X), Y) > 0.8
    with pytest.raises(ValueError, match=r"requires y to be passed.*FrozenEstimator"):
        ric.fit(flat(X_TRAIN))


@pytest.mark.parametrize(
    ("images", "parameters"),
    [
        (X_TRAIN.reshape(600, -1) / 255, {"image_shape": (16, 16)}),
        (X_TRAIN.reshape(600, -1), {}),  # square images need no shape
        (X_TRAIN[..., 0], {"flatten": True}),
        (X_TRAIN / 255, {"flatten": True}),
    ],
    ids=["flat", "flat integers", "3-D", "4-D"],
)
def test_the_users_own_line(images, parameters):
    """What the classifier behind learns is the prediction of the encryptor's own one."""
    own, behind = (LogisticRegression(max_iter=1000) for _ in range(2))
    pipeline = Pipeline([("enc", RICEncryptor(KEY, own, **parameters)), ("clf", behind)])
    scores = cross_val_score(pipeline, images[:300], Y_TRAIN[:300], cv=3)
    flattened = images[:300].reshape(300, -1) / images.max()
    plain = cross_val_score(own, flattened, Y_TRAIN[:300], cv=3)
    assert scores.mean() > plain.mean() - 0.05 > 0.8


def test_flattened_ciphertexts_come_back_as_images():
    classifier = LogisticRegression(max_iter=2000, C=1e-4).fit(X_TRAIN.reshape(600, -1), Y_TRAIN)
    frozen = FrozenEstimator(classifier)
    plain = RICEncryptor(KEY, frozen).fit(X_TRAIN)
    ric = RICEncryptor(KEY, frozen, flatten=True).fit(X_TRAIN)
    C = ric.transform(X)
    assert C.shape == (30, 256)
    np.testing.assert_array_equal(C, plain.transform(X).reshape(30, 256))
    X_back = ric.inverse_transform(C)
    assert X_back.shape == X.shape
    np.testing.assert_array_equal(X_back, plain.inverse_transform(C.reshape(X.shape)))


def test_search_over_alpha():
    pipeline = Pipeline([("enc", encryptor()), ("clf", LINEAR)])
    search = GridSearchCV(pipeline, {"enc__alpha": [0.5, 0.9]}, cv=2)
    search.fit(flat(X_TRAIN[:80]), LINEAR.predict(flat(X_TRAIN[:80])))
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], 1.0)


def test_private_classifier_keeps_accuracy():
    private = PrivateClassifier(encryptor(classifier=None), LINEAR.estimator)
    private.fit(flat(X_TRAIN), Y_TRAIN)
    np.testing.assert_array_equal(private.predict(flat(X)), private.classifier_.predict(flat(X)))
    assert bytes(range(32)) not in pickle.dumps(private.cloud_half())


@pytest.mark.parametrize("architecture", ["light", "ric"])
def test_networks_can_be_trained_in_fit(architecture):
    ric = encryptor(
        architecture=architecture, weights=None, epochs=2, batch_size=8, random_state=0
    ).fit(flat(X_TRAIN[:24]))
    again = clone(ric).fit(flat(X_TRAIN[:24]))
    assert again.losses_ == ric.losses_
    C = ric.transform(flat(X[:4]))
    np.testing.assert_array_equal(ric.inverse_transform(C), again.inverse_transform(C))
    if architecture == "ric":  # the other starts where it is good already
        assert ric.losses_[1] < ric.losses_[0]


def test_as_published_is_the_paper():
    ric = RICEncryptor.as_published(KEY, LINEAR)
    assert (ric.alpha, ric.solver, ric.nonce, ric.scramble) == (0.8, "cw", "fixed", False)
    assert (ric.architecture, ric.weights, ric.beta, ric.epochs) == ("ric", None, 10.0, 200)


def test_too_small_images_have_no_room_for_a_nonce():
    with pytest.raises(ValueError, match=r"11×11 pixels with 1 channel are too small.*128 values"):
        encryptor(image_shape=(11, 11)).fit(np.ones((2, 121)))


def test_there_are_no_weights_for_the_published_networks():
    with pytest.raises(ValueError, match="weights=None to train it"):
        encryptor(architecture="ric").fit(flat(X_TRAIN))


def test_integers_are_read_as_8_bit_values():
    images = X_TRAIN.reshape(600, -1).astype(np.int64)
    classifier = LogisticRegression(max_iter=2000, C=1e-4).fit(images, Y_TRAIN)
    ric = RICEncryptor(KEY, FrozenEstimator(classifier), image_shape=(16, 16)).fit(images)
    images = X.reshape(30, -1).astype(np.int64)
    C = ric.transform(images)
    assert C.dtype == np.int64
    np.testing.assert_array_equal(classifier.predict(C), classifier.predict(images))
    np.testing.assert_array_equal(C, ric.transform(images.astype(np.uint8)))

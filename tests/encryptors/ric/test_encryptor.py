import copy
import hashlib
import pickle
import subprocess
import sys
import textwrap
import threading

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
from ricsk.attacks import DistinguishingGame, IdentificationAttack
from ricsk.datasets import load_digits
from ricsk.keys import encode_context
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


def decibels(images, recovered):
    return psnr(flat(images) / 15.9375, recovered / 15.9375)


@pytest.mark.parametrize("nonce", ["content", "random"])
@pytest.mark.parametrize("templates", ["lazy", "eager"])
def test_predictions_are_kept_and_images_come_back(nonce, templates):
    ric = encryptor(nonce=nonce, templates=templates).fit(flat(X_TRAIN))
    C = ric.transform(flat(X))
    np.testing.assert_array_equal(LINEAR.predict(C), LINEAR.predict(flat(X)))
    assert decibels(X, ric.inverse_transform(C)).min() > 41


def test_noise_comes_back_too():
    """It is not what the networks know."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), np.uint8)
    ric = encryptor().fit(flat(X_TRAIN))
    assert decibels(noise, ric.inverse_transform(ric.transform(flat(noise)))).min() > 40


@pytest.mark.parametrize("alpha", [0, 0.981, 1])
def test_weights_of_the_mask_out_of_range_are_refused(alpha):
    with pytest.raises(ValueError, match="'alpha' parameter of RICEncryptor"):
        encryptor(alpha=alpha).fit(flat(X_TRAIN))


def test_the_largest_weight_of_the_mask():
    ric = encryptor(alpha=0.98).fit(flat(X_TRAIN))
    assert decibels(X, ric.inverse_transform(ric.transform(flat(X)))).min() > 18


def test_less_mask_recovers_more():
    recovered = []
    for alpha in (0.5, 0.8, 0.9):
        ric = encryptor(alpha=alpha).fit(flat(X_TRAIN))
        X_back = ric.inverse_transform(ric.transform(flat(X)))
        recovered.append(decibels(X, X_back).mean())
    assert recovered[0] > recovered[1] + 4 > recovered[2] + 8


def uniform_decibels(images):
    """PSNR of images and what knows nothing of them."""
    return psnr(images, np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)).mean()


def test_a_wrong_key_warns_and_recovers_what_noise_is(fitted, ciphertexts):
    wrong = fitted.with_key(SecretKey(bytes(32)))
    with pytest.warns(UserWarning, match=r"were not encrypted with the key .*comes back is noise"):
        X_wrong = wrong.inverse_transform(ciphertexts)
    assert abs(decibels(X, X_wrong).mean() - uniform_decibels(X)) < 0.5
    similar = [np.corrcoef(*pair)[0, 1] for pair in zip(flat(X), X_wrong, strict=True)]
    assert np.abs(similar).max() < 5 / 16


def test_one_that_was_changed_is_named(fitted, ciphertexts):
    levels = np.rint(ciphertexts * (255 / 15.9375)).astype(np.uint8)
    levels[4] ^= np.random.default_rng(0).integers(0, 2, 256, np.uint8)  # all lowest bits
    changed = levels * (15.9375 / 255)
    with pytest.warns(UserWarning, match=r"^X\[4\] was not encrypted with"):
        X_back = fitted.inverse_transform(changed)
    assert decibels(X[[4]], X_back[[4]])[0] < 12
    rest = np.arange(30) != 4
    np.testing.assert_array_equal(X_back[rest], fitted.inverse_transform(ciphertexts[rest]))


def test_another_classifiers_ciphertexts_are_known_for_what_they_are(ciphertexts):
    other = LogisticRegression(max_iter=2000, C=0.02).fit(flat(X_TRAIN), Y_TRAIN)
    ric = encryptor(classifier=FrozenEstimator(other)).fit(flat(X_TRAIN))
    with pytest.warns(UserWarning, match="these settings"):
        ric.inverse_transform(ciphertexts)


def test_a_template_that_differs_is_noticed(fitted, ciphertexts):
    other = copy.deepcopy(fitted)
    label = int(np.flatnonzero(LINEAR.classes_ == LINEAR.predict(ciphertexts[:1])[0])[0])
    other.templates_.levels[label, 16, 16, 1] ^= 1
    expected = fitted.inverse_transform(ciphertexts)
    with pytest.warns(UserWarning, match=rf"templates of .*{label}.* are not those"):
        X_back = other.inverse_transform(ciphertexts)
    of_the_class = fitted.read_recipe(ciphertexts).labels == label
    np.testing.assert_array_equal(X_back[~of_the_class], expected[~of_the_class])
    assert (X_back[of_the_class] != expected[of_the_class]).any()


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


def test_equal_images_have_equal_ciphertexts_and_others_share_no_pad(fitted):
    images = np.repeat(X[:1], 3, axis=0)
    images[2, 8, 8] ^= 1
    C = fitted.transform(flat(images))
    np.testing.assert_array_equal(C[0], C[1])
    nonces = fitted.read_recipe(C).nonces
    assert nonces[0] == nonces[1] != nonces[2]
    label = int(fitted.read_recipe(C).labels[0])
    mask = fitted.templates_.levels[label, 16, 16, 1].ravel() * (15.9375 / 255)
    # what the template leaves
    first, third = C[0] - 0.8 * mask, C[2] - 0.8 * mask
    assert abs(np.corrcoef(first, third)[0, 1]) < 5 / 16


def test_random_nonces_hide_which_images_are_equal():
    ric = encryptor(nonce="random").fit(flat(X_TRAIN))
    images = np.repeat(X[:1], 20, axis=0)
    C = ric.transform(flat(images))
    assert len(set(ric.read_recipe(C).nonces)) == 20
    assert len(np.unique(C, axis=0)) == 20
    assert decibels(images, ric.inverse_transform(C)).min() > 41
    assert not ric._encryptor_tags.deterministic
    assert encryptor()._encryptor_tags.deterministic


@pytest.mark.parametrize(
    "changed",
    [{"alpha": 0.81}, {"kappa": 0.25}, {"nonce": "random"}, {"weights": None, "epochs": 1}],
)
def test_every_setting_has_nonces_and_pads_of_its_own(changed, fitted, ciphertexts):
    """Two mixtures of one image and one pad could be solved for both."""
    other = encryptor(**changed).fit(flat(X_TRAIN))
    assert other.context_ != fitted.context_
    C = other.transform(flat(X))
    assert not set(other.read_recipe(C).nonces) & set(fitted.read_recipe(ciphertexts).nonces)


def test_the_context_is_as_written_in_the_format(fitted):
    assert fitted.context_ == encode_context(
        "ric",
        2,
        image_shape=(16, 16, 1),
        classifier=fitted.classifier_digest_,
        alpha=0.8,
        kappa=fitted.kappa_,
        nonce="content",
        network=hashlib.sha256(fitted.network_weights_).digest(),
    )


def find_extremes():
    """Find the flattest and the most contrasted image that are read as one class."""
    read = LINEAR.predict(flat(X_TRAIN))
    contrast = X_TRAIN.reshape(600, -1).std(axis=1)
    pairs = []
    for label in np.unique(read):
        mine = np.flatnonzero(read == label)
        pairs.append((mine[contrast[mine].argmin()], mine[contrast[mine].argmax()]))
    return max(pairs, key=lambda pair: contrast[pair[1]] - contrast[pair[0]])


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_an_adversary_that_knows_both_images_only_guesses(alpha):
    """Of the flattest and the most contrasted one; that the classifier reads them alike is said."""
    images = flat(X_TRAIN[list(find_extremes())])
    assert images.std(axis=1).max() > 1.4 * images.std(axis=1).min()
    ric = encryptor(alpha=alpha).fit(flat(X_TRAIN))
    result = DistinguishingGame(60).play(ric, images)
    assert not result.wins
    assert result.interval[0] == 0


def test_an_adversary_with_a_list_of_candidates_only_guesses(fitted):
    read = LINEAR.predict(flat(X_TRAIN))
    candidates = flat(X_TRAIN[read == read[0]][:40])
    result = IdentificationAttack(5).run(fitted, candidates)
    assert not result.wins


def test_decrypts_in_another_process_with_other_threads_and_batches(tmp_path):
    ric = encryptor(key=KEY.save(tmp_path / "key")).fit(flat(X_TRAIN))
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


@pytest.mark.parametrize("how", ["pickle", "skops"])
@pytest.mark.parametrize("before", [True, False])
def test_copies_encrypt_and_decrypt_alike(how, before):
    """Also those that were made before a single template was."""
    ric = encryptor().fit(flat(X_TRAIN))
    if before:
        ric.transform(flat(X))
    else:
        assert not ric.templates_.levels
    other = store(ric, how)
    C = ric.transform(flat(X))
    np.testing.assert_array_equal(other.transform(flat(X)), C)
    np.testing.assert_array_equal(other.inverse_transform(C), ric.inverse_transform(C))


def store(ric, how):
    if how == "pickle":
        return pickle.loads(pickle.dumps(ric))
    dumped = skops.io.dumps(ric)
    untrusted = skops.io.get_untrusted_types(data=dumped)
    assert all(name.startswith("ricsk.") for name in untrusted)
    return skops.io.loads(dumped, trusted=untrusted)


def test_a_key_by_reference_leaves_no_secret_in_the_pickle(tmp_path):
    ric = encryptor(key=KEY.save(tmp_path / "key")).fit(flat(X_TRAIN))
    C = ric.transform(flat(X[:1]))
    dumped = pickle.dumps(ric)
    assert bytes(range(32)) not in dumped
    (nonce,) = ric.read_recipe(C).nonces
    for purpose in ("ric/pad", "ric/header"):
        assert KEY.keystream(purpose, ric.context_ + nonce).bytes(16) not in dumped
    assert ric._header.places.tobytes()[:32] not in dumped


@pytest.mark.parametrize("how", ["pickle", "skops"])
def test_decryption_needs_no_classifier(how, fitted, ciphertexts):
    ric = copy.copy(fitted)
    ric.classifier = ric.classifier_ = None
    ric = store(ric, how)
    assert b"LogisticRegression" not in pickle.dumps(ric)
    np.testing.assert_array_equal(
        ric.inverse_transform(ciphertexts), fitted.inverse_transform(ciphertexts)
    )


def test_without_it_a_template_that_was_not_made_is_told(ciphertexts):
    ric = encryptor().fit(flat(X_TRAIN))
    ric.classifier_ = None
    with pytest.raises(ValueError, match=r"template of .* not among those made .*eager"):
        ric.inverse_transform(ciphertexts)


def test_templates_are_made_when_their_class_comes(fitted):
    ric = encryptor().fit(flat(X_TRAIN))
    assert not ric.templates_.levels
    ric.transform(flat(X[:1]))
    (made,) = ric.templates_.levels
    assert ric.classes_[made[0]] == LINEAR.predict(flat(X[:1]))[0]
    eager = encryptor(templates="eager").fit(flat(X_TRAIN))
    assert len(eager.templates_.levels) == 10
    np.testing.assert_array_equal(eager.templates_.levels[made], ric.templates_.levels[made])
    np.testing.assert_array_equal(eager.transform(flat(X)), fitted.transform(flat(X)))


def test_every_ciphertext_has_the_margin(fitted, ciphertexts):
    plain = fitted._reader.margins(X, fitted._reader.predict(X))
    assert fitted.kappa_ > 0
    assert fitted.kappa_ == pytest.approx(np.median(plain) / 2, rel=0.5)
    levels = np.rint(ciphertexts * (255 / 15.9375)).astype(np.uint8).reshape(X.shape)
    margins = fitted._reader.margins(levels, fitted._reader.predict(levels))
    assert margins.min() >= fitted.kappa_


@pytest.mark.parametrize("nonce", ["content", "random"])
def test_threads_make_the_same(nonce, fitted):
    ric = encryptor(nonce=nonce).fit(flat(X_TRAIN))
    found = {}

    def work(i):
        C = ric.transform(flat(X[i : i + 10]))
        found[i] = C, ric.inverse_transform(C)

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, (C, X_back) in found.items():
        if nonce == "content":
            np.testing.assert_array_equal(C, fitted.transform(flat(X[i : i + 10])))
        assert decibels(X[i : i + 10], X_back).min() > 41


@pytest.mark.parametrize(
    "classifier",
    [RandomForestClassifier(10, random_state=0), SVC(C=10)],
    ids=["black box", "kernel machine"],
)
def test_other_classifiers(classifier):
    frozen = FrozenEstimator(classifier.fit(flat(X_TRAIN), Y_TRAIN))
    ric = encryptor(classifier=frozen, alpha=0.9).fit(flat(X_TRAIN))
    C = ric.transform(flat(X[:5]))
    np.testing.assert_array_equal(frozen.predict(C), frozen.predict(flat(X[:5])))
    assert decibels(X[:5], ric.inverse_transform(C)).min() > 36


def test_a_cnn_reads_colour_images_as_it_did():
    colour = np.stack([X_TRAIN, X_TRAIN // 2, 255 - X_TRAIN], axis=-1)[..., 0, :]
    cnn = CNNClassifier(width=8, depth=2, epochs=3, random_state=0)
    ric = RICEncryptor(KEY, cnn).fit(colour, Y_TRAIN)
    C = ric.transform(colour[:50])
    assert C.shape == (50, 16, 16, 3)
    assert C.dtype == np.uint8
    np.testing.assert_array_equal(ric.classifier_.predict(C), ric.classifier_.predict(colour[:50]))
    assert psnr(colour[:50], ric.inverse_transform(C)).min() > 41


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


def test_networks_can_be_trained_in_fit():
    parameters = {"weights": None, "epochs": 2, "batch_size": 8, "random_state": 0}
    ric = encryptor(**parameters).fit(flat(X_TRAIN[:24]))
    again = clone(ric).fit(flat(X_TRAIN[:24]))
    assert len(ric.losses_) == 2
    assert again.losses_ == ric.losses_
    C = ric.transform(flat(X[:4]))
    np.testing.assert_array_equal(ric.inverse_transform(C), again.inverse_transform(C))
    assert not hasattr(encryptor().fit(flat(X_TRAIN)), "losses_")


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 1), (6, 4, 3), (2, 2, 3)])
def test_images_that_hold_no_header_are_enlarged(shape):
    """For toys: the classifier is fitted on enlarged images."""
    small = np.random.default_rng(0).integers(0, 256, (80, *shape), np.uint8)
    labels = (small.reshape(80, -1).mean(axis=1) > 127).astype(int)
    ric = RICEncryptor(KEY, LogisticRegression(C=1e-3, max_iter=9999)).fit(small, labels)
    scale, (height, width, channels) = ric.scale_, shape
    assert height * width * scale**2 * channels >= 128
    assert height * width * (scale - 1) ** 2 * channels < 128
    C = ric.transform(small[:5])
    assert C.shape == (5, height * scale, width * scale, channels) == (5, *ric.ciphertext_shape_)
    enlarged = small[:5].repeat(scale, axis=1).repeat(scale, axis=2)
    np.testing.assert_array_equal(
        ric.classifier_.predict(C.reshape(5, -1)), ric.classifier_.predict(enlarged.reshape(5, -1))
    )
    X_back = ric.inverse_transform(C)
    assert X_back.shape == (5, *shape)
    assert np.abs(X_back.astype(int) - small[:5]).max() <= 6
    assert encryptor().fit(flat(X_TRAIN)).scale_ == 1


def test_a_frozen_classifier_reads_no_enlarged_images():
    with pytest.raises(ValueError, match=r"11×11 pixels with 1 channel are too small.*128 values"):
        encryptor(image_shape=(11, 11)).fit(np.ones((2, 121)))


def test_integers_are_read_as_8_bit_values():
    images = X_TRAIN.reshape(600, -1).astype(np.int64)
    classifier = LogisticRegression(max_iter=2000, C=1e-4).fit(images, Y_TRAIN)
    ric = RICEncryptor(KEY, FrozenEstimator(classifier), image_shape=(16, 16)).fit(images)
    images = X.reshape(30, -1).astype(np.int64)
    C = ric.transform(images)
    assert C.dtype == np.int64
    np.testing.assert_array_equal(classifier.predict(C), classifier.predict(images))
    np.testing.assert_array_equal(C, ric.transform(images.astype(np.uint8)))
